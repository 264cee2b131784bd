"""Letters as a PDF and as pictures, and the processes in which they are made."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from print.fonts import NoGlyphError
from print.letter_pages import page_count
from print.rendering import (
    PREVIEW_DPI,
    NoSuchPageError,
    RenderingDiedError,
    RenderingPool,
    preview,
    render,
)
from relay.domain.letter_pages import Unprintable
from relay.domain.ports import LetterPages
from relay.domain.printing import PrintRules
from relay.domain.reply_code import SPECIMEN, new_reply_code
from relay.domain.sheet import PAGE
from tests.print.letters import letter, page_of_sheet, pages_in, picture_of, text_in

ENDS = 30
"""Seconds in which processes end that have to."""
NO_FONT = "\U00012000"
"""A character of cuneiform writing."""
LETTERS = [
    letter("Здравствуй! ❤ → 😀", sheet_language="ru", prisoner_name="Алексей Пример"),
    letter("word " * 1000, code=new_reply_code(), reply_sheets=2),
]


@pytest.fixture
async def pool() -> AsyncIterator[RenderingPool]:
    pool = RenderingPool()
    yield pool
    await pool.close()


def blank(pdf: bytes) -> list[bool]:
    """Of each page whether nothing is on it."""
    return [text_in(pdf, page) == "" and picture_of(pdf, page).min() == 255 for page in range(pages_in(pdf))]


def test_same_letters_give_the_same_bytes() -> None:
    assert render(LETTERS) == render(LETTERS)


def test_every_paper_begins_on_an_odd_page_and_letters_have_blank_backs() -> None:
    assert [page_count(one) for one in LETTERS] == [1, 2]
    letter_page, sheet = [False, True], [False, False]
    assert blank(render(LETTERS)) == letter_page + sheet + letter_page * 2 + sheet * 2
    assert [page_of_sheet(LETTERS[1], number) for number in (1, 2)] == [4, 6]


def test_letter_printed_on_both_sides_ends_with_its_own_sheet() -> None:
    rules = PrintRules(duplex=True)
    letters = [letter("word " * words, rules=rules) for words in (100, 1000, 1500)]
    assert [page_count(one) for one in letters] == [1, 2, 3]
    sheet = [False, False]
    pages = [[False, True], [False, False], [False, False, False, True]]
    assert blank(render(letters)) == [side for one in pages for side in one + sheet]
    assert [page_of_sheet(one) for one in letters] == [2, 2, 4]


def test_file_asks_to_be_printed_on_both_sides_and_not_scaled() -> None:
    with pikepdf.open(io.BytesIO(render(LETTERS))) as pdf:
        assert dict(pdf.Root.ViewerPreferences) == {"/Duplex": "/DuplexFlipLongEdge", "/PrintScaling": "/None"}
        size = PAGE.width / 25.4 * 72, PAGE.height / 25.4 * 72
        for page in pdf.pages:
            assert [float(end) for end in page.mediabox] == pytest.approx([0, 0, *size], abs=0.01)


def test_all_fonts_are_embedded_as_subsets() -> None:
    with pikepdf.open(io.BytesIO(render(LETTERS))) as pdf:
        objects = [one for one in pdf.objects if isinstance(one, pikepdf.Dictionary)]
        fonts = [one for one in objects if one.get("/Type") == "/Font" and one.get("/Subtype") != "/Type0"]
        assert len(fonts) > 4
        assert [len(str(font.BaseFont).partition("+")[0]) for font in fonts] == [len("/ABCDEF")] * len(fonts)
        assert ["/FontFile2" in font.FontDescriptor for font in fonts] == [True] * len(fonts)
        named = [one for one in objects if one.get("/Subtype") in ("/Type0", "/TrueType")]
        assert ["/ToUnicode" in font for font in named] == [True] * len(named)


def test_syntax_is_without_fault() -> None:
    with pikepdf.open(io.BytesIO(render(LETTERS))) as pdf:
        assert pdf.check_pdf_syntax() == []


def test_metadata_name_nobody() -> None:
    with pikepdf.open(io.BytesIO(render(LETTERS))) as pdf:
        said = {key: str(value) for key, value in pdf.docinfo.items() if key not in ("/CreationDate", "/ModDate")}
        assert said == dict.fromkeys(("/Author", "/Creator", "/Keywords", "/Producer", "/Subject", "/Title"), "") | {
            "/Trapped": "/False"
        }
        assert str(pdf.docinfo["/CreationDate"]).startswith("D:20000101")


def test_what_is_the_same_on_every_sheet_is_in_the_file_once() -> None:
    with pikepdf.open(io.BytesIO(render([letter(code=new_reply_code()) for _ in range(5)]))) as pdf:
        streams = [one for one in pdf.objects if isinstance(one, pikepdf.Stream)]
        assert sum(one.get("/Subtype") == "/Form" for one in streams) == 2


def test_nothing_printed_names_the_relay() -> None:
    pdf = render([letter(sheet_language="en")])
    words = " ".join(text_in(pdf, page) for page in range(pages_in(pdf))).lower()
    assert [word for word in ("relay", "prison", "http", "www", "@") if word in words] == []


def test_character_that_no_font_has_is_refused_and_never_printed_as_a_box() -> None:
    with pytest.raises(NoGlyphError):
        render([letter(NO_FONT)])


async def test_preview_shows_the_very_pages_of_a_specimen(pool: RenderingPool) -> None:
    specimen = letter("word " * 1000, code=SPECIMEN)
    pages = await pool.preview(specimen)
    assert pages == preview(specimen)
    pictures = [Image.open(io.BytesIO(page)) for page in pages]
    size = round(PAGE.width / 25.4 * PREVIEW_DPI), round(PAGE.height / 25.4 * PREVIEW_DPI)
    assert [(one.format, one.mode) for one in pictures] == [("PNG", "L")] * 4
    assert [one.size for one in pictures] == [pytest.approx(size, abs=1)] * 4
    assert [one.getextrema()[0] == 0 for one in pictures] == [True] * 4


async def test_picture_of_any_page_of_a_file(pool: RenderingPool, tmp_path: Path) -> None:
    pdf = render(LETTERS)
    (tmp_path / "batch.pdf").write_bytes(pdf)
    pictures = [await pool.picture_of_page(where, 3) for where in (pdf, tmp_path / "batch.pdf")]
    assert pictures == [preview(LETTERS[0])[1]] * 2
    coarse = Image.open(io.BytesIO(await pool.picture_of_page(pdf, 3, 25)))
    assert coarse.size == pytest.approx((PAGE.width / 25.4 * 25, PAGE.height / 25.4 * 25), abs=1)


@pytest.mark.parametrize("number", [0, 5])
async def test_picture_of_a_page_that_is_not_there_is_refused(pool: RenderingPool, number: int) -> None:
    with pytest.raises(NoSuchPageError, match=f"There is no page {number}."):
        await pool.picture_of_page(render(LETTERS[:1]), number)


async def test_error_of_the_other_process_arrives_as_itself(pool: RenderingPool) -> None:
    with pytest.raises(NoGlyphError, match="CUNEIFORM SIGN A"):
        await pool.preview(letter(NO_FONT))


async def test_next_letter_is_rendered_after_a_process_was_killed(pool: RenderingPool) -> None:
    with pytest.raises(RenderingDiedError, match="ended, perhaps for want of memory"):
        await pool.run(os._exit, 1)
    assert await pool.preview(letter()) == preview(letter())


def relay_that_renders(what: str) -> subprocess.Popen[bytes]:
    # Its processes have its output too: the output ends with the last of them.
    return subprocess.Popen(
        [sys.executable, "-m", "tests.print.process", what], stdout=subprocess.PIPE, start_new_session=True
    )


def test_processes_end_with_a_relay_that_was_killed() -> None:
    with relay_that_renders("waits") as relay:
        try:
            assert relay.stdout is not None
            assert relay.stdout.readline() == b"3\n"
            relay.send_signal(signal.SIGKILL)
            assert relay.communicate(timeout=ENDS)[0] == b""
        finally:
            with suppress(ProcessLookupError):
                os.killpg(relay.pid, signal.SIGKILL)


def test_ctrl_c_leaves_the_rendering_to_the_relay() -> None:
    with relay_that_renders("interrupted") as relay:
        try:
            assert relay.communicate(timeout=2 * ENDS)[0] == b"3\n3\n"
        finally:
            relay.kill()
    assert relay.returncode == 0


def test_pool_is_the_letter_pages_that_the_desk_asks_for() -> None:
    pages: LetterPages = RenderingPool()
    assert pages.unprintable(f"ok\n{NO_FONT}") == [Unprintable(NO_FONT, "CUNEIFORM SIGN A", 2, 1)]

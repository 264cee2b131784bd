"""The PDF of a batch: the same bytes on any number of cores, and one bad letter stops no other."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from print import batch_pages
from print.batch_pages import LETTERS_IN_PART, RenderedMailing, SetAside, parts_of, render_part
from print.fonts import MissingFontError
from print.letter_pages import draw_letter
from print.rendering import Rendering, RenderingPool
from relay.domain.letter_pages import Correspondent, CorrespondentsSheet, LetterToPrint, Mailing
from relay.domain.printing import EnvelopeFormat, PrintRules, Window
from relay.domain.reply_code import grouped, new_reply_code
from tests.print.letters import CODE, letter, pages_in, picture_of, text_in
from tests.print.mailings import Batch, Deadly, alone, given

NO_FONT = "A secret \U00012000"
NO_GLYPH = "No font can print the character CUNEIFORM SIGN A."


def numbered(count: int) -> list[Mailing]:
    """Letters that say which they are."""
    return alone(*[letter(f"Letter no. {number}", code=new_reply_code()) for number in range(count)])


def blank(pdf: bytes) -> list[bool]:
    """Of each page whether nothing is on it."""
    return [text_in(pdf, page) == "" and picture_of(pdf, page).min() == 255 for page in range(pages_in(pdf))]


async def test_same_mailings_give_the_same_bytes_on_any_number_of_processes(tmp_path: Path) -> None:
    mailings = [*numbered(2 * LETTERS_IN_PART + 3), *alone(letter(NO_FONT))]
    pdfs = []
    for processes in (1, 2, 4):
        batch, pool = Batch(mailings, tmp_path / f"{processes}.pdf"), RenderingPool(processes)
        await batch.rendered(pool)
        await pool.close()
        pdfs.append(batch.pdf)
    assert pdfs == [pdfs[0]] * 3


async def test_manifest_comes_first_and_the_mailings_in_their_order(
    rendering_pool: RenderingPool, tmp_path: Path
) -> None:
    mailings = numbered(LETTERS_IN_PART + 2)
    batch = Batch(mailings, tmp_path / "batch.pdf")
    rendering = await batch.rendered(rendering_pool)
    assert rendering == Rendering(tuple(RenderedMailing(place, 2) for place in range(len(mailings))), ())
    pages = [text_in(batch.pdf, page) for page in range(pages_in(batch.pdf))]
    front = len(pages) - sum(2 * done.sheets for done in rendering.mailings)
    assert front % 2 == 0
    assert "Example Prison" in pages[0]
    assert "Letter no." not in " ".join(pages[:front])
    for place, mailing in enumerate(mailings):
        one, back, side_a, side_b = pages[front + 4 * place : front + 4 * place + 4]
        code = grouped(mailing.letters[0].code)
        assert f"Letter no. {place} " in one
        assert [code in page for page in (one, back, side_a, side_b)] == [True, False, True, True]
        assert back == ""


async def test_progress_is_told_after_each_part(rendering_pool: RenderingPool, tmp_path: Path) -> None:
    batch = Batch(numbered(2 * LETTERS_IN_PART + 3), tmp_path / "batch.pdf")
    await batch.rendered(rendering_pool)
    assert batch.progress == [LETTERS_IN_PART, 2 * LETTERS_IN_PART, 2 * LETTERS_IN_PART + 3]


async def test_qpdf_finds_nothing_wrong(rendering_pool: RenderingPool, tmp_path: Path) -> None:
    await Batch(numbered(LETTERS_IN_PART + 1), tmp_path / "batch.pdf").rendered(rendering_pool)
    done = subprocess.run(  # noqa: ASYNC221 - nothing else is to be done meanwhile
        ["qpdf", "--check", tmp_path / "batch.pdf"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_letter_that_cannot_be_drawn_is_set_aside_and_the_rest_is_rendered(
    rendering_pool: RenderingPool, tmp_path: Path
) -> None:
    photo = letter("Its photo is broken", photos=(b"not a picture",))
    window = PrintRules(envelope=EnvelopeFormat.C5, window=Window.US10)
    no_window = letter("Its window is nowhere", rules=window, address=("Max Example", "Exampletown"))
    mailings = [
        Mailing((letter("First"), letter(NO_FONT), letter("Third"))),
        Mailing((letter(NO_FONT),)),
        Mailing((photo, letter("Last"))),
        Mailing((no_window,)),
        Mailing(()),
    ]
    batch = Batch(mailings, tmp_path / "batch.pdf")
    rendering = await batch.rendered(rendering_pool)
    assert rendering.mailings == (RenderedMailing(0, 4), RenderedMailing(2, 2))
    assert [(aside.mailing, aside.letter) for aside in rendering.set_aside] == [(0, 1), (1, 0), (2, 0), (3, 0)]
    reasons = [aside.reason for aside in rendering.set_aside]
    assert reasons[:3] == [NO_GLYPH, NO_GLYPH, "UnidentifiedImageError"]
    assert "window" in reasons[3]
    printed = " ".join(text_in(batch.pdf, page) for page in range(pages_in(batch.pdf)))
    assert [words in printed for words in ("First", "Third", "Last")] == [True] * 3
    assert [words in printed for words in ("secret", "broken", "nowhere")] == [False] * 3
    assert batch.progress == [7]


async def test_batch_in_which_nothing_can_be_drawn_has_a_manifest_only(
    rendering_pool: RenderingPool, tmp_path: Path
) -> None:
    batch = Batch(alone(letter(NO_FONT)), tmp_path / "batch.pdf")
    assert await batch.rendered(rendering_pool) == Rendering((), (SetAside(0, 0, NO_GLYPH),))
    assert (pages_in(batch.pdf), blank(batch.pdf)[0]) == (2, False)


def sheet_of(name: str) -> CorrespondentsSheet:
    """The sheet "who wrote to me", with one name on it."""
    wrote = letter().written_on
    return CorrespondentsSheet("Max Example", "en", (Correspondent(name, CODE, wrote),), ("PO Box 1",))


def test_sheet_of_correspondents_and_slip_follow_the_letters_with_blank_backs() -> None:
    rules = PrintRules(censor_slip=True)
    mailing = Mailing((letter("One", rules=rules), letter("Two", rules=rules)), sheet_of("Quokka Invented"))
    part = render_part({7: mailing})
    assert part.mailings == (RenderedMailing(7, 6),)
    assert blank(part.pdf) == [False, True, False, False] * 2 + [False, True, False, True]
    assert "Quokka Invented" in text_in(part.pdf, 8)
    assert grouped(CODE) in text_in(part.pdf, 10)


def test_sheet_of_correspondents_that_cannot_be_drawn_sets_its_mailing_aside() -> None:
    part = render_part({0: Mailing((letter("One"), letter("Two")), sheet_of(NO_FONT)), 1: Mailing((letter("Three"),))})
    assert part.mailings == (RenderedMailing(1, 2),)
    assert part.set_aside == (SetAside(0, 0, NO_GLYPH), SetAside(0, 1, NO_GLYPH))


def test_font_that_is_missing_is_no_fault_of_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object) -> None:
        raise MissingFontError(Path("/nowhere.ttf"), "fonts-nowhere")

    monkeypatch.setattr(batch_pages, "draw_letter", draw)
    with pytest.raises(MissingFontError):
        render_part({0: Mailing((letter(),))})


def test_letter_that_fails_at_its_second_page_leaves_no_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(canvas: object, one: LetterToPrint) -> object:
        for number, _ in enumerate(draw_letter(canvas, one)):
            yield
            if number == 0 and one.text.startswith("bad"):
                raise RuntimeError(one.text)

    monkeypatch.setattr(batch_pages, "draw_letter", draw)
    part = render_part({0: Mailing((letter("good"),)), 1: Mailing((letter("bad " * 1000),))})
    assert (pages_in(part.pdf), part.set_aside) == (4, (SetAside(1, 0, "RuntimeError"),))


async def test_parts_end_after_a_number_of_letters_or_bytes_of_photos_and_divide_no_mailing() -> None:
    few, many = Mailing((letter(),)), Mailing((letter(),) * (LETTERS_IN_PART + 10))
    heavy = Mailing((letter(photos=(b" " * batch_pages.PHOTOS_IN_PART,)),))
    parts = [list(part) async for part in parts_of(given([few, many, heavy, few, few]))]
    assert parts == [[0, 1], [2], [3, 4]]


async def test_failure_between_the_letters_ends_the_rendering(rendering_pool: RenderingPool, tmp_path: Path) -> None:
    async def mailings() -> AsyncIterator[Mailing]:
        for mailing in numbered(LETTERS_IN_PART + 1):
            yield mailing
        raise ConnectionError

    async def progress(_: int) -> None:
        pass

    with pytest.raises(ConnectionError):
        await rendering_pool.render(
            mailings(), lambda _: pytest.fail("there is no rendering"), tmp_path / "batch.pdf", progress
        )
    batch = Batch(numbered(1), tmp_path / "batch.pdf")
    assert (await batch.rendered(rendering_pool)).mailings == (RenderedMailing(0, 2),)


async def test_letter_that_ends_its_process_is_set_aside_and_the_others_are_rendered(tmp_path: Path) -> None:
    mailings = numbered(4)
    mailings[2] = Mailing((letter("Deadly", return_address=Deadly(("Somewhere",))),))
    batch, pool = Batch(mailings, tmp_path / "batch.pdf"), RenderingPool(2)
    rendering = await batch.rendered(pool)
    await pool.close()
    assert [done.mailing for done in rendering.mailings] == [0, 1, 3]
    (aside,) = rendering.set_aside
    assert (aside.mailing, aside.letter, "ended" in aside.reason) == (2, 0, True)
    assert batch.progress == [1, 2, 3, 4]
    words = " ".join(text_in(batch.pdf, page) for page in range(pages_in(batch.pdf)))
    assert [f"Letter no. {number}" in words for number in range(4)] == [True, True, False, True]

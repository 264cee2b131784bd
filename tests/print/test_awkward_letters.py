"""Letters that break printing programs: each is printed as it was typed, or refused with its place."""

from __future__ import annotations

import io
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image

from print.fonts import as_printed, unprintable
from print.layouts import FOOTER_BASELINE, HEADER_RULE
from relay.domain.sheet import PAGE
from tests.print.awkward import FILES, rendered, text_of
from tests.print.letters import POINTS

REFUSED: Final = {
    "emoji-of-today": [
        ("SMILING FACE WITH SMILING EYES AND THREE HEARTS", 1, 8),
        ("HEART HANDS", 3, 38),
        ("WHITE HEART", 3, 59),
    ],
    "nul": [("U+0000", 2, 27), ("U+0007", 2, 46)],
    "bidi-overrides": [
        ("RIGHT-TO-LEFT OVERRIDE", 2, 26),
        ("LEFT-TO-RIGHT ISOLATE", 2, 47),
        ("POP DIRECTIONAL ISOLATE", 2, 56),
        ("RIGHT-TO-LEFT EMBEDDING", 3, 1),
        ("POP DIRECTIONAL FORMATTING", 3, 10),
    ],
    "zalgo": [("COMBINING LEFT ANGLE ABOVE", 2, 28)],
    "private-and-unassigned": [("U+E000", 2, 21), ("U+0378", 2, 42), ("U+FDD0", 3, 16), ("LINE SEPARATOR", 3, 28)],
}
FROM_THE_RIGHT: Final = {
    "arabic",
    "arabic-digits-and-latin",
    "arabic-with-vowels",
    "hebrew",
    "hebrew-with-points",
    "mixed-directions",
    "persian-urdu-and-others",
    "syriac-thaana-nko-adlam",
}
"""Judged by the picture: what programs extract of them depends on the program."""
INK: Final = 128
"""Darker than this is no edge of a letter."""
STRAY: Final = 0.02
"""How much of the ink may stand elsewhere, as edges of thin strokes do."""
FRAMES: Final = [
    ("22 November 2025", "Letter from Anna Invented"),
    ("22 ноября 2025\u202fг.", "От кого: Anna Invented"),
]


def name_of(file: Path) -> str:
    return file.stem.split("-", 1)[1]


PRINTED: Final = [file for file in FILES if name_of(file) not in REFUSED]
LEFT_TO_RIGHT: Final = [file for file in PRINTED if name_of(file) not in FROM_THE_RIGHT]


def body(extracted: str) -> str:
    """What was typed of what stands on the pages, without the white."""
    text = "".join(extracted.split())
    for frame in FRAMES:
        date, sender = ("".join(part.split()) for part in frame)
        text = text.removeprefix(date).removesuffix(sender)
    return text


def test_there_are_enough_awkward_letters() -> None:
    assert (len(FILES) >= 40, len(REFUSED)) == (True, len(FILES) - len(PRINTED))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_letter_is_printable_or_refused_with_its_places(file: Path) -> None:
    found = [(each.name, each.line, each.column) for each in unprintable(text_of(file))]
    assert found == REFUSED.get(name_of(file), [])


@pytest.mark.parametrize("file", PRINTED, ids=name_of)
def test_file_is_sound_and_all_its_fonts_are_embedded_subsets_without_the_box(file: Path, tmp_path: Path) -> None:
    pdf = rendered(text_of(file))
    (tmp_path / "letter.pdf").write_bytes(pdf)
    checked = subprocess.run(["qpdf", "--check", tmp_path / "letter.pdf"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    with pikepdf.open(io.BytesIO(pdf)) as document:
        fonts = {str(name): font for page in document.pages for name, font in page.resources.get("/Font", {}).items()}
        assert fonts
        for font in fonts.values():
            (descendant,) = font.DescendantFonts
            assert str(font.BaseFont)[7] == "+"
            assert len(descendant.FontDescriptor.FontFile2.read_bytes()) > 0
            glyphs = descendant.CIDToGIDMap.read_bytes()
            assert [place for place in range(2, len(glyphs), 2) if glyphs[place : place + 2] == b"\0\0"] == []


@pytest.mark.parametrize("file", LEFT_TO_RIGHT, ids=name_of)
def test_poppler_extracts_what_was_typed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.pdf").write_bytes(rendered(text_of(file)))
    top, height, width = (round(mm * POINTS) for mm in (HEADER_RULE, FOOTER_BASELINE - 5 - HEADER_RULE, PAGE.width))
    area = ["-x", "0", "-y", str(top), "-W", str(width), "-H", str(height)]
    extracted = subprocess.run(
        ["pdftotext", "-raw", "-nopgbrk", *area, tmp_path / "letter.pdf", "-"], capture_output=True, check=True
    ).stdout.decode()
    assert body(extracted.replace("\u00ad\n", "")) == "".join(as_printed(text_of(file)).split())


@pytest.mark.parametrize("file", LEFT_TO_RIGHT, ids=name_of)
def test_pdfium_extracts_what_was_typed(file: Path) -> None:
    bottom, top = (PAGE.height - FOOTER_BASELINE + 5) * POINTS, (PAGE.height - HEADER_RULE) * POINTS
    with pypdfium2.PdfDocument(rendered(text_of(file))) as document:
        pages = [
            page.get_textpage().get_text_bounded(0, bottom, PAGE.width * POINTS, top).replace("\x02", "")
            for page in document
        ]
    assert body("".join(pages)) == "".join(as_printed(text_of(file)).split())


@pytest.mark.parametrize("file", PRINTED, ids=name_of)
def test_two_programs_show_the_same_first_page(file: Path, tmp_path: Path) -> None:
    pdf = rendered(text_of(file))
    (tmp_path / "letter.pdf").write_bytes(pdf)
    poppler = ["pdftoppm", "-r", "100", "-f", "1", "-l", "1", "-gray", "-singlefile"]
    subprocess.run([*poppler, tmp_path / "letter.pdf", tmp_path / "page"], check=True)
    with Image.open(tmp_path / "page.pgm") as picture, pypdfium2.PdfDocument(pdf) as document:
        one = np.asarray(picture)
        other = document[0].render(scale=100 / 72, grayscale=True).to_numpy().squeeze()
    inks = [(page < INK).astype(np.uint8) for page in (one, other[: one.shape[0], : one.shape[1]])]
    near = [cv2.dilate(ink, np.ones((5, 5), np.uint8)) for ink in inks]
    strayed = [np.count_nonzero(ink > around) for ink, around in zip(inks, reversed(near), strict=True)]
    assert max(count / np.count_nonzero(ink) for count, ink in zip(strayed, inks, strict=True)) < STRAY


def test_spaces_between_words_are_extracted() -> None:
    words = "Добрый день, за\u0301мок и नमस्ते दुनिया и 😀 конец"
    with pypdfium2.PdfDocument(rendered(words)) as document:
        assert words in document[0].get_textpage().get_text_range().replace("\r\n", " ")


def test_hyphens_of_ours_are_told_apart_from_those_of_the_writer(tmp_path: Path) -> None:
    (file,) = [file for file in FILES if name_of(file) == "one-long-paragraph-in-german"]
    (tmp_path / "letter.pdf").write_bytes(rendered(text_of(file)))
    extracted = subprocess.run(
        ["pdftotext", tmp_path / "letter.pdf", "-"], capture_output=True, check=True
    ).stdout.decode()
    divided = [before[-12:] + after[:6] for before, after in pairwise(extracted.split("\n")) if before[-1:] == "\u00ad"]
    assert "Sicherheits\u00adverwah" in divided

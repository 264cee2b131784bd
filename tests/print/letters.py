"""Fictional letters, and ways to look at what was printed."""

from __future__ import annotations

import datetime
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt
import pypdfium2

from print.letter_pages import page_count
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import ReplyCode, read_code
from relay.domain.sheet import PAGE, Rect

CODE: Final[ReplyCode] = read_code("2222 2222 2222").code
POINTS: Final = 72 / 25.4
"""Points in a mm."""
PIXELS: Final = 300 / 25.4
"""Pixels in a mm at 300 dpi."""

Picture = npt.NDArray[np.uint8]


def letter(text: str = "Hello!", **changes: object) -> LetterToPrint:
    """A letter with this text; what else matters to a test is given by name."""
    fields: dict[str, object] = {
        "code": CODE,
        "prisoner_name": "Max Example",
        "sheet_language": "en",
        "printed_name": "Anna Invented",
        "text": text,
        "written_on": datetime.date(2025, 11, 22),
        "return_address": ("Example Group", "PO Box 1", "00000 Exampletown"),
    }
    return LetterToPrint(**(fields | changes))  # type: ignore[arg-type]


def text_in(pdf: bytes, page: int, area: Rect = PAGE) -> str:
    """The words in an area of a page, separated by single spaces."""
    with pypdfium2.PdfDocument(pdf) as document:
        words = document[page].get_textpage()
        bottom, top = (PAGE.height - area.bottom) * POINTS, (PAGE.height - area.y) * POINTS
        found: str = words.get_text_bounded(area.x * POINTS, bottom, area.right * POINTS, top)
    return " ".join(found.split())


def pages_in(pdf: bytes) -> int:
    """How many pages the PDF has."""
    with pypdfium2.PdfDocument(pdf) as document:
        return len(document)


def picture_of(pdf: bytes, page: int) -> Picture:
    """The page in grey at 300 dpi."""
    with pypdfium2.PdfDocument(pdf) as document:
        picture: Picture = document[page].render(scale=300 / 72, grayscale=True).to_numpy().copy()
    return picture.reshape(picture.shape[:2])


def cut(picture: Picture, area: Rect) -> Picture:
    """An area of a page's picture."""
    return picture[
        round(area.y * PIXELS) : round(area.bottom * PIXELS), round(area.x * PIXELS) : round(area.right * PIXELS)
    ]


def page_of_sheet(letter: LetterToPrint, number: int = 1) -> int:
    """The place, from 0, of side A of a reply sheet in `render([letter])`; side B is the next."""
    pages = page_count(letter)
    return 2 * ((ceil(pages / 2) if letter.rules.duplex else pages) + number - 1)

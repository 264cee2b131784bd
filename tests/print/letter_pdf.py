"""The pages of a letter alone, and what can be measured on them."""

from __future__ import annotations

import ctypes
import io

import pypdfium2
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import PAGE_FONT, load_fonts
from print.letter_pages import draw_letter
from relay.domain.letter_pages import LetterToPrint
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import POINTS


def drawn(letter: LetterToPrint) -> bytes:
    """A PDF of the pages of this letter, without reply sheets and blank backs."""
    load_fonts()
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(PAGE.width * mm, PAGE.height * mm), invariant=1, initialFontName=PAGE_FONT)
    for _ in draw_letter(canvas, letter):
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def place_of(pdf: bytes, page: int, words: str) -> Rect:
    """Where these words stand on a page: the box of their ink. Raises LookupError where they do not stand once."""
    with pypdfium2.PdfDocument(pdf) as document:
        text = document[page].get_textpage()
        search = text.search(words, match_case=True)
        found = search.get_next()
        if found is None or search.get_next() is not None:
            raise LookupError(words)
        boxes = [text.get_charbox(found[0] + place) for place in range(found[1])]
    left, bottom, right, top = (
        pick(edges) / POINTS for pick, edges in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    return Rect(left, PAGE.height - top, right - left, top - bottom)


def type_of(pdf: bytes, page: int, words: str) -> tuple[str, float]:
    """The font of these words on a page, without the tag of its subset, and their size in points."""
    with pypdfium2.PdfDocument(pdf) as document:
        text = document[page].get_textpage()
        found = text.search(words, match_case=True).get_next()
        if found is None:
            raise LookupError(words)
        name = ctypes.create_string_buffer(200)
        pypdfium2.raw.FPDFText_GetFontInfo(text, found[0], name, len(name), None)
        size: float = pypdfium2.raw.FPDFText_GetFontSize(text, found[0])
    return name.value.decode().rpartition("+")[2], size


def pictures_of(pdf: bytes) -> list[list[Rect]]:
    """Where photos lie, page by page."""
    return _objects(pdf, pypdfium2.raw.FPDF_PAGEOBJ_IMAGE)


def rules_of(pdf: bytes) -> list[list[Rect]]:
    """Where lines are drawn, page by page."""
    return _objects(pdf, pypdfium2.raw.FPDF_PAGEOBJ_PATH)


def _objects(pdf: bytes, kind: int) -> list[list[Rect]]:
    found = []
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            edges = [[edge / POINTS for edge in each.get_bounds()] for each in page.get_objects(filter=[kind])]
            found.append([Rect(x, PAGE.height - top, right - x, top - bottom) for x, bottom, right, top in edges])
    return found

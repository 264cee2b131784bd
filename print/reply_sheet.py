"""The reply sheet: the paper on which a prisoner answers by hand, ruled and coded on both sides.

Where things stand is in relay.domain.sheet, which the scanner reads too. Everything that is the same on every sheet of
one language and side is drawn once, as a form of the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import zxingcpp
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import BOLD, MONO, MONO_CAP_HEIGHT, SANS, as_printed
from relay.domain import sheet
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import MatrixCode, Side, grouped
from relay.domain.sheet import Rect, Tick
from relay.locale import catalogue

ERROR_CORRECTION: Final = "H"
"""Three tenths of a matrix code may be lost to pen, fold or stamp."""

# Sizes in points, distances in mm.
NAME_SIZE: Final = 15.0
PLACE_SIZE: Final = 10.5
INSTRUCTION_SIZE: Final = 11.5
TICK_SIZE: Final = 11.5
LABEL_SIZE: Final = 9.0
ADDRESS_SIZE: Final = 11.0
ADDRESS_LEADING: Final = 4.6
CODE_SIZE: Final = sheet.CODE_HEIGHT * mm / MONO_CAP_HEIGHT
CODE_SPACING: Final = 1.0
"""Between the symbols of a readable code: apart, they are read one by one."""
TICK_WORDS: Final = 3.0
"""From a tick box to its words."""
BULLET: Final = "•"
BULLET_INDENT: Final = 4.0

RULE_GREY: Final = 0.62
"""Seen by tired eyes, and lighter than any pen."""
RULE_WIDTH: Final = 0.2
BOX_WIDTH: Final = 0.4


class MatrixSizeError(Exception):
    """The matrix code came out in another size than the sheet has room for."""


@cache
def words_of_ticks(language: str) -> dict[Tick, str]:
    """What stands beside each tick box."""
    _ = catalogue(language).gettext
    return {
        Tick.ALL_PAGES: _("I have all pages of the letter"),
        Tick.PAGES_MISSING: _("Pages of the letter are missing"),
        Tick.NEED_PAPER: _("I need paper, envelopes, stamps"),
        Tick.BEING_MOVED: _("I am being moved"),
        Tick.WRITE_AGAIN: _("Please write again"),
        Tick.PLEASE_STOP: _("Please do not write any more"),
    }


@cache
def instructions(language: str, side: Side) -> tuple[str, ...]:
    """How to use this side of the sheet, in a few short sentences."""
    _ = catalogue(language).gettext
    both = (
        _("Write on the lines, with dark ink."),
        _("Write separate letters, not joined."),
        _("Leave the codes and black squares free."),
    )
    return (*both, _("Write on both sides of the sheet.") if side is Side.A else _("You can go on writing here."))


def draw_reply_sheets(canvas: Canvas, letter: LetterToPrint) -> Iterator[None]:
    """Draw the sides A and B of every reply sheet of the letter; the caller ends each page. Raises NoGlyphError."""
    for number in range(1, letter.reply_sheets + 1):
        for side in Side:
            canvas.doForm(_frame(canvas, letter.sheet_language, side))
            _draw_header(canvas, letter, number, side)
            _draw_codes(canvas, MatrixCode(letter.code, number, side))
            _draw_return_address(canvas, letter)
            yield


def matrix_modules(code: MatrixCode) -> list[list[bool]]:
    """The modules of the matrix code, row by row from the top; true is black. Raises MatrixSizeError."""
    symbol = zxingcpp.create_barcode(str(code), zxingcpp.BarcodeFormat.QRCode, ec_level=ERROR_CORRECTION)
    picture = np.asarray(symbol.to_image(scale=1, add_quiet_zones=False))
    if picture.shape != (sheet.MATRIX_MODULES, sheet.MATRIX_MODULES):
        raise MatrixSizeError(f"The matrix code has {picture.shape[0]} modules, not {sheet.MATRIX_MODULES}.")
    modules: list[list[bool]] = (picture == 0).tolist()
    return modules


def _frame(canvas: Canvas, language: str, side: Side) -> str:
    """The name of the form that holds all that every sheet of this language has on this side."""
    name = f"sheet-{language}-{side}"
    if not canvas.hasForm(name):
        canvas.beginForm(name)
        _draw_marks(canvas)
        _draw_instructions(canvas, language, side)
        _draw_rules(canvas, sheet.writing(side))
        if side is sheet.TICK_SIDE:
            _draw_ticks(canvas, language)
        canvas.endForm()
    return name


def _fill(canvas: Canvas, rect: Rect) -> None:
    canvas.rect(rect.x * mm, _up(rect.bottom), rect.width * mm, rect.height * mm, stroke=0, fill=1)


def _up(y: float) -> float:
    """A height on the page, counted from below and in points, as PDF does."""
    points: float = (sheet.PAGE.height - y) * mm
    return points


def _draw_marks(canvas: Canvas) -> None:
    for mark in sheet.MARKS:
        _fill(canvas, mark)
    canvas.setFillGray(1)
    _fill(canvas, sheet.MARKS[sheet.HOLLOW_MARK].grown((sheet.MARK_HOLE - sheet.MARK) / 2))
    canvas.setFillGray(0)


def _draw_instructions(canvas: Canvas, language: str, side: Side) -> None:
    rect = sheet.INSTRUCTIONS
    column, row = rect.width / 2, rect.height / 2
    for place, sentence in enumerate(instructions(language, side)):
        x, baseline = rect.x + place % 2 * column, rect.y + place // 2 * row + 5
        SANS.draw(canvas, BULLET, x, baseline, INSTRUCTION_SIZE)
        SANS.draw(canvas, sentence, x + BULLET_INDENT, baseline, INSTRUCTION_SIZE, width=column - 2 * BULLET_INDENT)


def _draw_rules(canvas: Canvas, area: Rect) -> None:
    canvas.saveState()
    canvas.setStrokeGray(RULE_GREY)
    canvas.setLineWidth(RULE_WIDTH * mm)
    for line in range(1, int(area.height / sheet.RULE) + 1):
        y = _up(area.y + line * sheet.RULE)
        canvas.line(area.x * mm, y, area.right * mm, y)
    canvas.restoreState()


def _draw_ticks(canvas: Canvas, language: str) -> None:
    canvas.setLineWidth(BOX_WIDTH * mm)
    room = sheet.TICKS.width / sheet.TICK_COLUMNS - sheet.TICK - 2 * TICK_WORDS
    for tick, words in words_of_ticks(language).items():
        box = sheet.tick_box(tick)
        outline = box.grown(-BOX_WIDTH / 2)
        canvas.rect(outline.x * mm, _up(outline.bottom), outline.width * mm, outline.height * mm)
        SANS.draw(canvas, words, box.right + TICK_WORDS, box.bottom - 1.1, TICK_SIZE, width=room)


def _draw_header(canvas: Canvas, letter: LetterToPrint, number: int, side: Side) -> None:
    _ = catalogue(letter.sheet_language).gettext
    rect = sheet.HEADER
    name = as_printed(letter.prisoner_name)
    BOLD.draw(canvas, name, rect.x, rect.y + 4.8, NAME_SIZE, width=rect.width)
    sides = len(Side)
    place = _("Reply sheet {sheet} of {sheets}, side {side} (page {page} of {pages})").format(
        sheet=number,
        sheets=letter.reply_sheets,
        side=side,
        page=(number - 1) * sides + list(Side).index(side) + 1,
        pages=letter.reply_sheets * sides,
    )
    SANS.draw(canvas, place, rect.x, rect.y + 10.5, PLACE_SIZE, width=rect.width)


def _draw_codes(canvas: Canvas, code: MatrixCode) -> None:
    modules = matrix_modules(code)
    for place in sheet.MATRICES:
        _draw_matrix(canvas, modules, place)
    for place in sheet.READABLE:
        baseline = place.y + (place.height + sheet.CODE_HEIGHT) / 2
        MONO.draw(canvas, grouped(code.code), place.x, baseline, CODE_SIZE, spacing=CODE_SPACING)


def _draw_matrix(canvas: Canvas, modules: list[list[bool]], place: Rect) -> None:
    """One path of all black runs: drawn one by one, hairlines would show between the rows."""
    path = canvas.beginPath()
    for row, line in enumerate(modules):
        y = _up(place.y + (row + 1) * sheet.MODULE)
        for start, end in _black_runs(line):
            path.rect((place.x + start * sheet.MODULE) * mm, y, (end - start) * sheet.MODULE * mm, sheet.MODULE * mm)
    canvas.drawPath(path, stroke=0, fill=1)


def _black_runs(line: list[bool]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(line, prepend=False, append=False)).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)


def _draw_return_address(canvas: Canvas, letter: LetterToPrint) -> None:
    if not letter.return_address:
        return
    _ = catalogue(letter.sheet_language).gettext
    rect = sheet.RETURN_ADDRESS
    SANS.draw(canvas, _("Please send this sheet back to:"), rect.x, rect.y + 3, LABEL_SIZE, width=rect.width)
    leading = min(ADDRESS_LEADING, (rect.height - 4) / len(letter.return_address))
    size = ADDRESS_SIZE * leading / ADDRESS_LEADING
    for place, line in enumerate(letter.return_address, start=1):
        SANS.draw(canvas, as_printed(line), rect.x, rect.y + 3.4 + place * leading, size, width=rect.width)

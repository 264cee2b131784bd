"""The reply sheet: the paper on which a prisoner answers by hand, ruled and coded on both sides.

Where things stand is in relay.domain.sheet, which the scanner reads too. Everything that is the same on every sheet of
a facility and language is drawn once for each side, as a form of the document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
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

# Sizes in points, distances in mm. Many readers have poor eyes and no glasses: large, as far as there is room.
NAME_SIZE: Final = 16.0
PLACE_SIZE: Final = 12.0
INSTRUCTION_SIZE: Final = 15.0
TICK_SIZE: Final = 14.0
LABEL_SIZE: Final = 12.0
ADDRESS_SIZE: Final = 14.0
ADDRESS_LEADING: Final = 5.4
LABEL_LEADING: Final = 3.4
"""What the label takes from the room of the address."""
CODE_SIZE: Final = sheet.CODE_HEIGHT * mm / MONO_CAP_HEIGHT
FORWARD_SIZE: Final = 10.5
FORWARD_BASELINE: Final = 2.3
FORWARD_LEADING: Final = 3.6
"""Of the words of the last tick box, which stand on two lines between the other boxes and the lower matrix code."""
TICK_WORDS: Final = 3.0
"""From a tick box to its words."""
BULLET: Final = "•"
BULLET_INDENT: Final = 4.0
GAP: Final = 3.0
"""At least this much is between words that stand beside each other."""
CAP_HEIGHT: Final = 0.7
"""Height of a capital of SANS, in em (PT Sans's own figure)."""

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
        Tick.FORWARD: _("Show my answer to my other correspondents too"),
    }


@cache
def instructions(language: str, side: Side, *, matrix_codes: bool = True) -> tuple[str, ...]:
    """How to use this side of the sheet, in a few short sentences."""
    _ = catalogue(language).gettext
    return (
        _("Write on the lines, with dark ink."),
        _("Write separate letters, not joined."),
        _("Keep codes and black squares free.") if matrix_codes else _("Keep the code and black squares free."),
        _("Write on both sides of the sheet.") if side is Side.A else _("On other paper, write the code first."),
    )


def draw_reply_sheets(canvas: Canvas, letter: LetterToPrint) -> Iterator[None]:
    """Draw the sides A and B of every reply sheet of the letter; the caller ends each page. Raises NoGlyphError."""
    for number in range(1, letter.reply_sheets + 1):
        for side in Side:
            canvas.doForm(_frame(canvas, letter, side))
            _draw_header(canvas, letter, number, side)
            if letter.rules.matrix_codes:
                _draw_matrices(canvas, MatrixCode(letter.code, number, side))
            for place in sheet.READABLE:
                baseline = place.y + (place.height + sheet.CODE_HEIGHT) / 2
                MONO.draw(canvas, grouped(letter.code), place.x, baseline, CODE_SIZE, spacing=sheet.CODE_SPACING)
            yield


def matrix_modules(code: MatrixCode) -> npt.NDArray[np.bool_]:
    """The modules of the matrix code, row by row from the top; true is black. Raises MatrixSizeError."""
    symbol = zxingcpp.create_barcode(str(code), zxingcpp.BarcodeFormat.QRCode, ec_level=ERROR_CORRECTION)
    picture = np.asarray(symbol.to_image(scale=1, add_quiet_zones=False))
    if picture.shape != (sheet.MATRIX_MODULES, sheet.MATRIX_MODULES):
        raise MatrixSizeError(f"The matrix code has {picture.shape[0]} modules, not {sheet.MATRIX_MODULES}.")
    modules: npt.NDArray[np.bool_] = picture == 0
    return modules


def _frame(canvas: Canvas, letter: LetterToPrint, side: Side) -> str:
    """The name of the form that holds all that every sheet of this facility and language has on this side."""
    language, matrix_codes = letter.sheet_language, letter.rules.matrix_codes
    same = repr((language, side, matrix_codes, letter.return_address)).encode()
    name = f"sheet-{hashlib.sha256(same).hexdigest()}"
    if not canvas.hasForm(name):
        canvas.beginForm(name)
        _draw_marks(canvas)
        _draw_instructions(canvas, instructions(language, side, matrix_codes=matrix_codes))
        _draw_rules(canvas, sheet.writing(side))
        if side is sheet.TICK_SIDE:
            _draw_ticks(canvas, language)
        _draw_return_address(canvas, letter)
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


def _common_size(sentences: Iterable[str], size: float, width: float) -> float:
    """The size at which each sentence fits into the width (mm), at most this one (points)."""
    longest = max(SANS.width(sentence, 1) for sentence in sentences)
    fitting: float = width / longest * mm
    return min(size, fitting)


def _draw_instructions(canvas: Canvas, sentences: tuple[str, ...]) -> None:
    rect = sheet.INSTRUCTIONS
    column, row = rect.width / 2, rect.height / 2
    size = _common_size(sentences, INSTRUCTION_SIZE, column - BULLET_INDENT - GAP)
    for place, sentence in enumerate(sentences):
        x, baseline = rect.x + place % 2 * column, rect.y + place // 2 * row + 5
        SANS.draw(canvas, BULLET, x, baseline, size)
        SANS.draw(canvas, sentence, x + BULLET_INDENT, baseline, size)


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
    room = sheet.TICKS.width / sheet.TICK_COLUMNS - sheet.TICK - TICK_WORDS - GAP
    ticks = dict(words_of_ticks(language))
    longest = ticks.pop(Tick.FORWARD)
    size = _common_size(ticks.values(), TICK_SIZE, room)
    for tick, words in ticks.items():
        box = _draw_box(canvas, tick)
        baseline = box.bottom - (box.height - CAP_HEIGHT * size / mm) / 2
        SANS.draw(canvas, words, box.right + TICK_WORDS, baseline, size)
    box = _draw_box(canvas, Tick.FORWARD)
    x = box.right + TICK_WORDS
    two = _two_lines(longest)
    size = _common_size(two, FORWARD_SIZE, sheet.FORWARD.right - x)
    for line, words in enumerate(two):
        SANS.draw(canvas, words, x, box.y + FORWARD_BASELINE + line * FORWARD_LEADING, size)


def _draw_box(canvas: Canvas, tick: Tick) -> Rect:
    box = sheet.tick_box(tick)
    outline = box.grown(-BOX_WIDTH / 2)
    canvas.rect(outline.x * mm, _up(outline.bottom), outline.width * mm, outline.height * mm)
    return box


def _two_lines(sentence: str) -> tuple[str, str]:
    """The sentence broken where its two lines are most alike in length."""
    words = sentence.split()
    broken = ((" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words) + 1))
    return min(broken, key=lambda two: max(SANS.width(line, 1) for line in two))


def _draw_header(canvas: Canvas, letter: LetterToPrint, number: int, side: Side) -> None:
    _ = catalogue(letter.sheet_language).gettext
    rect = sheet.HEADER
    name = as_printed(letter.prisoner_name)
    BOLD.draw(canvas, name, rect.x, rect.y + 5, NAME_SIZE, width=rect.width)
    sides = len(Side)
    place = _("Reply sheet {sheet} of {sheets}, side {side} (page {page} of {pages})").format(
        sheet=number,
        sheets=letter.reply_sheets,
        side=side,
        page=(number - 1) * sides + list(Side).index(side) + 1,
        pages=letter.reply_sheets * sides,
    )
    room = rect.width
    if letter.copy:
        copy = _("COPY")
        BOLD.draw(canvas, copy, rect.right, rect.y + 11, PLACE_SIZE, right=True)
        room -= BOLD.width(copy, PLACE_SIZE) / mm + GAP
    SANS.draw(canvas, place, rect.x, rect.y + 11, PLACE_SIZE, width=room)


def _draw_matrices(canvas: Canvas, code: MatrixCode) -> None:
    """Draw the matrix code at its places, as a stencil of one bit for each module.

    Printers and viewers paint a stencil in whole pixels, sharper than a path, and it is quicker to write. A form of its
    own for each page would cost more than writing it twice.
    """
    modules = np.packbits(matrix_modules(code), axis=1).tobytes().hex()
    stencil = f"BI /W {sheet.MATRIX_MODULES} /H {sheet.MATRIX_MODULES} /IM true /D[1 0] /F /AHx ID\n{modules}>\nEI Q"
    for place in sheet.MATRICES:
        x, y = place.x * mm, _up(place.bottom)
        canvas.addLiteral(f"q {place.width * mm:.3f} 0 0 {place.height * mm:.3f} {x:.3f} {y:.3f} cm {stencil}")


def _draw_return_address(canvas: Canvas, letter: LetterToPrint) -> None:
    if not letter.return_address:
        return
    _ = catalogue(letter.sheet_language).gettext
    rect = sheet.RETURN_ADDRESS
    SANS.draw(canvas, _("Please send this sheet back to:"), rect.x, rect.y + 3, LABEL_SIZE, width=rect.width)
    leading = min(ADDRESS_LEADING, (rect.height - LABEL_LEADING) / len(letter.return_address))
    size = ADDRESS_SIZE * leading / ADDRESS_LEADING
    for place, line in enumerate(letter.return_address, start=1):
        SANS.draw(canvas, as_printed(line), rect.x, rect.y + LABEL_LEADING + place * leading, size, width=rect.width)

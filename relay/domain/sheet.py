"""The geometry of a reply sheet, in millimetres, shared by the printer and the scanner.

The origin is the upper left corner of the page; x grows to the right, y downwards. Both sides of a sheet have the same
frame: corner marks, matrix codes, readable codes. Only what stands in it differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.domain.reply_code import Side


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle on the page: left and top edge, width and height, in mm."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of the right edge, in mm."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of the lower edge, in mm."""
        return self.y + self.height

    @property
    def centre(self) -> tuple[float, float]:
        """The centre (x, y), in mm."""
        return self.x + self.width / 2, self.y + self.height / 2

    def grown(self, by: float) -> Rect:
        """The rectangle with `by` mm more on each side."""
        return Rect(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)


PAGE: Final = Rect(0, 0, 210, 297)
"""A4, upright."""

# --- corner marks: their centres give position, scale and perspective; 10 mm from the edge, inside what printers reach
MARK: Final = 6.0
"""Edge of a corner mark. Larger than any letter or pen blot that is a filled square."""
MARK_HOLE: Final = 3.0
"""Edge of the white square inside the lower right mark, which tells which way up the page lies."""
MARGIN: Final = 10.0
MARKS: Final = (
    Rect(MARGIN, MARGIN, MARK, MARK),
    Rect(PAGE.width - MARGIN - MARK, MARGIN, MARK, MARK),
    Rect(PAGE.width - MARGIN - MARK, PAGE.height - MARGIN - MARK, MARK, MARK),
    Rect(MARGIN, PAGE.height - MARGIN - MARK, MARK, MARK),
)
"""Upper left, upper right, lower right (the one with the hole), lower left: clockwise."""
HOLLOW_MARK: Final = 2
"""The place of the mark with the hole in MARKS."""

# --- matrix codes: QR version 2 (25 modules), level H, in two opposite corners beside the marks
MODULE: Final = 1.0
MATRIX_MODULES: Final = 25
QUIET: Final = 4 * MODULE
"""The white border that ISO/IEC 18004 asks for around a QR code."""
MATRIX: Final = MODULE * MATRIX_MODULES
MATRICES: Final = (
    Rect(PAGE.width - MARGIN - MARK - QUIET - MATRIX, MARGIN, MATRIX, MATRIX),
    Rect(MARGIN + MARK + QUIET, PAGE.height - MARGIN - MATRIX, MATRIX, MATRIX),
)
"""Upper right and lower left."""

# --- what a person reads, in the same bands as the matrix codes
HEADER: Final = Rect(MARGIN + MARK + 4, MARGIN, 137, 12)
"""The prisoner's name and "page N of M"."""
READABLE: Final = (Rect(MARGIN + MARK + 4, 27, 90, 8), Rect(53, PAGE.height - MARGIN - 9, 90, 8))
"""The readable code, once in the upper and once in the lower band; symbols are CODE_HEIGHT tall."""
CODE_HEIGHT: Final = 5.0
CODE_SPACING: Final = 1.0
"""Between the symbols of a readable code, beside what the font has: apart, they are read one by one."""
CODE_FONT: Final = "dejavu/DejaVuSansMono-Bold.ttf"
"""The font of a readable code, in Debian's folder of TrueType fonts. Each symbol is 1233 of its units wide, a capital
1493 high."""
CODE_ADVANCE: Final = CODE_HEIGHT * 1233 / 1493 + CODE_SPACING
"""From one symbol or space of a readable code to the next, in mm."""
INSTRUCTIONS: Final = Rect(15, 40, 180, 14)
WRITING: Final = Rect(15, 56, 180, 162)
"""Where people write on the side with the tick boxes; see `writing` for both sides."""
RULE: Final = 9.0
"""Distance of the ruled lines: room for hands that are not used to writing."""
TICKS: Final = Rect(15, 222, 180, 32)
TICK: Final = 5.0
"""Edge of a tick box."""
FORWARD: Final = Rect(15, 251, 82, 7)
"""The last tick box and its words. It came later, and paper with six boxes is out there: those keep their places."""
RETURN_ADDRESS: Final = Rect(100, 253.5, 95, 22)
"""Between the tick boxes and the lower readable code: a label and four lines that tired eyes can copy."""
FORMER_RETURN_ADDRESS: Final = Rect(53, 253.5, 130, 22)
"""Where it stands on sheets that were printed before there was FORWARD."""
TICK_SIDE: Final = Side.A
"""The side with the tick boxes; on the other one the ruled lines go on where they stand."""
LINES_FOR_TICKS: Final = 3
"""Ruled lines that the other side has in place of the tick boxes."""


def writing(side: Side) -> Rect:
    """Where people write on this side. Ruled lines run across all of it, RULE apart; the last is its lower edge."""
    if side is TICK_SIDE:
        return WRITING
    return Rect(WRITING.x, WRITING.y, WRITING.width, WRITING.height + LINES_FOR_TICKS * RULE)


class Tick(StrEnum):
    """The tick boxes of a reply sheet, in their printed order."""

    ALL_PAGES = "all_pages"
    PAGES_MISSING = "pages_missing"
    NEED_PAPER = "need_paper"
    BEING_MOVED = "being_moved"
    WRITE_AGAIN = "write_again"
    PLEASE_STOP = "please_stop"
    FORWARD = "forward"
    """Not on sheets that were printed before there was this one."""


TICK_COLUMNS: Final = 2
TICK_ROW: Final = 10.0


def tick_box(tick: Tick) -> Rect:
    """Where the box of a tick stands; its words begin 3 mm right of it."""
    if tick is Tick.FORWARD:
        return Rect(FORWARD.x, FORWARD.y, TICK, TICK)
    place = list(Tick).index(tick)
    column, row = place % TICK_COLUMNS, place // TICK_COLUMNS
    return Rect(TICKS.x + column * TICKS.width / TICK_COLUMNS, TICKS.y + 2 + row * TICK_ROW, TICK, TICK)

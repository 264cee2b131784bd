"""The lines of a postal address in a place of any size: as large as they fit, and never so that one is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import SANS, as_printed
from relay.domain.sheet import Rect

# Points.
LARGEST: Final = 14.0
UNBROKEN: Final = 9.0
"""Lines are made smaller down to this before long ones are broken."""
SMALLEST: Final = 5.0
STEP: Final = 0.5
# Parts of the size of the type.
ASCENT: Final = 0.92
"""Of a capital with a mark on it."""
DESCENT: Final = 0.26
LEADING: Final = 1.2


def draw_address(canvas: Canvas, lines: Sequence[str], area: Rect, largest: float = LARGEST) -> None:
    """Draw the lines from the upper left corner of the area, in mm from that of the page; all ink is within.

    They are at most `largest` points large. A line that would have to be too small is broken at a space. Raises
    NoGlyphError.
    """
    size, fitted = _fitted([as_printed(line) for line in lines], area, largest)
    for place, line in enumerate(fitted):
        baseline = area.y + (ASCENT + place * LEADING) * size / mm
        SANS.draw(canvas, line, area.x, baseline, size, width=area.width)


def _fitted(lines: list[str], area: Rect, largest: float) -> tuple[float, list[str]]:
    """The size at which the lines fit, and the lines, broken where that had to be."""
    for size in _sizes(largest, UNBROKEN):
        if _height(lines, size) <= area.height and all(SANS.width(line, size) <= area.width * mm for line in lines):
            return size, lines
    for size in _sizes(largest, SMALLEST):
        broken = [part for line in lines for part in _broken(line, size, area.width)]
        if _height(broken, size) <= area.height:
            return size, broken
    return float(area.height * mm / _lines_high(len(lines))), lines  # more lines than anybody's address has


def _sizes(largest: float, smallest: float) -> Iterable[float]:
    return (largest - step * STEP for step in range(int((largest - smallest) / STEP) + 1))


def _height(lines: list[str], size: float) -> float:
    """In mm."""
    return float(_lines_high(len(lines)) * size / mm)


def _lines_high(count: int) -> float:
    return ASCENT + (count - 1) * LEADING + DESCENT


def _broken(line: str, size: float, width: float) -> Iterable[str]:
    """The line in parts no wider than this, broken at spaces; a word that is too long stays whole."""
    part = ""
    for word in line.split(" "):
        longer = f"{part} {word}" if part else word
        if part and SANS.width(longer, size) > width * mm:
            yield part
            part = word
        else:
            part = longer
    yield part

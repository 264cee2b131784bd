"""Reads the tick boxes of a reply sheet by their ink, against how they are printed when they are empty.

`measure` runs in the limited child, on pixels; `read` and `is_tick_side` draw the conclusions from its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.domain.sheet import TICK, Rect, Tick, tick_box
from scanner.geometry import PIXELS_PER_MM, pixels
from scanner.samples import BoxInk

_DARK: Final = 205
"""Brightness of a cleaned page below which there is ink: faint pencil is at 190."""
_LINE: Final = 0.25
"""Thickness in mm of what is looked at of the outline: printed it is 0.4, on a bad copy less is left."""
_REACH: Final = 2.5
"""How far a box may lie from its place, in mm: the sheet was printed, folded and laid flat again."""
_INSET: Final = 0.9
"""Distance in mm of what counts as inside from the outer edge of the box: the outline may be smeared."""

_TICKED: Final = 0.05
"""Least share of the inside of a box that is ticked: one short stroke of a thin pen."""
_EMPTY: Final = 0.015
"""Most of one that is not: specks, and the end of a stroke that came out of another box."""
_TAKEN_BACK: Final = 0.75
"""Share from which a box was blackened, which may mean that the tick is taken back. Scribbled crosses stay below."""
_SEEN: Final = 0.55
"""Least share of the outline of a box that can be seen."""
_NOT_SEEN: Final = 0.4
"""Share under which there is none: a ruled line of the other side, or the edge of the box above, may lie on one of the
four edges."""
_ALWAYS: Final = list(Tick).index(Tick.FORWARD)
"""How many boxes every sheet has; older ones lack the last."""


def measure(sheet: NDArray[np.uint8]) -> tuple[BoxInk, ...]:
    """The ink of each box, in the order of Tick, on a straightened and cleaned sheet at DPI."""
    areas = [_dark_around(sheet, tick_box(tick)) for tick in Tick]
    outlines = [_outlines(dark) for dark in areas]
    # All boxes of a sheet were moved together, so a box under a blot is looked for where the others are.
    together = np.minimum(np.array(outlines), 0.8).sum(axis=0)
    return tuple(_ink(dark, outline, together) for dark, outline in zip(areas, outlines, strict=True))


def read(boxes: Sequence[BoxInk]) -> dict[Tick, bool | None]:
    """Whether each box is ticked; None where that is not clear. Nothing for a page on which none were measured."""
    return {
        tick: False if tick is Tick.FORWARD and box.outline < _NOT_SEEN else _ticked(box)
        for tick, box in zip(Tick, boxes, strict=False)
    }


def is_tick_side(boxes: Sequence[BoxInk]) -> bool | None:
    """Whether the page is printed as the side with the tick boxes; None where that cannot be told."""
    boxes = boxes[:_ALWAYS]
    seen = sum(box.outline >= _SEEN for box in boxes)
    if seen > _ALWAYS / 2:
        return True
    if boxes and all(box.outline < _NOT_SEEN for box in boxes):
        return False
    return None


def _ticked(box: BoxInk) -> bool | None:
    if box.outline < _SEEN or box.filled >= _TAKEN_BACK:
        return None
    if box.filled >= _TICKED:
        return True
    return False if box.filled <= _EMPTY else None


def _dark_around(sheet: NDArray[np.uint8], box: Rect) -> NDArray[np.bool_]:
    left, top, right, bottom = pixels(box.grown(_REACH))
    return sheet[top:bottom, left:right] < _DARK


def _outlines(dark: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the outline that is dark, for each place where the box could stand: rows and columns of them."""
    edge, line = round(TICK * PIXELS_PER_MM), round(_LINE * PIXELS_PER_MM)
    sums = np.pad(dark.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    places = dark.shape[0] - edge + 1, dark.shape[1] - edge + 1

    def share(x: int, y: int, width: int, height: int) -> NDArray[np.float64]:
        def corner(at_x: int, at_y: int) -> NDArray[np.int64]:
            return sums[at_y : at_y + places[0], at_x : at_x + places[1]]

        inside = corner(x + width, y + height) - corner(x, y + height) - corner(x + width, y) + corner(x, y)
        return inside / (width * height)

    four: NDArray[np.float64] = np.mean([share(*strip) for strip in _strips(edge, line)], axis=0)
    return four


def _strips(edge: int, line: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height of the four sides of an outline."""
    yield 0, 0, edge, line
    yield 0, edge - line, edge, line
    yield 0, 0, line, edge
    yield edge - line, 0, line, edge


def _ink(dark: NDArray[np.bool_], outline: NDArray[np.float64], together: NDArray[np.float64]) -> BoxInk:
    y, x = np.unravel_index(int((outline + together).argmax()), outline.shape)
    inset, edge = round(_INSET * PIXELS_PER_MM), round(TICK * PIXELS_PER_MM)
    inside = dark[y + inset : y + edge - inset, x + inset : x + edge - inset]
    return BoxInk(filled=float(inside.mean()), outline=float(outline[y, x]))

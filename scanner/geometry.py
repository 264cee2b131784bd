"""How a page lies in the pixels that the child gives out."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.domain.sheet import Rect

Transform = NDArray[np.float64]
"""A 3 x 3 homography; where nothing else is said, from millimetres on the sheet to pixels of the picture."""

DPI: Final = 300
"""Resolution of a straightened sheet, and of every other page where its own allows it."""
PIXELS_PER_MM: Final = DPI / 25.4


class Geometry(StrEnum):
    """What was done to the picture of a page."""

    SHEET = "sheet"
    """A reply sheet, found by marks and codes, is laid flat: places of the domain's geometry are places of it."""
    TURNED = "turned"
    """A reply code, but too little of the sheet, was found: the picture is turned upright by it."""
    AS_IT_CAME = "as_it_came"
    """Nothing of a sheet was found; only what EXIF says was done."""


def pixels(place: Rect) -> tuple[int, int, int, int]:
    """Left, top, right and lower edge of a place on a straightened sheet, in pixels; never left of or above it."""
    edges = (place.x, place.y, place.right, place.bottom)
    left, top, right, bottom = (round(max(edge, 0) * PIXELS_PER_MM) for edge in edges)
    return left, top, right, bottom

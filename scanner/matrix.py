"""Reads matrix codes from pixels. Runs only in the limited child."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from relay.domain.reply_code import NotAReplyCodeError, read_matrix
from relay.domain.sheet import MATRICES, MODULE, QUIET, Rect
from scanner.codes import Method
from scanner.geometry import PIXELS_PER_MM, pixels

Grey = NDArray[np.uint8]
"""Rows of grey pixels, 0 black."""
Points = NDArray[np.float64]
"""Points as rows of x and y."""

MAX_CODES: Final = 16
"""Codes of one page that are looked at; the rest of a page full of codes is not ours."""
MAX_TEXT: Final = 200
"""Characters of a foreign code that are kept."""
SCALED_BELOW: Final = 2000
"""Page width in pixels under which scaling up adds something: a module of 1 mm then has less than 10 pixels."""

_FORMATS: Final = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_BINARIZERS: Final = (
    zxingcpp.Binarizer.LocalAverage,
    zxingcpp.Binarizer.GlobalHistogram,
    zxingcpp.Binarizer.FixedThreshold,
)
_MODULE: Final = MODULE * PIXELS_PER_MM
"""A module of a straightened sheet, in pixels."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix code that was found: its text, how, and its corners in pixels of the page."""

    text: str
    method: Method
    corners: Points | None
    """Upper left, upper right, lower right, lower left, as the code itself is turned; None when read from a crop."""

    @property
    def ours(self) -> bool:
        """Whether it is a reply code."""
        try:
            read_matrix(self.text)
        except NotAReplyCodeError:
            return False
        return True


def read_page(grey: Grey) -> list[Matrix]:
    """The matrix codes of a whole page, as it came."""
    return list(_read(grey, Method.MATRIX, 1.0))


def read_scaled(grey: Grey) -> list[Matrix]:
    """The matrix codes of a whole page at twice its size; nothing where that cannot help."""
    if min(grey.shape) >= SCALED_BELOW:
        return []
    return list(_read(_scaled(grey, 2.0), Method.MATRIX_SCALED, 2.0))


def read_places(sheet: Grey) -> list[Matrix]:
    """The matrix codes at the places where a straightened sheet has them."""
    return [found for place in MATRICES if (found := _read_place(sheet, place.grown(QUIET)))]


def _read_place(sheet: Grey, place: Rect) -> Matrix | None:
    left, top, right, bottom = pixels(place)
    crop = np.ascontiguousarray(sheet[top:bottom, left:right])
    for view in _views(crop):
        for binarizer in _BINARIZERS:
            for found in _read(view, Method.MATRIX_CROP, None, binarizer):
                if found.ours:
                    return found
    return None


def _views(crop: Grey) -> Iterator[Grey]:
    """The crop as it is, averaged against noise, without thin dark strokes, and with modules of half the pixels."""
    yield crop
    yield cv2.GaussianBlur(crop, (0, 0), 0.3 * _MODULE)  # type: ignore[misc]
    stroke = round(0.45 * _MODULE)
    yield cv2.morphologyEx(crop, cv2.MORPH_CLOSE, np.ones((stroke, stroke), np.uint8))  # type: ignore[misc]
    yield _scaled(crop, 0.5)


def _read(
    grey: Grey,
    method: Method,
    scale: float | None,
    binarizer: zxingcpp.Binarizer = zxingcpp.Binarizer.LocalAverage,
) -> Iterator[Matrix]:
    # Codes are printed dark on light, so the inverse picture is not searched: that halves the time.
    found = []
    for code in zxingcpp.read_barcodes(grey, formats=_FORMATS, binarizer=binarizer, try_invert=False):
        place = code.position
        corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
        points = np.array([(corner.x, corner.y) for corner in corners], np.float64)
        found.append(Matrix(code.text[:MAX_TEXT], method, None if scale is None else points / scale))
    # No code of ours is hidden behind others.
    yield from sorted(found, key=lambda code: not code.ours)[:MAX_CODES]


def _scaled(grey: Grey, scale: float) -> Grey:
    if scale == 1.0:
        return grey
    return cv2.resize(  # type: ignore[return-value]
        grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )

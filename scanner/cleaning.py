"""Makes the picture of a page readable: even light, white paper, straight lines. Runs only in the limited child.

What is done here is for the eye and for text recognition. The page as it came is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, cos, radians, sin
from typing import Final, cast

import cv2
import numpy as np

from relay.domain.sheet import Rect
from scanner.matrix import Grey
from scanner.straighten import Image

# --- even light. The paper is what is bright round about: the light changes slowly, or at the edge of a shadow.
_PAPER_DPI: Final = 37.5
"""Resolution at which the paper is estimated."""
_STROKE_GAP: Final = 3.5
"""Width in mm over which the brightest is paper: more than the widest stroke."""
_LIGHT: Final = 22.0
"""Width in mm of the median: what is darker over less than half of it is no shadow."""
_DARKEST_SHARE: Final = 0.35
"""Paper is no darker than this share of the brightest; what is, lies beside the page and stays dark."""
_DARKEST_PAPER: Final = 16
_WHITE: Final = 0.97
"""Share of the paper's brightness from which a pixel is white."""

# --- show-through: marks of little contrast, blurred by the paper. Pencil of the same contrast has sharp edges.
_STROKE_DPI: Final = 150.0
"""Resolution at which strokes are looked for: noise is averaged away, and a thin stroke is still a pixel wide."""
_SHARP: Final = 1.0
"""Width in mm under which a dark mark is a stroke and not a shade."""
_STROKE_CONTRAST: Final = 24
"""Levels of 255 by which a stroke is darker than what is beside it."""
_BESIDE: Final = 1.5
"""Distance in mm from a stroke up to which faint pixels belong to it."""
_SHADE_WHITE: Final = 214
"""Brightness from which all that is no stroke becomes white."""
_SHADE_KEPT: Final = 194
"""Brightness below which it is kept as it is: stamps, photos, drawings."""
_EDGE_WHITE: Final = 250
"""Brightness from which what is beside a stroke becomes white."""
_EDGE_KEPT: Final = 222

# --- colour
_COLOURED: Final = 40
"""Difference of the strongest and weakest channel, as against the paper's, from which a pixel counts as coloured."""
_COLOUR_SHARE: Final = 0.001
"""Share of coloured pixels from which a page stays in colour: a few words written with a blue pen."""

# --- the angle of the lines
_SKEW_DPI: Final = 60.0
_LARGEST_SKEW: Final = 5.0
"""Degrees. Lines that are steeper were written so."""
_RIM: Final = 8.0
"""Width in mm of what is not looked at along the edges."""
_SMALLEST_SKEW: Final = 0.2
"""Degrees under which nothing is turned."""
_CLEAR_SKEW: Final = 4.0
"""How many times as sharply lines must stand out at the angle as at others, at the median."""

# --- ruled lines
_RULE_HEIGHT: Final = 0.6
"""Most that a ruled line is thick, in mm. A stroke that is higher stays whole where the line crosses it."""
_RULE_CONTRAST: Final = 14
_RULE_GAP: Final = 2.0
"""Most in mm that a stroke may cover of a line."""
_RULE_RUN: Final = 9.0
"""Least length in mm of a piece of a line."""
_RULE_LENGTH: Final = 30.0
"""Least length in mm of a ruled line; what is shorter is written."""
_ASTRAY: Final = 1.8
"""How far, in mm, a line of a reply sheet may lie from its place."""
_DARKER_THAN_RULE: Final = 45
"""Levels of 255 from which a pixel on a line is ink of a pen."""

# --- writing, as against an empty page
_INK_DPI: Final = 100.0
_INK: Final = 225
"""Brightness of a cleaned page below which a pixel is dark."""
_SPECK: Final = 1.5
"""Length in mm under which a dark spot is dust, or a dot."""
_FOLD_LENGTH: Final = 60.0
_FOLD_WIDTH: Final = 3.0
"""What is longer than the one and no wider than the other, in mm, is a fold or a line that was not removed."""
_EDGE: Final = 4.0
_EDGE_DEPTH: Final = 8.0
"""What is nearer to an edge than the one, in mm, or goes on from there and ends before the other, was drawn by the
scanner."""
_HOLE: Final = (4.0, 9.0)
"""Width in mm of a punched hole."""
_PRINTED: Final = 1.5
"""How far, in mm, print may lie from its place."""


def grey_of(image: Image) -> Grey:
    """The picture in grey; itself where it is."""
    return image if image.ndim == 2 else cast("Grey", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def coloured(image: Image) -> bool:
    """Whether a picture has writing in colour, on paper of whatever colour."""
    if image.ndim == 2:
        return False
    small = _shrunk(image, 4)  # averages the colour noise of a camera away
    paper = np.maximum(np.percentile(small[::4, ::4].reshape(-1, 3), 80, axis=0), 1)
    levels = np.clip(np.arange(256)[:, None] * (255 / paper), 0, 255).round().astype(np.uint8)
    red, green, blue = cv2.split(cv2.LUT(small, levels.reshape(1, 256, 3)))
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return float(np.mean(spread > _COLOURED)) >= _COLOUR_SHARE


def clean(image: Image, dpi: float) -> Image:
    """The picture in even light on white paper, without what shines through from the back; strokes as they are."""
    lit = _in_even_light(image, dpi)
    scale = min(_STROKE_DPI / dpi, 1.0)
    small = cv2.resize(grey_of(lit), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    beside = cv2.dilate(_strokes(cast("Grey", small), dpi * scale), _square(_BESIDE * 2, dpi * scale))
    beside = cv2.resize(beside, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST)
    cleaned = cv2.LUT(lit, _LEVELS_OF_SHADES)
    cv2.copyTo(cv2.LUT(lit, _LEVELS_OF_STROKES), beside, cleaned)
    return cast("Image", cleaned)


def turned(image: Image, angle: float) -> Image:
    """The picture turned by this angle in degrees, as `skew` gives it, on white; nothing is cut off."""
    if not angle:
        return image
    height, width = image.shape[:2]
    sine, cosine = abs(sin(radians(angle))), cos(radians(angle))
    size = ceil(width * cosine + height * sine), ceil(width * sine + height * cosine)
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    rotation[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cast("Image", cv2.warpAffine(image, rotation, size, flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255)))


def skew(grey: Grey, dpi: float) -> float:
    """By how many degrees the lines of a cleaned page fall to the right; 0 where it has none that are clear.

    Whether the page stands on its head is not asked.
    """
    scale = min(_SKEW_DPI / dpi, 1.0)
    small = cast("Grey", cv2.resize(cv2.bitwise_not(grey), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    border = round(_RIM * dpi * scale / 25.4)  # what a scanner draws at its edge is straight whatever the page is
    small = small[border:-border, border:-border]
    if min(small.shape, default=0) < 40:
        return 0.0
    coarse = np.arange(-_LARGEST_SKEW - 1, _LARGEST_SKEW + 1.01, 0.5)
    sharpness = np.array([_sharpness(small, angle) for angle in coarse])
    best = float(coarse[sharpness.argmax()])
    if sharpness.max() <= _CLEAR_SKEW * np.median(sharpness) or abs(best) > _LARGEST_SKEW:
        return 0.0
    fine = np.arange(best - 0.5, best + 0.51, 0.1)
    angle = float(fine[np.argmax([_sharpness(small, angle) for angle in fine])])
    return angle if abs(angle) >= _SMALLEST_SKEW else 0.0


def without_rules(grey: Grey, dpi: float, places: tuple[int, ...] = ()) -> Grey:
    """A cleaned page without its ruled lines, for text recognition only; strokes that cross them stay whole.

    `places` are the rows of the lines where they are known, as on a reply sheet; then nothing else is looked at.
    """
    reach = round(_ASTRAY / 25.4 * dpi)
    if not places:
        return _without_rules(grey, dpi, _RULE_LENGTH)
    cleaned = grey.copy()
    for row in places:
        band = slice(max(row - reach, 0), row + reach)
        cleaned[band] = _without_rules(grey[band], dpi, _RULE_RUN)
    return cleaned


def ink(grey: Grey, dpi: float, printed: Iterable[Rect] = ()) -> float:
    """How many square millimetres of a cleaned page without ruled lines are writing.

    Specks, holes that were punched, folds and what a scanner draws at its edge are none. A drawing is. On a
    straightened sheet the places that are `printed` do not count.
    """
    scale = min(_INK_DPI / dpi, 1.0)
    per_mm = dpi * scale / 25.4
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    corner = small.shape[1] - 1, small.shape[0] - 1
    cv2.rectangle(small, (0, 0), corner, 255, 2 * round(_EDGE * per_mm))
    for rect in printed:
        around = rect.grown(_PRINTED)
        edges = (around.x, around.y, around.right, around.bottom)
        left, top, right, bottom = (max(round(edge * per_mm), 0) for edge in edges)
        small[top:bottom, left:right] = 255
    dark = cv2.threshold(small, _INK, 255, cv2.THRESH_BINARY_INV)[1]
    _, _, measured, _ = cv2.connectedComponentsWithStats(dark)
    left, top, width, height, area = measured[1:].T / per_mm
    area = area / per_mm
    page_height, page_width = (edge / per_mm for edge in small.shape)
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    depth = np.minimum.reduce([left + width, top + height, page_width - left, page_height - top])
    in_from = np.minimum.reduce([left, top, page_width - left - width, page_height - top - height])
    speck = longer < _SPECK
    fold = (longer > _FOLD_LENGTH) & (shorter < _FOLD_WIDTH)
    edge = (in_from < _EDGE + 0.5) & (depth < _EDGE_DEPTH)
    hole = (longer > _HOLE[0]) & (longer < _HOLE[1]) & (shorter > 0.75 * longer) & (area > 0.7 * longer * shorter)
    return float(area[~(speck | fold | edge | hole)].sum())


def _in_even_light(image: Image, dpi: float) -> Image:
    times = max(round(dpi / _PAPER_DPI), 1)
    bright = cv2.dilate(_shrunk(image, times), _square(_STROKE_GAP, dpi / times))
    paper = cast("Image", cv2.medianBlur(bright, _odd(_LIGHT, dpi / times)))
    light = grey_of(paper)
    brightest = np.percentile(paper[::4, ::4].reshape(-1, paper.shape[2] if paper.ndim == 3 else 1), 95, axis=0)
    paper[light < _DARKEST_SHARE * np.percentile(light[::4, ::4], 95)] = brightest
    paper = np.maximum(cv2.GaussianBlur(paper, (0, 0), 1.5), _DARKEST_PAPER).astype(np.uint8)
    whole = cv2.resize(paper, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cast("Image", cv2.divide(image, whole, scale=255 / _WHITE))


def _shrunk(image: Image, times: int) -> Image:
    """The picture at a whole fraction of its size, without its last pixels: three times as fast as any other size."""
    width, height = max(image.shape[1] // times, 1), max(image.shape[0] // times, 1)
    whole = image[: height * times, : width * times]
    return cast("Image", cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))


def _strokes(grey: Grey, dpi: float) -> Grey:
    """255 where a pixel is darker than what is beside it on both sides of a stroke."""
    around = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, _square(_SHARP, dpi))
    return cast("Grey", cv2.threshold(cv2.subtract(around, grey), _STROKE_CONTRAST, 255, cv2.THRESH_BINARY)[1])


def _sharpness(small: Grey, angle: float) -> float:
    """How sharply the rows of the picture differ from each other when it is turned by this angle."""
    height, width = small.shape
    shear = np.array([[1, 0, 0], [-np.tan(radians(angle)), 1, np.tan(radians(angle)) * width / 2]])
    rows = cv2.reduce(cv2.warpAffine(small, shear, (width, height)), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    return float((np.diff(rows[:, 0]) ** 2).sum())


def _without_rules(grey: Grey, dpi: float, length: float) -> Grey:
    # Dark and thin from above to below, and long: a ruled line. A stroke across it is high, so it is no part of it.
    closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((_odd(_RULE_HEIGHT, dpi), 1), np.uint8))
    thin = cv2.threshold(cv2.subtract(closed, grey), _RULE_CONTRAST, 255, cv2.THRESH_BINARY)[1]
    joined = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, np.ones((1, _odd(_RULE_GAP, dpi)), np.uint8))
    runs = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, _odd(_RULE_RUN, dpi)), np.uint8))
    found, _ = cv2.findContours(runs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(contour) for contour in found]
    rows = np.zeros(len(grey), bool)
    for _, top, width, height in boxes:
        rows[top : top + height] |= width >= length / 25.4 * dpi
    # A hole or a blot parts a line: its shorter pieces are in the same rows as the longer ones.
    pieces = [
        contour for contour, (_, top, _, height) in zip(found, boxes, strict=True) if rows[top : top + height].any()
    ]
    if not pieces:
        return grey
    lines = cv2.drawContours(np.zeros_like(grey), pieces, -1, 255, cv2.FILLED)
    lines = cv2.dilate(lines, np.ones((3, 1), np.uint8))
    # Over three rows: where a fine line lies between two rows of pixels, each of them has half of it.
    darkness = cv2.boxFilter(cv2.subtract(closed, grey), cv2.CV_32F, (1, 3), normalize=False)
    level = float(np.median(darkness[(lines > 0) & (thin > 0)]))
    lines[darkness > level + 3 * _DARKER_THAN_RULE] = 0
    cleaned = grey.copy()
    cv2.copyTo(closed, lines, cleaned)
    return cleaned


def _odd(mm: float, dpi: float) -> int:
    """This width in pixels, at least 3, with a middle."""
    return max(round((mm / 25.4 * dpi - 1) / 2), 1) * 2 + 1


def _square(mm: float, dpi: float) -> Grey:
    return np.ones((_odd(mm, dpi),) * 2, np.uint8)


def _levels(kept: int, white: int) -> Grey:
    """A table of brightness: the same below `kept`, rising faster and faster to white at `white`."""
    brightness = np.arange(256.0)
    share = np.clip((brightness - kept) / (white - kept), 0, 1)
    return np.clip(brightness + share * (255 - white), 0, 255).round().astype(np.uint8)


_LEVELS_OF_SHADES: Final = _levels(_SHADE_KEPT, _SHADE_WHITE)
_LEVELS_OF_STROKES: Final = _levels(_EDGE_KEPT, _EDGE_WHITE)

"""Measures the symbols of a readable code against pictures of all that could stand there. Runs in the limited child.

Text recognition must decide for one string; this says of each symbol how much the picture looks like each of the
alphabet, so that `scanner.outstanding` can ask which of its codes fits. Where exactly the code stands is found by what
looks like symbols at all, never by what would fit to a code that is outstanding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from relay.domain.reply_code import ALPHABET, GROUP, LENGTH
from relay.domain.sheet import CODE_ADVANCE, CODE_FONT, CODE_HEIGHT, CODE_SPACING, PAGE, READABLE, Rect
from scanner.geometry import Transform
from scanner.matrix import Grey
from scanner.outstanding import NATS
from scanner.samples import LineSample

_Likeness = NDArray[np.float32]

_FONTS: Final = Path("/usr/share/fonts/truetype")
"""Where Debian puts TrueType fonts."""
_CAPITAL: Final = 1493 / 2048
"""Height of a capital of CODE_FONT, in em."""
_PER_MM: Final = 6.0
"""Pixels in a mm of what is compared: a symbol is 30 high, with strokes of 6."""
_CELL: Final = (round(CODE_ADVANCE * _PER_MM), round((CODE_HEIGHT + 1.2) * _PER_MM))
"""Width and height of the picture of a symbol, with some of the paper around it."""
_WINDOW: Final = 2.5
"""How far, in mm, a line may stand from its place."""
_SLOPES: Final = tuple(step / 100 for step in range(-9, 10))
"""How much a line may fall: tangents of up to five degrees."""
_SCALES: Final = (0.98, 0.99, 1.0, 1.01, 1.02)
_OWN: Final = 2
"""How far a symbol may stand from its place in the line, in pixels of _PER_MM."""
_THERE: Final = 0.45
"""Least mean likeness of the symbols to any; below there is nothing that could be read."""
_CLEARLY: Final = 0.85
"""Mean likeness from which on another geometry can add nothing."""
_MOST: Final = 2
"""Samples of one place that are given out."""
_WEIGHT: Final = 16.0
"""How many independent measurements a symbol is; fitted to the damage of `benchmarks.wear`."""
_ELSE: Final = 0.02
"""How often a symbol is not what it looks like, whatever it looks like: a pen stroke makes another one of it."""


def sample_symbols(grey: Grey, sheets: Sequence[Transform]) -> list[LineSample]:
    """The readable codes that are found where these geometries (from mm to pixels) put them; the likest of each place.

    The geometries are tried in their order until both codes are clearly there.
    """
    scale = min(1.0, _PER_MM * PAGE.height / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    shrink = np.diag([scale, scale, 1.0])
    samples = []
    for place, rect in enumerate(READABLE):
        found: list[_Likeness] = []
        for sheet in sheets:
            likeness = _likeness(cast("Grey", small), shrink @ sheet, rect)
            found.append(likeness)
            if _like(likeness) >= _CLEARLY:
                break
        found.sort(key=_like, reverse=True)
        samples += [LineSample(place, _in_steps(one)) for one in found[:_MOST] if _like(one) >= _THERE]
    return samples


def _like(likeness: _Likeness) -> float:
    """How much a line looks like symbols, whichever they are."""
    return float(likeness.max(1).mean())


def _likeness(small: Grey, sheet: Transform, rect: Rect) -> _Likeness:
    """The likeness of each symbol of a line to each of ALPHABET, -1 to 1."""
    starts = np.array([(symbol + symbol // GROUP) * CODE_ADVANCE for symbol in range(LENGTH)])
    top = rect.y + (rect.height - CODE_HEIGHT) / 2
    area = Rect(rect.x, top, starts[-1] + CODE_ADVANCE, CODE_HEIGHT).grown(2 * _WINDOW)
    to_picture = sheet @ np.array([[1 / _PER_MM, 0, area.x], [0, 1 / _PER_MM, area.y], [0, 0, 1.0]])
    size = round(area.width * _PER_MM), round(area.height * _PER_MM)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    line = cv2.warpPerspective(small, to_picture, size, flags=flags, borderValue=(255,))
    found = np.stack([_map(cast("Grey", line), glyph) for glyph in _glyphs()])
    found[~np.isfinite(found)] = 0  # what is all of one grey is like nothing
    width, height = _CELL
    first = 2 * _WINDOW + (CODE_ADVANCE - CODE_SPACING) / 2, 2 * _WINDOW + CODE_HEIGHT / 2
    corners = _aligned(found.max(0), starts * _PER_MM, first[0] * _PER_MM - width / 2, first[1] * _PER_MM - height / 2)
    return np.stack([_around(found, row, column, _OWN).max((1, 2)) for row, column in corners])


def _map(line: Grey, glyph: Grey) -> _Likeness:
    return cast("_Likeness", cv2.matchTemplate(line, glyph, cv2.TM_CCOEFF_NORMED))


def _aligned(peaks: _Likeness, starts: NDArray[np.float64], x: float, y: float) -> list[tuple[int, int]]:
    """Row and column of each symbol where all together are likest to symbols, whichever they are."""
    window = round(_WINDOW * _PER_MM)
    best, found = 0.0, [(round(y), round(x + start)) for start in starts]
    for slope, stretch in product(_SLOPES, _SCALES):
        places = [(round(y + slope * start), round(x + stretch * start)) for start in starts]
        total = np.sum([_around(peaks, row, column, window) for row, column in places], axis=0)
        down, right = np.unravel_index(total.argmax(), total.shape)
        if total[down, right] > best:
            best = float(total[down, right])
            found = [(row + int(down) - window, column + int(right) - window) for row, column in places]
    return found


def _around(likeness: _Likeness, row: int, column: int, reach: int) -> _Likeness:
    """The square around a place; what lies outside is like nothing."""
    top, left = max(row - reach, 0), max(column - reach, 0)
    inside = likeness[..., top : max(row + reach + 1, 0), left : max(column + reach + 1, 0)]
    square = np.zeros((*likeness.shape[:-2], 2 * reach + 1, 2 * reach + 1), np.float32)
    height, width = inside.shape[-2:]
    square[..., top - row + reach :, left - column + reach :][..., :height, :width] = inside
    return square


def _in_steps(likeness: _Likeness) -> NDArray[np.int8]:
    """Likelihoods from likenesses, in steps of NATS below the likest: a picture that is like its symbol in r differs
    from it by noise of 1 - r^2, in _WEIGHT measurements."""
    noise = 1 - np.clip(likeness, 0, 0.98) ** 2
    likely = (noise / noise.min(1, keepdims=True)) ** (-_WEIGHT / 2)
    share = (1 - _ELSE) * likely / likely.sum(1, keepdims=True) + _ELSE / len(ALPHABET)
    steps: NDArray[np.int8] = np.round(np.log(share / share.max(1, keepdims=True)) / NATS).astype(np.int8)
    return steps


@cache
def _glyphs() -> list[Grey]:
    """A picture of each of ALPHABET, as it is printed: the middle of the symbol is the middle of the picture."""
    finer = 4
    width, height = (edge * finer for edge in _CELL)
    capital = CODE_HEIGHT * _PER_MM * finer
    font = ImageFont.truetype(_FONTS / CODE_FONT, capital / _CAPITAL)
    glyphs = []
    for symbol in ALPHABET:
        picture = Image.new("L", (width, height), 255)
        ImageDraw.Draw(picture).text((width / 2, (height + capital) / 2), symbol, 0, font, anchor="ms")
        glyphs.append(cast("Grey", cv2.resize(np.asarray(picture), _CELL, interpolation=cv2.INTER_AREA)))
    return glyphs

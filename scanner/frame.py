"""Guesses how a sheet lies on a page where no code could be read. Runs only in the limited child.

The frame of a sheet is a constellation of ten squares: four corner marks and the finder squares of two matrix codes.
Any two of them give a position, a turn and a scale; what puts most of the ten on squares is a good guess, however many
of the others are lost. The guesses are verified by `scanner.sampling`, so a wrong one costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from relay.domain.sheet import HOLLOW_MARK, MARK, MARK_HOLE, MARKS, MATRICES, MATRIX_MODULES, MODULE, PAGE
from scanner.geometry import Transform
from scanner.matrix import Grey, Points

_Likeness = NDArray[np.float32]

MOST_GUESSES: Final = 8
_EDGE: Final = 640
"""Longer edge of the copy that is searched: a mark has 13 pixels."""
_SIZES: Final = (1.04, 0.96, 0.85, 0.74)
"""Sizes of a sheet that are looked for, against one that fills the picture from end to end: cropped by the feeder,
printed small, photographed from afar or lying on a larger glass."""
_SIZE_RANGE: Final = (0.62, 1.15)
_TURNS: Final = (0.0, 30.0, 60.0)
"""Degrees by which the squares are turned; a square tells nothing of quarter turns."""
_LEAST: Final = 0.4
"""Least likeness of a square that is counted; writing gives up to this."""
_PEAKS: Final = 36
"""Squares of each kind that are combined."""
_FINDER: Final = 7 * MODULE
_NEAR: Final = 3.0
"""How far, in mm, a square may lie from where a guess puts it."""
_APART: Final = 4.0
"""Guesses of which no corner of the page is further apart than this, in mm, are one."""
_NARROWEST: Final = 20.0
"""Strips of paper that are narrower than this, in mm, have not two squares."""
_RANKED: Final = 3000
"""Pairs that are looked at for guesses which differ."""
_NEAREST_PAIR: Final = 15.0
"""Squares of a pair that are nearer than this, in mm, tell too little of turn and scale."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of square: how it is drawn, and where a sheet has it, as rows of x and y in mm."""

    squares: tuple[tuple[float, float], ...]
    """Edge in mm and blackness (1 black, -1 white), from the outside in."""
    places: Points


_KINDS: Final = (
    _Kind(
        ((9, -1), (_FINDER, 1), (5, -1), (3, 1)),
        np.array(
            [
                (code.x + x, code.y + y)
                for code in MATRICES
                for x, y in (
                    (_FINDER / 2, _FINDER / 2),
                    (MATRIX_MODULES - _FINDER / 2, _FINDER / 2),
                    (_FINDER / 2, MATRIX_MODULES - _FINDER / 2),
                )
            ]
        ),
    ),
    _Kind(((10, -1), (MARK, 1)), np.array([mark.centre for place, mark in enumerate(MARKS) if place != HOLLOW_MARK])),
    _Kind(((10, -1), (MARK, 1), (MARK_HOLE, -1)), np.array([MARKS[HOLLOW_MARK].centre])),
)
_POINTS: Final = np.vstack([kind.places for kind in _KINDS])
_KIND_OF: Final = np.repeat(np.arange(len(_KINDS)), [len(kind.places) for kind in _KINDS])
_CORNERS: Final = np.array([(0, 0), (PAGE.width, 0), (PAGE.width, PAGE.height), (0, PAGE.height)], np.float64)


def guesses(grey: Grey) -> list[Transform]:
    """Geometries that a sheet in this picture may have, the likeliest first; the last are of one that fills it."""
    scale = min(1.0, _EDGE / max(grey.shape))
    small = grey
    if scale < 1:
        small = cast("Grey", cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    per_mm = max(small.shape) / PAGE.height
    found = _by_pairs(_likenesses(small, per_mm), per_mm) if min(small.shape) >= _NARROWEST * per_mm else []
    grow = np.diag([1 / scale, 1 / scale, 1.0])
    return [grow @ guess for guess in (*found, *_filling(small))]


def _likenesses(small: Grey, per_mm: float) -> list[_Likeness]:
    """For each kind, how much each pixel looks like the centre of such a square, 0 to 1."""
    border = round(6 * per_mm)
    padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
    maps = []
    for kind in range(len(_KINDS)):
        best = np.zeros(small.shape, np.float32)
        for size in _SIZES:
            for turn in _TURNS:
                template = _drawn(kind, round(per_mm * size, 3), turn)
                off = border - template.shape[0] // 2
                likeness = cv2.matchTemplate(padded, template, cv2.TM_CCOEFF_NORMED)
                best = np.maximum(best, likeness[off : off + small.shape[0], off : off + small.shape[1]])
        maps.append(best)
    return maps


@lru_cache(len(_KINDS) * len(_SIZES) * len(_TURNS))
def _drawn(kind: int, per_mm: float, turn: float) -> Grey:
    """A square of this kind with the white around it, turned by so many degrees."""
    fine, edge = 8, int(np.ceil(_KINDS[kind].squares[0][0] * per_mm * (1.0 if turn == 0 else 1.2))) // 2 * 2 + 1
    picture = np.full((edge * fine, edge * fine), 255, np.uint8)
    for square, black in _KINDS[kind].squares:
        box = cv2.boxPoints(((edge * fine / 2, edge * fine / 2), (square * per_mm * fine,) * 2, turn))
        cv2.fillPoly(picture, [box.round().astype(np.int32)], 0 if black > 0 else 255)
    return cast("Grey", cv2.resize(picture, (edge, edge), interpolation=cv2.INTER_AREA))


def _peaks(likeness: _Likeness, per_mm: float) -> Points:
    """The squares of a kind, as rows of x and y, the likeliest first."""
    window = np.ones((round(3 * per_mm) * 2 + 1,) * 2, np.uint8)
    rows, columns = np.nonzero((likeness == cv2.dilate(likeness, window)) & (likeness > _LEAST))
    order = np.argsort(-likeness[rows, columns])[:_PEAKS]
    return np.stack([columns[order], rows[order]], 1).astype(np.float64)


def _by_pairs(maps: Sequence[_Likeness], per_mm: float) -> list[Transform]:
    """The geometries by two squares that put most of the ten on something that looks like them."""
    peaks = [_peaks(likeness, per_mm) for likeness in maps]
    labels = [(point, peak) for point, kind in enumerate(_KIND_OF.tolist()) for peak in peaks[kind]]
    if len(labels) < 2:
        return []
    # As complex numbers a similarity is one product and one sum.
    mm = _POINTS @ np.array([1, 1j])
    point = np.array([label[0] for label in labels])
    at = np.array([label[1] for label in labels]) @ np.array([1, 1j])
    first, second = np.triu_indices(len(labels), 1)
    apart = mm[point[second]] - mm[point[first]]
    usable = np.abs(apart) >= _NEAREST_PAIR
    first, second, apart = first[usable], second[usable], apart[usable]
    factor = (at[second] - at[first]) / apart
    usable = (np.abs(factor) > _SIZE_RANGE[0] * per_mm) & (np.abs(factor) < _SIZE_RANGE[1] * per_mm)
    factor, first = factor[usable], first[usable]
    offset = at[first] - factor * mm[point[first]]
    worth = np.zeros(len(factor), np.float32)
    reach = np.ones((round(_NEAR * per_mm) * 2 + 1,) * 2, np.uint8)
    for kind, likeness in enumerate(maps):
        around = cv2.dilate(np.maximum(likeness - _LEAST, 0), reach)
        for place in mm[kind == _KIND_OF]:
            seen = factor * place + offset
            x, y = np.round(seen.real).astype(int), np.round(seen.imag).astype(int)
            inside = (x >= 0) & (y >= 0) & (x < likeness.shape[1]) & (y < likeness.shape[0])
            worth[inside] += around[y[inside], x[inside]]
    found: list[Transform] = []
    seen_corners: list[NDArray[np.complex128]] = []
    corners = _CORNERS @ np.array([1, 1j])
    for best in np.argsort(-worth)[:_RANKED]:
        page = factor[best] * corners + offset[best]
        if any(np.abs(page - other).max() < _APART * per_mm for other in seen_corners):
            continue
        seen_corners.append(page)
        found.append(_grown(factor[best], offset[best], peaks, per_mm))
        if len(found) == MOST_GUESSES:
            break
    return found


def _grown(factor: complex, offset: complex, peaks: Sequence[Points], per_mm: float) -> Transform:
    """The geometry by all squares that lie where this one puts them, or this one when they are too few."""
    geometry = np.array(
        [[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag], [0, 0, 1.0]]
    )
    for _ in range(2):
        mm, pixels = [], []
        for kind, point in zip(_KIND_OF.tolist(), _POINTS, strict=True):
            if not len(peaks[kind]):
                continue
            expected = geometry @ np.array([*point, 1.0])
            away = np.hypot(*(peaks[kind] - expected[:2] / expected[2]).T)
            nearest = int(away.argmin())
            if away[nearest] <= _NEAR * per_mm:
                mm.append(point)
                pixels.append(peaks[kind][nearest])
        if len(mm) < 3:
            break
        found, _ = cv2.estimateAffinePartial2D(np.array(mm), np.array(pixels), method=cv2.LMEDS)
        if cast("Transform | None", found) is not None:
            geometry = np.vstack([found, [0, 0, 1.0]])
    return geometry


def _filling(small: Grey) -> Iterator[Transform]:
    """A sheet that fills the picture from edge to edge, either way up."""
    height, width = small.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    for turns in (0, 2) if height >= width else (1, 3):
        yield cast(
            "Transform", cv2.getPerspectiveTransform(_CORNERS.astype(np.float32), np.roll(corners, -turns, axis=0))
        )

"""Measures the modules of matrix codes that no decoder could read. Runs only in the limited child.

Where a code lies is found by what is the same in every code (finder squares, timing lines, alignment square, the white
border) and by all modules being black or white, never by what would fit to a code that is outstanding: the model of
`scanner.outstanding` relies on that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from relay.domain.sheet import MATRICES, MATRIX, MATRIX_MODULES, MODULE
from scanner.geometry import Transform
from scanner.matrix import Grey, Points
from scanner.samples import MatrixSample

_Soft = NDArray[np.float32]
"""Rows of pixels or modules: 1 is black, -1 white, 0 says nothing."""
_Places = NDArray[np.float32]
"""Rows, columns, x and y: where the pixels that are looked up lie, the centre of the first one at 0."""

MOST_SAMPLES: Final = 8
"""Samples of one page that are given out."""
LEAST_LIKENESS: Final = 0.28
"""Least likeness of a find: the least of 758 damaged codes that could be told from others. Of 39 pages without
any code 27 reach it somewhere; that costs the time to compare them, and `scanner.outstanding` counts every sample."""
SURE_LIKENESS: Final = 0.45
"""From here on there is a code and its place is known. Of 39 pages without one, none had more than 0.38."""

_WORKING_EDGE: Final = 1754
"""Longer edge of the picture that is worked on, about 150 dpi: a module has six pixels."""
_FINE: Final = 4.0
"""Pixels of a patch for each mm."""
_COARSE: Final = 2.0
_RING: Final = 1
"""Modules of the white border that count as fixed; further out people write."""
_AROUND: Final = 10.0
"""What a patch shows around a code, in mm: 6 that it may lie from where the geometry puts it, and its own turn."""
_PATCH: Final = MATRIX + 2 * _AROUND
_ANGLES: Final = (-4.0, -2.0, 0.0, 2.0, 4.0)
_SCALES: Final = (0.94, 0.97, 1.0, 1.03)
_STARTS: Final = 6
"""Places, turns and sizes in one patch from which a fit is begun: on crumpled paper the best of them leads astray."""
_MOST_STARTS: Final = 24
"""From which a fit is begun at one place, over all geometries."""
_STARTS_APART: Final = 0.4
"""By so many mm at least."""
_GOOD: Final = 0.8
"""Likeness of a fit from which no other start can be much better."""
_LEVELS: Final = 7.0
"""Edge in mm of the surroundings from which the levels of black and white are taken: a finder square."""
_CONTRAST: Final = 0.2
"""Where black and white differ by less than this share of the usual, there is a stain; what it hides counts less."""
_INNER: Final = 0.55
"""Share of a module's edge that is averaged; what lies nearer to the next module has some of its ink."""
_LEAST_SEEN: Final = 100
"""Modules that are seen at all: fewer tell no code from another."""
_SAME: Final = 1.0
"""Two finds of which no corner is further apart than this, in mm, are one."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundMatrix:
    """A matrix code that was found but not read."""

    place: int
    """In MATRICES; the sheet was supposed to lie that way."""
    corners: Points
    """Upper left, upper right, lower right, lower left, in pixels of the page."""
    likeness: float
    """How well the fixed modules agree with those of any code: 1 entirely, 0 not at all, below that inversely."""
    modules: NDArray[np.int8]
    """As in MatrixSample."""
    sure: bool = False
    """Whether there is a code for certain, and this way up, so that its corners tell how the sheet lies."""

    @property
    def sample(self) -> MatrixSample:
        """What the parent needs of it."""
        return MatrixSample(self.place, self.modules)


def find_matrices(grey: Grey, sheets: Sequence[Transform]) -> list[FoundMatrix]:
    """The codes that are found within 6 mm of where these geometries put them, the likest first."""
    scale = min(1.0, _WORKING_EDGE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    shrink = np.diag([scale, scale, 1.0])
    finds = [
        found
        for place in range(len(MATRICES))
        for found in _find(cast("Grey", small), shrink @ np.array(sheets), place)
    ]
    finds.sort(key=lambda found: -found.likeness)
    kept: list[FoundMatrix] = []
    for found in finds:
        if all(found.place != other.place or _apart(found.corners, other.corners) > _SAME for other in kept):
            kept.append(found)
    return [
        replace(
            found,
            corners=found.corners / scale,
            # Turned by a quarter or a half, a code still has two of its finder squares where they should be.
            sure=found.likeness >= SURE_LIKENESS and not any(_overlap(found, other) for other in kept[:rank]),
        )
        for rank, found in enumerate(kept[:MOST_SAMPLES])
    ]


@cache
def fixed_modules() -> _Soft:
    """What is the same in every code of version 2, with a ring of the border: 1 black, -1 white, 0 differs."""
    size = MATRIX_MODULES
    fixed = np.zeros((size, size), np.float32)
    fixed[6, :] = fixed[:, 6] = 1 - 2 * (np.arange(size) % 2)
    finder = np.pad(_squares(7, 5, 3), ((0, 1), (0, 1)), constant_values=-1)
    fixed[:8, :8] = finder
    fixed[:8, -8:] = finder[:, ::-1]
    fixed[-8:, :8] = finder[::-1]
    fixed[16:21, 16:21] = _squares(5, 3, 1)
    fixed[-8, 8] = 1
    return np.pad(fixed, _RING, constant_values=-1)


def _squares(outer: int, middle: int, inner: int) -> _Soft:
    """A black square with a white one in it and a black one in that, of so many modules."""
    drawn = np.ones((outer, outer), np.float32)
    for edge, colour in ((middle, -1), (inner, 1)):
        start = (outer - edge) // 2
        drawn[start : start + edge, start : start + edge] = colour
    return drawn


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """Where a fit begins: in a patch, which is a part of the picture."""

    soft: _Soft
    to_picture: Transform
    corners: Points
    """In pixels of the patch."""
    likeness: float


def _find(small: Grey, sheets: NDArray[np.float64], place: int) -> Iterator[FoundMatrix]:
    """The codes at a place by all geometries, fitted from where they look likest."""
    starts = [(rank, start) for sheet in sheets for rank, start in enumerate(_starts(small, sheet, place))]
    begun: list[Points] = []
    for _, start in sorted(starts, key=lambda start: (start[0], -start[1].likeness)):
        corners = _project(start.to_picture, start.corners)
        if any(_apart(corners, other) < _STARTS_APART for other in begun):
            continue
        begun.append(corners)
        fit = _fitted(start.soft, start.corners)
        if fit.likeness >= LEAST_LIKENESS:
            places = fit.places(_PARTS)
            seen = _project(start.to_picture, (places + np.float32(0.5)).astype(np.float64)).reshape(places.shape)
            modules = _sampled(small, (seen - 0.5).astype(np.float32))
            if np.count_nonzero(modules) >= _LEAST_SEEN:
                yield FoundMatrix(place, _square(seen, modules), fit.likeness, modules)
        if fit.likeness >= _GOOD or len(begun) == _MOST_STARTS:
            return


def _square(places: Points, modules: NDArray[np.int8]) -> Points:
    """The corners of the square that fits best to the modules that are seen; what is guessed of the others is wild."""
    seen, edge = modules != 0, MATRIX_MODULES + 2 * _RING
    middles = places.reshape(edge, _PARTS, edge, _PARTS, 2).mean(axis=(1, 3))[_RING:-_RING, _RING:-_RING]
    rows, columns = (np.nonzero(seen)[axis] + 0.5 for axis in (0, 1))
    at = middles[seen] @ np.array([1, 1j])
    (factor, offset), *_ = np.linalg.lstsq(np.column_stack([columns + 1j * rows, np.ones(len(at))]), at)
    corners = factor * (_UNIT * MATRIX_MODULES) @ np.array([1, 1j]) + offset
    return np.stack([corners.real, corners.imag], 1)


def _overlap(found: FoundMatrix, other: FoundMatrix) -> bool:
    off = found.corners.mean(0) - other.corners.mean(0)
    return float(np.hypot(*off)) < float(np.hypot(*(found.corners[1] - found.corners[0])))


def _apart(corners: Points, other: Points) -> float:
    """How far the corners of two codes are apart, in mm of the first."""
    return float(np.abs(corners - other).max() / np.hypot(*(corners[1] - corners[0])) * MATRIX)


def _patch(grey: Grey, to_picture: Transform) -> _Soft | None:
    """The square around a code, softly. None when it lies outside of the picture; what does so of it says nothing."""
    edge = round(_PATCH * _FINE)
    seen = _project(to_picture, _UNIT * edge)
    height, width = grey.shape
    if not np.isfinite(seen).all() or (seen.max(0) < 0).any() or (seen.min(0) > (width, height)).any():
        return None
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpPerspective(grey, to_picture, (edge, edge), flags=how, borderMode=cv2.BORDER_REPLICATE)
    calm = cv2.GaussianBlur(patch, (0, 0), 0.25 * _FINE).astype(np.float32)
    window = round(_LEVELS * _FINE)
    soft, _ = _against_levels(calm, window, window)
    if (seen.min(0) < 0).any() or (seen.max(0) > (width, height)).any():
        inside = cv2.warpPerspective(np.ones_like(grey), to_picture, (edge, edge), flags=cv2.WARP_INVERSE_MAP)
        soft[inside == 0] = 0
    return soft


def _against_levels(picture: _Soft, window: int, smooth: int) -> tuple[_Soft, float]:
    """How black each place is against the black and white in the window around it, and their usual difference."""
    around = np.ones((window, window), np.uint8)
    black, white = (cv2.blur(how(picture, around), (smooth, smooth)) for how in (cv2.erode, cv2.dilate))
    half = (white - black) / 2
    usual = float(np.percentile(half, 80))
    soft = ((white + black) / 2 - picture) / np.maximum(half, max(_CONTRAST * usual, 4.0))
    return cast("_Soft", np.clip(soft, -1, 1)), 2 * usual


def _starts(small: Grey, sheet: Transform, place: int) -> Iterator[_Start]:
    """Where around a place the fixed modules fit best, for each turn and size; the best first."""
    left, top = MATRICES[place].x - _AROUND, MATRICES[place].y - _AROUND
    to_picture = sheet @ np.array([[1 / _FINE, 0, left], [0, 1 / _FINE, top], [0, 0, 1.0]])
    soft = _patch(small, to_picture)
    if soft is None:
        return
    half = cv2.resize(soft, None, fx=_COARSE / _FINE, fy=_COARSE / _FINE, interpolation=cv2.INTER_AREA)
    peaks: list[tuple[float, Points, float, float]] = []
    for angle, scale in product(_ANGLES, _SCALES):
        template = _template(angle, scale)
        _, best, _, at = cv2.minMaxLoc(cv2.matchTemplate(half, template, cv2.TM_CCORR))
        peaks.append((best, np.array(at) + (len(template) - 1) / 2, angle, scale))
    middle = np.full(2, _PATCH / 2 * _FINE)  # the geometry may be right where the code hardly shows
    yield _Start(soft, to_picture, _turned_square(middle, 0, MATRIX * _FINE), 1.0)
    given: list[Points] = []
    for likeness, centre, angle, scale in sorted(peaks, key=lambda peak: -peak[0]):
        if all(np.abs(centre - other).max() > _STARTS_APART * _COARSE for other in given):
            given.append(centre)
            corners = _turned_square((centre + 0.5) * _FINE / _COARSE, angle, MATRIX * _FINE * scale)
            yield _Start(soft, to_picture, corners, likeness)
        if len(given) == _STARTS:
            return


def _turned_square(centre: Points, angle: float, edge: float) -> Points:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return cast("Points", centre + (_UNIT - 0.5) * edge @ np.array([[cosine, sine], [-sine, cosine]]))


@cache
def _template(angle: float, scale: float) -> _Soft:
    """The fixed modules at _COARSE pixels for each mm, turned and scaled, so that an entire agreement gives 1."""
    modules = fixed_modules()
    edge = int(np.ceil(len(modules) * MODULE * _COARSE * scale * 1.07))
    corners = _turned_square(np.array([(edge - 1) / 2] * 2), angle, MATRIX * _COARSE * scale)
    to_template = cv2.getPerspectiveTransform(
        (_UNIT * MATRIX_MODULES + _RING - 0.5).astype(np.float32), corners.astype(np.float32)
    )
    flat = cv2.warpPerspective(modules, to_template, (edge, edge), flags=cv2.INTER_LINEAR)
    return cast("_Soft", flat / np.abs(flat).sum())


# --- fitting: paper is bent as well as turned, so the modules are moved by smooth polynomials of their place
_DEGREE: Final = 3
_STEPS: Final = ((1, 0.5), (1, 0.25), (2, 0.25), (_DEGREE, 0.25), (_DEGREE, 0.12), (_DEGREE, 0.06))
"""One after the other: the degree up to which the code is bent, and by how many mm at a time."""
_ROUNDS: Final = 3
_STIFFNESS: Final = 0.03
"""What a bend of 1 mm costs. Without that a code of which half is covered would be bent onto the rest."""
_DATA_WEIGHT: Final = 0.5
"""What modules count for that differ between codes, by their clearness: whatever they say, they are black or white."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    corners: Points
    """In pixels of the patch, before bending."""
    bends: NDArray[np.float32]
    """Pixels in x and y for each function of _bases."""
    likeness: float

    def places(self, parts: int) -> _Places:
        """Where so many parts of each module, along and across, are in the patch."""
        straight = _straight(self.corners, parts)
        return cast("_Places", straight + (_bases(parts) @ self.bends).reshape(straight.shape))


def _fitted(soft: _Soft, corners: Points) -> _Fit:
    """The bends at which the fixed modules agree best and all others are clearest, found by changing one at a time."""
    modules, start, bases = cv2.blur(soft, (3, 3)), _straight(corners, 1), _bases(1)
    fixed = fixed_modules()
    known = fixed != 0
    weights = fixed[known] / np.count_nonzero(known)
    degrees = np.array([sum(exponents) for exponents in _EXPONENTS])
    stiff = np.where(degrees > 0, _STIFFNESS / _FINE**2, 0)
    bends = np.zeros((len(degrees), 2), np.float32)

    def worth() -> tuple[float, float]:
        places = start + (bases @ bends).reshape(start.shape)
        seen = cv2.remap(modules, places, _ONE_MAP, cv2.INTER_LINEAR)
        likeness = float(seen[known] @ weights)
        cost = float(stiff @ (bends**2).sum(1))
        return likeness + _DATA_WEIGHT * float(np.abs(seen[~known]).mean()) - cost, likeness

    best, likeness = worth()
    for degree, step in _STEPS:
        for _ in range(_ROUNDS):
            before = best
            for place, sign in product(product(np.flatnonzero(degrees <= degree), (0, 1)), (1, -1)):
                was = bends[place]
                bends[place] = was + sign * step * _FINE
                value, alike = worth()
                if value > best:
                    best, likeness = value, alike
                else:
                    bends[place] = was
            if best == before:
                break
    return _Fit(corners, bends, likeness)


_ONE_MAP: Final = cast("_Places", None)
"""Says to OpenCV that x and y come in one array; its types do not know that this can be said."""
_UNIT: Final = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64)
_EXPONENTS: Final = tuple((x, y) for x, y in product(range(_DEGREE + 1), repeat=2) if x + y <= _DEGREE)


@cache
def _bases(parts: int) -> NDArray[np.float32]:
    """Legendre polynomials of the place in a code, one column for each of _EXPONENTS; one row for each part."""
    x, y = (np.polynomial.legendre.legvander(2 * along - 1, _DEGREE) for along in _grid(parts).T)
    return np.stack([x[:, i] * y[:, j] for i, j in _EXPONENTS], 1).astype(np.float32)


@cache
def _grid(parts: int) -> Points:
    """Where the parts of the modules are in a code of edge 1, row by row; the ring is at hand too."""
    inner = ((np.arange(parts) + 0.5) / parts - 0.5) * _INNER
    along = ((np.arange(-_RING, MATRIX_MODULES + _RING) + 0.5)[:, None] + inner).ravel() / MATRIX_MODULES
    x, y = np.meshgrid(along, along)
    return np.stack([x.ravel(), y.ravel()], 1)


def _straight(corners: Points, parts: int) -> _Places:
    """Where the parts of the modules of a code with these corners are."""
    edge = (MATRIX_MODULES + 2 * _RING) * parts
    to_patch = cv2.getPerspectiveTransform(_UNIT.astype(np.float32), corners.astype(np.float32))
    return (_project(to_patch, _grid(parts)) - 0.5).reshape(edge, edge, 2).astype(np.float32)


# --- sampling
_PARTS: Final = 4
"""Points along a module by which it is averaged."""
_WINDOW: Final = 7
"""Modules along the surroundings from which black and white are taken."""
_COVERED: Final = 4
"""Modules along a square that has one colour in one code of 60 by itself: mostly something lies on it."""
_ONE_COLOUR: Final = 0.3
"""Share of the usual difference of black and white up to which it is one colour."""


def _sampled(grey: Grey, places: _Places) -> NDArray[np.int8]:
    """The modules of a code, softly, by their parts."""
    modules = MATRIX_MODULES + 2 * _RING
    seen = cv2.remap(grey, places, _ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    means = seen.reshape(modules, _PARTS, modules, _PARTS).mean(axis=(1, 3)).astype(np.float32)
    soft, usual = _against_levels(means, _WINDOW, _WINDOW - 2)
    window = np.ones((_COVERED, _COVERED), np.uint8)
    flat = (cv2.dilate(means, window) - cv2.erode(means, window) < _ONE_COLOUR * usual).astype(np.uint8)
    # An even window reaches further to one side; this anchor turns it round, so that just what was compared is covered.
    soft[cv2.dilate(flat, window, anchor=(_COVERED // 2 - 1,) * 2) > 0] = 0
    x, y = places[_PARTS // 2 :: _PARTS, _PARTS // 2 :: _PARTS].transpose(2, 0, 1)
    soft[(x < 0) | (y < 0) | (x > grey.shape[1] - 1) | (y > grey.shape[0] - 1)] = 0
    return cast("NDArray[np.int8]", np.round(soft[_RING:-_RING, _RING:-_RING] * 127).astype(np.int8))


def _project(transform: object, points: NDArray[np.float64]) -> Points:
    flat = cv2.perspectiveTransform(points.reshape(-1, 1, 2), np.asarray(transform, np.float64))
    return cast("Points", flat.reshape(-1, 2))

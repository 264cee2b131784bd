"""Finds the reply sheet in a picture and lays it flat. Runs only in the limited child."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import ceil, cos, degrees, hypot, radians, sin
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from relay.domain.sheet import HOLLOW_MARK, MARK, MARK_HOLE, MARKS, MATRICES, MATRIX, PAGE, Rect
from scanner.geometry import PIXELS_PER_MM, Transform
from scanner.matrix import Grey, Points

Image = NDArray[np.uint8]
"""Grey (rows, columns) or RGB (rows, columns, 3)."""

_SIZE: Final = (round(PAGE.width * PIXELS_PER_MM), round(PAGE.height * PIXELS_PER_MM))

# --- finding marks: on a copy of about 150 dpi, where a mark has 35 pixels
_FIND_EDGE: Final = 1754
_MARK_SHARE: Final = (0.009, 0.032)
"""Edge of a mark as a share of the longer edge of the picture: it is 0.020 when the page fills the picture."""
_SQUARENESS: Final = 0.82
"""Least share of its bounding rectangle that a mark fills; a pen blot fills less."""
_SIDES: Final = 1.45
"""Most that one side of a mark may be longer than the other, in a photo taken at a slant."""
_SIZES: Final = 0.4
"""Most that the logarithm of a mark's size may differ from that of another, or from what the geometry expects."""
_HOLE_SHARE: Final = (MARK_HOLE / MARK) ** 2
"""Share of the hollow mark that is hole."""
_SPECK: Final = 0.04
"""Share of a filled mark that may be missing, from toner that did not stick."""
_MOST_MARKS: Final = 24
"""Candidates of each kind that are combined; a page of print may have hundreds of small squares."""

# --- accepting a geometry
_RESIDUAL: Final = 1.5
"""Most, in mm, that a known point may lie away from where the geometry puts it."""
_WIDE_SPREAD: Final = 0.6
"""Share of the page that the known points span when they stand in all four corners: then a perspective is sure."""
_SPREAD: Final = 0.25
"""Least share for a perspective where nothing simpler fits."""
_THIN_SPREAD: Final = 0.1
"""Least share for an affine one: what two matrix codes in opposite corners span."""

_LONG: Final = 100.0
"""Least length, in mm, that a row of known points must have for position, turn and scale."""
_NARROW_RESIDUAL: Final = 0.6
"""As _RESIDUAL, for a row of points: a blot that is taken for a mark turns the code that it is joined with by more."""
_GUESSED_WITHIN: Final = 5.0
"""Most, in mm, that a mark may lie away from where a guess puts it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Candidates of corner marks, as rows of x, y and edge in pixels; the best squares first."""

    filled: NDArray[np.float64]
    hollow: NDArray[np.float64]

    def of(self, place: int) -> NDArray[np.float64]:
        """The candidates for this place of MARKS."""
        return self.hollow if place == HOLLOW_MARK else self.filled


@dataclass(frozen=True, slots=True)
class _Pair:
    """A known point: on the sheet in mm, in the picture in pixels."""

    mm: tuple[float, float]
    pixel: tuple[float, float]


def find_marks(grey: Grey) -> Marks:
    """The squares in a picture that could be corner marks."""
    scale = min(1.0, _FIND_EDGE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    longer = max(small.shape)
    smallest, largest = (share * longer for share in _MARK_SHARE)
    # The window is wider than the largest mark, or the inside of a mark would be its own background.
    dark = cv2.adaptiveThreshold(
        small, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, int(largest) * 4 // 2 * 2 + 3, 25
    )
    contours, hierarchy = cv2.findContours(dark, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    filled: list[tuple[float, float, float, float]] = []
    hollow: list[tuple[float, float, float, float]] = []
    for place, contour in enumerate(contours):
        if hierarchy[0][place][3] >= 0:  # a hole, not an outline
            continue
        (_, _), (width, height), _ = cv2.minAreaRect(contour)
        if not (smallest <= min(width, height) and max(width, height) <= min(largest, _SIDES * min(width, height))):
            continue
        area = cv2.contourArea(contour)
        squareness = area / (width * height)
        if squareness < _SQUARENESS:
            continue
        moments = cv2.moments(contour)
        candidate = (moments["m10"] / area, moments["m01"] / area, area**0.5, squareness)
        holes = sum(cv2.contourArea(contours[hole]) for hole in _holes(hierarchy[0], place)) / area
        if holes <= _SPECK:
            filled.append(candidate)
        elif 0.5 * _HOLE_SHARE <= holes <= 1.6 * _HOLE_SHARE:
            hollow.append(candidate)
    return Marks(_best(filled, scale), _best(hollow, scale))


def _holes(hierarchy: NDArray[np.int32], place: int) -> Iterator[int]:
    hole = int(hierarchy[place][2])
    while hole >= 0:
        yield hole
        hole = int(hierarchy[hole][0])


def _best(candidates: list[tuple[float, float, float, float]], scale: float) -> NDArray[np.float64]:
    ranked = sorted(candidates, key=lambda candidate: -candidate[3])[:_MOST_MARKS]
    return np.array([candidate[:3] for candidate in ranked], np.float64).reshape(-1, 3) / scale


def locate(grey: Grey, codes: Sequence[Points], guesses: Sequence[Transform] = ()) -> Transform | None:
    """Where the sheet lies in the picture, by its corner marks and its matrix codes (corners in pixels), or None.

    A turned or upside-down sheet is found too: the codes and the hollow mark tell which way up it lies. Where that is
    too little, a guess is believed that puts three marks on marks.
    """
    marks = find_marks(grey)
    # Which of two codes is which is not written in them, so every placing is tried; the best explains most points.
    placings = [
        [
            _Pair(mm, (float(x), float(y)))
            for place, corners in zip(places, codes, strict=False)
            for mm, (x, y) in zip(_corners(MATRICES[place]), corners, strict=True)
        ]
        for places in permutations(range(len(MATRICES)), min(len(codes), len(MATRICES)))
    ]
    sets = [_with_marks(pairs, marks) for pairs in placings if pairs]
    sets.extend(_by_marks(marks))
    fits = [(pairs, fit) for pairs in sets if (fit := _fit(pairs)) is not None]
    if not fits:
        return _confirmed(marks, guesses)
    return max(fits, key=lambda found: (len(found[0]), -_distortion(found[0])))[1]


def flatten(image: Image, sheet: Transform) -> Image:
    """The sheet at DPI, upright and rectangular. What lies outside the picture becomes white."""
    to_mm = np.diag([1 / PIXELS_PER_MM, 1 / PIXELS_PER_MM, 1.0])
    return cast(
        "Image",
        cv2.warpPerspective(
            image,
            sheet @ to_mm,
            _SIZE,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(255, 255, 255),
        ),
    )


def turn(image: Image, code: Points) -> tuple[Image, float]:
    """The picture turned so that the code stands upright, and its resolution in dpi as the code's size tells."""
    along = code[1] - code[0] + code[2] - code[3]
    angle = degrees(np.arctan2(along[1], along[0]))
    height, width = image.shape[:2]
    cosine, sine = abs(cos(radians(angle))), abs(sin(radians(angle)))
    size = ceil(width * cosine + height * sine), ceil(width * sine + height * cosine)
    rotation = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    rotation[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = cv2.warpAffine(image, rotation, size, flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))
    return cast("Image", turned), hypot(*along) / 2 / MATRIX * 25.4


def _corners(rect: Rect) -> tuple[tuple[float, float], ...]:
    return (rect.x, rect.y), (rect.right, rect.y), (rect.right, rect.bottom), (rect.x, rect.bottom)


def _with_marks(pairs: list[_Pair], marks: Marks) -> list[_Pair]:
    """The pairs and the marks that fit to them, nearest first: each one found makes the next guess better."""
    found = list(pairs)
    missing = set(range(len(MARKS)))
    while missing:
        place = min(missing, key=lambda place: _distance(found, MARKS[place].centre))
        missing.remove(place)
        transform = _fit(found)
        if transform is None:
            transform = _similarity(found)
        pixels_per_mm = _pixels_per_mm(transform, MARKS[place].centre)
        candidates = _of_size(marks.of(place), MARK * pixels_per_mm)
        if not len(candidates):
            continue
        expected = _project(transform, [MARKS[place].centre])[0]
        away = np.hypot(candidates[:, 0] - expected[0], candidates[:, 1] - expected[1])
        tolerance = (2 + 0.08 * _distance(found, MARKS[place].centre)) * pixels_per_mm
        nearest = int(away.argmin())
        if away[nearest] <= tolerance:
            more = [*found, _Pair(MARKS[place].centre, (candidates[nearest, 0], candidates[nearest, 1]))]
            # A blot near the place of a mark must not spoil what fitted without it.
            if _fit(found) is None or _fit(more) is not None:
                found = more
    return found


def _distortion(pairs: Sequence[_Pair]) -> float:
    """How far, in mm, the pairs are from a sheet seen straight from above. Four points fit to any perspective, so among
    fours the one that needs least of it is the sheet; its marks stand around all others."""
    return _residual(pairs, _similarity(pairs))


def _by_marks(marks: Marks) -> Iterator[list[_Pair]]:
    """Every four candidates that stand to each other as the marks of a sheet do."""
    upper_left, _, lower_right, _ = MARKS
    width, height = lower_right.x - upper_left.x, lower_right.y - upper_left.y
    for hollow in marks.hollow:
        corner, pixels_per_mm = hollow[:2], hollow[2] / MARK
        filled = _of_size(marks.filled, hollow[2])
        away = filled[:, :2] - corner
        distance = np.hypot(away[:, 0], away[:, 1]) / pixels_per_mm
        for up in np.flatnonzero(np.abs(distance / height - 1) < 0.25):
            for left in np.flatnonzero(np.abs(distance / width - 1) < 0.25):
                # Seen from the lower right mark, "up" turns by a quarter against the clock to "left".
                (left_x, left_y), (up_x, up_y) = away[left], away[up]
                sine = (left_x * up_y - left_y * up_x) / (hypot(left_x, left_y) * hypot(up_x, up_y))
                if sine < 0.85:
                    continue
                expected = corner + away[up] + away[left]
                off = np.hypot(*(filled[:, :2] - expected).T)
                across = int(off.argmin())
                if off[across] <= 0.15 * width * pixels_per_mm:
                    pixels = (filled[across], filled[up], hollow, filled[left])
                    yield [_Pair(mark.centre, (pixel[0], pixel[1])) for mark, pixel in zip(MARKS, pixels, strict=True)]


def _confirmed(marks: Marks, guesses: Sequence[Transform]) -> Transform | None:
    """The geometry by the three marks that one of the guesses leads to, if they stand exactly as on a sheet."""
    for guess in guesses:
        near = [_nearest(marks.of(place), guess, mark.centre) for place, mark in enumerate(MARKS)]
        found = [_Pair(mark.centre, pixel) for mark, pixel in zip(MARKS, near, strict=True) if pixel]
        # A hollow mark that was filled in does not tell any more which way up the sheet lies.
        inked = not near[HOLLOW_MARK] and _nearest(marks.filled, guess, MARKS[HOLLOW_MARK].centre)
        if len(found) >= len(MARKS) - 1 and not inked:
            transform = _similarity(found)
            if _residual(found, transform) <= _RESIDUAL:
                return transform
    return None


def _nearest(candidates: NDArray[np.float64], guess: Transform, mm: tuple[float, float]) -> tuple[float, float] | None:
    """The candidate that is a mark of the right size where the guess puts this one, in pixels."""
    pixels_per_mm = _pixels_per_mm(guess, mm)
    candidates = _of_size(candidates, MARK * pixels_per_mm)
    away = np.hypot(*(candidates[:, :2] - _project(guess, [mm])[0]).T) / pixels_per_mm
    if not len(away) or away.min() > _GUESSED_WITHIN:
        return None
    x, y, _ = candidates[int(away.argmin())]
    return float(x), float(y)


def _of_size(candidates: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    """The candidates of about this edge; the inner squares of a matrix code are half as large as a mark."""
    return candidates[np.abs(np.log(candidates[:, 2] / edge)) < _SIZES]


def _fit(pairs: Sequence[_Pair]) -> Transform | None:
    """The geometry that the pairs give, or None when they span too little or do not fit to one sheet.

    What they do not surround is told best by the simplest geometry that fits: a perspective would swing there.
    """
    if len(pairs) < 4:
        return None
    mm, _ = _arrays(pairs)
    spread = cv2.contourArea(cv2.convexHull(mm.astype(np.float32))) / (PAGE.width * PAGE.height)
    if spread >= _WIDE_SPREAD:
        return _fitting(pairs, _perspective(pairs), _RESIDUAL)
    if spread >= _THIN_SPREAD:
        affine = _fitting(pairs, _affine(pairs), _RESIDUAL)
        if affine is not None or spread < _SPREAD:
            return affine
        return _fitting(pairs, _perspective(pairs), _RESIDUAL)
    if np.ptp(mm, axis=0).max() >= _LONG:
        return _fitting(pairs, _similarity(pairs), _NARROW_RESIDUAL)
    return None


def _fitting(pairs: Sequence[_Pair], transform: Transform | None, residual: float) -> Transform | None:
    """The geometry, if a sheet can lie so and no pair is off by more than the residual, in mm."""
    if transform is None or not np.isfinite(transform).all():
        return None
    page = _project(transform, _corners(PAGE)).astype(np.float32)
    if not cv2.isContourConvex(page) or cv2.contourArea(page, oriented=True) <= 0:  # folded over, or mirrored
        return None
    return transform if _residual(pairs, transform) <= residual else None


def _perspective(pairs: Sequence[_Pair]) -> Transform | None:
    found, _ = cv2.findHomography(*_arrays(pairs), 0)
    return cast("Transform | None", found)


def _affine(pairs: Sequence[_Pair]) -> Transform:
    mm, pixels = _arrays(pairs)
    found, *_ = np.linalg.lstsq(np.column_stack([mm, np.ones(len(mm))]), pixels)
    return np.vstack([found.T, [0.0, 0.0, 1.0]])


def _similarity(pairs: Sequence[_Pair]) -> Transform:
    """Position, turn and one scale: what a single code gives."""
    mm, pixels = (points @ np.array([1, 1j]) for points in _arrays(pairs))
    (factor, offset), *_ = np.linalg.lstsq(np.column_stack([mm, np.ones(len(mm))]), pixels)
    return np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag], [0, 0, 1.0]])


def _residual(pairs: Sequence[_Pair], transform: Transform) -> float:
    """The largest distance between the pairs and the geometry, in mm."""
    mm, pixels = _arrays(pairs)
    off = np.hypot(*(_project(transform, mm) - pixels).T)
    return max(float(distance) / _pixels_per_mm(transform, pair.mm) for distance, pair in zip(off, pairs, strict=True))


def _pixels_per_mm(transform: Transform, at: tuple[float, float]) -> float:
    x, y = at
    here, right, below = _project(transform, [(x, y), (x + 1, y), (x, y + 1)])
    return float(max(np.hypot(*(right - here)), np.hypot(*(below - here)), 1e-6))


def _distance(pairs: Sequence[_Pair], mm: tuple[float, float]) -> float:
    return min(hypot(pair.mm[0] - mm[0], pair.mm[1] - mm[1]) for pair in pairs)


def _arrays(pairs: Sequence[_Pair]) -> tuple[Points, Points]:
    return np.array([pair.mm for pair in pairs], np.float64), np.array([pair.pixel for pair in pairs], np.float64)


def _project(transform: Transform, points: Sequence[tuple[float, float]] | Points) -> Points:
    return cast(
        "Points", cv2.perspectiveTransform(np.array(points, np.float64).reshape(-1, 1, 2), transform).reshape(-1, 2)
    )

"""The kinds of damage that are done to what is scanned, each by its name.

A kind is done to a picture, of one place or of a whole page, that has so many pixels in a millimetre. All lengths are
millimetres, so that a stain is as large at 100 dpi as at 300.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
"""Rows of grey pixels, 0 black."""
Damage = Callable[[Grey, float, Generator], Grey]
"""Damages a picture, which has so many pixels in a millimetre."""


def lying(page: Grey, rng: Generator, degrees: float, slant: float = 0.004) -> Grey:
    """The page as it lay on the glass: turned by up to so many degrees, and a little out of its shape."""
    height, width = page.shape
    turn = np.radians(rng.uniform(-degrees, degrees))
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    centre = corners.mean(0)
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    seen = (corners - centre) @ rotation.T + centre + rng.normal(0, slant * width, (4, 2))
    return warped(page, corners, seen.astype(np.float32), page.shape, int(rng.choice((255, 255, 240, 30))))


def _turned(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return lying(grey, rng, degrees=5, slant=0)


def _slanted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    height, width = grey.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = corners + rng.uniform(-1.5, 1.5, (4, 2)) * per_mm
    return warped(grey, corners, seen.astype(np.float32), grey.shape, 255)


def _bent(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    rows, columns = np.indices(grey.shape, np.float32)
    length, reach, phase = rng.uniform(20, 60) * per_mm, rng.uniform(0.3, 0.8) * per_mm, rng.uniform(0, 7, 2)
    off_x = reach * np.sin(2 * np.pi * rows / length + phase[0])
    off_y = reach * np.sin(2 * np.pi * columns / length + phase[1])
    x, y = (columns + off_x).astype(np.float32), (rows + off_y).astype(np.float32)
    return as_grey(cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _stretched(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    height, width = grey.shape
    return as_grey(cv2.resize(cv2.resize(grey, (round(width * rng.uniform(0.95, 1.05)), height)), (width, height)))


def _slipped(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The feeder slipped: below a line everything is shifted."""
    grey, row = grey.copy(), int(rng.integers(grey.shape[0] // 4, grey.shape[0] * 3 // 4))
    grey[row:] = np.roll(grey[row:], round(rng.choice((-1, 1)) * rng.uniform(0.3, 0.9) * per_mm), 1)
    return grey


def _blurred(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return as_grey(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.25, 0.5) * per_mm))


def _moved(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    length = max(2, round(rng.uniform(0.6, 1.2) * per_mm))
    kernel = np.full((1, length), 1 / length, np.float32)
    return as_grey(cv2.filter2D(grey, -1, kernel if rng.random() < 0.5 else kernel.T))


def _noisy(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return clipped(grey + rng.normal(0, rng.uniform(20, 60), grey.shape))


def _specked(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    share = rng.uniform(0.02, 0.12)
    dots = rng.random((max(1, round(grey.shape[0] / per_mm * 6)), max(1, round(grey.shape[1] / per_mm * 6))))
    large = cv2.resize(dots, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.where(large < share / 2, 0, np.where(large > 1 - share / 2, 255, grey)).astype(np.uint8)


def _jpeg(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(4, 15))])
    return as_grey(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))


def _pale(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    """Little contrast, and some noise in it."""
    black, reach = rng.uniform(60, 190), rng.uniform(25, 50)
    return clipped(black + grey * (reach / 255) + rng.normal(0, 5, grey.shape))


def _dark(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return clipped(255 * (grey / 255.0) ** rng.uniform(2, 4) * rng.uniform(0.3, 0.7) + rng.normal(0, 4, grey.shape))


def _shaded(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The shadow of a hand or of the fold of a book."""
    rows, columns = np.indices(grey.shape)
    angle, width = rng.uniform(0, 7), rng.uniform(1, 8) * per_mm
    away = (rows - grey.shape[0] / 2) * np.sin(angle) + (columns - grey.shape[1] / 2) * np.cos(angle)
    return clipped(grey * (1 - rng.uniform(0.5, 0.85) / (1 + np.exp(-away / width))))


def _one_bit(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    soft = _noisy(as_grey(cv2.GaussianBlur(grey, (0, 0), 0.15 * per_mm)), per_mm, rng)
    return np.where(soft < rng.uniform(70, 190), 0, 255).astype(np.uint8)


def _dithered(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    veiled = clipped(rng.uniform(10, 90) + grey * rng.uniform(0.3, 0.64))
    return np.asarray(Image.fromarray(veiled).convert("1").convert("L"))


def _screened(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Printed again in dots, as newspapers are."""
    rows, columns = np.indices(grey.shape) / per_mm
    pitch = rng.uniform(2, 4)
    dots = 127 + 60 * (np.sin(pitch * (rows + columns)) + np.sin(pitch * (rows - columns)))
    return np.where(clipped(40 + grey * 0.65) < dots, 0, 255).astype(np.uint8)


def _faxed(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """One bit, 8 dots in a millimetre and 3.85 lines, some lines lost."""
    height, width = grey.shape
    size = max(1, round(width / per_mm * 8)), max(1, round(height / per_mm * 3.85))
    small = np.where(cv2.resize(grey, size, interpolation=cv2.INTER_AREA) < rng.uniform(90, 170), 0, 255)
    lost = rng.random(len(small)) < 0.03
    small[lost] = 255
    return as_grey(cv2.resize(small.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST))


def _stained(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Tea or coffee: what is under it can still be seen."""
    return clipped(grey * (1 - rng.uniform(0.3, 0.7) * _blot(grey.shape, per_mm, rng, rng.uniform(5, 12))))


def _blotted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Ink: what is under it cannot be seen."""
    blot = _blot(grey.shape, per_mm, rng, rng.uniform(1.5, 7))
    return clipped(grey * (1 - blot) + rng.uniform(0, 40) * blot)


def _pasted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Correction fluid or a sticker."""
    blot = _blot(grey.shape, per_mm, rng, rng.uniform(1.5, 7))
    return clipped(grey * (1 - blot) + rng.uniform(200, 255) * blot)


def _crossed(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _strokes(grey, per_mm, rng, int(rng.integers(1, 6)))


def _scribbled(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _strokes(grey, per_mm, rng, int(rng.integers(9, 15)))


def _folded(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _folds(grey, per_mm, rng, 1)


def _crumpled(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _bent(_folds(grey, per_mm, rng, int(rng.integers(5, 10))), per_mm, rng)


def _worn(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The toner has come off in flakes."""
    rough = _cloud(grey.shape, per_mm, rng, 0.6)
    return np.where(rough > np.quantile(rough, 1 - rng.uniform(0.05, 0.35)), np.maximum(grey, 225), grey)


def _stamped(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    grey = grey.copy()
    height, width = grey.shape
    centre = int(rng.uniform(0, width)), int(rng.uniform(0, height))
    for radius in (rng.uniform(8, 16), rng.uniform(4, 7)):
        ink, thick = int(rng.integers(40, 120)), max(1, round(rng.uniform(0.6, 1.5) * per_mm))
        cv2.circle(grey, centre, round(radius * per_mm), ink, thick, cv2.LINE_AA)
    cv2.putText(grey, "15", centre, cv2.FONT_HERSHEY_SIMPLEX, per_mm / 4, 70, max(1, round(per_mm)), cv2.LINE_AA)
    return grey


def _wet(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The ink has run."""
    blot = _blot(grey.shape, per_mm, rng, rng.uniform(6, 12))
    run = cv2.GaussianBlur(cv2.erode(grey, np.ones((3, 3), np.uint8)), (0, 0), rng.uniform(0.5, 0.9) * per_mm)
    return clipped(grey * (1 - blot) + run * blot * 0.9)


def _streaked(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Dirt on the glass of the feeder: lines along the page, dark and light."""
    grey = grey.copy()
    for _ in range(int(rng.integers(2, 6))):
        column, width = int(rng.integers(grey.shape[1])), max(1, round(rng.uniform(0.1, 0.8) * per_mm))
        grey[:, column : column + width] = rng.choice((0, 60, 255))
    return grey


def _torn(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    """A corner of it is missing."""
    height, width = grey.shape
    x, y = rng.uniform(0.15, 0.8) * width, rng.uniform(0.15, 0.8) * height
    corner = np.array([(0, 0), (x, 0), (x * 0.6, y * 0.5), (0, y)])
    if rng.random() < 0.5:
        corner[:, 0] = width - corner[:, 0]
    if rng.random() < 0.5:
        corner[:, 1] = height - corner[:, 1]
    return as_grey(cv2.fillPoly(grey.copy(), [corner.round().astype(np.int32)], int(rng.choice((255, 255, 20)))))


def _taped(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    height, width = grey.shape
    top = int(rng.uniform(0, 0.6) * height)
    grey, reach = grey.copy(), top + round(rng.uniform(6, 15) * per_mm)
    grey[top:reach] = _pale(grey[top:reach], per_mm, rng)
    cv2.rectangle(grey, (0, top), (width, reach), 90, max(1, round(0.15 * per_mm)))
    return grey


def _bled(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The writing of the other side shows through."""
    other = _strokes(np.full_like(grey, 255), per_mm, rng, int(rng.integers(4, 16)))
    return np.minimum(grey, clipped(255 - (255.0 - other) * rng.uniform(0.3, 0.6)))


def _thickened(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Too much toner, or too little: black grows or shrinks."""
    reach = max(2, round(rng.uniform(0.25, 0.45) * per_mm))
    kernel = np.ones((reach, reach), np.uint8)
    return as_grey(cv2.erode(grey, kernel) if rng.random() < 0.5 else cv2.dilate(grey, kernel))


def copied_twice(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Copied twice on a bad machine: more contrast, specks, black grown or shrunken, edges uneven."""
    for _ in range(2):
        soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.1, 0.2) * per_mm) + rng.normal(0, 25, grey.shape)
        grey = clipped((soft - rng.uniform(90, 160)) * rng.uniform(2, 5) + 127)
        grey = np.where(_cloud(grey.shape, per_mm, rng, 0.25) > 3.2, 0, grey).astype(np.uint8)
    return grey


def _all_together(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    for damage in (_turned, _slanted, _stained, _crossed, _folded, _blurred_a_little, _shaded, _noisy_a_little, _jpeg):
        grey = damage(grey, per_mm, rng)
    return grey


def _blurred_a_little(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return as_grey(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.1, 0.3) * per_mm))


def _noisy_a_little(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return clipped(grey + rng.normal(0, rng.uniform(5, 25), grey.shape))


def untouched(grey: Grey, _per_mm: float, _rng: Generator) -> Grey:
    return grey


KINDS: Final[Mapping[str, Damage]] = {
    "nothing": untouched,
    "turned": _turned,
    "perspective": _slanted,
    "bent": _bent,
    "stretched": _stretched,
    "feeder slipped": _slipped,
    "blur": _blurred,
    "moved": _moved,
    "noise": _noisy,
    "specks": _specked,
    "JPEG": _jpeg,
    "low contrast": _pale,
    "too dark": _dark,
    "shadow": _shaded,
    "one bit": _one_bit,
    "dither": _dithered,
    "screen": _screened,
    "fax": _faxed,
    "stain": _stained,
    "ink blot": _blotted,
    "pasted over": _pasted,
    "pen strokes": _crossed,
    "scribbled over": _scribbled,
    "fold": _folded,
    "crumpled": _crumpled,
    "toner worn": _worn,
    "stamp": _stamped,
    "wet": _wet,
    "streaks": _streaked,
    "corner missing": _torn,
    "tape": _taped,
    "show-through": _bled,
    "toner": _thickened,
    "copied twice": copied_twice,
    "all together": _all_together,
}


# --- what several kinds are made of


def as_grey(picture: object) -> Grey:
    return cast("Grey", picture)


def clipped(values: NDArray[np.floating[Any]]) -> Grey:
    return as_grey(np.clip(values, 0, 255).astype(np.uint8))


def warped(page: Grey, at: NDArray[np.float32], seen: NDArray[np.float32], shape: tuple[int, ...], beside: int) -> Grey:
    return as_grey(
        cv2.warpPerspective(
            page,
            cv2.getPerspectiveTransform(at, seen),
            (shape[1], shape[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=beside,
        )
    )


def _cloud(shape: tuple[int, ...], per_mm: float, rng: Generator, grain: float) -> NDArray[np.float64]:
    """Smooth chance with spread 1, in grains of so many millimetres."""
    rows, columns = (max(2, round(edge / per_mm / grain)) for edge in shape[:2])
    coarse = rng.normal(0, 1, (rows, columns)).astype(np.float32)
    return cast("NDArray[np.float64]", cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(float))


def _blot(shape: tuple[int, ...], per_mm: float, rng: Generator, radius: float) -> NDArray[np.float64]:
    """1 inside of some spot of about this radius, 0 outside, its edge uneven."""
    rows, columns = np.indices(shape) / per_mm
    height, width = (edge / per_mm for edge in shape)
    x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height
    away = np.hypot(rows - y, (columns - x) * rng.uniform(0.6, 1.4)) + 1.5 * _cloud(shape, per_mm, rng, 4)
    return cast("NDArray[np.float64]", np.clip((radius - away) / 0.4 + 0.5, 0, 1))


def _strokes(grey: Grey, per_mm: float, rng: Generator, count: int) -> Grey:
    """Strokes of a pen, from edge to edge, a little bent."""
    grey = grey.copy()
    height, width = grey.shape
    for _ in range(count):
        angle = rng.uniform(0, np.pi)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle = rng.uniform(0.1, 0.9, 2) * (width, height)
        steps = np.linspace(-1, 1, 15)
        bow = rng.normal(0, 2) * per_mm * steps**2 + rng.normal(0, 0.4, 15) * per_mm
        points = middle + steps[:, None] * along * max(width, height) + bow[:, None] * across
        thick = max(1, round(rng.uniform(0.4, 0.9) * per_mm))
        points = (points * 16).round().astype(np.int32)
        cv2.polylines(grey, [points], False, int(rng.integers(10, 110)), thick, cv2.LINE_AA, shift=4)
    return grey


def _folds(grey: Grey, per_mm: float, rng: Generator, count: int) -> Grey:
    """Folds: the toner has broken off along a line, which throws a shadow on one side."""
    rows, columns = np.indices(grey.shape) / per_mm
    height, width = (edge / per_mm for edge in grey.shape)
    made: NDArray[np.float64] = grey.astype(np.float64)
    for _ in range(count):
        angle = rng.uniform(0, np.pi)
        away = (columns - rng.uniform(0.2, 0.8) * width) * np.sin(angle)
        away -= (rows - rng.uniform(0.2, 0.8) * height) * np.cos(angle)
        shadow = np.where(away > 0, np.exp(-np.clip(away, 0, 50) / 2), 0) * rng.uniform(0.2, 0.5)
        broken = (np.abs(away) < rng.uniform(0.2, 0.6)) & (rng.random(grey.shape) < 0.85)
        made = np.where(broken, np.maximum(made, rng.uniform(190, 250)), made * (1 - shadow))
    return clipped(made)

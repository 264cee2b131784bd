"""Reply sheets as they come back: drawn as they are printed, written on, and damaged by kinds that have names.

Everything follows from a seed. Lengths are millimetres, so that a stain is as large at 100 dpi as at 300. What is not
the same on all of a paper (a stain, a fold) or in all of a scan (a smear on the glass) is done to each code, mark and
readable code independently; what is (how the page lay, how it was copied) to the whole page.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import cv2
import numpy as np
import pypdfium2
import reedsolo
from numpy.random import Generator

from benchmarks.wear import KINDS, Damage, Grey, as_grey, clipped, copied_twice, lying, untouched, warped
from print.batch_pages import new_canvas
from print.reply_sheet import draw_reply_sheets, matrix_modules
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import ALPHABET, CHECK_SYMBOLS, DATA_SYMBOLS, MatrixCode, ReplyCode, Side
from relay.domain.sheet import MARKS, MATRICES, MATRIX, MODULE, PAGE, QUIET, READABLE, RULE, Rect, writing

PAPER_DPI: Final = 300
"""At which sheets are drawn."""
SHEETS: Final = 3
"""Reply sheets that a letter has."""
DPIS: Final = (200, 100)
"""Of damaged pages."""
PLACES: Final[Mapping[str, Rect]] = {
    **{f"matrix {place}": rect.grown(QUIET) for place, rect in enumerate(MATRICES)},
    **{f"mark {place}": rect.grown(2) for place, rect in enumerate(MARKS)},
    **{f"readable {place}": rect.grown(1) for place, rect in enumerate(READABLE)},
}
"""What is damaged independently."""

_CODEC: Final = reedsolo.RSCodec(CHECK_SYMBOLS, c_exp=5)


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A scanned page and what is true of it."""

    picture: Grey
    dpi: int
    truth: MatrixCode
    kind: str
    """What happened to the whole page."""
    places: Mapping[str, str] = field(default_factory=dict)
    """The kind of damage of each place."""


def chance(*seeds: int) -> Generator:
    """A source of chance that is the same for the same seeds."""
    return np.random.default_rng(seeds)


def reply_codes(count: int, rng: Generator) -> list[ReplyCode]:
    """So many different codes."""
    found: dict[ReplyCode, None] = {}
    while len(found) < count:
        data = rng.integers(len(ALPHABET), size=DATA_SYMBOLS).tolist()
        found[ReplyCode("".join(ALPHABET[value] for value in _CODEC.encode(data)))] = None
    return list(found)


def any_side(code: ReplyCode, rng: Generator) -> MatrixCode:
    """One of the sides of one of its sheets."""
    return MatrixCode(code, int(rng.integers(1, SHEETS + 1)), list(Side)[rng.integers(2)])


def whole_page(truth: MatrixCode, rng: Generator, kind: str | None = None, dpi: int | None = None) -> Page:
    """A page on which every code, mark and readable code is damaged, and to the whole of which something happened."""
    kind = kind or str(rng.choice(list(PAGE_KINDS)))
    dpi = dpi or int(rng.choice(DPIS))
    page = written_on(reply_sheet(truth), truth.side, rng)
    if kind in PAPER_KINDS:
        page = PAPER_KINDS[kind](page, PAPER_DPI / 25.4, rng)
    page, per_mm = _resized(page, dpi / PAPER_DPI), dpi / 25.4
    places = {}
    for name, place in PLACES.items():
        places[name] = str(rng.choice(list(KINDS)))
        page = damaged_at(page, place, places[name], per_mm, rng)
    page = PAGE_KINDS[kind](page, per_mm, rng)
    page = lying(page, rng, degrees=3)
    return Page(np.rot90(page, rng.choice(4, p=(0.85, 0.025, 0.1, 0.025))).copy(), dpi, truth, kind, places)


def ordinary_page(truth: MatrixCode, rng: Generator, kind: str | None = None) -> Page:
    """A page as most are: whole and clean, scanned straight or crooked, or photographed."""
    kind = kind or str(rng.choice(list(ORDINARY)))
    dpi, finish = ORDINARY[kind]
    page = written_on(reply_sheet(truth), truth.side, rng)
    return Page(finish(_resized(page, dpi / PAPER_DPI), dpi / 25.4, rng), dpi, truth, kind)


def damaged_at(page: Grey, place: Rect, kind: str, per_mm: float, rng: Generator) -> Grey:
    """The page with one place of it damaged."""
    left, top = round(max(place.x, 0) * per_mm), round(max(place.y, 0) * per_mm)
    right, bottom = round(place.right * per_mm), round(place.bottom * per_mm)
    page = page.copy()
    page[top:bottom, left:right] = KINDS[kind](page[top:bottom, left:right].copy(), per_mm, rng)
    return page


def code_crop(code: MatrixCode, kind: str, dpi: int, rng: Generator) -> Grey:
    """A matrix code and its quiet zone by itself, damaged: 33 mm wide and high."""
    per_mm = dpi / 25.4
    module = round(MODULE * PAPER_DPI / 25.4)
    modules = np.pad(matrix_modules(code), round(QUIET / MODULE))
    large = np.where(np.kron(modules, np.ones((module, module), bool)), 0, 255).astype(np.uint8)
    edge = round((MATRIX + 2 * QUIET) * per_mm)
    return KINDS[kind](as_grey(cv2.resize(large, (edge, edge), interpolation=cv2.INTER_AREA)), per_mm, rng)


def reply_sheet(code: MatrixCode) -> Grey:
    """One side of a reply sheet at PAPER_DPI, as it is printed."""
    letter = LetterToPrint(
        code=code.code,
        prisoner_name="Алексей Примерович Пример",
        sheet_language="ru",
        printed_name="Анна Вымышленная",
        text="",
        written_on=datetime.date(2025, 11, 22),
        reply_sheets=SHEETS,
        return_address=("Группа Пример", "а/я 1", "000000 Примерск"),
    )
    file = io.BytesIO()
    canvas = new_canvas(file)
    page = (code.sheet - 1) * len(Side) + list(Side).index(code.side)
    for _ in islice(draw_reply_sheets(canvas, letter), page + 1):
        canvas.showPage()
    canvas.save()
    with pypdfium2.PdfDocument(file.getvalue()) as document:
        picture = document[page].render(scale=PAPER_DPI / 72, grayscale=True).to_numpy()
        return as_grey(picture.reshape(picture.shape[:2])).copy()


def written_on(page: Grey, side: Side, rng: Generator) -> Grey:
    """The sheet with lines like joined handwriting on its rules; at PAPER_DPI. Sometimes they run beyond their area."""
    page, per_mm, area = page.copy(), PAPER_DPI / 25.4, writing(side)
    ink, width = int(rng.integers(10, 90)), int(rng.integers(4, 9))
    for line in range(1, 1 + int(rng.integers(3, int(area.height / RULE)))):
        x, end = area.x + rng.uniform(-3, 10), area.right + rng.uniform(-60, 6)
        while x < end:
            steps = int(rng.integers(8, 40))
            along = x + np.arange(steps) * rng.uniform(0.8, 1.1) + rng.normal(0, 0.5, steps)
            up = area.y + line * RULE - 0.5 - np.abs(rng.normal(0, 1.3, steps)) * rng.choice((1, 1, 1, 2, -1), steps)
            points = np.stack([along, up], 1) * per_mm * 16
            cv2.polylines(page, [points.round().astype(np.int32)], False, ink, width, cv2.LINE_AA, shift=4)
            x = float(along[-1]) + rng.uniform(2, 4)
    return page


def _half_covered(page: Grey, per_mm: float, rng: Generator) -> Grey:
    """Both matrix codes are covered to the half, from any direction."""
    for place in MATRICES:
        angle, reach = rng.uniform(0, 2 * np.pi), MATRIX * 2
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle = np.array(place.centre) + along * rng.uniform(-1, 1)
        corners = [middle - across * reach, middle + across * reach]
        corners += [corner + along * reach for corner in reversed(corners)]
        shape = np.zeros(page.shape, np.uint8)
        cv2.fillPoly(shape, [(np.array(corners) * per_mm).round().astype(np.int32)], 1)
        left, top, right, bottom = (
            round(edge * per_mm) for edge in (place.x - 1, place.y - 1, place.right + 1, place.bottom + 1)
        )
        inside = (slice(top, bottom), slice(left, right))
        page = page.copy()
        page[inside] = np.where(shape[inside] > 0, rng.choice((0, 60, 130, 235, 255)), page[inside])
    return page


def _corner_torn(page: Grey, per_mm: float, rng: Generator) -> Grey:
    """A corner of the page is missing, with its mark and, if there is one, its matrix code."""
    legs = np.array([rng.uniform(45, 90), rng.uniform(45, 90)])
    steps = np.linspace(0, 1, 12)[:, None]
    edge = np.array([legs[0], 0]) * (1 - steps) + np.array([0, legs[1]]) * steps + rng.normal(0, 1.2, (12, 2))
    shape = np.vstack([[(-5, -5)], edge])
    if rng.random() < 0.5:
        shape[:, 0] = PAGE.width - shape[:, 0]
    if rng.random() < 0.5:
        shape[:, 1] = PAGE.height - shape[:, 1]
    return as_grey(
        cv2.fillPoly(page.copy(), [(shape * per_mm).round().astype(np.int32)], int(rng.choice((255, 250, 15))))
    )


def _cropped(page: Grey, per_mm: float, rng: Generator) -> Grey:
    """The feeder took the page askew: up to 2 cm of one or two edges are not in the picture."""
    cut = np.where(rng.random(4) < 0.4, rng.uniform(5, 20, 4), 0)
    cut[rng.integers(4)] = rng.uniform(5, 20)
    cut[np.argsort(rng.random(4))[:2]] *= rng.choice((0, 1), p=(0.7, 0.3))
    left, top, right, bottom = (round(edge * per_mm) for edge in cut)
    return page[top : page.shape[0] - bottom, left : page.shape[1] - right].copy()


def _printed_small(page: Grey, _per_mm: float, rng: Generator) -> Grey:
    """Printed at 95 %, in the middle or in a corner of the paper."""
    height, width = page.shape
    small = cv2.resize(page, (round(width * 0.95), round(height * 0.95)), interpolation=cv2.INTER_AREA)
    whole = np.full_like(page, 255)
    top, left = (int((edge - edge * 0.95) * rng.choice((0, 0.5, 1))) for edge in page.shape)
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small[: height - top, : width - left]
    return whole


INDEPENDENT: Final = "independent"
PAPER_KINDS: Final[Mapping[str, Damage]] = {"codes half covered": _half_covered}
"""What happened before anything else did."""
PAGE_KINDS: Final[Mapping[str, Damage]] = {
    INDEPENDENT: untouched,
    "codes half covered": untouched,
    "corner torn off": _corner_torn,
    "cropped by the feeder": _cropped,
    "printed at 95 %": _printed_small,
    "copied twice": copied_twice,
}


# --- ordinary pages


def _scanned(page: Grey, _per_mm: float, rng: Generator) -> Grey:
    return clipped(page * rng.uniform(0.88, 0.97) + rng.uniform(4, 14) + rng.normal(0, 3, page.shape))


def _straight(page: Grey, per_mm: float, rng: Generator) -> Grey:
    return _scanned(lying(page, rng, degrees=0.3, slant=0.0005), per_mm, rng)


def _crooked(page: Grey, per_mm: float, rng: Generator) -> Grey:
    return _scanned(lying(page, rng, degrees=5, slant=0.001), per_mm, rng)


def _black_and_white(page: Grey, per_mm: float, rng: Generator) -> Grey:
    return np.where(_crooked(page, per_mm, rng) < rng.uniform(110, 170), 0, 255).astype(np.uint8)


def _photographed(page: Grey, per_mm: float, rng: Generator) -> Grey:
    """On a table, by a phone that was not held straight, in uneven light."""
    height, width = page.shape
    shape = round(height * 1.15), round(width * 1.2)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    middle = np.array([shape[1] - width, shape[0] - height]) / 2
    seen = corners + middle + rng.uniform(-0.05, 0.05, (4, 2)) * (width, height)
    photo = warped(page, corners, seen.astype(np.float32), shape, int(rng.integers(20, 90)))
    rows, columns = np.indices(shape) / np.array(shape)[:, None, None]
    light = 1 - rng.uniform(0, 0.4) * rows - rng.uniform(0, 0.4) * columns
    soft = cv2.GaussianBlur(photo, (0, 0), 0.08 * per_mm)
    return clipped(soft * light + rng.normal(0, 5, shape))


ORDINARY: Final[Mapping[str, tuple[int, Damage]]] = {
    "300 dpi, straight": (300, _straight),
    "300 dpi, crooked": (300, _crooked),
    "300 dpi, one bit": (300, _black_and_white),
    "200 dpi, straight": (200, _straight),
    "200 dpi, crooked": (200, _crooked),
    "200 dpi, one bit": (200, _black_and_white),
    "phone photo": (270, _photographed),
}
"""Resolution and what was done."""


def _resized(page: Grey, scale: float) -> Grey:
    if scale == 1:
        return page
    return as_grey(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))

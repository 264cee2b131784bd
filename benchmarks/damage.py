"""Reply sheets as they come back: drawn as they are printed, written on, and damaged by kinds that have names.

Everything follows from a seed. Lengths are millimetres, so that a stain is as large at 100 dpi as at 300. What is not
the same on all of a paper (a stain, a fold) or in all of a scan (a smear on the glass) is done to each code, mark and
readable code independently; what is (how the page lay, how it was copied) to the whole page.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, cast

import cv2
import numpy as np
import pypdfium2
import reedsolo
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from print.batch_pages import new_canvas
from print.reply_sheet import draw_reply_sheets, matrix_modules
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import ALPHABET, CHECK_SYMBOLS, DATA_SYMBOLS, MatrixCode, ReplyCode, Side
from relay.domain.sheet import MARKS, MATRICES, MATRIX, MODULE, PAGE, QUIET, READABLE, RULE, Rect, writing

Grey = NDArray[np.uint8]
Damage = Callable[[Grey, float, Generator], Grey]
"""Damages a picture, which has so many pixels in a millimetre."""

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
    return KINDS[kind](_grey(cv2.resize(large, (edge, edge), interpolation=cv2.INTER_AREA)), per_mm, rng)


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
        return _grey(picture.reshape(picture.shape[:2])).copy()


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


def lying(page: Grey, rng: Generator, degrees: float, slant: float = 0.004) -> Grey:
    """The page as it lay on the glass: turned by up to so many degrees, and a little out of its shape."""
    height, width = page.shape
    turn = np.radians(rng.uniform(-degrees, degrees))
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    centre = corners.mean(0)
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    seen = (corners - centre) @ rotation.T + centre + rng.normal(0, slant * width, (4, 2))
    return _warped(page, corners, seen.astype(np.float32), page.shape, int(rng.choice((255, 255, 240, 30))))


# --- kinds of damage, each to a place or to a whole page; the sensor's come after the paper's


def _turned(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return lying(grey, rng, degrees=5, slant=0)


def _slanted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    height, width = grey.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = corners + rng.uniform(-1.5, 1.5, (4, 2)) * per_mm
    return _warped(grey, corners, seen.astype(np.float32), grey.shape, 255)


def _bent(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    rows, columns = np.indices(grey.shape, np.float32)
    length, reach, phase = rng.uniform(20, 60) * per_mm, rng.uniform(0.3, 0.8) * per_mm, rng.uniform(0, 7, 2)
    off_x = reach * np.sin(2 * np.pi * rows / length + phase[0])
    off_y = reach * np.sin(2 * np.pi * columns / length + phase[1])
    x, y = (columns + off_x).astype(np.float32), (rows + off_y).astype(np.float32)
    return _grey(cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _stretched(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    height, width = grey.shape
    return _grey(cv2.resize(cv2.resize(grey, (round(width * rng.uniform(0.95, 1.05)), height)), (width, height)))


def _slipped(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The feeder slipped: below a line everything is shifted."""
    grey, row = grey.copy(), int(rng.integers(grey.shape[0] // 4, grey.shape[0] * 3 // 4))
    grey[row:] = np.roll(grey[row:], round(rng.choice((-1, 1)) * rng.uniform(0.3, 0.9) * per_mm), 1)
    return grey


def _blurred(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _grey(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.25, 0.5) * per_mm))


def _moved(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    length = max(2, round(rng.uniform(0.6, 1.2) * per_mm))
    kernel = np.full((1, length), 1 / length, np.float32)
    return _grey(cv2.filter2D(grey, -1, kernel if rng.random() < 0.5 else kernel.T))


def _noisy(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return _clipped(grey + rng.normal(0, rng.uniform(20, 60), grey.shape))


def _specked(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    share = rng.uniform(0.02, 0.12)
    dots = rng.random((max(1, round(grey.shape[0] / per_mm * 6)), max(1, round(grey.shape[1] / per_mm * 6))))
    large = cv2.resize(dots, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.where(large < share / 2, 0, np.where(large > 1 - share / 2, 255, grey)).astype(np.uint8)


def _jpeg(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    _, encoded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(4, 15))])
    return _grey(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))


def _pale(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    """Little contrast, and some noise in it."""
    black, reach = rng.uniform(60, 190), rng.uniform(25, 50)
    return _clipped(black + grey * (reach / 255) + rng.normal(0, 5, grey.shape))


def _dark(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return _clipped(255 * (grey / 255.0) ** rng.uniform(2, 4) * rng.uniform(0.3, 0.7) + rng.normal(0, 4, grey.shape))


def _shaded(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """The shadow of a hand or of the fold of a book."""
    rows, columns = np.indices(grey.shape)
    angle, width = rng.uniform(0, 7), rng.uniform(1, 8) * per_mm
    away = (rows - grey.shape[0] / 2) * np.sin(angle) + (columns - grey.shape[1] / 2) * np.cos(angle)
    return _clipped(grey * (1 - rng.uniform(0.5, 0.85) / (1 + np.exp(-away / width))))


def _one_bit(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    soft = _noisy(_grey(cv2.GaussianBlur(grey, (0, 0), 0.15 * per_mm)), per_mm, rng)
    return np.where(soft < rng.uniform(70, 190), 0, 255).astype(np.uint8)


def _dithered(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    veiled = _clipped(rng.uniform(10, 90) + grey * rng.uniform(0.3, 0.64))
    return np.asarray(Image.fromarray(veiled).convert("1").convert("L"))


def _screened(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Printed again in dots, as newspapers are."""
    rows, columns = np.indices(grey.shape) / per_mm
    pitch = rng.uniform(2, 4)
    dots = 127 + 60 * (np.sin(pitch * (rows + columns)) + np.sin(pitch * (rows - columns)))
    return np.where(_clipped(40 + grey * 0.65) < dots, 0, 255).astype(np.uint8)


def _faxed(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """One bit, 8 dots in a millimetre and 3.85 lines, some lines lost."""
    height, width = grey.shape
    size = max(1, round(width / per_mm * 8)), max(1, round(height / per_mm * 3.85))
    small = np.where(cv2.resize(grey, size, interpolation=cv2.INTER_AREA) < rng.uniform(90, 170), 0, 255)
    lost = rng.random(len(small)) < 0.03
    small[lost] = 255
    return _grey(cv2.resize(small.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST))


def _stained(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Tea or coffee: what is under it can still be seen."""
    return _clipped(grey * (1 - rng.uniform(0.3, 0.7) * _blot(grey.shape, per_mm, rng, rng.uniform(5, 12))))


def _blotted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Ink: what is under it cannot be seen."""
    blot = _blot(grey.shape, per_mm, rng, rng.uniform(1.5, 7))
    return _clipped(grey * (1 - blot) + rng.uniform(0, 40) * blot)


def _pasted(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Correction fluid or a sticker."""
    blot = _blot(grey.shape, per_mm, rng, rng.uniform(1.5, 7))
    return _clipped(grey * (1 - blot) + rng.uniform(200, 255) * blot)


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
    return _clipped(grey * (1 - blot) + run * blot * 0.9)


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
    return _grey(cv2.fillPoly(grey.copy(), [corner.round().astype(np.int32)], int(rng.choice((255, 255, 20)))))


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
    return np.minimum(grey, _clipped(255 - (255.0 - other) * rng.uniform(0.3, 0.6)))


def _thickened(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Too much toner, or too little: black grows or shrinks."""
    reach = max(2, round(rng.uniform(0.25, 0.45) * per_mm))
    kernel = np.ones((reach, reach), np.uint8)
    return _grey(cv2.erode(grey, kernel) if rng.random() < 0.5 else cv2.dilate(grey, kernel))


def _copied(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    """Copied twice on a bad machine: more contrast, specks, black grown or shrunken, edges uneven."""
    for _ in range(2):
        soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.1, 0.2) * per_mm) + rng.normal(0, 25, grey.shape)
        grey = _clipped((soft - rng.uniform(90, 160)) * rng.uniform(2, 5) + 127)
        grey = np.where(_cloud(grey.shape, per_mm, rng, 0.25) > 3.2, 0, grey).astype(np.uint8)
    return grey


def _all_together(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    for damage in (_turned, _slanted, _stained, _crossed, _folded, _blurred_a_little, _shaded, _noisy_a_little, _jpeg):
        grey = damage(grey, per_mm, rng)
    return grey


def _blurred_a_little(grey: Grey, per_mm: float, rng: Generator) -> Grey:
    return _grey(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.1, 0.3) * per_mm))


def _noisy_a_little(grey: Grey, _per_mm: float, rng: Generator) -> Grey:
    return _clipped(grey + rng.normal(0, rng.uniform(5, 25), grey.shape))


def _untouched(grey: Grey, _per_mm: float, _rng: Generator) -> Grey:
    return grey


KINDS: Final[Mapping[str, Damage]] = {
    "nothing": _untouched,
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
    "copied twice": _copied,
    "all together": _all_together,
}


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
    return _grey(
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
    INDEPENDENT: _untouched,
    "codes half covered": _untouched,
    "corner torn off": _corner_torn,
    "cropped by the feeder": _cropped,
    "printed at 95 %": _printed_small,
    "copied twice": _copied,
}


# --- ordinary pages


def _scanned(page: Grey, _per_mm: float, rng: Generator) -> Grey:
    return _clipped(page * rng.uniform(0.88, 0.97) + rng.uniform(4, 14) + rng.normal(0, 3, page.shape))


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
    photo = _warped(page, corners, seen.astype(np.float32), shape, int(rng.integers(20, 90)))
    rows, columns = np.indices(shape) / np.array(shape)[:, None, None]
    light = 1 - rng.uniform(0, 0.4) * rows - rng.uniform(0, 0.4) * columns
    soft = cv2.GaussianBlur(photo, (0, 0), 0.08 * per_mm)
    return _clipped(soft * light + rng.normal(0, 5, shape))


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


# --- what several kinds are made of


def _grey(picture: object) -> Grey:
    return cast("Grey", picture)


def _clipped(values: NDArray[np.floating[Any]]) -> Grey:
    return _grey(np.clip(values, 0, 255).astype(np.uint8))


def _resized(page: Grey, scale: float) -> Grey:
    if scale == 1:
        return page
    return _grey(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _warped(
    page: Grey, at: NDArray[np.float32], seen: NDArray[np.float32], shape: tuple[int, ...], beside: int
) -> Grey:
    return _grey(
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
    return _clipped(made)

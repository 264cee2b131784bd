"""Boxes that are ticked in every way that people have, seen by every kind of scanner."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
from PIL import Image

from relay.domain.reply_code import Side
from relay.domain.sheet import FORWARD, TICKS, Rect, Tick, tick_box
from scanner.cleaning import clean
from scanner.geometry import DPI, PIXELS_PER_MM, pixels
from scanner.matrix import Grey
from scanner.samples import BoxInk
from scanner.tick_boxes import is_tick_side, measure, read
from tests.scanner.sheets import scanned, sheet

Stroke = tuple[tuple[float, float], ...]
"""Points of a stroke, in mm from the upper left corner of a box, which is 5 mm wide."""

TICKED: Mapping[str, tuple[Stroke, ...]] = {
    "tick": (((1, 2.5), (2.2, 4), (4.5, 0.5)),),
    "cross": (((0.8, 0.8), (4.2, 4.2)), ((0.8, 4.2), (4.2, 0.8))),
    "cross over the edge": (((-2.5, -2.5), (7.5, 7.5)), ((-2.5, 7.5), (7.5, -2.5))),
    "tick over the edge": (((0.5, 2.5), (2, 4.5), (9, -4)),),
    "one stroke": (((1.2, 3.8), (3.8, 1.2)),),
}
BLACKENED: tuple[Stroke, ...] = tuple(((0.2 + x / 2, -0.2), (0.6 + x / 2, 5.2)) for x in range(10))
SEEN: Mapping[str, Callable[[Grey], Grey]] = {
    "grey": lambda grey: grey,
    "one bit": lambda grey: np.where(grey > 128, 255, 0).astype(np.uint8),
    "100 dpi": lambda grey: _coarse(grey, 3),
    "strong JPEG": lambda grey: np.asarray(cv2.imdecode(cv2.imencode(".jpg", grey, [1, 20])[1], 0), np.uint8),
}
THIN, USUAL = 0.25, 0.5
INK, PENCIL = 40, 165


def _coarse(grey: Grey, times: int) -> Grey:
    small = cv2.resize(grey, (grey.shape[1] // times, grey.shape[0] // times), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def ticked(
    strokes: Mapping[Tick, tuple[Stroke, ...]], width: float = USUAL, shade: int = INK, *, former: bool = False
) -> Image.Image:
    """A sheet with these strokes in its boxes; see `sheet`."""
    page = np.array(sheet(former=former))
    for tick, drawn in strokes.items():
        for stroke in drawn:
            corner = np.array([tick_box(tick).x, tick_box(tick).y])
            points = (np.array(stroke) + corner) * PIXELS_PER_MM * 16
            thick = round(width * PIXELS_PER_MM)
            cv2.polylines(page, [points.astype(np.int32)], False, shade, thick, cv2.LINE_AA, 4)
    return Image.fromarray(page)


def ink(page: Image.Image, seen: Callable[[Grey], Grey] = SEEN["grey"]) -> tuple[BoxInk, ...]:
    """What the child measures on a sheet that was scanned straight."""
    # Only what is around the boxes is scanned: the rest of the page would take twenty times as long.
    around = pixels(TICKS.grown(15))
    whole = np.full(page.size[::-1], 255, np.uint8)
    left, top, right, bottom = around
    whole[top:bottom, left:right] = clean(seen(np.asarray(scanned(page.crop(around)))), DPI)[:, : right - left]
    return measure(whole)


def moved(page: Image.Image, right: float, down: float) -> Image.Image:
    """The page with its boxes printed beside their place, in mm."""
    place = pixels(Rect(TICKS.x, TICKS.y, TICKS.width, FORWARD.bottom - TICKS.y).grown(2))
    by = round(right * PIXELS_PER_MM), round(down * PIXELS_PER_MM)
    boxes = page.crop(place)
    page = page.copy()
    page.paste(255, place)
    page.paste(boxes, (place[0] + by[0], place[1] + by[1]))
    return page


ALL_EMPTY = dict.fromkeys(Tick, False)


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
def test_empty_boxes_are_not_ticked(seen: Callable[[Grey], Grey]) -> None:
    boxes = ink(sheet(), seen)
    assert (read(boxes), is_tick_side(boxes)) == (ALL_EMPTY, True)


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
@pytest.mark.parametrize("width", [THIN, USUAL])
@pytest.mark.parametrize("how", TICKED)
@pytest.mark.parametrize("tick", [Tick.BEING_MOVED, Tick.WRITE_AGAIN, Tick.FORWARD])
def test_ticked_box_is_read_and_its_neighbours_are_empty(
    tick: Tick, how: str, width: float, seen: Callable[[Grey], Grey]
) -> None:
    boxes = ink(ticked({tick: TICKED[how]}, width), seen)
    assert read(boxes) == ALL_EMPTY | {tick: True}


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
@pytest.mark.parametrize("how", [None, *TICKED])
def test_sheet_that_was_printed_without_the_last_box_reads_as_before(
    how: str | None, seen: Callable[[Grey], Grey]
) -> None:
    boxes = ink(ticked({} if how is None else {Tick.WRITE_AGAIN: TICKED[how]}, former=True), seen)
    assert read(boxes) == ALL_EMPTY | {Tick.WRITE_AGAIN: how is not None}
    assert is_tick_side(boxes) is True


@pytest.mark.parametrize("former", [False, True])
def test_blot_where_the_last_box_stands_shows_no_answer_to_others(former: bool) -> None:
    page = sheet(former=former)
    page.paste(70, pixels(tick_box(Tick.FORWARD).grown(1.5)))
    assert read(ink(page)) == ALL_EMPTY | {Tick.FORWARD: None}


@pytest.mark.parametrize("how", TICKED)
def test_box_ticked_in_pencil_is_read(how: str) -> None:
    boxes = ink(ticked({Tick.NEED_PAPER: TICKED[how]}, shade=PENCIL))
    assert read(boxes) == ALL_EMPTY | {Tick.NEED_PAPER: True}


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
def test_blackened_box_is_unclear(seen: Callable[[Grey], Grey]) -> None:
    boxes = ink(ticked({Tick.PLEASE_STOP: BLACKENED, Tick.WRITE_AGAIN: TICKED["tick"]}), seen)
    assert read(boxes) == ALL_EMPTY | {Tick.PLEASE_STOP: None, Tick.WRITE_AGAIN: True}


@pytest.mark.parametrize(("right", "down"), [(1, 0), (-1, 1), (0, -1)])
def test_boxes_printed_a_millimetre_away_are_read(right: float, down: float) -> None:
    boxes = ink(moved(ticked({Tick.ALL_PAGES: TICKED["tick"], Tick.PLEASE_STOP: BLACKENED}), right, down))
    assert read(boxes) == ALL_EMPTY | {Tick.ALL_PAGES: True, Tick.PLEASE_STOP: None}
    assert is_tick_side(boxes) is True


def test_box_under_a_stain_is_unclear() -> None:
    page = sheet()
    page.paste(70, pixels(tick_box(Tick.BEING_MOVED).grown(2)))
    assert read(ink(page)) == ALL_EMPTY | {Tick.BEING_MOVED: None}


def test_side_without_boxes_is_told() -> None:
    page = sheet(side=Side.B)
    page.paste(255, pixels(TICKS))
    page.paste(255, pixels(FORWARD))
    for y in (227, 236, 245):
        page.paste(150, (0, round(y * PIXELS_PER_MM), page.width, round(y * PIXELS_PER_MM) + 3))
    boxes = ink(page)
    assert (is_tick_side(boxes), read(boxes)) == (False, dict.fromkeys(Tick) | {Tick.FORWARD: False})


def test_page_without_measured_boxes_has_no_ticks() -> None:
    assert (read(()), is_tick_side(())) == ({}, None)


@pytest.mark.parametrize(
    ("filled", "outline", "ticked"),
    [(0.01, 1, False), (0.03, 1, None), (0.06, 1, True), (0.8, 1, None), (0.3, 0.45, None), (0, 0.45, None)],
)
def test_ink_between_ticked_and_empty_is_unclear(filled: float, outline: float, ticked: bool | None) -> None:
    assert read([BoxInk(filled, outline)] * len(Tick)) == dict.fromkeys(Tick, ticked)


def test_side_of_which_half_the_boxes_are_seen_is_unclear() -> None:
    for last in (BoxInk(0, 1), BoxInk(0, 0)):
        assert is_tick_side([BoxInk(0, 1)] * 3 + [BoxInk(0, 0)] * 3 + [last]) is None

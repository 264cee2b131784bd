"""What is taken away from the picture of a page, and that no writing is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scanner import cleaning
from scanner.intake import BLANK
from scanner.matrix import Grey
from tests.scanner.sheets import SAMPLES

Paper = NDArray[np.float64]
DPI = 300
MM = DPI / 25.4
LEVEL = 225.0
"""Brightness of the paper."""


def paper() -> Paper:
    """An empty page, A5 and upright."""
    return np.full((round(210 * MM), round(148 * MM)), LEVEL)


def marked(page: Paper, marks: Paper, contrast: float, blur: float = 0.07) -> Paper:
    """The page with marks (1 is a mark) that take this share of its light; `blur` in mm."""
    soft: Paper = cv2.GaussianBlur(marks, (0, 0), blur * MM)  # type: ignore[assignment]
    return page * (1 - contrast * soft)


def strokes(lines: Iterable[int] = range(30, 190, 12), width: float = 0.4, left: int = 20, right: int = 125) -> Paper:
    """Marks of a hand: loops along lines at these heights, in mm."""
    marks = np.zeros(paper().shape, np.uint8)
    for y in lines:
        across = np.arange(left, right, 0.2)
        hand = np.stack([across + 1.5 * np.sin(2 * across), y - 2 + 2 * np.cos(2.4 * across + y)], axis=1)
        cv2.polylines(marks, [(hand * MM * 16).astype(np.int32)], False, 1, round(width * MM), cv2.LINE_AA, 4)
    return marks.astype(np.float64)


def ruled(page: Paper, level: float = 150, width: float = 0.25, *, squared: bool = False) -> Paper:
    """The page with printed lines 8 mm apart."""
    page = page.copy()
    thick = round(width * MM)
    for y in np.arange(16 * MM, len(page), 8 * MM).astype(int):
        page[y : y + thick] = level
    for x in np.arange(4 * MM, page.shape[1], 8 * MM).astype(int) if squared else ():
        page[:, x : x + thick] = level
    return page


def shining_through(page: Paper, contrast: float = 0.12) -> Paper:
    """The page with what is written on its back."""
    return marked(page, np.fliplr(strokes(width=0.6)), contrast, blur=0.35)


def scanned(page: Paper, noise: float = 4) -> Grey:
    """The page with the noise of a sensor."""
    seen = page + np.random.default_rng(3).normal(0, noise, page.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def cleaned(page: Paper) -> Grey:
    """The page as the child cleans it."""
    return cleaning.clean(scanned(page), DPI)


def ink(page: Paper) -> float:
    """The writing on a page that is no sheet, in square mm."""
    return cleaning.ink(cleaning.without_rules(cleaned(page), DPI), DPI)


def in_a_shadow(page: Paper) -> Paper:
    """The page in the light of a room, with the shadow of a hand on it."""
    height, width = page.shape
    across = np.linspace(0.6, 1, width)[None, :] * np.linspace(0.85, 1, height)[:, None]
    hand = np.ones(page.shape)
    cv2.ellipse(hand, (width // 3, height), (width // 3, height // 2), 15, 0, 360, 0.65, cv2.FILLED)
    lit: Paper = page * across * cv2.GaussianBlur(hand, (0, 0), 6 * MM)
    return lit


def test_page_in_a_shadow_comes_out_white_with_its_writing() -> None:
    marks = strokes()
    white = cleaned(in_a_shadow(marked(paper(), marks, 0.8)))
    away = cv2.dilate(marks, np.ones((25, 25))) == 0
    assert float((white[away] > 250).mean()) > 0.99
    assert int(np.percentile(white[marks == 1], 90)) < 120


def test_pencil_stays_and_what_shines_through_goes() -> None:
    marks = strokes(range(30, 110, 12))
    back = strokes(range(120, 190, 12), width=0.6)
    page = marked(marked(paper(), back, 0.12, blur=0.35), marks, 0.25)
    white = cleaned(page)
    assert float(white[marks == 1].mean()) < 210
    assert float((white[round(115 * MM) :] > 250).mean()) > 0.999


def test_pencil_of_a_real_letter_stays() -> None:
    path = SAMPLES / "handwriting/de/pages/NL_207_1203_1.jpg"
    if not path.exists():
        pytest.skip(f"the samples are not there: {path}")
    with Image.open(path) as picture:
        grey = np.asarray(picture.convert("L"))
    page = grey[350:1850, 200:1400]
    around = cv2.medianBlur(page, 41)
    written = cv2.subtract(around, page) > 45
    assert float((cleaning.clean(page, 188)[written] < 225).mean()) > 0.97


def test_dark_picture_on_a_page_stays_dark() -> None:
    page = paper()
    page[800:1400, 500:1200] = 0.25 * LEVEL
    assert 50 < float(np.median(cleaned(page)[850:1350, 550:1150])) < 90


def test_blue_ink_is_colour_and_yellow_paper_is_none() -> None:
    yellow = np.dstack([scanned(paper()), scanned(paper() * 0.95), scanned(paper() * 0.7)])
    blue = yellow.copy()
    blue[600:615, 200:1500] = (40, 50, 160)
    assert (cleaning.coloured(yellow), cleaning.coloured(blue)) == (False, True)
    red, _, last = (int(channel) for channel in cleaning.clean(blue, DPI)[607, 800])
    assert last - red > 80
    assert [int(channel) for channel in cleaning.clean(blue, DPI)[1200, 800]] == [255, 255, 255]


@pytest.mark.parametrize("degrees", [-4.0, -1.1, 0.0, 0.7, 3.3])
def test_lines_give_the_angle_of_a_page(degrees: float) -> None:
    page = ruled(marked(paper(), strokes(), 0.6))
    middle = page.shape[1] / 2, page.shape[0] / 2
    turn = cv2.getRotationMatrix2D(middle, -degrees, 1)
    lying = cv2.warpAffine(page, turn, page.shape[::-1], borderValue=(LEVEL,))
    white = cleaned(np.asarray(lying, np.float64))
    assert cleaning.skew(white, DPI) == pytest.approx(degrees, abs=0.15)
    assert cleaning.skew(cleaning.turned(white, degrees), DPI) == 0 or degrees == 0


@pytest.mark.parametrize(
    "page",
    [paper(), marked(paper(), strokes([60], right=40), 0.6)],
    ids=["empty", "one word"],
)
def test_page_without_lines_is_not_turned(page: Paper) -> None:
    white = cleaned(page)
    assert cleaning.skew(white, DPI) == 0
    assert cleaning.turned(white, 0) is white


def test_turned_page_loses_no_corner() -> None:
    page = scanned(paper())
    for corner in (np.s_[:40, :40], np.s_[:40, -40:], np.s_[-40:, :40], np.s_[-40:, -40:]):
        page[corner] = 0
    dark = int((cleaning.turned(page, 4.0) < 100).sum())
    assert dark == pytest.approx(4 * 1600, rel=0.03)


@pytest.mark.parametrize("squared", [False, True])
def test_ruled_lines_go_and_strokes_across_them_stay_whole(squared: bool) -> None:
    marks = strokes(range(26, 190, 8))
    empty = cleaning.without_rules(cleaned(ruled(paper(), squared=squared)), DPI)
    rows = empty if not squared else empty[:, round(5 * MM) : round(11 * MM)]
    assert float((rows < 200).mean()) < 0.001
    written = cleaning.without_rules(cleaned(marked(ruled(paper(), squared=squared), marks, 0.75)), DPI)
    assert float((written[marks == 1] < 170).mean()) > 0.98


def test_rules_at_known_places_go_and_others_stay() -> None:
    page = cleaned(ruled(paper()))
    known = round(24 * MM)
    rest = cleaning.without_rules(page, DPI, (known,))
    lines = [int(row.min()) < 200 for row in np.array_split(rest[round(12 * MM) : round(44 * MM)], 4)]
    assert lines == [True, False, True, True]


def test_short_stroke_is_no_ruled_line() -> None:
    page = paper()
    page[1000:1005, 400 : 400 + round(25 * MM)] = 40
    white = cleaned(page)
    assert np.array_equal(cleaning.without_rules(white, DPI), white)


def dusty(page: Paper) -> Paper:
    """The page as from a dirty glass."""
    rng = np.random.default_rng(5)
    page = page.copy()
    for x, y, size in zip(
        *(rng.uniform(0, edge, 80) for edge in page.shape[::-1]), rng.uniform(0.1, 0.6, 80), strict=True
    ):
        cv2.circle(page, (int(x), int(y)), int(size * MM), 60, -1)
    return page


def punched(page: Paper) -> Paper:
    """The page with two holes, before a dark lid."""
    page = page.copy()
    for y in (65, 145):
        cv2.circle(page, (round(12 * MM), round(y * MM)), round(3 * MM), 40, -1, cv2.LINE_AA)
    return page


def at_the_edge_of_the_glass(page: Paper) -> Paper:
    """The page with the shadows that a scanner draws around it."""
    from_left = np.arange(page.shape[1]) / MM
    page = page * (1 - 0.6 * np.exp(-from_left / 1.5))[None, :]
    page[: round(0.6 * MM)] = 50
    page[-round(1.2 * MM) :] = 90
    return page


def folded(page: Paper) -> Paper:
    """The page with a fold across it."""
    page = page.copy()
    page[1200:1204] *= 0.75
    return page


Treatment = Callable[[Paper], Paper]
EMPTY: dict[str, Treatment] = {
    "clean": lambda page: page,
    "dusty": dusty,
    "shining through": shining_through,
    "ruled": ruled,
    "ruled darkly": lambda page: ruled(page, 90, 0.3),
    "squared": lambda page: ruled(page, squared=True),
    "punched": punched,
    "edge": at_the_edge_of_the_glass,
    "folded": folded,
    "in a shadow": in_a_shadow,
    "all": lambda page: at_the_edge_of_the_glass(punched(dusty(folded(ruled(shining_through(page, 0.1)))))),
}


@pytest.mark.parametrize("treatment", EMPTY.values(), ids=EMPTY.keys())
def test_empty_page_is_blank_and_a_faint_word_is_not(treatment: Treatment) -> None:
    word = strokes([78], left=60, right=72)
    assert ink(treatment(paper())) < BLANK / 3
    assert ink(treatment(marked(paper(), word, 0.25))) > 2 * BLANK


def test_writing_with_a_thick_marker_is_not_blank() -> None:
    assert ink(marked(paper(), strokes([78], width=3, left=60, right=80), 0.8)) > 2 * BLANK

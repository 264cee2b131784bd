"""How a sheet lies in a picture, told by what is left of its marks and codes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from relay.domain.sheet import HOLLOW_MARK, MARKS, MATRICES, PAGE, Rect
from scanner.frame import guesses
from scanner.geometry import PIXELS_PER_MM, Transform, pixels
from scanner.matrix import Grey, Points, read_page
from scanner.straighten import locate
from tests.scanner.sheets import covered, scanned, sheet

CORNERS = np.array([(0, 0), (PAGE.width, 0), (PAGE.width, PAGE.height), (0, PAGE.height)], np.float64)
STRAIGHT: Transform = np.diag([PIXELS_PER_MM, PIXELS_PER_MM, 1.0])


def without(*places: Rect) -> Image.Image:
    """A sheet on which these places are white."""
    picture = sheet()
    for place in places:
        picture.paste(255, pixels(place))
    return picture


def grey(picture: Image.Image) -> Grey:
    return np.asarray(scanned(picture))


def codes(page: Grey) -> list[Points]:
    return [code.corners for code in read_page(page) if code.corners is not None]


def off(found: Transform | None, truth: Transform = STRAIGHT) -> float:
    """How far, in mm, the worst corner of the page lies from where it is; a page is 1000 off that was not found."""
    if found is None:
        return 1000
    seen, meant = (cv2.perspectiveTransform(CORNERS[None], geometry)[0] for geometry in (found, truth))
    return float(np.hypot(*(seen - meant).T).max() / PIXELS_PER_MM)


@pytest.mark.parametrize("lost", range(4))
def test_sheet_without_a_mark_is_located_by_codes_and_the_other_marks(lost: int) -> None:
    page = grey(without(MARKS[lost]))
    assert off(locate(page, codes(page))) < 0.5


def test_sheet_with_a_code_and_one_far_mark_is_located() -> None:
    page = grey(without(MATRICES[1], *MARKS[:2], MARKS[3]))
    assert off(locate(page, codes(page))) < 1.5


def test_sheet_with_one_code_alone_is_not_located() -> None:
    page = grey(without(MATRICES[1], *MARKS))
    assert locate(page, codes(page)) is None


@pytest.mark.parametrize("lost", range(4))
def test_sheet_without_codes_and_a_mark_is_located_from_a_guess(lost: int) -> None:
    page = grey(covered(without(MARKS[lost]), *MATRICES))
    assert locate(page, []) is None
    assert off(locate(page, [], guesses(page))) < 1


def test_sheet_whose_hollow_mark_is_inked_is_not_located_upside_down() -> None:
    picture = covered(sheet(), *MATRICES)
    picture.paste(0, pixels(MARKS[HOLLOW_MARK]))
    page = grey(picture)
    upside_down = STRAIGHT @ np.array([[-1, 0, PAGE.width], [0, -1, PAGE.height], [0, 0, 1.0]])
    assert locate(page, [], [upside_down, STRAIGHT]) is None


def test_page_of_something_else_is_not_located_from_its_guesses() -> None:
    page = Image.new("L", (2480, 3508), 255)
    for place in ((300, 400), (1700, 500), (700, 2800)):
        page.paste(0, (*place, place[0] + 71, place[1] + 71))
    assert locate(grey(page), [], guesses(grey(page))) is None


@pytest.mark.parametrize("scale", [0.95, 1.0, 1.03])
@pytest.mark.parametrize("degrees", [0, 2, 90, 178])
def test_guesses_begin_with_how_a_damaged_sheet_lies(degrees: float, scale: float) -> None:
    picture = covered(without(MARKS[0], MARKS[2]), Rect(165, 10, 14, 25), Rect(20, 275, 25, 12))
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    page = grey(small.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255))
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    truth = rotation @ np.diag([scale, scale, 1]) @ STRAIGHT
    middle = cv2.perspectiveTransform(np.array([[PAGE.centre]]), truth)[0, 0]
    truth[:2, 2] += np.array(page.shape[::-1]) / 2 - middle
    assert min(off(guess, truth) for guess in guesses(page)[:2]) < 5


def test_guesses_of_a_strip_are_those_that_fill_it() -> None:
    strip = np.full((60, 2000), 255, np.uint8)
    assert len(guesses(strip)) == 2

"""How much each symbol of a readable code looks like each that could stand there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from print.rendering import render
from relay.domain.reply_code import ALPHABET, LENGTH
from relay.domain.sheet import READABLE
from scanner.geometry import PIXELS_PER_MM, pixels
from scanner.matrix import Grey
from scanner.samples import LineSample
from scanner.symbols import sample_symbols
from tests.print.letters import letter, page_of_sheet, picture_of
from tests.scanner.sheets import CODE, covered

WHITE = 255
FLAT = np.diag([PIXELS_PER_MM, PIXELS_PER_MM, 1.0])
"""The geometry of a page that lies as it was printed."""


def read(sample: LineSample) -> str:
    """The symbols that the sample looks most like."""
    return "".join(ALPHABET[value] for value in sample.symbols.argmax(1))


@pytest.fixture(scope="module")
def printed() -> Grey:
    """A reply sheet as it is printed."""
    given = letter(code=CODE)
    return picture_of(render([given]), page_of_sheet(given))


def test_symbols_of_a_printed_sheet_are_seen_at_both_places(printed: Grey) -> None:
    samples = sample_symbols(printed, [FLAT])
    assert [(sample.place, read(sample)) for sample in samples] == [(0, CODE), (1, CODE)]
    assert [sample.symbols.shape for sample in samples] == [(LENGTH, len(ALPHABET))] * 2
    assert {sample.symbols.dtype.name for sample in samples} == {"int8"}


def test_symbols_of_a_clean_line_are_clearly_the_likeliest(printed: Grey) -> None:
    for sample in sample_symbols(printed, [FLAT]):
        best, second = np.sort(sample.symbols, axis=1)[:, :-3:-1].T
        assert (best == 0).all()
        assert (second <= -16).all()


@pytest.mark.parametrize(("right", "down", "degrees"), [(1.5, -1.5, 0), (-2, 1, 0), (0, 0, 2), (0.5, 0.5, -3)])
def test_symbols_are_found_beside_their_place(printed: Grey, right: float, down: float, degrees: float) -> None:
    centre = tuple(edge * PIXELS_PER_MM for edge in READABLE[0].centre)
    move = np.array(cv2.getRotationMatrix2D(centre, degrees, 1), np.float64)
    move[:, 2] += right * PIXELS_PER_MM, down * PIXELS_PER_MM
    moved = cv2.warpAffine(printed, move, printed.shape[::-1], borderValue=(WHITE,))
    assert read(sample_symbols(np.asarray(moved, np.uint8), [FLAT])[0]) == CODE


def test_symbols_under_a_blot_look_like_none_and_leave_the_others(printed: Grey) -> None:
    blotted = printed.copy()
    left, top, right, bottom = pixels(READABLE[0].grown(1))
    blotted[top:bottom, left : left + (right - left) // 8] = 40
    sample = sample_symbols(blotted, [FLAT])[0]
    assert read(sample)[2:] == CODE[2:]
    assert np.ptp(sample.symbols[0]) < np.ptp(sample.symbols[5])


def test_symbols_of_a_covered_line_are_not_given(printed: Grey) -> None:
    hidden = np.asarray(covered(Image.fromarray(printed), READABLE[0].grown(4)))
    assert [sample.place for sample in sample_symbols(hidden, [FLAT])] == [1]


@pytest.mark.parametrize("grey", [0, 128, WHITE])
def test_symbols_of_an_empty_picture_are_not_given(grey: int) -> None:
    assert sample_symbols(np.full((3508, 2480), grey, np.uint8), [FLAT]) == []


def test_symbols_are_looked_for_by_each_geometry_until_they_are_there(printed: Grey) -> None:
    turned = np.array([[-1, 0, printed.shape[1] - 1], [0, -1, printed.shape[0] - 1], [0, 0, 1]]) @ FLAT
    upside_down = np.rot90(printed, 2).copy()
    samples = sample_symbols(upside_down, [FLAT, turned])
    assert [(sample.place, read(sample)) for sample in samples if read(sample) == CODE] == [(0, CODE), (1, CODE)]

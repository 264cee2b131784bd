"""Modules of matrix codes that no decoder reads, measured softly where the fixed modules tell that there is a code."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relay.domain.reply_code import MatrixCode, ReplyCode, Side
from relay.domain.sheet import MATRICES, MATRIX_MODULES, PAGE, Rect
from scanner.geometry import PIXELS_PER_MM, Transform
from scanner.matrix import Grey, read_page
from scanner.sampling import MOST_SAMPLES, find_matrices, fixed_modules
from tests.scanner.sheets import CODE, covered, matrix_picture, scanned, sheet

STRAIGHT: Transform = np.diag([PIXELS_PER_MM, PIXELS_PER_MM, 1.0])
PRINTED = matrix_picture(str(MatrixCode(CODE, 1, Side.A)))
UPPER = MATRICES[0]
UPPER_HALF = Rect(UPPER.x, UPPER.y, UPPER.width, UPPER.height / 2)


def black(code: Image.Image) -> NDArray[np.int8]:
    """The modules of a code: 1 black, -1 white."""
    return np.where(np.asarray(code) == 0, 1, -1).astype(np.int8)


def grey(picture: Image.Image) -> Grey:
    return np.asarray(scanned(picture))


def shifted(x: float, y: float) -> Transform:
    """The geometry of a straight scan, off by so many mm."""
    off = np.eye(3)
    off[:2, 2] = x, y
    return np.asarray(STRAIGHT @ off)


def share_right(modules: NDArray[np.int8]) -> float:
    """Of the modules that say something, the share that says what was printed."""
    seen = modules != 0
    return float(np.mean(np.sign(modules[seen]) == black(PRINTED)[seen]))


@pytest.mark.parametrize("text", ["ABCDEFGHPHU2", "VYMYSLENHWPW", "222222222222"])
def test_fixed_modules_are_in_every_code(text: str) -> None:
    code = black(matrix_picture(str(MatrixCode(ReplyCode(text), 7, Side.B))))
    fixed = fixed_modules()[1:-1, 1:-1]
    assert np.array_equal(code[fixed != 0], fixed[fixed != 0])


def test_code_untouched_is_sampled_as_it_was_printed() -> None:
    found = find_matrices(grey(sheet()), [STRAIGHT])
    best = {place: next(code for code in found if code.place == place) for place in range(len(MATRICES))}
    for code in best.values():
        assert share_right(code.modules) == 1
        assert np.count_nonzero(np.abs(code.modules) > 60) > 0.95 * MATRIX_MODULES**2


@pytest.mark.parametrize(("x", "y"), [(0, 0), (5, -5), (-5.5, 3)])
def test_code_is_found_where_the_geometry_is_off(x: float, y: float) -> None:
    found = next(code for code in find_matrices(grey(sheet()), [shifted(x, y)]) if code.place == 0)
    upper_left = np.array([UPPER.x, UPPER.y]) * PIXELS_PER_MM
    assert np.hypot(*(found.corners[0] - upper_left)) < 0.25 * PIXELS_PER_MM
    assert found.sure


def test_code_half_covered_says_nothing_of_what_is_covered() -> None:
    page = grey(covered(sheet(), UPPER_HALF))
    found = next(code for code in find_matrices(page, [STRAIGHT]) if code.place == 0)
    assert [code.ours for code in read_page(page)] == [True]  # the lower one
    assert np.abs(found.modules[2:9, 2:-2]).max() == 0
    assert np.array_equal(np.sign(found.modules[14:]), black(PRINTED)[14:])


def test_code_crossed_by_strokes_is_mostly_right() -> None:
    picture = np.array(sheet())
    for step in range(8):
        start, end = (1960 + 40 * step, 100), (2240 - 30 * step, 430)
        cv2.line(picture, start, end, 20, 9)
    found = next(code for code in find_matrices(grey(Image.fromarray(picture)), [STRAIGHT]) if code.place == 0)
    assert share_right(found.modules) > 0.85


def test_code_cut_off_says_nothing_outside_of_the_picture() -> None:
    cut = UPPER.y + 8
    page = grey(sheet())[round(cut * PIXELS_PER_MM) :]
    found = next(code for code in find_matrices(page, [shifted(0, -cut)]) if code.place == 0)
    assert np.abs(found.modules[:7]).max() == 0
    assert share_right(found.modules) > 0.97


def test_code_on_bent_paper_is_sampled() -> None:
    page = grey(sheet())
    rows, columns = np.meshgrid(np.arange(page.shape[0]), np.arange(page.shape[1]), indexing="ij")
    wavy = columns + 0.6 * PIXELS_PER_MM * np.sin(rows / (6 * PIXELS_PER_MM))
    bent = cv2.remap(page, wavy.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR, borderValue=255)
    found = next(code for code in find_matrices(np.asarray(bent, np.uint8), [STRAIGHT]) if code.place == 0)
    assert share_right(found.modules) > 0.98


def test_code_is_sure_only_the_right_way_up() -> None:
    upside_down = STRAIGHT @ np.array([[-1, 0, PAGE.width], [0, -1, PAGE.height], [0, 0, 1.0]])
    found = find_matrices(grey(sheet()), [upside_down, STRAIGHT])
    assert [share_right(code.modules) for code in found if code.sure] == [1, 1]


def test_samples_are_limited() -> None:
    many = [shifted(x, y) for x in (-5, 0, 5) for y in (-5, 0, 5)]
    page = grey(covered(sheet(), UPPER_HALF, Rect(20, 262, 25, 12)))
    assert len(find_matrices(page, many)) <= MOST_SAMPLES


def test_blank_page_has_no_samples() -> None:
    assert find_matrices(grey(Image.new("L", (2480, 3508), 255)), [STRAIGHT]) == []


def test_geometry_outside_of_the_picture_gives_no_samples() -> None:
    assert find_matrices(grey(sheet()), [shifted(400, 0)]) == []

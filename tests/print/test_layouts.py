"""The layouts: sizes, distances and typefaces of the printed page, measured on it."""

from __future__ import annotations

import itertools

import pytest
from reportlab.lib.units import mm

from print.layouts import SETTINGS
from relay.domain.printing import Layout
from relay.domain.sheet import PAGE, Rect
from tests.print.letter_pdf import drawn, place_of, rules_of, type_of
from tests.print.letters import letter, pages_in, text_in

BODY = Rect(0, 30, PAGE.width, 240)


@pytest.mark.parametrize(
    ("layout", "font", "size", "frame"),
    [
        (Layout.NORMAL, "PTSerif-Regular", 12, 10.5),
        (Layout.LARGE, "PTSans-Regular", 18, 16),
        (Layout.PLAIN, "PTSans-Regular", 14, 12),
    ],
)
def test_layout_sets_text_and_frame_in_its_type(layout: Layout, font: str, size: float, frame: float) -> None:
    pdf = drawn(letter("Word", layout=layout))
    assert type_of(pdf, 0, "Word") == (font, size)
    assert type_of(pdf, 0, "page 1 of 1") == ("PTSans-Regular", frame)
    assert type_of(pdf, 0, "Max Example") == ("PTSans-Bold", frame)
    assert type_of(pdf, 0, "2222 2222 2222") == ("DejaVuSansMono-Bold", frame)


@pytest.mark.parametrize(("layout", "leading"), [(Layout.NORMAL, 6), (Layout.LARGE, 9), (Layout.PLAIN, 8)])
def test_lines_stand_as_far_apart_as_the_layout_says(layout: Layout, leading: float) -> None:
    pdf = drawn(letter("HA\nHB\nHC", layout=layout))
    bottoms = [place_of(pdf, 0, line).bottom for line in ("HA", "HB", "HC")]
    assert [lower - upper for upper, lower in itertools.pairwise(bottoms)] == [pytest.approx(leading, abs=0.2)] * 2


@pytest.mark.parametrize("layout", [Layout.LARGE, Layout.PLAIN])
@pytest.mark.parametrize(
    ("language", "word"), [("ru", "достопримечательности"), ("en", "responsibilities"), ("de", "Bürgermeisterinnen")]
)
def test_no_word_is_divided_where_reading_is_hard(layout: Layout, language: str, word: str) -> None:
    pdf = drawn(letter(f"{word} " * 60, layout=layout, sheet_language=language))
    words = " ".join(text_in(pdf, page, BODY) for page in range(pages_in(pdf))).split()
    assert words.count(word) == 60


@pytest.mark.parametrize("layout", Layout)
def test_lines_keep_within_the_margins(layout: Layout) -> None:
    setting = SETTINGS[layout]
    pdf = drawn(letter("Widewords " * 60, layout=layout))
    with_text = Rect(setting.margin - 0.5, 0, setting.width + 1, PAGE.height)
    assert text_in(pdf, 0, with_text) == text_in(pdf, 0)


def test_plain_layout_has_no_line_but_the_fold_marks() -> None:
    drawn_lines = {layout: len(rules_of(drawn(letter(layout=layout)))[0]) for layout in Layout}
    assert drawn_lines == {Layout.NORMAL: 3, Layout.LARGE: 3, Layout.PLAIN: 2}


def test_large_layout_has_short_lines_and_normal_no_more_than_85_characters() -> None:
    widths = {layout: SETTINGS[layout].width * mm for layout in Layout}
    alphabet = "the quick brown fox jumps over the lazy dog "
    count = {
        layout: widths[layout] / SETTINGS[layout].typeface.width(alphabet, SETTINGS[layout].size) * len(alphabet)
        for layout in Layout
    }
    assert [count[layout] < most for layout, most in zip(Layout, (85, 65, 75), strict=True)] == [True] * 3

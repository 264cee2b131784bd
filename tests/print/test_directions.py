"""Which way text runs."""

from __future__ import annotations

import pytest

from print.directions import directions_of, in_order_of_sight, runs_from_the_right


@pytest.mark.parametrize(
    ("text", "from_the_right", "levels"),
    [
        ("abc", False, "000"),
        ("אב", True, "11"),
        ("ab אב", False, "00011"),
        ("אב ab", True, "11122"),
        ("12 אב", True, "22111"),
        ("אב (ab) (cd)", True, "111122111221"),
        ("ب 12", True, "1122"),
        ("...", False, "000"),
    ],
)
def test_levels_of_a_paragraph(text: str, from_the_right: bool, levels: str) -> None:
    found = directions_of(text)
    assert (found.from_the_right, "".join(map(str, found.levels))) == (from_the_right, levels)


@pytest.mark.parametrize(
    ("runs", "levels", "seen"),
    [
        ("abc", [0, 0, 0], "abc"),
        ("abc", [0, 1, 0], "abc"),
        ("abc", [1, 1, 1], "cba"),
        ("abcd", [1, 2, 2, 1], "dbca"),
        ("abcde", [0, 1, 2, 1, 0], "adcbe"),
        ("", [], ""),
    ],
)
def test_runs_of_a_line_in_the_order_in_which_they_are_seen(runs: str, levels: list[int], seen: str) -> None:
    assert "".join(in_order_of_sight(runs, levels)) == seen


@pytest.mark.parametrize(("text", "found"), [("abc где 漢字 12", False), ("a ב", True), ("a ب", True), ("١", True)])
def test_text_from_the_right_is_seen(text: str, found: bool) -> None:
    assert runs_from_the_right(text) is found

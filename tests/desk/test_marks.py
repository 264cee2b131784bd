"""Words marked in their place."""

from __future__ import annotations

import pytest

from relay.desk.marks import Piece, Quote, marked, quote, remarks, spans_of
from relay.domain.letters import Span
from relay.domain.review import Finding, Severity

TEXT = "One two\nthree four five"


@pytest.mark.parametrize(
    ("spans", "pieces"),
    [
        ([], [("One two\nthree four five", False)]),
        ([(4, 7)], [("One ", False), ("two", True), ("\nthree four five", False)]),
        ([(14, 18), (4, 7)], [("One ", False), ("two", True), ("\nthree ", False), ("four", True), (" five", False)]),
        ([(0, 7), (4, 13)], [("One two", True), ("\nthree", True), (" four five", False)]),
        ([(0, 23), (4, 7)], [("One two\nthree four five", True)]),
        ([(19, 99)], [("One two\nthree four ", False), ("five", True)]),
        ([(5, 5), (30, 40)], [("One two\nthree four five", False)]),
    ],
)
def test_spans_cut_the_text_and_lose_nothing(spans: list[tuple[int, int]], pieces: list[tuple[str, bool]]) -> None:
    found = marked(TEXT, [Span(start=start, end=end) for start, end in spans])
    assert found == [Piece(text, is_marked) for text, is_marked in pieces]
    assert "".join(piece.text for piece in found) == TEXT


def test_empty_text_has_no_pieces() -> None:
    assert marked("", [Span(start=0, end=3)]) == []


def test_quote_shows_the_line_and_its_number() -> None:
    assert quote(TEXT, 14, 18) == Quote(2, "three ", "four", " five")


def test_quote_over_a_line_break_shows_both_lines() -> None:
    assert quote(TEXT, 4, 13) == Quote(1, "One ", "two\nthree", " four five")


def test_quote_from_a_long_line_is_cut_between_words() -> None:
    text = "before " * 20 + "HERE" + " after" * 20
    assert quote(text, 140, 144) == Quote(
        1, "… before before before before ", "HERE", " after after after after after …"
    )


def test_long_words_are_cut_too() -> None:
    text = "word " * 100
    assert quote(text, 0, 499).words == "word " * 24 + "word …"


def test_same_remark_is_made_once_with_all_its_places_and_the_heaviest_first() -> None:
    found = remarks(
        TEXT,
        [
            Finding("length", Severity.INFO, 0, 0, "It is long."),
            Finding("numbers", Severity.WARN, 4, 7, "A number."),
            Finding("bad", Severity.BLOCK, 8, 13, "A bad word."),
            Finding("numbers", Severity.WARN, 14, 18, "A number."),
        ],
    )
    assert [(remark.severity, remark.sentence, [place.words for place in remark.quotes]) for remark in found] == [
        (Severity.BLOCK, "A bad word.", ["three"]),
        (Severity.WARN, "A number.", ["two", "four"]),
        (Severity.INFO, "It is long.", []),
    ]


def test_places_beyond_the_fifth_are_counted() -> None:
    (found,) = remarks("a " * 9, [Finding("a", Severity.INFO, 2 * n, 2 * n + 1, "An a.") for n in range(9)])
    assert (len(found.quotes), found.more) == (5, 4)


def test_places_of_findings() -> None:
    assert spans_of([Finding("a", Severity.INFO, 4, 7, "")]) == [Span(start=4, end=7)]

"""Findings are marked on the exact words, however they overlap, and covered words stay covered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from censor_queue.marking import Piece, pieces, still_open
from relay.domain.letters import COVER, Span, words_of
from relay.domain.review import Finding, Severity

TEXT = "one two three four"


def finding(start: int, end: int, severity: Severity = Severity.WARN) -> Finding:
    return Finding("rule", severity, start, end, "why")


def marked(*findings: Finding, covered: tuple[Span, ...] = ()) -> list[tuple[str, Severity | None]]:
    """The text of the pieces and how heavy they are."""
    return [(piece.text, piece.severity) for piece in pieces(TEXT, findings, covered)]


def test_text_without_findings_is_one_piece() -> None:
    assert list(pieces(TEXT, [], [])) == [Piece(TEXT, None, False, (), ())]
    assert list(pieces("", [], [])) == []


def test_finding_about_the_whole_letter_marks_nothing() -> None:
    assert marked(finding(0, 0), finding(4, 4)) == [(TEXT, None)]


def test_finding_marks_its_words() -> None:
    assert list(pieces(TEXT, [finding(4, 7)], [])) == [
        Piece("one ", None, False, (), ()),
        Piece("two", Severity.WARN, False, (1,), (1,)),
        Piece(" three four", None, False, (), ()),
    ]


def test_heavier_of_two_findings_shows_where_they_overlap() -> None:
    light, heavy = finding(0, 7, Severity.INFO), finding(4, 13, Severity.BLOCK)
    assert list(pieces(TEXT, [light, heavy], [])) == [
        Piece("one ", Severity.INFO, False, (1,), ()),
        Piece("two", Severity.BLOCK, False, (2,), (1,)),
        Piece(" three", Severity.BLOCK, False, (), (2,)),
        Piece(" four", None, False, (), ()),
    ]


def test_findings_on_the_same_words_are_both_numbered() -> None:
    same = list(pieces(TEXT, [finding(0, 3), finding(0, 3, Severity.INFO)], []))
    assert same[0] == Piece("one", Severity.WARN, False, (1, 2), (1, 2))


def test_covered_word_is_a_box_that_no_finding_cuts() -> None:
    two = Span(start=4, end=7)
    # One finding begins inside of the word, one ends inside of it.
    assert marked(finding(5, 13), finding(0, 6), covered=(two,)) == [
        ("one ", Severity.WARN),
        (COVER, Severity.WARN),
        (" three", Severity.WARN),
        (" four", None),
    ]


def test_finding_is_settled_when_all_of_its_words_are_covered() -> None:
    one, two = Span(start=0, end=3), Span(start=4, end=7)
    both, whole = finding(0, 7), finding(0, 0)
    assert still_open(TEXT, [both, whole], [one]) == [both, whole]
    assert still_open(TEXT, [both, whole], [one, two]) == [whole]


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[Finding], list[Span]]:
    text = draw(st.text(st.sampled_from("ab \n<"), max_size=30))
    place = st.integers(0, len(text))
    found = draw(st.lists(st.tuples(place, place, st.sampled_from(Severity)), max_size=5))
    words = words_of(text)
    covered = draw(st.lists(st.sampled_from(words), unique=True)) if words else []
    return text, [finding(min(a, b), max(a, b), severity) for a, b, severity in found], covered


@given(marked_texts())
def test_pieces_are_the_text_whatever_overlaps(case: tuple[str, list[Finding], list[Span]]) -> None:
    text, findings, covered = case
    shown = list(pieces(text, findings, covered))
    expected, at = "", 0
    for span in sorted(covered, key=lambda span: span.start):
        expected, at = expected + text[at : span.start] + COVER, span.end
    assert "".join(piece.text for piece in shown) == expected + text[at:]
    assert sum(piece.covered for piece in shown) == len(covered)
    pointing = [number for number, one in enumerate(findings, 1) if one.start < one.end]
    assert sorted(number for piece in shown for number in piece.begins) == pointing
    assert sorted(number for piece in shown for number in piece.ends) == pointing

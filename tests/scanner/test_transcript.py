"""What is shown of recognised words."""

from __future__ import annotations

import pytest

from relay.domain.letters import Word as Shown
from relay.domain.reply_code import Side
from relay.domain.sheet import HEADER, READABLE, TICKS, WRITING, Rect
from scanner.geometry import Geometry, pixels
from scanner.tesseract import Word
from scanner.transcript import GAP, transcript


def word(text: str, confidence: float = 90, line: int = 0, at: Rect = WRITING) -> Word:
    """A recognised word in the middle of this place."""
    left, top, right, bottom = pixels(at)
    return Word(
        text, confidence, ((left + right) // 2 - 50, (top + bottom) // 2 - 20, (left + right) // 2 + 50, bottom), line
    )


def read(*words: Word, geometry: Geometry = Geometry.AS_IT_CAME, side: Side | None = None) -> list[list[str]]:
    """The transcript as lists of text, doubtful words with a question mark."""
    return [[f"{w.text}?" if w.doubtful else w.text for w in line] for line in transcript(words, geometry, side)]


@pytest.mark.parametrize(
    ("confidence", "shown"),
    [
        (100, ["sure", "bread"]),
        (60, ["sure", "bread"]),
        (59.9, ["sure", "bread?"]),
        (35, ["sure", "bread?"]),
        (34.9, ["sure", "…"]),
    ],
)
def test_transcript_shows_doubts_and_hides_guesses(confidence: float, shown: list[str]) -> None:
    assert read(word("sure"), word("bread", confidence)) == [shown]


def test_transcript_several_hidden_words_are_one_gap() -> None:
    assert transcript([word("a", 5), word("b", 5), word("c"), word("d", 5)], Geometry.AS_IT_CAME, None) == (
        (GAP, Shown(text="c", doubtful=False), GAP),
    )


def test_transcript_keeps_lines_and_drops_those_with_nothing_to_show() -> None:
    assert read(word("one", line=0), word("xx", 10, line=1), word("two", line=2)) == [["one"], ["two"]]


def test_transcript_of_specks_has_no_words() -> None:
    assert read(word("—"), word("|."), word("good")) == [["good"]]


def test_transcript_of_a_page_that_is_mostly_guesses_is_unreadable() -> None:
    assert read(word("sure"), *(word("guess", 50) for _ in range(6))) == []


def test_transcript_without_words_is_unreadable() -> None:
    assert read() == []


@pytest.mark.parametrize("place", [HEADER, READABLE[0], READABLE[1], TICKS])
def test_transcript_of_a_sheet_leaves_out_what_is_printed(place: Rect) -> None:
    words = [word("printed", at=place), word("written")]
    assert read(*words, geometry=Geometry.SHEET, side=Side.A) == [["written"]]


def test_transcript_of_the_second_side_has_the_lines_in_place_of_the_tick_boxes() -> None:
    below = word("below", at=Rect(TICKS.x, WRITING.bottom + 1, 100, 8))
    assert read(below, geometry=Geometry.SHEET, side=Side.B) == [["below"]]
    assert read(below, geometry=Geometry.SHEET, side=Side.A) == []
    assert read(below, geometry=Geometry.SHEET, side=None) == []


def test_transcript_of_another_page_has_all_its_words() -> None:
    assert read(word("above", at=HEADER), geometry=Geometry.AS_IT_CAME) == [["above"]]

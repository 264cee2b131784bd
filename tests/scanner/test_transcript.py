"""What is shown of recognised words."""

from __future__ import annotations

import pytest

from relay.domain.letters import Word as Shown
from relay.domain.reply_code import Side
from relay.domain.sheet import (
    HEADER,
    INSTRUCTIONS,
    LINES_FOR_TICKS,
    READABLE,
    RETURN_ADDRESS,
    RULE,
    TICKS,
    WRITING,
    Rect,
)
from scanner.geometry import Geometry, pixels
from scanner.recognition import Box, Word
from scanner.transcript import GAP, transcript, writing_area

SIZE = (2480, 3508)


def word(text: str, confidence: float = 90, line: int = 0, box: Box = (248, 351, 496, 702)) -> Word:
    """A recognised word."""
    return Word(text, confidence, box, line)


def printed(text: str, at: Rect) -> Word:
    """A word in the middle of this place of a sheet."""
    left, top, right, bottom = pixels(at)
    return word(text, box=((left + right) // 2 - 50, (top + bottom) // 2 - 20, (left + right) // 2 + 50, bottom))


def read(*words: Word, area: Box | None = None) -> list[list[str]]:
    """The transcript as lists of text, doubtful words with a question mark."""
    return [[f"{w.text}?" if w.doubtful else w.text for w in line] for line in transcript(words, SIZE, area)]


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


def test_transcript_words_have_their_places_as_shares_of_the_page() -> None:
    assert transcript([word("sure"), word("bread", 40, box=(1240, 1754, 2480, 3508))], SIZE) == (
        (
            Shown(text="sure", doubtful=False, box=(0.1, 0.1001, 0.2, 0.2001)),
            Shown(text="bread", doubtful=True, box=(0.5, 0.5, 1, 1)),
        ),
    )


def test_transcript_several_hidden_words_are_one_gap_where_they_stand() -> None:
    hidden = [word("a", 5, box=(0, 0, 248, 351)), word("b", 5, box=(620, 0, 1240, 1754))]
    assert transcript([*hidden, word("c"), word("d", 5, box=(0, 0, 2480, 3508))], SIZE) == (
        (
            Shown(text=GAP, doubtful=False, box=(0, 0, 0.5, 0.5)),
            Shown(text="c", doubtful=False, box=(0.1, 0.1001, 0.2, 0.2001)),
            Shown(text=GAP, doubtful=False, box=(0, 0, 1, 1)),
        ),
    )


def test_transcript_keeps_lines_and_drops_those_with_nothing_to_show() -> None:
    assert read(word("one", line=0), word("xx", 10, line=1), word("two", line=2)) == [["one"], ["two"]]


def test_transcript_of_specks_has_no_words() -> None:
    assert read(word("—"), word("|."), word("good")) == [["good"]]


def test_transcript_of_a_page_that_is_mostly_guesses_is_unreadable() -> None:
    assert read(word("sure"), *(word("guess", 50) for _ in range(6))) == []


def test_transcript_without_words_is_unreadable() -> None:
    assert read() == []


@pytest.mark.parametrize("side", [Side.A, Side.B, None])
@pytest.mark.parametrize("place", [HEADER, INSTRUCTIONS, RETURN_ADDRESS, *READABLE])
def test_transcript_of_a_sheet_leaves_out_what_is_printed(place: Rect, side: Side | None) -> None:
    words = [printed("printed", place), printed("written", WRITING)]
    assert read(*words, area=writing_area(Geometry.SHEET, side)) == [["written"]]


def test_transcript_of_the_second_side_has_the_lines_in_place_of_the_tick_boxes() -> None:
    below = printed("below", Rect(TICKS.x, WRITING.bottom + 5, 100, 8))
    assert read(below, area=writing_area(Geometry.SHEET, Side.B)) == [["below"]]
    assert read(below, area=writing_area(Geometry.SHEET, Side.A)) == []
    assert read(below, area=writing_area(Geometry.SHEET, None)) == []


def test_transcript_of_another_page_has_all_its_words() -> None:
    assert read(printed("above", HEADER), area=writing_area(Geometry.AS_IT_CAME, None)) == [["above"]]


@pytest.mark.parametrize(
    ("side", "printed_below"), [(Side.A, TICKS.y + 2), (Side.B, RETURN_ADDRESS.y), (None, TICKS.y + 2)]
)
def test_writing_area_holds_all_lines_and_nothing_printed(side: Side | None, printed_below: float) -> None:
    area = writing_area(Geometry.SHEET, side)
    assert area is not None
    ruled = pixels(Rect(WRITING.x, WRITING.y, WRITING.width, WRITING.height + LINES_FOR_TICKS * RULE * (side == "B")))
    assert (area[0] < ruled[0], area[1] < ruled[1], area[2] > ruled[2], area[3] > ruled[3]) == (True,) * 4
    _, top, _, _ = pixels(Rect(0, printed_below, 1, 1))
    assert (area[1] >= pixels(INSTRUCTIONS)[3], area[3] < top) == (True, True)
    assert (area[0] > 0, area[2] < SIZE[0]) == (True, True)


@pytest.mark.parametrize(
    ("language", "doubtful"),
    [("ru", ["HOG", "KУ"]), ("en", ["KУ"]), ("", ["KУ"])],
)
def test_words_of_the_wrong_script_are_doubtful(language: str, doubtful: list[str]) -> None:
    words = [word("Привет"), word("HOG"), word("KУ"), word("2031"), word("hello" if language != "ru" else "да")]
    (line,) = transcript(words, SIZE, language=language)
    assert [shown.text for shown in line if shown.doubtful] == doubtful

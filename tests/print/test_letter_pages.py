"""The letter on paper: the words that were typed, line for line, and the frame that names its pages."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from reportlab.lib.units import mm

from print.fonts import SERIF
from print.letter_pages import (
    DATE_LINES,
    FOOTER_BASELINE,
    HEADER_RULE,
    LINES,
    MARGIN,
    TEXT_SIZE,
    WIDTH,
    page_count,
    pages_of,
    wrapped,
)
from print.rendering import render
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import cut, letter, pages_in, picture_of, text_in

HEADER = Rect(0, 0, PAGE.width, HEADER_RULE)
BODY = Rect(0, HEADER_RULE, PAGE.width, FOOTER_BASELINE - 5 - HEADER_RULE)
FOOTER = Rect(0, FOOTER_BASELINE - 5, PAGE.width, 15)


@pytest.mark.parametrize(
    "text",
    [
        "Dear Max,\n\nthank you for your letter. It came on Monday; the cat has read it too.\n\nYours, Anna",
        "Здравствуй, Алексей!\n\nСъешь ещё этих мягких французских булок, да выпей же чаю — «вот так».",
        "Größe, Straße; Åsa åt räksmörgås på ön. ❤ → ½ č",
        'stray </b> &amp; & <b>bold</b> <img src="/etc/hostname"> <font color="red"> {name} %s (brackets) \\n',
    ],
)
def test_text_of_the_page_equals_the_typed_text(text: str) -> None:
    typed = " ".join(text.split())
    assert text_in(render([letter(text)]), 0, BODY) == f"22 November 2025 {typed} Letter from Anna Invented"


def test_header_and_footer_name_prisoner_page_and_code_on_every_page() -> None:
    pdf = render([letter("word " * 1500)])
    assert page_count(letter("word " * 1500)) == 3
    assert [text_in(pdf, place, HEADER) for place in (0, 2, 4)] == [
        "Max Example page 1 of 3",
        "Max Example page 2 of 3",
        "Max Example page 3 of 3",
    ]
    assert [text_in(pdf, place, FOOTER) for place in (0, 2, 4)] == ["Reply code 2222 2222 2222"] * 3


def test_date_is_on_the_first_page_and_sender_on_the_last() -> None:
    pdf = render([letter("word " * 1000)])
    texts = [text_in(pdf, place) for place in (0, 2)]
    assert ["22 November 2025" in text for text in texts] == [True, False]
    assert ["Letter from Anna Invented" in text for text in texts] == [False, True]


@pytest.mark.parametrize(
    ("language", "date"),
    [("ru", "22 ноября 2025 г."), ("en", "22 November 2025"), ("de", "22. November 2025"), ("sv", "22 november 2025")],
)
def test_date_is_written_in_the_language_of_the_sheet(language: str, date: str) -> None:
    assert text_in(render([letter("x", sheet_language=language)]), 0, BODY).startswith(f"{date} x ")


def test_line_breaks_and_indents_of_the_writer_are_kept() -> None:
    assert pages_of("one\n  two\n\n\n\tthree  \n\n") == [["one", "  two", "", "", "    three"]]


def test_long_line_is_broken_at_spaces() -> None:
    lines = list(wrapped("The quick brown fox jumps over the lazy dog. " * 4))
    assert len(lines) > 1
    assert " ".join(lines) == ("The quick brown fox jumps over the lazy dog. " * 4).strip()


def test_word_of_20000_characters_is_split_and_whole() -> None:
    word = "абвгдеёжзи" * 2000
    lines = [line for page in pages_of(word) for line in page]
    assert "".join(lines) == word
    assert max(SERIF.width(line, TEXT_SIZE) for line in lines) <= WIDTH * mm
    pdf = render([letter(word)])
    printed = "".join(text_in(pdf, place, BODY) for place in range(0, pages_in(pdf) - 2, 2)).replace(" ", "")
    assert printed == f"22November2025{word}LetterfromAnnaInvented"


@given(st.text(alphabet="abцщ W.,-—\n\té", max_size=600))
def test_no_word_is_lost_and_no_line_is_too_long(text: str) -> None:
    pages = pages_of(text)
    lines = [line for page in pages for line in page]
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(SERIF.width(line, TEXT_SIZE) <= WIDTH * mm for line in lines)
    assert [len(page) <= LINES - (number == 0) * DATE_LINES for number, page in enumerate(pages)] == [True] * len(pages)


def test_page_begins_with_no_blank_line_however_many_were_typed() -> None:
    pages = pages_of("one" + "\n" * 10_000 + "two")
    assert [page[0] for page in pages] == ["one", "two"]


@pytest.mark.parametrize(
    ("lines", "pages"), [(1, 1), (LINES - DATE_LINES, 1), (LINES - DATE_LINES + 1, 2), (2 * LINES - DATE_LINES, 2)]
)
def test_page_count_grows_when_a_page_is_full(lines: int, pages: int) -> None:
    assert page_count(letter("\n".join(["x"] * lines))) == pages


def test_full_page_leaves_its_margins_white() -> None:
    page = picture_of(render([letter("\n".join(["WWWW " * 40] * LINES), prisoner_name="Long Name " * 30)]), 0)
    white = 20.0
    for area in (
        Rect(0, 0, PAGE.width, white),
        Rect(0, 0, MARGIN - 1, PAGE.height),
        Rect(PAGE.width - MARGIN + 1, 0, MARGIN - 1, PAGE.height),
        Rect(0, PAGE.height - white + 1.5, PAGE.width, white - 1.5),
    ):
        assert cut(page, area).min() == 255


def test_empty_letter_is_one_page() -> None:
    assert page_count(letter("")) == 1
    assert text_in(render([letter("")]), 0, BODY) == "22 November 2025 Letter from Anna Invented"

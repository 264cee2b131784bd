"""Group cards: the messages of several senders on one sheet."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from print.layouts import HEADER_RULE, SETTINGS
from print.letter_pages import page_count
from relay.domain.letter_pages import Greeting, LetterToPrint
from relay.domain.printing import Layout, PrintRules, Window
from relay.domain.sheet import PAGE, Rect
from tests.print.letter_pdf import drawn, place_of, rules_of
from tests.print.letters import letter, pages_in, text_in

BODY = Rect(0, HEADER_RULE, PAGE.width, 245)
NOTE = "An answer on the reply sheet goes to all who wrote on this card."
MIDDLE = PAGE.width / 2


def card(*greetings: tuple[str, str], **changes: object) -> LetterToPrint:
    """A card with these names and messages."""
    fields = {"printed_name": "", "greetings": tuple(Greeting(name, text) for name, text in greetings)}
    return letter("", **(fields | changes))


def short(count: int) -> list[tuple[str, str]]:
    """Messages of one line, each another."""
    return [(f"Invented-{number:03}", f"Hug-{number:03} from us all!") for number in range(count)]


def long(count: int) -> list[tuple[str, str]]:
    """Messages of several lines, each another."""
    return [(f"Invented-{number:03}", f"Begin-{number:03} {'word ' * 30}End-{number:03}") for number in range(count)]


def places(pdf: bytes, words: str) -> tuple[int, Rect]:
    """The page on which these words stand, and where."""
    for page in range(pages_in(pdf)):
        if words in text_in(pdf, page):
            return page, place_of(pdf, page, words)
    raise LookupError(words)


@pytest.mark.parametrize("layout", Layout)
def test_each_message_stands_with_the_name_of_its_sender_under_one_note(layout: Layout) -> None:
    pdf = drawn(card(("Anna Invented", "Happy birthday!"), ("Peter <b>", "Stay\n\nstrong & well"), layout=layout))
    words = text_in(pdf, 0, BODY)
    assert sorted(words.split()) == sorted(
        f"{NOTE} 22 November 2025 Happy birthday! Anna Invented Stay strong & well Peter <b>".split()
    )
    assert words.endswith("Happy birthday! Anna Invented Stay strong & well Peter <b>")


def test_card_has_the_frame_of_a_letter() -> None:
    one = card(*long(60), copy=True)
    pdf = drawn(one)
    count = pages_in(pdf)
    assert (count > 1, page_count(one)) == (True, count)
    assert [text_in(pdf, page, Rect(0, 0, PAGE.width, HEADER_RULE)) for page in range(count)] == [
        f"Max Example COPY page {page + 1} of {count}" for page in range(count)
    ]


def test_card_without_a_reply_sheet_says_nothing_of_answers() -> None:
    words = text_in(drawn(card(("Anna Invented", "Hello!"), reply_sheets=0)), 0, BODY)
    assert words == "22 November 2025 Hello! Anna Invented"


def test_few_messages_stand_in_one_column_and_many_in_two_on_the_same_sheet() -> None:
    few, many = drawn(card(*short(5))), drawn(card(*short(22)))
    assert (pages_in(few), pages_in(many)) == (1, 1)
    assert [places(few, name)[1].x < MIDDLE for name, _ in short(5)] == [True] * 5
    assert [places(many, name)[1].x < MIDDLE for name, _ in short(22)] == [True] * 11 + [False] * 11


@pytest.mark.parametrize("layout", [Layout.LARGE, Layout.PLAIN])
def test_layouts_for_poor_eyes_have_one_column(layout: Layout) -> None:
    pdf = drawn(card(*short(22), layout=layout))
    assert [places(pdf, name)[1].x < MIDDLE for name, _ in short(22)] == [True] * 22


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("count", [1, 3, 12, 40])
def test_message_and_name_stay_together(layout: Layout, count: int) -> None:
    pdf = drawn(card(*long(count), layout=layout))
    for number, (name, _) in enumerate(long(count)):
        begin, end, sender = (places(pdf, words) for words in (f"Begin-{number:03}", f"End-{number:03}", name))
        assert begin[0] == end[0] == sender[0]
        assert begin[1].y < end[1].y < sender[1].y
        assert math.floor(begin[1].x / MIDDLE) == math.floor(sender[1].x / MIDDLE)


def test_columns_of_a_last_page_are_even() -> None:
    pdf = drawn(card(*short(40)))
    last = pages_in(pdf) - 1
    lowest = {False: 0.0, True: 0.0}
    for name, _ in short(40):
        page, place = places(pdf, name)
        if page == last:
            lowest[place.x > MIDDLE] = max(lowest[place.x > MIDDLE], place.bottom)
    assert abs(lowest[True] - lowest[False]) < 3 * SETTINGS[Layout.NORMAL].leading + 0.5


def test_rule_stands_between_messages_and_nowhere_else() -> None:
    pdf = drawn(card(("Anna Invented", "One"), ("Peter Placeholder", "Two"), ("Zoë Example", "Three")))
    rules = [rule for rule in rules_of(pdf)[0] if rule.x > 20 and rule.y > HEADER_RULE + 1]
    names = [place_of(pdf, 0, name) for name in ("Anna Invented", "Peter Placeholder", "Zoë Example")]
    assert len(rules) == 2
    for rule, above, below in zip(rules, names, ("Two", "Three"), strict=False):
        assert above.bottom < rule.y < rule.bottom < place_of(pdf, 0, below).y


def test_message_longer_than_a_page_goes_on_on_the_next() -> None:
    text = " ".join(f"w{number}" for number in range(2000))
    pdf = drawn(card(("Anna Invented", text), ("Peter Placeholder", "Hello!")))
    words = " ".join(text_in(pdf, page, BODY) for page in range(pages_in(pdf)))
    for each in text.split():
        assert f" {each} " in words
    assert words.endswith("Anna Invented Hello! Peter Placeholder")


def test_card_keeps_clear_of_the_window() -> None:
    pdf = drawn(card(*short(3), address=("Max Example", "Example Prison"), rules=PrintRules(window=Window.DIN5008_B)))
    assert place_of(pdf, 0, NOTE).y > place_of(pdf, 0, "Example Prison").bottom + 20
    assert place_of(pdf, 0, "Hug-000").y > place_of(pdf, 0, NOTE).bottom


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.sampled_from(Layout))
def test_no_message_is_lost_whatever_their_lengths(lengths: list[int], layout: Layout) -> None:
    greetings = [(f"N{number}", f"b{number} {'w ' * length}e{number}") for number, length in enumerate(lengths)]
    pdf = drawn(card(*greetings, layout=layout))
    words = " ".join(text_in(pdf, page, BODY) for page in range(pages_in(pdf))).split()
    typed = " ".join(f"{text} {name}" for name, text in greetings).split()
    assert words[-len(typed) :] == typed

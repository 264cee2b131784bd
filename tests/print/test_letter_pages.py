"""The letter on paper: the words that were typed, line for line, the frame that names its pages, folds and windows."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from reportlab.lib.units import mm

from print.fonts import SERIF, unprintable
from print.layouts import DATE_LINES, FOOTER_BASELINE, HEADER_RULE, SENDER_LINES, SETTINGS
from print.letter_pages import FOLD_MARK, page_count, page_count_of
from relay.domain.envelopes import WINDOWS, NoSuchWindowError, address_area, fold_marks, play, seen, sender_line
from relay.domain.letter_pages import LetterToPrint
from relay.domain.printing import EnvelopeFormat, Layout, PrintRules, Window
from relay.domain.sheet import PAGE, Rect
from tests.print.letter_pdf import drawn, place_of, rules_of
from tests.print.letters import cut, letter, pages_in, picture_of, text_in

NORMAL = SETTINGS[Layout.NORMAL]
LINES = NORMAL.rows(38) - SENDER_LINES
"""Lines of a page after the first."""
HEADER = Rect(0, 0, PAGE.width, HEADER_RULE)
BODY = Rect(0, HEADER_RULE, PAGE.width, FOOTER_BASELINE - 5 - HEADER_RULE)
FOOTER = Rect(0, FOOTER_BASELINE - 5, PAGE.width, 15)
ADDRESS = ("Max Example", "Example Prison", "Invented Street 1", "11111 Exampleville", "EXAMPLELAND")
FOLDED = {
    None: PrintRules(),
    "DIN A": PrintRules(window=Window.DIN5008_A),
    "DIN B": PrintRules(window=Window.DIN5008_B),
    "C6": PrintRules(envelope=EnvelopeFormat.C6),
    "C4": PrintRules(envelope=EnvelopeFormat.C4),
}


def body_of(pdf: bytes) -> str:
    """The words of all pages between head and foot."""
    return " ".join(text_in(pdf, page, BODY) for page in range(pages_in(pdf)))


def lines_of(pdf: bytes, page: int) -> list[str]:
    """The lines of a page between head and foot, by where they stand."""
    step = NORMAL.leading
    tops = [38 + row * step - step * 0.75 for row in range(NORMAL.rows(38))]
    return [text_in(pdf, page, Rect(0, top, PAGE.width, step - 0.5)) for top in tops]


@pytest.mark.parametrize(
    "text",
    [
        "Dear Max,\n\nthank you for your letter. It came on Monday; the cat has read it too.\n\nYours, Anna",
        "Здравствуй, Алексей!\n\nСъешь ещё этих мягких французских булок, да выпей же чаю — «вот так».",
        "Größe, Straße; Åsa åt räksmörgås på ön. ❤ → ½ č",
        'stray </b> &amp; & <b>bold</b> <img src="/etc/hostname"> <font color="red"> {name} %s (brackets) \\n',
    ],
)
@pytest.mark.parametrize("layout", Layout)
def test_text_of_the_page_equals_the_typed_text(text: str, layout: Layout) -> None:
    typed = " ".join(text.split())
    assert body_of(drawn(letter(text, layout=layout))) == f"22 November 2025 {typed} Letter from Anna Invented"


def test_header_and_footer_name_prisoner_page_and_code_on_every_page() -> None:
    pdf = drawn(letter("word " * 1500))
    assert page_count(letter("word " * 1500)) == 3
    assert [text_in(pdf, place, HEADER) for place in range(3)] == [
        "Max Example page 1 of 3",
        "Max Example page 2 of 3",
        "Max Example page 3 of 3",
    ]
    assert [text_in(pdf, place, FOOTER) for place in range(3)] == ["Reply code 2222 2222 2222"] * 3


@pytest.mark.parametrize("layout", Layout)
def test_copy_says_so_in_its_head_and_is_else_the_same(layout: Layout) -> None:
    first, again = (drawn(letter("word " * 1000, layout=layout, copy=copy)) for copy in (False, True))
    count = pages_in(first)
    assert [text_in(again, page, HEADER) for page in range(count)] == [
        f"Max Example COPY page {page + 1} of {count}" for page in range(count)
    ]
    for area in (BODY, FOOTER):
        assert [text_in(again, page, area) for page in range(count)] == [
            text_in(first, page, area) for page in range(count)
        ]


def test_long_name_of_a_prisoner_leaves_the_rest_of_the_head_readable() -> None:
    name = "Long Name " * 30
    pdf = drawn(letter(prisoner_name=name, copy=True))
    assert text_in(pdf, 0, HEADER) == f"{name.strip()} COPY page 1 of 1"
    assert place_of(pdf, 0, name.strip()).right < place_of(pdf, 0, "COPY").x


def test_date_is_on_the_first_page_and_sender_on_the_last() -> None:
    pdf = drawn(letter("word " * 1000))
    texts = [text_in(pdf, place) for place in range(2)]
    assert ["22 November 2025" in text for text in texts] == [True, False]
    assert ["Letter from Anna Invented" in text for text in texts] == [False, True]


@pytest.mark.parametrize(
    ("language", "date"),
    [("ru", "22 ноября 2025 г."), ("en", "22 November 2025"), ("de", "22. November 2025"), ("sv", "22 november 2025")],
)
def test_date_is_written_in_the_language_of_the_sheet(language: str, date: str) -> None:
    assert body_of(drawn(letter("x", sheet_language=language))).startswith(f"{date} x ")


def test_line_breaks_and_indents_of_the_writer_are_kept() -> None:
    pdf = drawn(letter("one\n  two\r\n\n\r\tthree  \n\n"))
    assert lines_of(pdf, 0)[:8] == ["22 November 2025", "", "one", "two", "", "", "three", ""]
    space = SERIF.width(" ", NORMAL.size) / mm
    indents = [place_of(pdf, 0, word).x - place_of(pdf, 0, "one").x for word in ("two", "three")]
    assert indents == pytest.approx([2 * space, 4 * space], abs=0.5)


def test_long_line_is_broken_and_loses_nothing() -> None:
    typed = ("The quick brown fox jumps over the lazy dog. " * 4).strip()
    pdf = drawn(letter(typed))
    assert [bool(line) for line in lines_of(pdf, 0)[:6]] == [True, False, True, True, True, False]
    assert in_order(body_of(pdf)) == in_order(f"22 November 2025 {typed} Letter from Anna Invented")


def test_word_of_20000_characters_is_split_and_whole() -> None:
    word = "абвгдеёжзи" * 2000
    pdf = drawn(letter(word))
    assert in_order(body_of(pdf)) == f"22November2025{word}LetterfromAnnaInvented"
    for page in range(pages_in(pdf)):
        assert cut(picture_of(pdf, page), Rect(NORMAL.right + 0.5, 0, 20, PAGE.height)).min() == 255


def in_order(text: str) -> str:
    """The characters of a text without spaces, and without hyphens, which stand at the end of divided words too."""
    composed = unicodedata.normalize("NFKC", text)
    return "".join(each for each in composed if not each.isspace() and each not in "-\u2010\u00ad\u0002\ufffe")


LEFT_TO_RIGHT = [
    character
    for character in map(chr, range(32, sys.maxunicode))
    if unicodedata.bidirectional(character) == "L" or character in " .,;:!?()«»„“”‘’&<>%0123456789"
    if unicodedata.category(character)[0] in "LNPSZ" and not unprintable(character)
    if not "\U000111e1" <= character <= "\U000111f4"  # pdfium, which reads here, drops /ActualText beyond U+FFFF
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.sampled_from(LEFT_TO_RIGHT), min_size=1, max_size=30), min_size=1, max_size=200),
    st.sampled_from(Layout),
)
def test_words_of_any_printable_text_come_out_in_order(words: list[str], layout: Layout) -> None:
    text = " ".join(words)
    pdf = drawn(letter(text, layout=layout))
    assert in_order(body_of(pdf)) == in_order(f"22 November 2025 {text} Letter from Anna Invented")


def test_page_begins_with_no_blank_line_however_many_were_typed() -> None:
    pdf = drawn(letter("one" + "\n" * 10_000 + "two"))
    assert [text_in(pdf, page, BODY) for page in range(pages_in(pdf))] == [
        "22 November 2025 one",
        "two Letter from Anna Invented",
    ]
    assert lines_of(pdf, 1)[0] == "two"


PARAGRAPH = "WORD " * 40
"""Four lines."""


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        (LINES - DATE_LINES - 1, 0),
        (LINES - DATE_LINES - 2, 2),
        (LINES - DATE_LINES - 3, 2),
        (LINES - DATE_LINES - 4, 4),
    ],
)
def test_no_single_line_of_a_paragraph_stands_at_the_end_or_the_beginning_of_a_page(before: int, lines: int) -> None:
    pdf = drawn(letter("x\n" * before + PARAGRAPH))
    found = [sum("WORD" in line for line in lines_of(pdf, page)) for page in range(pages_in(pdf))]
    assert [count for count in found if count] == [count for count in (lines, 4 - lines) if count]


@pytest.mark.parametrize("layout", Layout)
def test_sender_stands_on_the_page_of_the_last_line_clear_of_the_foot(layout: Layout) -> None:
    setting = SETTINGS[layout]
    lines = setting.rows(38) - SENDER_LINES - DATE_LINES
    pdf = drawn(letter("\n".join(["x"] * (lines - 1) + ["last"]), layout=layout))
    sender, foot, last = (place_of(pdf, 0, words) for words in ("Letter from Anna Invented", "Reply code", "last"))
    assert (pages_in(pdf), sender.bottom + 4 < foot.y, last.bottom + setting.leading < sender.y) == (1, True, True)
    assert pages_in(drawn(letter("\n".join(["x"] * (lines + 1)), layout=layout))) == 2


@pytest.mark.parametrize(
    ("lines", "pages"), [(1, 1), (LINES - DATE_LINES, 1), (LINES - DATE_LINES + 1, 2), (2 * LINES - DATE_LINES, 2)]
)
def test_page_count_grows_when_a_page_is_full(lines: int, pages: int) -> None:
    text = "\n".join(["x"] * lines)
    assert (page_count(letter(text)), page_count_of(text), pages_in(drawn(letter(text)))) == (pages, pages, pages)


def test_page_count_of_a_text_that_cannot_be_printed_counts_its_characters_as_blocks() -> None:
    lines = LINES - DATE_LINES
    assert [page_count_of("\n".join(["\ue000\x00"] * many)) for many in (lines, lines + 1)] == [1, 2]


def test_page_count_of_a_text_whose_marks_stand_on_what_cannot_be_printed() -> None:
    assert page_count_of("\ue000\u0591") == 1


def test_page_count_of_a_text_knows_the_layout() -> None:
    text = "word " * 900
    assert {layout: page_count_of(text, layout=layout) for layout in Layout} == {
        layout: page_count(letter(text, layout=layout)) for layout in Layout
    }


def test_full_page_leaves_its_margins_white() -> None:
    text = "\n".join(["WWWW " * 40] * LINES)
    page = picture_of(drawn(letter(text, prisoner_name="Long Name " * 30, rules=FOLDED["C4"])), 0)
    white = 20.0
    for area in (
        Rect(0, 0, PAGE.width, white),
        Rect(0, 0, NORMAL.margin - 1, PAGE.height),
        Rect(NORMAL.right + 1, 0, NORMAL.margin - 1, PAGE.height),
        Rect(0, PAGE.height - white + 1.5, PAGE.width, white - 1.5),
    ):
        assert cut(page, area).min() == 255


def test_empty_letter_is_one_page() -> None:
    assert page_count(letter("")) == 1
    assert body_of(drawn(letter(""))) == "22 November 2025 Letter from Anna Invented"


@pytest.mark.parametrize("rules", FOLDED.values(), ids=map(str, FOLDED))
def test_fold_marks_stand_at_the_left_edge_of_the_first_page_where_the_envelope_wants_them(rules: PrintRules) -> None:
    first, second = rules_of(drawn(letter("word " * 1000, rules=rules)))
    marks = sorted(mark.centre[1] for mark in first if mark.right < NORMAL.margin)
    assert marks == pytest.approx(fold_marks(rules.envelope, rules.window), abs=0.01)
    assert [(mark.x, mark.right) for mark in first if mark.right < NORMAL.margin] == [
        pytest.approx(FOLD_MARK, abs=0.3)
    ] * len(marks)
    assert [rule for rule in second if rule.right < NORMAL.margin] == []


def with_window(envelope: EnvelopeFormat, window: Window, **changes: object) -> LetterToPrint:
    fields = {"rules": PrintRules(envelope=envelope, window=window), "address": ADDRESS}
    return letter("word " * 1000, **(fields | changes))


@pytest.mark.parametrize(("envelope", "window"), WINDOWS)
def test_address_and_sender_stand_in_the_window(envelope: EnvelopeFormat, window: Window) -> None:
    pdf = drawn(with_window(envelope, window, prisoner_name="Somebody Else"))
    area, over = address_area(envelope, window), sender_line(envelope, window)
    places = [place_of(pdf, 0, line) for line in ADDRESS]
    assert [area.x - 0.01 <= place.x and place.right <= area.right + 0.01 for place in places] == [True] * 5
    assert (places[0].y > area.y, places[-1].bottom < area.bottom) == (True, True)
    assert [upper.bottom < lower.y for upper, lower in itertools.pairwise(places)] == [True] * 4
    sender = place_of(pdf, 0, "Example Group · PO Box 1 · 00000 Exampletown")
    assert over.x - 0.1 <= sender.x < sender.right <= over.right
    assert over.y < sender.y < sender.bottom < over.bottom


@pytest.mark.parametrize(("envelope", "window"), WINDOWS)
@pytest.mark.parametrize("layout", Layout)
def test_window_shows_nothing_of_the_letter_wherever_the_page_lies(
    envelope: EnvelopeFormat, window: Window, layout: Layout
) -> None:
    pdf = drawn(with_window(envelope, window, layout=layout, return_address=()))
    right, up = play(envelope, window)
    shown = [text_in(pdf, 0, seen(envelope, window, x, y)) for x in (0, right) for y in (0, up)]
    assert shown == [" ".join(ADDRESS)] * 4


def test_address_of_many_long_lines_is_drawn_smaller() -> None:
    address = tuple(f"{line} line {'of an invented address ' * 3}" for line in range(10))
    pdf = drawn(with_window(EnvelopeFormat.DL, Window.DIN5008_B, address=address))
    area = address_area(EnvelopeFormat.DL, Window.DIN5008_B)
    places = [place_of(pdf, 0, line.strip()) for line in address]
    assert max(place.right for place in places) <= area.right + 0.01
    assert places[-1].bottom < area.bottom


def test_window_without_an_address_leaves_the_page_as_it_is() -> None:
    plain, without = (
        drawn(letter("word " * 1000, rules=rules)) for rules in (PrintRules(), PrintRules(window=Window.DIN5008_B))
    )
    assert body_of(without) == body_of(plain)


def test_address_without_a_window_is_not_printed() -> None:
    assert body_of(drawn(letter("x", address=ADDRESS))) == "22 November 2025 x Letter from Anna Invented"


def test_window_that_the_envelope_has_not_is_said() -> None:
    with pytest.raises(NoSuchWindowError, match="No envelope DL has a window US10"):
        drawn(with_window(EnvelopeFormat.DL, Window.US10))


def test_page_with_a_window_has_less_room_for_the_text() -> None:
    text = "\n".join(["x"] * (LINES - DATE_LINES))
    rules = PrintRules(window=Window.DIN5008_B)
    assert [page_count(letter(text, address=address, rules=rules)) for address in ((), ADDRESS)] == [1, 2]
    assert page_count_of(text, rules=rules) == 2

"""The sheet "who wrote to me"."""

from __future__ import annotations

import datetime
import math

import pytest

from print.correspondents import draw_correspondents
from relay.domain.languages import LANGUAGES
from relay.domain.letter_pages import Correspondent, CorrespondentsSheet
from relay.domain.reply_code import new_reply_code
from tests.print.letters import pages_in, picture_of, text_in
from tests.print.papers import margin_is_white, pdf_of

ADDRESS = ("Example Group", "PO Box 1", "00000 Exampletown")
DAY = datetime.date(2025, 11, 22)


def sheet(count: int, **changes: object) -> CorrespondentsSheet:
    """The sheet with so many correspondents; the first of them wrote last."""
    people = tuple(
        Correspondent(f"Friend Invented-{number}", new_reply_code(), DAY - datetime.timedelta(days=number))
        for number in range(count)
    )
    fields: dict[str, object] = {
        "prisoner_name": "Max Example",
        "language": "en",
        "correspondents": people,
        "return_address": ADDRESS,
    }
    return CorrespondentsSheet(**(fields | changes))  # type: ignore[arg-type]


def pages_of(sheet: CorrespondentsSheet) -> list[str]:
    """The words of each page."""
    pdf = pdf_of(lambda canvas: draw_correspondents(canvas, sheet))
    return [text_in(pdf, page) for page in range(pages_in(pdf))]


def row(correspondent: Correspondent) -> str:
    code = correspondent.code
    day = correspondent.last_wrote
    return f"{correspondent.printed_name} last letter: {day.day} {day:%B %Y} {code[:4]} {code[4:8]} {code[8:]}"


@pytest.mark.parametrize("count", [1, 30, 200])
def test_every_correspondent_stands_once_with_code_and_date_in_order(count: int) -> None:
    all_of_them = sheet(count)
    words = " ".join(pages_of(all_of_them))
    places = [words.find(row(correspondent)) for correspondent in all_of_them.correspondents]
    assert -1 not in places
    assert places == sorted(places)
    assert [words.count(row(correspondent)) for correspondent in all_of_them.correspondents] == [1] * count


@pytest.mark.parametrize("count", [0, 1, 30, 200])
def test_every_page_names_the_prisoner_and_counts_the_pages(count: int) -> None:
    pages = pages_of(sheet(count))
    heads = [
        [f"page {number} of {len(pages)}" in words, "Max Example" in words]
        for number, words in enumerate(pages, start=1)
    ]
    assert heads == [[True, True]] * len(pages)


def test_first_page_says_how_an_answer_is_written_and_where_it_goes() -> None:
    words = pages_of(sheet(1))[0]
    assert words[words.index("Who wrote to me") : words.index(" Max Example")] == (
        "Who wrote to me These people wrote to you. This is how you answer them, on any paper: "
        "1. Use a separate sheet for each person. "
        "2. Write the code of the person at the top of the sheet, large and clear. "
        "3. Write your letter below it. Write separate letters, not joined, with dark ink. "
        "4. Send it to this address: Example Group PO Box 1 00000 Exampletown "
        "The code is all that is needed: it brings your letter to the right person."
    )


def test_pages_after_the_first_can_be_used_without_it() -> None:
    pages = pages_of(sheet(200))
    foot = (
        "Write the code at the top of a sheet of paper, and send it to this address: "
        "Example Group, PO Box 1, 00000 Exampletown"
    )
    assert [words.count(foot) for words in pages] == [0] + [1] * (len(pages) - 1)


def test_without_a_return_address_nothing_speaks_of_one() -> None:
    pages = pages_of(sheet(200, return_address=()))
    assert [words.count("address") for words in pages] == [0] * len(pages)
    assert pages[1].count("Write the code at the top of a sheet of paper.") == 1


def test_without_correspondents_it_says_so() -> None:
    (words,) = pages_of(sheet(0))
    assert words.replace("Max Example", "").replace("page 1 of 1", "").strip() == (
        "Who wrote to me No letter to you has been sent from here so far."
    )


def test_as_few_pages_as_the_rows_need() -> None:
    counts = {count: len(pages_of(sheet(count))) for count in range(40)}
    first = max(count for count, pages in counts.items() if pages == 1)
    rest = max(count for count, pages in counts.items() if pages == 2) - first
    assert rest > first >= 7
    assert counts == {count: 1 + max(0, math.ceil((count - first) / rest)) for count in range(40)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_longest_names_and_addresses_stay_inside_the_margins(language: str) -> None:
    long = sheet(
        30,
        language=language,
        prisoner_name="Пример-Вымышленный " * 8,
        correspondents=(Correspondent("Очень-Длинное Вымышленное-Имя " * 6, new_reply_code(), DAY),) * 30,
        return_address=("Очень длинное название вымышленной группы " * 4,) * 3,
    )
    pdf = pdf_of(lambda canvas: draw_correspondents(canvas, long))
    assert [margin_is_white(picture_of(pdf, page)) for page in range(pages_in(pdf))] == [True] * pages_in(pdf)


def test_names_are_never_markup() -> None:
    name = '</b> & <img src="/etc/hostname">'
    (words,) = pages_of(sheet(0, correspondents=(Correspondent(name, new_reply_code(), DAY),)))
    assert words.count(name) == 1

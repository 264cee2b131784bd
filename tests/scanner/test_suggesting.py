"""Which letters are suggested for pages that could not be placed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa

from relay.desk import steps as desk_steps
from relay.domain.lives import ReplyState
from relay.domain.reply_code import ALPHABET, ReplyCode, Side, grouped, new_reply_code
from relay.store import tables
from relay.store.letters import outstanding_codes
from scanner import suggesting
from scanner.codes import CodeRead, Method, PageCodes
from scanner.suggesting import FoundPage, Known, Suggestion, Why, beside, suggestions, with_neighbours
from tests.workplaces import ENGLISH, PEOPLE, RUSSIAN, House, both_engines, sure

GERMAN = PEOPLE["erika-musterfrau"]
ONE = "ABCDEFGHPHU2"
CODE = ReplyCode("K58A2D7MRC8U")
OTHER = str(new_reply_code())


def page(number: int = 1, codes: PageCodes | None = None, *, ranked: Sequence[str] = (), words: str = "") -> FoundPage:
    return FoundPage(number, codes or PageCodes(), ranked, words.split())


async def found(house: House, *pages: FoundPage, facility: str | None = None) -> list[list[tuple[str, Why]]]:
    """What is suggested for each page."""
    async with house.store.database.reading() as connection:
        codes = [code for code, _ in await outstanding_codes(connection)]
        all_of_them = await suggestions(connection, pages, codes, facility)
    return [[(one.code, one.why) for one in all_of_them[page.number]] for page in pages]


def read(code: str, repaired: int = 0, sheet: int | None = None, side: Side | None = None) -> CodeRead:
    return CodeRead(ReplyCode(code), sheet, side, Method.READABLE, repaired)


# --- codes


@both_engines
async def test_only_letters_that_can_have_an_answer_are_suggested(house: House) -> None:
    sent, queued = await house.posted(), await house.queued(RUSSIAN)
    code = await house.code(sent)
    ranked = (OTHER, await house.code(queued), code)
    assert await found(house, page(ranked=ranked)) == [[(code, Why.SCORE)]]


async def test_codes_come_by_how_surely_they_were_read(house: House) -> None:
    codes = [await house.code(await house.posted()) for _ in range(4)]
    best = page(codes=PageCodes((read(codes[1], 2),)), ranked=(codes[2], codes[3], codes[0]))
    assert await found(house, best) == [
        [(codes[1], Why.REPAIRED), (codes[2], Why.SCORE), (codes[3], Why.SCORE), (codes[0], Why.SCORE)]
    ]


async def test_signs_for_one_letter_add_up(house: House) -> None:
    first, second = await house.posted(), await house.posted(RUSSIAN)
    codes = [await house.code(first), await house.code(second)]
    (best,) = await found(house, page(ranked=codes, words="Примеров Пётр Вымыслович"))
    assert best == [(codes[1], Why.NAME), (codes[0], Why.SCORE)]


async def test_page_whose_codes_agree_gets_that_letter_only(house: House) -> None:
    codes = [await house.code(await house.posted()) for _ in range(2)]
    pages = page(1, sure(codes[0])), page(2, sure(codes[1]), words="John Sample")
    assert await found(house, *pages) == [[(codes[0], Why.READ)], [(codes[1], Why.READ)]]


async def test_both_codes_of_a_contradiction_are_suggested(house: House) -> None:
    codes = [await house.code(await house.posted()) for _ in range(2)]
    contradiction = PageCodes(tuple(CodeRead(code, 1, Side.A, Method.MATRIX) for code in codes))
    (best,) = await found(house, page(1, contradiction))
    assert set(best) == {(code, Why.READ) for code in codes}


@pytest.mark.parametrize(
    "written",
    [
        grouped,
        lambda code: grouped(code).lower(),
        lambda code: "-".join(grouped(code).split()),
        lambda code: code[:4] + " " + code[4:9] + " " + code[9:],
        lambda code: grouped(code).translate(str.maketrans("5820D", "SBZOQ")),
        lambda code: grouped(code)[:-1],
        lambda code: grouped(code)[:3] + "9" + grouped(code)[4:],
    ],
    ids=["as printed", "small", "hyphens", "other groups", "confused", "last is missing", "one is wrong"],
)
async def test_code_written_by_hand_is_found_among_those_that_are_outstanding(
    house: House, monkeypatch: pytest.MonkeyPatch, written: Callable[[str], str]
) -> None:
    for _ in range(3):
        await house.posted(RUSSIAN)
    monkeypatch.setattr(desk_steps, "new_reply_code", lambda: CODE)
    code = await house.code(await house.posted())
    words = f"Привет 12 марта 2024 года {written(code)} и ещё слова"
    assert await found(house, page(words=words)) == [[(code, Why.HANDWRITTEN)]]


def test_words_and_dates_are_no_code() -> None:
    rng = random.Random(5)
    codes = {"".join(rng.choices(ALPHABET, k=12)) for _ in range(20_000)}
    words = [rng.choice(["12", "марта", "2024", "house", "7", "friend", "снег", "1985", "ABC"]) for _ in range(300)]
    points: dict[int, suggesting.Points] = {1: {}}
    suggesting._add_handwritten(points, [FoundPage(1, PageCodes(), (), words)], codes)
    assert points == {1: {}}


# --- neighbours


A1, B1, A2 = Known(ONE, 1, Side.A), Known(ONE, 1, Side.B), Known(ONE, 2, Side.A)
PAIR = {11: Known(OTHER, 1, Side.A), 12: Known(OTHER, 1, Side.B)}
"""Elsewhere in the scan: it was made of both sides, and sheets begin at odd numbers."""


@pytest.mark.parametrize(
    ("known", "number", "expected"),
    [
        ({1: A1} | PAIR, 2, {ONE: Why.BACK}),
        ({2: B1} | PAIR, 1, {ONE: Why.BACK}),
        ({2: B1} | PAIR, 3, {ONE: Why.NEIGHBOUR}),
        ({1: B1} | PAIR, 2, {ONE: Why.NEIGHBOUR}),
        ({1: A1}, 2, {ONE: Why.NEIGHBOUR}),
        ({1: B1, 3: A2}, 2, {ONE: Why.NEIGHBOUR}),
        ({1: A1, 3: Known(OTHER)} | PAIR, 2, {ONE: Why.BACK, OTHER: Why.NEIGHBOUR}),
        ({1: Known(ONE)}, 5, {ONE: Why.NEIGHBOUR}),
        ({1: Known(ONE)}, 6, {}),
        ({}, 1, {}),
    ],
    ids=[
        "back of a sheet",
        "front of a sheet",
        "behind a sheet",
        "back where a front should be",
        "one side only",
        "between",
        "two neighbours",
        "behind unread ones",
        "too far",
        "alone",
    ],
)
def test_neighbours_in_the_scan(known: dict[int, Known], number: int, expected: dict[str, Why]) -> None:
    points = beside(known, number, {ONE: 2, OTHER: 1})
    assert {code: max(whys, key=lambda why: whys[why]) for code, whys in points.items()} == expected


def test_other_side_of_the_sheet_comes_before_the_next_sheet() -> None:
    known = {1: A1, 3: Known(OTHER, 1, Side.A)} | PAIR
    assert [one.code for one in with_neighbours((), known, 2, {ONE: 1, OTHER: 1})] == [ONE, OTHER]


def test_page_placed_by_hand_since_then_is_a_neighbour_too() -> None:
    stored = (Suggestion(code=OTHER, why=Why.NAME, points=0.5), Suggestion(code=ONE, why=Why.SCORE, points=0.1))
    again = with_neighbours(stored, {1: A1} | PAIR, 2, {ONE: 1})
    assert [(one.code, one.why) for one in again] == [(ONE, Why.BACK), (OTHER, Why.NAME)]
    # What speaks for a letter more than its neighbours do is left.
    assert with_neighbours(stored, {1: Known(OTHER)}, 2, {OTHER: 1}) == stored


# --- names


@both_engines
@pytest.mark.parametrize(
    "words",
    [
        "Примеров Пётр Вымыслович стр. 1",
        "с уважением Петр Примеров",
        "Primerov Petr",
        "Прнмеров Петр Вымыс1ович",
        "ПРИМЕРОВ П. ВЫМЫСЛОВИЧ",
    ],
)
async def test_prisoner_is_known_by_the_name_on_the_page(house: House, words: str) -> None:
    mine, _other, _third = await house.posted(RUSSIAN), await house.posted(ENGLISH), await house.posted(GERMAN)
    assert await found(house, page(words=f"Привет мой друг {words}")) == [[(await house.code(mine), Why.NAME)]]


async def test_first_name_alone_names_nobody(house: House) -> None:
    await house.posted(RUSSIAN)
    await house.posted(ENGLISH)
    assert await found(house, page(words="Dear John how are you"), page(2, words="Пётр")) == [[], []]


async def test_unanswered_letters_of_a_prisoner_come_first_then_the_newest(house: House) -> None:
    sent = []
    for _ in range(3):
        sent.append(await house.posted())
        house.clock.advance(days=1)
    codes = [await house.code(one) for one in sent]
    await house.split(sure(codes[2]))
    assert await found(house, page(words="John Sample")) == [[(codes[place], Why.NAME) for place in (1, 0, 2)]]
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.replies).values(state=ReplyState.VOID))
    assert await found(house, page(words="John Sample")) == [[(codes[place], Why.NAME) for place in (2, 1, 0)]]


async def test_letters_printed_with_others_of_the_pile_come_first(house: House) -> None:
    old = await house.posted()
    first, second = await house.approved(), await house.approved()
    batch = await house.batch()
    await house.on_paper(batch)
    house.clock.advance(days=1)
    new = await house.posted()
    codes = [await house.code(one) for one in (first, second, new, old)]
    pile = page(1, sure(codes[0])), page(7, words="John Sample")
    assert (await found(house, *pile))[1][0] in {(codes[0], Why.NAME), (codes[1], Why.NAME)}


async def test_other_facility_than_that_of_the_pile_comes_last(house: House) -> None:
    mine, other = await house.posted(ENGLISH), await house.posted(RUSSIAN)
    codes = [await house.code(mine), await house.code(other)]
    facility = await house.row(tables.facilities, slug=RUSSIAN.facility.slug)
    asked = page(ranked=codes)
    assert await found(house, asked) == [[(code, Why.SCORE) for code in codes]]
    assert await found(house, asked, facility=facility.id) == [[(code, Why.SCORE) for code in reversed(codes)]]


async def test_scan_without_pages_and_page_without_words(house: House) -> None:
    assert await found(house) == []
    assert await found(house, page()) == [[]]

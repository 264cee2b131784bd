"""The pages that wait for a person, and the letters offered for them."""

from __future__ import annotations

import datetime
import json

import pytest
import sqlalchemy as sa

from relay.domain.lives import LetterState
from relay.domain.reply_code import SPECIMEN, grouped
from relay.store import tables
from scanner import heap, replies, steps
from scanner.codes import PageCodes
from scanner.heap import Candidate
from scanner.reading import Reading
from scanner.suggesting import Suggestion, Why
from tests.workplaces import ENGLISH, RUSSIAN, House, Sent, both_engines, sure


async def found(house: House, search: str) -> list[str]:
    async with house.store.database.reading() as connection:
        return [one.letter_id for one in await heap.searched(connection, house.office_key, search)]


async def offered(house: House, place: int = 0) -> list[Candidate]:
    """What is suggested for the page at this place of the heap."""
    async with house.store.database.reading() as connection:
        page = (await heap.waiting_pages(connection))[place]
        _, reading, _ = await heap.waiting_page(connection, page.id, house.office_key)
        return await heap.suggested(connection, house.office_key, page, reading)


def suggesting(*suggested: tuple[str, Why]) -> Reading:
    """What was read from a page that could not be placed."""
    return Reading(
        lines=(),
        suggested=tuple(
            Suggestion(code=code, why=why, points=1 / place) for place, (code, why) in enumerate(suggested, 1)
        ),
    )


@both_engines
async def test_heap_has_what_waits_oldest_first(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    first = await house.split(PageCodes(), sure(code), PageCodes(foreign=("x",)))
    house.clock.advance(minutes=1)
    second = await house.split(sure(code))
    async with house.store.database.reading() as connection:
        waiting = await heap.waiting_pages(connection)
        assert [(page.scan_id, page.number, page.doubt) for page in waiting] == [
            (first, 1, "no_code"),
            (first, 3, "foreign_code"),
            (second, 1, "duplicate"),
        ]
        page, reading, key = await heap.waiting_page(connection, waiting[0].id, house.office_key)
    assert (page, key.context.id) == (waiting[0], first)
    assert [word.text for word in reading.lines[0]] == ["Привет", "friend"]


async def test_page_that_does_not_wait_is_not_in_the_heap(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)))
    placed = await house.row(tables.pages)
    async with house.store.database.reading() as connection:
        for page in (placed.id, "0" * 32):
            with pytest.raises(heap.NoSuchPageError):
                await heap.waiting_page(connection, page, house.office_key)


@both_engines
async def test_letter_is_found_by_code_by_a_part_of_it_or_by_words_of_the_name(house: House) -> None:
    mine, other = await house.posted(ENGLISH, name="Mary"), await house.posted(RUSSIAN)
    code = await house.code(mine)
    misread = ("3" if code[0] != "3" else "4") + code[1:]
    searches = (
        code,
        grouped(code).lower(),
        misread,
        code[4:8],
        "john",
        "ПЁТР примеров",
        "primerov",
        "nobody",
        "2222 2222 2222",
    )
    assert {search: await found(house, search) for search in searches} == {
        code: [mine.id],
        grouped(code).lower(): [mine.id],
        misread: [mine.id],
        code[4:8]: [mine.id],
        "john": [mine.id],
        "ПЁТР примеров": [other.id],
        "primerov": [other.id],
        "nobody": [],
        "2222 2222 2222": [],
    }


@both_engines
async def test_letter_that_was_not_printed_is_not_offered(house: House) -> None:
    waiting = await house.approved()
    await house.batch()
    queued = await house.queued()
    assert await found(house, "john") == []
    for sent in (waiting, queued):
        assert await found(house, await house.code(sent)) == []
    assert await house.render()
    assert await found(house, "john") == [waiting.id]
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(state=LetterState.HELD))
    assert await found(house, "john") == [waiting.id]


async def test_newest_letters_are_offered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "CANDIDATES", 2)
    sent = []
    for _ in range(3):
        sent.append((await house.posted()).id)
        house.clock.advance(minutes=1)
    await house.posted(RUSSIAN)
    assert await found(house, "john") == [sent[2], sent[1]]


async def test_suggestions_come_in_their_order_with_what_speaks_for_them(house: House) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    codes = await house.code(other), await house.code(mine)
    unknown = SPECIMEN
    await house.split(suggesting((codes[0], Why.SCORE), (unknown, Why.SCORE), (codes[1], Why.NAME)))
    assert [(one.letter_id, one.why) for one in await offered(house)] == [(other.id, Why.SCORE), (mine.id, Why.NAME)]


async def test_page_beside_one_that_was_placed_by_hand_is_suggested_its_letter(house: House) -> None:
    sent = await house.posted()
    await house.split(PageCodes(), PageCodes())
    assert await offered(house, 1) == []
    first = await house.row(tables.pages, number=1)
    await steps.place_by_hand(house.store, house.office_key, first.id, sent.id, house.volunteers["anna"])
    (one,) = await offered(house)
    assert (one.letter_id, one.why) == (sent.id, Why.NEIGHBOUR)


async def test_codes_stored_before_there_were_reasons_are_still_offered(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    old = json.dumps({"lines": [], "suggested": [code]})
    await house.split(Reading.model_validate_json(old))
    (one,) = await offered(house)
    assert (one.letter_id, one.why) == (sent.id, Why.REPAIRED)


async def test_heap_shows_its_oldest_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "HEAP_SHOWN", 2)
    await house.split(PageCodes(), PageCodes(), PageCodes())
    async with house.store.database.reading() as connection:
        assert [page.number for page in await heap.waiting_pages(connection)] == [1, 2]


async def test_candidate_shows_what_a_person_compares(house: House) -> None:
    sent: Sent = await house.posted(address="mary@sender.example", name="Mary")
    async with house.store.database.reading() as connection:
        (one,) = await heap.searched(connection, house.office_key, "sample")
    assert one == Candidate(
        sent.id, await house.code(sent), "John Sample", "HMP Nowhere (an invented prison)", ("Mary",), house.clock()
    )


@both_engines
async def test_pages_are_decided_about_in_turn(house: House) -> None:
    await house.split(PageCodes(), PageCodes())
    house.clock.advance(minutes=1)
    await house.split(PageCodes())
    async with house.store.database.reading() as connection:
        ids = [page.id for page in await heap.waiting_pages(connection)]
        assert [await heap.next_waiting(connection, one) for one in ids] == [ids[1], ids[2], ids[0]]
    for place in (2, 1):
        await steps.put_away(house.store, ids[place], house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        # Also from a page that was decided about.
        assert [await heap.next_waiting(connection, one) for one in (ids[0], ids[1])] == [None, ids[0]]
        assert await heap.waiting_count(connection) == heap.Queue(1, house.clock() - datetime.timedelta(minutes=1))


async def test_answer_that_is_looked_at_is_counted(house: House) -> None:
    sent = await house.posted()
    await house.split(PageCodes())
    page = await house.row(tables.pages)
    await steps.place_by_hand(house.store, house.office_key, page.id, sent.id, house.volunteers["anna"])
    assert await house.assemble()
    async with house.store.database.reading() as connection:
        assert await replies.held_count(connection) == heap.Queue(1, house.clock())

"""The pages that wait for a person, and the letters offered for them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from relay.domain.lives import LetterState, PageState
from relay.domain.reply_code import ReplyCode, Side, grouped
from relay.store import tables
from scanner import heap, steps
from scanner.codes import CodeRead, Method, PageCodes
from tests.workplaces import ENGLISH, RUSSIAN, House, Sent, both_engines, get, sure


async def offered(house: House, search: str = "", codes: tuple[str, ...] = ()) -> list[str]:
    async with house.store.database.reading() as connection:
        return [one.letter_id for one in await heap.candidates(connection, house.office_key, codes, search)]


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
async def test_letter_is_found_by_code_or_by_words_of_the_name(house: House) -> None:
    mine, other = await house.posted(ENGLISH, name="Mary"), await house.posted(RUSSIAN)
    code = await house.code(mine)
    misread = ("3" if code[0] != "3" else "4") + code[1:]
    found = {
        search: await offered(house, search)
        for search in (code, grouped(code).lower(), misread, "john", "ПЁТР примеров", "nobody", "", "2222 2222 2222")
    }
    assert found == {
        code: [mine.id],
        grouped(code).lower(): [mine.id],
        misread: [mine.id],
        "john": [mine.id],
        "ПЁТР примеров": [other.id],
        "nobody": [],
        "": [],
        "2222 2222 2222": [],
    }


async def test_suggested_codes_are_offered_without_a_search(house: House) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    codes = (await house.code(mine), await house.code(other))
    assert set(await offered(house, codes=codes)) == {mine.id, other.id}
    assert await offered(house, "john", codes) != [other.id]
    reads = tuple(CodeRead(ReplyCode(code), 1, Side.A, Method.MATRIX) for code in codes)
    await house.split(PageCodes(reads))
    async with house.store.database.reading() as connection:
        (page,) = await heap.waiting_pages(connection)
        _, reading, _ = await heap.waiting_page(connection, page.id, house.office_key)
    assert reading.suggested == codes


@both_engines
async def test_letter_that_was_not_printed_is_not_offered(house: House) -> None:
    waiting = await house.approved()
    await house.batch()
    queued = await house.queued()
    assert await offered(house, "john") == []
    for sent in (waiting, queued):
        assert await offered(house, await house.code(sent)) == []
    assert await house.render()
    assert await offered(house, "john") == [waiting.id]
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(state=LetterState.HELD))
    assert await offered(house, "john") == [waiting.id]


async def test_newest_letters_are_offered(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "CANDIDATES", 2)
    sent = []
    for _ in range(3):
        sent.append((await house.posted()).id)
        house.clock.advance(minutes=1)
    await house.posted(RUSSIAN)
    assert await offered(house, "john") == [sent[2], sent[1]]


async def test_heap_shows_its_oldest_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "HEAP_SHOWN", 2)
    await house.split(PageCodes(), PageCodes(), PageCodes())
    async with house.store.database.reading() as connection:
        assert [page.number for page in await heap.waiting_pages(connection)] == [1, 2]


async def test_candidate_shows_what_a_person_compares(house: House) -> None:
    sent: Sent = await house.posted(address="mary@sender.example", name="Mary")
    async with house.store.database.reading() as connection:
        (one,) = await heap.candidates(connection, house.office_key, (), "sample")
    assert one == heap.Candidate(
        sent.id, await house.code(sent), "John Sample", "HMP Nowhere (an invented prison)", "Mary", house.clock()
    )


async def test_received_files_are_counted_newest_first(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    first = await house.received(b"first", "ответ.pdf")
    await house.split_into(first, sure(code), PageCodes(), sure(code))
    house.clock.advance(minutes=1)
    second = await house.received(b"second", "Zweite.jpg")
    page = (await house.rows(tables.pages, scan_id=first, state=PageState.UNMATCHED))[0]
    await steps.put_away(house.store, page.id, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        found = await heap.received(connection, house.office_key)
    assert [(scan.id, scan.name, scan.state, scan.placed, scan.waiting, scan.problem) for scan in found] == [
        (second, "Zweite.jpg", "received", 0, 0, None),
        (first, "ответ.pdf", "split", 1, 1, None),
    ]


@both_engines
async def test_received_files_with_something_left_to_do_come_first(house: House) -> None:
    code = await house.code(await house.posted())
    problem, unread = await house.split(sure(code)), await house.received()
    newer = []
    for _ in range(2):
        house.clock.advance(minutes=1)
        newer.append(await house.split(PageCodes()))
    async with house.store.database.writing() as connection:
        broken = sa.update(tables.replies).values(set_aside_at=house.clock(), last_error="SealBrokenError")
        await connection.execute(broken)
    async with house.store.database.reading() as connection:
        found = await heap.received(connection, house.office_key, limit=3)
    assert {scan.id for scan in found[:2]} == {problem, unread}
    assert [(scan.id, scan.problem) for scan in found[2:]] == [(newer[1], None)]


async def test_file_whose_key_is_gone_hides_no_other(house: House) -> None:
    gone, fine = await house.received(b"gone", "gone.pdf"), await house.received(b"fine", "fine.pdf")
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.content_keys).where(tables.content_keys.c.record_id == gone))
    async with house.store.database.reading() as connection:
        found = await heap.received(connection, house.office_key)
    assert {scan.id: scan.name for scan in found} == {gone: "", fine: "fine.pdf"}
    office = await house.office()
    assert "fine.pdf" in (await get(office, "/en/scan")).screen.text

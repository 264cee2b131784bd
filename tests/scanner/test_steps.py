"""What the scanning changes: taking in, placing, giving by hand, releasing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from relay.domain.letters import Word
from relay.domain.lives import LetterState
from relay.domain.reply_code import SPECIMEN, Side, new_reply_code
from relay.domain.scan_parts import ORIGINAL, page_picture
from relay.sealing import Context
from relay.store import leases, tables
from relay.store.sealed import load_key, open_part
from relay.store.transitions import NotThereError
from scanner import received, reply_steps, steps
from scanner.codes import CodeRead, Method, PageCodes
from scanner.limits import Reason
from scanner.reading import Reading
from tests.workplaces import ENGLISH, RUSSIAN, WORKER_NAME, House, Sent, both_engines, picture, pieces, sure


async def pages(house: House, scan: str | None = None) -> list[tuple[str, str | None]]:
    """State and doubt of the pages, in their order."""
    rows = await house.rows(tables.pages, **({"scan_id": scan} if scan else {}))
    return [(row.state, row.doubt) for row in sorted(rows, key=lambda row: row.number)]


async def page_id(house: House, scan: str, number: int = 1) -> str:
    return str((await house.row(tables.pages, scan_id=scan, number=number)).id)


# --- taking in


@both_engines
async def test_file_is_stored_as_it_came_and_sealed(house: House) -> None:
    scan = await house.received(b"the very bytes", "../../etc/passwd")
    row = await house.row(tables.scans, id=scan)
    assert (row.state, b"passwd" in row.name) == ("received", False)
    part = await open_part(house.store, Context("scan", scan), ORIGINAL, house.office_key)
    assert part == b"the very bytes"
    (blob,) = house.blobs()
    assert b"very" not in blob.read_bytes()


@both_engines
async def test_same_bytes_are_one_file_however_they_come(house: House) -> None:
    taken = await asyncio.gather(
        *(steps.take_in(house.store, pieces(b"same"), f"{number}.pdf", house.anna) for number in range(4))
    )
    assert len({one.scan_id for one in taken}) == 1
    assert sorted(one.known for one in taken) == [False, True, True, True]
    assert len(await house.rows(tables.scans)) == 1
    assert len(house.blobs()) == 1


async def test_file_that_breaks_off_leaves_nothing(house: House) -> None:
    class BrokenError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise BrokenError

    with pytest.raises(BrokenError):
        await steps.take_in(house.store, broken(), "scan.pdf", house.anna)
    assert await house.rows(tables.scans) == []
    assert house.blobs() == []


async def test_file_that_cannot_be_noted_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(steps, "begin", failing)
    with pytest.raises(ConnectionError):
        await house.received()
    assert house.blobs() == []


async def test_name_that_is_no_unicode_is_shown_as_far_as_it_goes(house: House) -> None:
    scan = await house.received(b"a scan", os.fsdecode(b"\xff\xfe.pdf"))
    async with house.store.database.reading() as connection:
        (found,) = await received.received(connection, house.office_key)
    assert (found.id, found.name, len(house.blobs())) == (scan, "??.pdf", 1)


async def test_refused_file_is_kept_with_its_reason(house: House) -> None:
    scan = await house.received(b"no scan")
    async with house.store.database.writing() as connection:
        await leases.claim(
            connection, tables.scans, owner=WORKER_NAME, now=house.clock(), order_by=tables.scans.c.created_at
        )
    await steps.reject(house.store, scan, WORKER_NAME, Reason.DAMAGED)
    row = await house.row(tables.scans)
    assert (row.state, row.reason, row.lease_owner) == ("rejected", "damaged", None)
    assert await open_part(house.store, Context("scan", scan), ORIGINAL, house.office_key) == b"no scan"


async def test_refused_file_is_read_again_where_the_machine_may_be_to_blame(house: House) -> None:
    anna = house.volunteers["anna"]
    for reason in Reason:
        scan = await house.received(reason.encode())
        async with house.store.database.writing() as connection:
            this = tables.scans.c.id == scan
            order = tables.scans.c.created_at
            await leases.claim(connection, tables.scans, this, owner=WORKER_NAME, now=house.clock(), order_by=order)
        await steps.reject(house.store, scan, WORKER_NAME, reason)
        for _ in range(2):
            await steps.try_again(house.store, scan, anna)
    received = {row.reason for row in await house.rows(tables.scans, state="received")}
    assert received == {"took_too_long", "ran_out_of_memory"}
    with pytest.raises(NotThereError):
        await steps.try_again(house.store, "0" * 32, anna)


async def test_worker_without_the_lease_changes_nothing(house: House) -> None:
    scan = await house.received()
    async with house.store.database.reading() as connection:
        key = await load_key(connection, Context("scan", scan), house.office_key)
    blobs = [await house.store.blobs.put_bytes(data, key) for data in (b"picture", b"untouched")]
    with pytest.raises(leases.LeaseLostError):
        await steps.keep_page(house.store, scan, WORKER_NAME, key, steps.ReadPage(1, Reading(lines=()), *blobs))
    assert len(house.blobs()) == 1
    with pytest.raises(leases.LeaseLostError):
        await steps.place(house.store, scan, WORKER_NAME, key, {})
    with pytest.raises(leases.LeaseLostError):
        await steps.reject(house.store, scan, WORKER_NAME, Reason.DAMAGED)
    assert (await house.row(tables.scans)).state == "received"


async def test_worker_whose_lease_ran_out_changes_nothing(house: House) -> None:
    scan = await house.received()
    async with house.store.database.writing() as connection:
        await leases.claim(
            connection, tables.scans, owner=WORKER_NAME, now=house.clock(), order_by=tables.scans.c.created_at
        )
    house.clock.now += leases.LEASE
    house.clock.advance(seconds=1)
    with pytest.raises(leases.LeaseLostError):
        await steps.reject(house.store, scan, WORKER_NAME, Reason.DAMAGED)


# --- placing by code


@both_engines
async def test_sides_and_sheets_of_one_letter_become_one_reply_in_their_order(house: House) -> None:
    sent = await house.posted(sheets=2)
    code = await house.code(sent)
    scan = await house.split(sure(code, 2, Side.A), sure(code, 1, Side.B), PageCodes(), sure(code, 1, Side.A))
    assert await pages(house) == [("placed", None), ("placed", None), ("unmatched", "no_code"), ("placed", None)]
    reply = await house.row(tables.replies)
    async with house.store.database.reading() as connection:
        opened = await reply_steps.to_assemble(connection, reply.id, house.office_key)
    assert [page.number for page in opened.pages] == [4, 2, 1]
    assert opened.missing == ((2, Side.B),)
    assert (reply.letter_id, reply.scan_id, opened.inbox.data) == (sent.id, scan, sent.secret.key.public.data)


@pytest.mark.parametrize(
    ("codes", "state", "doubt"),
    [
        (PageCodes(), "unmatched", "no_code"),
        (PageCodes(foreign=("WIFI:S:x;;",)), "unmatched", "foreign_code"),
        (sure(new_reply_code()), "unmatched", "unknown_code"),
        (sure(SPECIMEN), "unmatched", "unknown_code"),
    ],
    ids=["none", "foreign", "unknown", "specimen"],
)
async def test_page_without_a_code_of_ours_waits_for_a_person(
    house: House, codes: PageCodes, state: str, doubt: str
) -> None:
    await house.posted()
    await house.split(codes)
    assert await pages(house) == [(state, doubt)]
    assert await house.rows(tables.replies) == []


async def test_contradictory_codes_go_to_nobody(house: House) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    reads = [CodeRead(await house.code(sent), 1, Side.A, Method.MATRIX) for sent in (mine, other)]
    await house.split(PageCodes(tuple(reads)), PageCodes(tuple(reads[::-1])))
    assert await pages(house) == [("held", "contradiction")] * 2
    assert await house.rows(tables.replies) == []


async def batched(house: House) -> Sent:
    sent = await house.approved()
    await house.batch()
    return sent


async def stopped_unprinted(house: House) -> Sent:
    sent = await batched(house)
    await hold(house)
    return sent


async def hold(house: House) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(state=LetterState.HELD))


@both_engines
async def test_letter_stopped_after_it_was_rendered_has_its_answer(house: House) -> None:
    sent = await house.approved()
    await house.rendered()
    await hold(house)
    scan = await house.split(sure(await house.code(sent)), PageCodes())
    await steps.place_by_hand(
        house.store, house.office_key, await page_id(house, scan, 2), sent.id, house.volunteers["anna"]
    )
    assert await pages(house) == [("placed", None), ("placed", "no_code")]
    await house.release()
    assert (await house.row(tables.replies)).state == "released"
    assert await house.state(sent) == "held"


UNSENT = [House.queued, House.submit, House.approved, batched, stopped_unprinted]


@pytest.mark.parametrize("stage", UNSENT)
async def test_code_of_a_letter_that_was_not_sent_goes_to_nobody(house: House, stage: object) -> None:
    assert callable(stage)
    sent = await stage(house)
    await house.split(sure(await house.code(sent)))
    assert await pages(house) == [("held", "letter_not_sent")]


async def test_side_that_came_before_is_held(house: House) -> None:
    sent = await house.posted(sheets=2)
    code = await house.code(sent)
    await house.split(sure(code), sure(code))
    assert await pages(house) == [("placed", None), ("held", "duplicate")]
    again = await house.split(sure(code), sure(code, 1, Side.B), sure(code, None, None))
    assert await pages(house, again) == [("held", "duplicate"), ("placed", None), ("held", "duplicate")]


async def test_side_whose_first_scan_was_put_away_is_taken(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    both = PageCodes((*sure(code).reads, *sure(code, 2).reads))
    first = await house.split(both)
    assert await pages(house, first) == [("held", "contradiction")]
    await steps.put_away(house.store, await page_id(house, first), house.volunteers["anna"])
    second = await house.split(sure(code))
    assert await pages(house, second) == [("placed", None)]


@both_engines
async def test_same_page_in_two_files_that_are_split_together_is_placed_once(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    files = [await house.received() for _ in range(3)]
    await asyncio.gather(*(house.split_into(scan, sure(code)) for scan in files))
    assert sorted(await pages(house)) == [("held", "duplicate"), ("held", "duplicate"), ("placed", None)]


@both_engines
async def test_pages_that_were_read_before_the_worker_died_are_not_read_again(house: House) -> None:
    scan = await house.received()
    async with house.store.database.writing() as connection:
        order, now = tables.scans.c.created_at, house.clock()
        await leases.claim(connection, tables.scans, owner=WORKER_NAME, now=now, order_by=order)
        key = await load_key(connection, Context("scan", scan), house.office_key)
    blobs = [await house.store.blobs.put_bytes(data, key) for data in (b"picture", b"untouched")]
    reading = Reading(lines=((Word(text="kept", doubtful=False),),))
    await steps.keep_page(house.store, scan, WORKER_NAME, key, steps.ReadPage(2, reading, *blobs))
    async with house.store.database.reading() as connection:
        assert await steps.read_already(connection, scan) == {2}
        assert await steps.waiting_readings(connection, scan, key) == {2: reading}
    assert await pages(house) == [("waiting", None)]


async def test_empty_back_is_left_out_and_can_be_taken_back(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    empty = Reading(lines=(), codes=sure(code, 1, Side.B), blank=True)
    scan = await house.split(sure(code), empty, Reading(lines=(), blank=True))
    assert await pages(house) == [("placed", None), ("void", "blank"), ("void", "blank")]
    reply = await house.row(tables.replies)
    async with house.store.database.reading() as connection:
        assert (await reply_steps.to_assemble(connection, reply.id, house.office_key)).missing == ()
    back = await page_id(house, scan, 2)
    await steps.take_back(house.store, back, house.volunteers["anna"])
    assert await pages(house) == [("placed", None), ("unmatched", "blank"), ("void", "blank")]
    with pytest.raises(steps.PageNotOpenError):
        await steps.take_back(house.store, back, house.volunteers["anna"])
    await steps.place_by_hand(house.store, house.office_key, back, sent.id, house.volunteers["anna"])
    assert {row.reply_id for row in await house.rows(tables.pages, state="placed")} == {reply.id}


async def test_page_of_another_facility_than_its_pile_is_held(house: House) -> None:
    mine, other = await house.posted(ENGLISH), await house.posted(RUSSIAN)
    facility = await house.row(tables.facilities, slug=ENGLISH.facility.slug)
    taken = await steps.take_in(house.store, pieces(b"a pile"), "pile.pdf", house.anna, facility_id=facility.id)
    await house.split_into(taken.scan_id, sure(await house.code(mine)), sure(await house.code(other)))
    assert await pages(house) == [("placed", None), ("held", "other_facility")]


async def test_front_and_back_of_two_sheets_are_held(house: House) -> None:
    codes = [await house.code(await house.posted()) for _ in range(3)]
    await house.split(sure(codes[0]), sure(codes[0], 1, Side.B), sure(codes[1], 1, Side.A), sure(codes[2], 1, Side.B))
    assert await pages(house) == [("placed", None)] * 2 + [("held", "contradiction")] * 2


async def test_printed_side_against_the_code_is_held(house: House) -> None:
    code = await house.code(await house.posted())
    wrong = [Reading(lines=(), codes=sure(code, 1, side), tick_side=side is Side.B) for side in Side]
    await house.split(*wrong)
    assert await pages(house) == [("held", "contradiction")] * 2


async def test_same_bytes_again_are_noted(house: House) -> None:
    for _ in range(2):
        taken = await steps.take_in(house.store, pieces(b"the same"), "scan.pdf", house.anna)
    events = await house.rows(tables.events, record_id=taken.scan_id)
    assert [(row.target, row.reason) for row in events] == [("received", None), ("received", steps.CAME_AGAIN)]


# --- by hand


@both_engines
async def test_page_given_by_hand_becomes_a_reply(house: House) -> None:
    sent = await house.posted()
    scan = await house.split(PageCodes(), PageCodes())
    for number in (1, 2):
        await steps.place_by_hand(
            house.store, house.office_key, await page_id(house, scan, number), sent.id, house.volunteers["anna"]
        )
    reply = await house.row(tables.replies)
    assert (reply.letter_id, reply.state) == (sent.id, "open")
    rows = await house.rows(tables.pages)
    assert {(row.state, row.reply_id) for row in rows} == {("placed", reply.id)}
    last = (await house.rows(tables.events, record_id=rows[0].id))[-1]
    assert (last.source, last.target, last.actor) == ("unmatched", "placed", f"volunteer:{house.volunteers['anna']}")


@both_engines
async def test_two_pages_given_at_the_same_moment_are_one_reply(house: House) -> None:
    sent = await house.posted()
    scan = await house.split(PageCodes(), PageCodes(), PageCodes())
    ids = [await page_id(house, scan, number) for number in (1, 2, 3)]
    await asyncio.gather(
        *(steps.place_by_hand(house.store, house.office_key, page, sent.id, house.volunteers["anna"]) for page in ids)
    )
    assert len(await house.rows(tables.replies)) == 1


@both_engines
async def test_page_is_decided_about_once(house: House) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    page = await page_id(house, await house.split(PageCodes()))
    anna, boris = house.volunteers["anna"], house.volunteers["boris"]
    results = await asyncio.gather(
        steps.place_by_hand(house.store, house.office_key, page, mine.id, anna),
        steps.place_by_hand(house.store, house.office_key, page, other.id, boris),
        steps.put_away(house.store, page, boris),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "PageNotOpenError", "PageNotOpenError"]
    assert len(await house.rows(tables.events, record_id=page)) == 3


@pytest.mark.parametrize("stage", UNSENT)
async def test_page_cannot_be_given_to_a_letter_that_was_not_sent(house: House, stage: object) -> None:
    assert callable(stage)
    sent = await stage(house)
    page = await page_id(house, await house.split(PageCodes()))
    for letter in (sent.id, "0" * 32):
        with pytest.raises(steps.PageNotOpenError):
            await steps.place_by_hand(house.store, house.office_key, page, letter, house.volunteers["anna"])
    assert await pages(house) == [("unmatched", "no_code")]


async def test_placed_or_unknown_page_is_not_for_the_hand(house: House) -> None:
    sent = await house.posted()
    placed = await page_id(house, await house.split(sure(await house.code(sent))))
    for page in (placed, "0" * 32):
        with pytest.raises(steps.PageNotOpenError):
            await steps.place_by_hand(house.store, house.office_key, page, sent.id, house.volunteers["anna"])
        with pytest.raises(steps.PageNotOpenError):
            await steps.put_away(house.store, page, house.volunteers["anna"])
    assert await pages(house) == [("placed", None)]


async def test_page_put_away_is_kept(house: House) -> None:
    scan = await house.split(PageCodes())
    await steps.put_away(house.store, await page_id(house, scan), house.volunteers["anna"])
    assert await pages(house) == [("void", "no_code")]
    part = await open_part(house.store, Context("scan", scan), page_picture(1), house.office_key)
    assert part == picture(1)


# --- telling


async def test_report_tells_what_became_of_each_page(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    scan = await house.split(PageCodes(), sure(code, 1, Side.B))
    async with house.store.database.reading() as connection:
        told = await received.report(connection, scan)
    assert [
        (page.page, page.code, page.sheet, page.side, page.method, page.letter, page.state, page.doubt) for page in told
    ] == [
        (1, None, None, None, None, None, "unmatched", "no_code"),
        (2, code, 1, "B", "matrix", sent.id, "placed", None),
    ]

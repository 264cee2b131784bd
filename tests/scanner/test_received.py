"""The files that came, and what became of their pages."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from relay.domain.lives import PageState
from relay.store import tables
from scanner import received, replies, steps
from scanner.codes import PageCodes
from tests.workplaces import House, both_engines, get, sure


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
        found = await received.received(connection, house.office_key)
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
        found = await received.received(connection, house.office_key, limit=3)
    assert {scan.id for scan in found[:2]} == {problem, unread}
    assert [(scan.id, scan.problem) for scan in found[2:]] == [(newer[1], None)]


async def test_file_whose_key_is_gone_hides_no_other(house: House) -> None:
    gone, fine = await house.received(b"gone", "gone.pdf"), await house.received(b"fine", "fine.pdf")
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.content_keys).where(tables.content_keys.c.record_id == gone))
    async with house.store.database.reading() as connection:
        found = await received.received(connection, house.office_key)
    assert {scan.id: scan.name for scan in found} == {gone: "", fine: "fine.pdf"}
    office = await house.office()
    assert "fine.pdf" in (await get(office, "/en/scan")).screen.text


@pytest.mark.parametrize("query", [received._SCAN, replies._LISTED])
async def test_pages_are_counted_by_their_file_or_reply_not_by_their_state(house: House, query: sa.Select[Any]) -> None:
    compiled = query.compile(dialect=house.store.database._reader.dialect, compile_kwargs={"literal_binds": True})
    async with house.store.database.reading() as connection:
        plan = [row.detail for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
    ways = {line.rpartition(" ")[2] for line in plan if line.startswith(("SEARCH pages", "SCAN pages"))}
    assert ways in ({"(scan_id=?)"}, {"(reply_id=?)"})

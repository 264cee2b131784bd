"""The proof that every page ends in exactly one reply or before a person."""

from __future__ import annotations

import sqlalchemy as sa

from relay.domain.reply_code import Side
from relay.store import tables
from scanner import reply_steps, steps
from scanner.accounts import Unaccounted, unaccounted
from scanner.codes import PageCodes
from scanner.reading import Reading
from tests.workplaces import House, both_engines, sure


async def found(house: House) -> list[Unaccounted]:
    async with house.store.database.reading() as connection:
        return await unaccounted(connection)


@both_engines
async def test_pages_wherever_they_end_are_accounted_for(house: House) -> None:
    sent = await house.posted(sheets=2)
    code = await house.code(sent)
    await house.received(b"not read yet")
    scan = await house.split(
        sure(code), sure(code), PageCodes(), Reading(lines=(), blank=True), sure(code, 2, Side.B), PageCodes()
    )
    ids = {row.number: row.id for row in await house.rows(tables.pages, scan_id=scan)}
    anna = house.volunteers["anna"]
    await steps.put_away(house.store, ids[3], anna)
    await steps.place_by_hand(house.store, house.office_key, ids[6], sent.id, anna)
    assert await house.assemble()
    await reply_steps.take_out(house.store, ids[1], anna)
    assert await found(house) == []
    await house.release()
    assert await found(house) == []


async def test_pages_that_are_nowhere_are_named(house: House) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    scan = await house.split(sure(code), PageCodes(), PageCodes(), sure(code, 1, Side.B))
    reply = await house.row(tables.replies)
    changes = (
        sa.update(tables.pages).where(tables.pages.c.number == 1).values(reply_id=None),
        sa.update(tables.pages).where(tables.pages.c.number == 2).values(reply_id=reply.id),
        sa.update(tables.pages).where(tables.pages.c.number == 3).values(state="waiting"),
        sa.delete(tables.pages).where(tables.pages.c.number == 4),
    )
    async with house.store.database.writing() as connection:
        for change in changes:
            await connection.execute(change)
    assert await found(house) == [
        Unaccounted(scan, 0, "4 pages were counted, 3 are there"),
        Unaccounted(scan, 1, "it is placed and in no reply"),
        Unaccounted(scan, 2, "it is unmatched and in a reply that is open"),
        Unaccounted(scan, 3, "it is waiting and in no reply"),
    ]

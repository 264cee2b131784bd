"""What several volunteers do with one reply at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from relay.domain.reply_code import Side
from relay.store import tables
from scanner import reply_steps, steps
from scanner.accounts import unaccounted
from scanner.codes import PageCodes
from tests.workplaces import House, Sent, both_engines, sure

BLOCKED = 0.5
"""Seconds after which a step that has not ended is held up by another one."""


async def page_id(house: House, number: int) -> str:
    return str((await house.row(tables.pages, number=number)).id)


async def while_given_by_hand(
    house: House, sent: Sent, number: int, meanwhile: Awaitable[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do something while a page is given to a letter by hand: its reply is chosen, and the page not yet in it."""
    chosen, go_on, choose = asyncio.Event(), asyncio.Event(), steps._open_reply

    async def slowly(*arguments: Any) -> str:
        reply = await choose(*arguments)
        chosen.set()
        await go_on.wait()
        return reply

    monkeypatch.setattr(steps, "_open_reply", slowly)
    anna, page = house.volunteers["anna"], await page_id(house, number)
    giving = asyncio.create_task(steps.place_by_hand(house.store, house.office_key, page, sent.id, anna))
    await chosen.wait()
    other = asyncio.ensure_future(meanwhile)
    await asyncio.wait([other], timeout=BLOCKED)
    go_on.set()
    await asyncio.gather(giving, other)


@both_engines
async def test_page_given_by_hand_while_the_last_one_is_taken_out_is_not_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)), PageCodes())
    assert await house.assemble()
    out = reply_steps.take_out(house.store, await page_id(house, 1), house.volunteers["boris"])
    await while_given_by_hand(house, sent, 2, out, monkeypatch)
    assert [row.state for row in await house.rows(tables.replies)] == ["held"]
    async with house.store.database.reading() as connection:
        assert await unaccounted(connection) == []


@both_engines
async def test_page_given_by_hand_while_its_reply_is_looked_over_is_not_released_unseen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await house.posted()
    code = await house.code(sent)
    await house.split(sure(code), sure(code, 1, Side.B), PageCodes())
    await while_given_by_hand(house, sent, 3, house.assemble(), monkeypatch)
    while await house.assemble():
        pass
    (row,) = await house.rows(tables.replies)
    assert (row.state, row.reason) == ("held", "by_hand")


async def test_page_given_by_hand_after_somebody_looked_is_not_released_unseen(house: House) -> None:
    sent = await house.posted()
    await house.split(sure(await house.code(sent)), PageCodes())
    assert await house.assemble()
    (row,) = await house.rows(tables.replies)
    async with house.store.database.reading() as connection:
        seen = await reply_steps.version(connection, row.id)
    anna, boris = house.volunteers["anna"], house.volunteers["boris"]
    await steps.place_by_hand(house.store, house.office_key, await page_id(house, 2), sent.id, boris)
    with pytest.raises(reply_steps.ReplyChangedError):
        await reply_steps.check(house.store, row.id, anna, seen=seen)
    assert (await house.row(tables.replies)).state == "held"
    async with house.store.database.reading() as connection:
        seen = await reply_steps.version(connection, row.id)
    await reply_steps.check(house.store, row.id, anna, seen=seen)
    assert (await house.row(tables.replies)).state == "checked"

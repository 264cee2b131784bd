"""What follows from the tick boxes of a page, and what a volunteer settles about them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import PrisonerState
from relay.domain.lives import WORKER, Actor, ReplyState, Who
from relay.domain.sheet import Tick
from relay.store import directory
from relay.store.database import alone
from relay.store.sealed import Store
from relay.store.tables import letters, pages, prisoners, replies, ticks
from relay.store.transitions import NotThereError

TO_SETTLE: Final = (Tick.PAGES_MISSING, Tick.NEED_PAPER, Tick.BEING_MOVED, Tick.PLEASE_STOP, Tick.FORWARD)
"""Ticks that ask something of the office; the others are for the sender alone."""


async def note_ticks(
    connection: AsyncConnection,
    page_id: str,
    ticked: Mapping[Tick, bool | None],
    prisoner_id: str,
    *,
    by: Actor,
    at: datetime.datetime,
) -> None:
    """Note what is ticked on a page that was placed. Who wants no more letters gets none until a person decides."""
    stopped = bool(ticked.get(Tick.PLEASE_STOP)) and await _stop(connection, prisoner_id, by=by, at=at)
    for tick, is_ticked in ticked.items():
        if is_ticked is False:
            continue
        values = {
            "page_id": page_id,
            "tick": tick,
            "clear": bool(is_ticked),
            "stopped": stopped and tick is Tick.PLEASE_STOP,
            "created_at": at,
            "settled_at": at if is_ticked and tick not in TO_SETTLE else None,
        }
        await connection.execute(sa.insert(ticks).values(values))


async def forget_ticks(connection: AsyncConnection, page_id: str, *, by: Actor, at: datetime.datetime) -> None:
    """Take back what follows from the ticks of a page, because it was placed wrongly."""
    prisoner_id = await _prisoner(connection, page_id)
    stopped = await connection.scalar(
        sa.select(ticks.c.stopped).where(ticks.c.page_id == page_id, ticks.c.stopped, ticks.c.settled_at.is_(None))
    )
    await connection.execute(sa.delete(ticks).where(ticks.c.page_id == page_id))
    if stopped:
        await _go_on(connection, prisoner_id, by=by, at=at)


async def settle(
    store: Store,
    page_id: str,
    tick: Tick,
    volunteer_id: str,
    *,
    ticked: bool | None = None,
    write_again: bool | None = None,
) -> None:
    """Settle a tick. `ticked` says so of one that was not clear; what it asks is then to be settled like any other.

    With `write_again` letters to a prisoner who wanted none go on. Raises NotThereError where it is not there or
    settled already.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        this = (ticks.c.page_id == page_id, ticks.c.tick == tick)
        row = (
            await connection.execute(sa.select(ticks).where(*this, ticks.c.settled_at.is_(None)).with_for_update())
        ).one_or_none()
        if row is None or (not row.clear and ticked is None):
            raise NotThereError
        asks = not row.clear and ticked and tick in TO_SETTLE
        await connection.execute(
            sa.update(ticks)
            .where(*this)
            .values(
                clear=row.clear or ticked,
                settled_at=None if asks else now,
                settled_by=None if asks else volunteer_id,
            )
        )
        if tick is Tick.PLEASE_STOP:
            prisoner_id = await _prisoner(connection, page_id)
            if asks:
                stopped = await _stop(connection, prisoner_id, by=WORKER, at=now)
                await connection.execute(sa.update(ticks).where(*this).values(stopped=stopped))
            elif write_again:
                await _go_on(connection, prisoner_id, by=by, at=now)
        if not row.clear and ticked:
            await renew_released(connection, page_id)


async def renew_released(connection: AsyncConnection, page_id: str) -> None:
    """Let what the senders of the replies with this page have be made anew: something in it was put right."""
    holder = sa.select(pages.c.reply_id).where(pages.c.id == page_id).scalar_subquery()
    these = sa.or_(replies.c.id == holder, replies.c.pages_of == holder)
    # Also those that are not checked yet: they may be, and released without this, before it is committed.
    await connection.execute(sa.select(replies.c.id).where(these).order_by(replies.c.id).with_for_update())
    await connection.execute(
        sa.update(replies)
        .where(these, replies.c.state.in_([ReplyState.CHECKED, ReplyState.RELEASED]))
        .values(stale=True)
    )


async def _prisoner(connection: AsyncConnection, page_id: str) -> str:
    query = (
        sa.select(letters.c.prisoner_id)
        .join(replies, replies.c.letter_id == letters.c.id)
        .join(pages, pages.c.reply_id == replies.c.id)
        .where(pages.c.id == page_id)
    )
    prisoner_id: str = (await connection.scalars(query)).one()
    return prisoner_id


async def _stop(connection: AsyncConnection, prisoner_id: str, *, by: Actor, at: datetime.datetime) -> bool:
    """Hold the letters to the prisoner. Returns whether ticks are why they are held, and not what a person decided."""
    state = await connection.scalar(sa.select(prisoners.c.state).where(prisoners.c.id == prisoner_id))
    if state != PrisonerState.ACTIVE:
        return await _asks_to_stop(connection, prisoner_id, ticks.c.stopped)
    await directory.lost(connection, prisoner_id, PrisonerState.DO_NOT_WRITE, by=by, at=at)
    return True


async def _go_on(connection: AsyncConnection, prisoner_id: str, *, by: Actor, at: datetime.datetime) -> None:
    """Letters to the prisoner go on, unless another page that is not settled wants none."""
    await alone(connection, "directory")
    if await _asks_to_stop(connection, prisoner_id, ticks.c.clear):
        return
    stopped = (prisoners.c.id == prisoner_id, prisoners.c.state == PrisonerState.DO_NOT_WRITE)
    await connection.execute(sa.update(prisoners).where(*stopped).values(state=PrisonerState.ACTIVE))
    await directory.hold_or_queue(connection, prisoner_id, by=by, at=at)


async def _asks_to_stop(connection: AsyncConnection, prisoner_id: str, which: sa.ColumnElement[bool]) -> bool:
    """Whether there is such a tick of the prisoner that nobody has seen to."""
    query = (
        sa.select(ticks.c.page_id)
        .join(pages, pages.c.id == ticks.c.page_id)
        .join(replies, replies.c.id == pages.c.reply_id)
        .join(letters, letters.c.id == replies.c.letter_id)
        .where(
            letters.c.prisoner_id == prisoner_id,
            ticks.c.tick == Tick.PLEASE_STOP,
            ticks.c.settled_at.is_(None),
            which,
        )
    )
    return (await connection.execute(query.limit(1))).first() is not None

"""An answer that goes to the prisoner's other correspondents too, because the prisoner ticked that and a person agrees.

A stray mark must never show a letter to strangers: a tick alone forwards nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import WORKER, Actor, LetterState, PageState, Record, ReplyState, Who
from relay.domain.sheet import Tick
from relay.store.sealed import Store
from relay.store.tables import conversations, inboxes, letters, pages, replies, ticks
from relay.store.transitions import NotThereError, begin, move
from scanner.tick_steps import renew_released

GOT: Final = (LetterState.PRINTED, LetterState.POSTED, LetterState.DELIVERED)
"""States of a letter whose sender is a correspondent: the prisoner has it, or is about to."""
_ENDED: Final = (ReplyState.VOID, ReplyState.ERASED)


async def others(connection: AsyncConnection, reply_id: str) -> list[str]:
    """The newest sent letter of each correspondent of the prisoner who has not got this answer and does not get it.

    One person may have several inboxes: who is known by the same address is one.
    """
    of_inbox = conversations.c.inbox_id, inboxes.c.address_tag
    joined = letters.join(conversations, conversations.c.id == letters.c.conversation_id).join(
        inboxes, inboxes.c.id == conversations.c.inbox_id
    )
    got = sa.or_(replies.c.id == reply_id, replies.c.pages_of == reply_id)
    have = await connection.execute(
        sa.select(*of_inbox)
        .select_from(joined.join(replies, replies.c.letter_id == letters.c.id))
        .where(got, replies.c.state.not_in(_ENDED))
    )
    known = {one for had in have for one in (had.inbox_id, had.address_tag) if one}
    of = sa.select(letters.c.prisoner_id).join(replies, replies.c.letter_id == letters.c.id)
    prisoner_id = of.where(replies.c.id == reply_id).scalar_subquery()
    found = []
    for row in await connection.execute(
        sa.select(letters.c.id, *of_inbox)
        .select_from(joined)
        .where(letters.c.prisoner_id == prisoner_id, letters.c.state.in_(GOT))
        .order_by(letters.c.created_at.desc(), letters.c.id)
    ):
        person = {one for one in (row.inbox_id, row.address_tag) if one}
        if not person & known:
            known |= person
            found.append(row.id)
    return found


async def forward(store: Store, page_id: str, volunteer_id: str) -> int:
    """Let the prisoner's other correspondents have the answer too, as somebody who has seen the tick on its page.

    Each gets it as a reply to the newest letter; it is released like those to the letters on one card. Returns how many
    get it. Raises NotThereError where the tick is not there, not clear, or settled already, or the page is destroyed.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        holder = await _holder(connection, page_id)
        kept = sa.select(pages.c.id).where(pages.c.id == page_id, pages.c.reading.is_not(None))
        if (await connection.execute(kept)).first() is None:  # its time is over
            raise NotThereError
        await _settle(connection, page_id, by, now, clear=True)
        meant = await others(connection, holder.id)
        held = sa.select(letters.c.id).where(letters.c.id.in_(meant), letters.c.state.in_(GOT))
        found = (await connection.scalars(held.order_by(letters.c.id).with_for_update())).all()
        for letter_id in found:
            reply_id = await begin(
                connection,
                Record.REPLY,
                ReplyState.OPEN,
                by=by,
                at=now,
                letter_id=letter_id,
                scan_id=holder.scan_id,
                created_at=now,
                pages_of=holder.id,
                forwarded=True,
                complete=holder.complete,
            )
            if holder.state != ReplyState.OPEN:
                as_it = ReplyState.HELD if holder.state == ReplyState.HELD else ReplyState.CHECKED
                await move(connection, Record.REPLY, reply_id, as_it, by=WORKER, at=now, reason=holder.reason)
    return len(found)


async def keep(store: Store, page_id: str, volunteer_id: str) -> None:
    """Note that the answer is not for others: the box is not ticked, or not meant. Its sender is not told that it is.

    Raises NotThereError where the tick is not there, not clear, or settled already.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        await _holder(connection, page_id)
        await _settle(connection, page_id, by, now, clear=False)
        await renew_released(connection, page_id)


async def take_back(store: Store, reply_id: str, volunteer_id: str) -> None:
    """Let others not have an answer that waits to be looked over. Raises NotThereError where none would get it."""
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        if not await void(connection, reply_id, by=by, at=now):
            raise NotThereError
        its = sa.select(pages.c.id).where(pages.c.reply_id == reply_id).scalar_subquery()
        seen = (ticks.c.page_id.in_(its), ticks.c.tick == Tick.FORWARD, ticks.c.settled_at.is_not(None))
        await connection.execute(sa.update(ticks).where(*seen).values(clear=False, settled_by=volunteer_id))


async def void(connection: AsyncConnection, reply_id: str, *, by: Actor, at: datetime.datetime) -> Sequence[str]:
    """Void what is forwarded of an answer and was not looked over yet. Returns what that was."""
    waiting = replies.c.state.in_([ReplyState.OPEN, ReplyState.HELD])
    query = sa.select(replies.c.id).where(replies.c.pages_of == reply_id, replies.c.forwarded, waiting)
    found = (await connection.scalars(query.order_by(replies.c.id).with_for_update())).all()
    for one in found:
        await move(connection, Record.REPLY, one, ReplyState.VOID, by=by, at=at)
    return found


async def is_meant(connection: AsyncConnection, reply_id: str) -> bool:
    """Whether a page of the reply has a tick of which a person said that others shall have the answer."""
    query = (
        sa.select(ticks.c.page_id)
        .join(pages, pages.c.id == ticks.c.page_id)
        .where(
            pages.c.reply_id == reply_id, ticks.c.tick == Tick.FORWARD, ticks.c.clear, ticks.c.settled_at.is_not(None)
        )
    )
    return (await connection.execute(query.limit(1))).first() is not None


async def _holder(connection: AsyncConnection, page_id: str) -> sa.Row[Any]:
    """The row of the reply that holds a page; nobody looks it over or releases it meanwhile. Raises NotThereError."""
    placed = sa.select(pages.c.reply_id).where(pages.c.id == page_id, pages.c.state == PageState.PLACED)
    this = (replies.c.id == placed.scalar_subquery(), replies.c.state.not_in(_ENDED))
    row = (await connection.execute(sa.select(replies).where(*this).with_for_update())).one_or_none()
    if row is None:
        raise NotThereError
    return row


async def _settle(connection: AsyncConnection, page_id: str, by: Actor, at: datetime.datetime, *, clear: bool) -> None:
    this = (ticks.c.page_id == page_id, ticks.c.tick == Tick.FORWARD, ticks.c.clear, ticks.c.settled_at.is_(None))
    settled = sa.update(ticks).where(*this).values(clear=clear, settled_at=at, settled_by=by.id)
    if not (await connection.execute(settled)).rowcount:
        raise NotThereError

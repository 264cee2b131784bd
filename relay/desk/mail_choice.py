"""What the sender of an inbox wants by mail: all of it, only notices, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.inbox import NoSuchInboxError
from relay.domain.letters import LetterBody, Wants
from relay.domain.lives import ANSWERS, LetterState, MailKind
from relay.mail.outbox import drop_mails
from relay.sealing import InboxSecret, SealBrokenError
from relay.store.letters import read_body, was_confirmed
from relay.store.sealed import Store
from relay.store.tables import conversations, inboxes, letters

UNWANTED: Final = [kind for kind in MailKind if kind not in ANSWERS and kind is not MailKind.CONFIRM]
"""Mails that do not go to who wants nothing by mail."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the sender of an inbox wants now, and to which address."""

    inbox_id: str
    address: str | None
    """Of the newest confirmed letter that can be opened; it goes on with each letter that is written back."""
    wants: Wants


async def read_choice(connection: AsyncConnection, secret: InboxSecret) -> Choice:
    """What the sender of an inbox wants by mail. Raises NoSuchInboxError."""
    query = sa.select(inboxes.c.id).where(inboxes.c.lookup_hash == secret.lookup_hash)
    inbox_id = (await connection.execute(query)).scalar_one_or_none()
    if inbox_id is None:
        raise NoSuchInboxError
    for row in await connection.execute(
        sa.select(letters.c.id, letters.c.wants)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .where(conversations.c.inbox_id == inbox_id, was_confirmed())
        .order_by(letters.c.created_at.desc(), letters.c.id)
    ):
        body = await opened_body(connection, secret, row.id)
        if body is not None:
            return Choice(inbox_id, body.address, Wants(row.wants))
    return Choice(inbox_id, None, Wants.NOTHING)


async def opened_body(connection: AsyncConnection, secret: InboxSecret, letter_id: str) -> LetterBody | None:
    """What stands in a letter of the inbox; None where it was destroyed."""
    try:
        return await read_body(connection, letter_id, secret.key)
    except SealBrokenError:
        return None


async def choose(store: Store, secret: InboxSecret, wants: Wants) -> None:
    """Let all letters of an inbox that have an address be about this; of NOTHING the mails that wait are dropped, too.

    A letter that is not confirmed stays as it is: who gave an address has to confirm by it. Raises NoSuchInboxError.
    """
    now = store.database.clock()
    async with store.database.writing() as connection:
        rows = (
            await connection.execute(
                sa.select(letters.c.id, letters.c.wants, letters.c.state)
                .join(conversations, conversations.c.id == letters.c.conversation_id)
                .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
                .where(inboxes.c.lookup_hash == secret.lookup_hash)
                .order_by(letters.c.id)
                .with_for_update(of=letters)
            )
        ).all()
        if not rows:
            raise NoSuchInboxError
        for row in rows:
            if row.state == LetterState.UNCONFIRMED or row.wants == wants:
                continue
            if wants is not Wants.NOTHING:
                body = await opened_body(connection, secret, row.id)
                if body is None or not body.address:
                    continue
            await connection.execute(sa.update(letters).where(letters.c.id == row.id).values(wants=wants))
            if wants is Wants.NOTHING:
                await drop_mails(connection, row.id, UNWANTED, now)

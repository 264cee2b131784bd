"""The next letter of a conversation: to whom it goes, and what is known of its sender already."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.inbox import NoSuchInboxError
from relay.desk.mail_choice import opened_body, read_choice
from relay.domain.letters import Wants
from relay.sealing import InboxSecret
from relay.store import directory
from relay.store.directory import Known
from relay.store.letters import was_confirmed
from relay.store.tables import conversations, inboxes, letters


class NothingConfirmedError(Exception):
    """No letter of the inbox was ever confirmed: a new one cannot go without a confirmation either."""


@dataclass(frozen=True, slots=True)
class WritingBack:
    """What the next letter of a conversation takes from those before it."""

    conversation_id: str
    known: Known
    printed_name: str
    """As under the newest letter to this prisoner; empty where there is none."""
    address: str | None
    wants: Wants


async def read_writing_back(connection: AsyncConnection, secret: InboxSecret, conversation_id: str) -> WritingBack:
    """What stands ready for the next letter of a conversation. Raises NoSuchInboxError and NothingConfirmedError."""
    mine = (
        sa.select(letters.c.id, conversations.c.prisoner_id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash)
        .order_by(letters.c.created_at.desc(), letters.c.id)
    )
    rows = (await connection.execute(mine.where(conversations.c.id == conversation_id))).all()
    if not rows:
        raise NoSuchInboxError
    if (await connection.execute(mine.where(was_confirmed()).limit(1))).first() is None:
        raise NothingConfirmedError
    printed_name = ""
    for row in rows:
        if (body := await opened_body(connection, secret, row.id)) is not None:
            printed_name = body.printed_name
            break
    choice = await read_choice(connection, secret)
    known = await directory.by_id(connection, rows[0].prisoner_id)
    return WritingBack(conversation_id, known, printed_name, choice.address, choice.wants)

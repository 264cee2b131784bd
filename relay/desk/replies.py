"""What the holder of an inbox's secret sees of the replies in it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.inbox import NoSuchInboxError
from relay.domain.letters import COVER, Transcript
from relay.domain.lives import LetterState, Record, ReplyState
from relay.domain.reply_parts import reply_untouched_part
from relay.sealing import Context, InboxSecret
from relay.store.sealed import Store, find_blobs, load_key, open_part
from relay.store.tables import conversations, inboxes, letters, prisoners, replies


@dataclass(frozen=True, slots=True)
class Reply:
    """A released reply."""

    id: str
    conversation_id: str
    prisoner: str
    at: datetime.datetime
    """When it was released."""
    letter_at: datetime.datetime
    """When the letter was written beside which it stands."""
    begins: bool
    """It answers no letter: with it the prisoner began the conversation."""
    forwarded: bool
    """It answers another correspondent; the prisoner wants this one to have it, too."""
    transcript: Transcript
    untouched: frozenset[int]
    """The pages that are there as they were scanned, too, counted from 1."""
    earlier: str | None
    """The id of the reply before it in its conversation."""
    later: str | None

    @property
    def covered(self) -> frozenset[int]:
        """The pages on which a volunteer covered words."""
        pages = enumerate(self.transcript.pages, start=1)
        return frozenset(
            number for number, lines in pages if any(word.text == COVER for line in lines for word in line)
        )


async def read_reply(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> Reply:
    """A released reply of the inbox. Raises NoSuchInboxError and SealBrokenError."""
    row = await _released(connection, secret, reply_id)
    context = Context(Record.REPLY, reply_id)
    content_key = await load_key(connection, context, secret.key)
    transcript = Transcript.model_validate_json(content_key.decrypt(row.transcript))
    parts = await find_blobs(connection, context)
    pages = range(1, len(transcript.pages) + 1)
    others = (
        await connection.execute(
            sa.select(replies.c.id)
            .join(letters, letters.c.id == replies.c.letter_id)
            .where(letters.c.conversation_id == row.conversation_id, *_THERE)
            .order_by(replies.c.state_since, replies.c.id)
        )
    ).scalars()
    ids = [None, *others, None]
    place = ids.index(reply_id)
    return Reply(
        id=reply_id,
        conversation_id=row.conversation_id,
        prisoner=row.prisoner,
        at=row.state_since,
        letter_at=row.created_at,
        begins=row.state == LetterState.BEGUN and not row.forwarded,
        forwarded=row.forwarded,
        transcript=transcript,
        untouched=frozenset(number for number in pages if reply_untouched_part(number) in parts),
        earlier=ids[place - 1],
        later=ids[place + 1],
    )


async def reply_part(store: Store, secret: InboxSecret, reply_id: str, part: str) -> bytes:
    """The PDF of a released reply, or one of its pictures.

    Raises NoSuchInboxError, SealBrokenError and BlobMissingError.
    """
    async with store.database.reading() as connection:
        await _released(connection, secret, reply_id)
    return await open_part(store, Context(Record.REPLY, reply_id), part, secret.key)


_THERE = (replies.c.state == ReplyState.RELEASED, replies.c.destroyed_at.is_(None))


async def _released(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> sa.Row[*tuple[Any, ...]]:
    row = (
        await connection.execute(
            sa.select(
                replies.c.state_since,
                replies.c.forwarded,
                replies.c.transcript,
                letters.c.conversation_id,
                letters.c.created_at,
                letters.c.state,
                prisoners.c.name.label("prisoner"),
            )
            .join(letters, letters.c.id == replies.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .where(inboxes.c.lookup_hash == secret.lookup_hash, replies.c.id == reply_id, *_THERE)
        )
    ).one_or_none()
    if row is None:
        raise NoSuchInboxError
    return row

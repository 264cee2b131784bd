"""What the holder of an inbox's secret sees."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import LetterBody, Transcript
from relay.domain.lives import SENTENCES, WITHDRAWABLE, BatchState, LetterState, Record, ReplyState
from relay.domain.reasons import REFUSALS, Refusal
from relay.sealing import Context, InboxSecret, SealBrokenError
from relay.store.letters import read_body
from relay.store.sealed import Store, load_key, open_part
from relay.store.tables import (
    batches,
    conversations,
    events,
    facilities,
    inboxes,
    letters,
    prisoners,
    replies,
)


class NoSuchInboxError(LookupError):
    """The secret opens no inbox, or the inbox has no such reply or letter."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a letter's history, as the sender reads it."""

    at: datetime.datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in an inbox."""

    id: str
    prisoner: str
    facility: str
    state: LetterState
    body: LetterBody | None
    """None where its content was destroyed."""
    history: tuple[Step, ...]
    reason: str | None
    can_withdraw: bool
    replies: tuple[tuple[str, datetime.datetime], ...]
    """Ids and times of release."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A released reply."""

    id: str
    prisoner: str
    transcript: Transcript


async def read_inbox(connection: AsyncConnection, secret: InboxSecret) -> list[Letter]:
    """All letters of an inbox, newest first. Raises NoSuchInboxError."""
    rows = (
        await connection.execute(
            sa.select(
                letters.c.id,
                letters.c.state,
                letters.c.reason,
                prisoners.c.name.label("prisoner"),
                facilities.c.name.label("facility"),
                batches.c.state.label("batch_state"),
            )
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .join(facilities, facilities.c.id == prisoners.c.facility_id)
            .join(batches, batches.c.id == letters.c.batch_id, isouter=True)
            .where(inboxes.c.lookup_hash == secret.lookup_hash)
            .order_by(letters.c.created_at.desc())
        )
    ).all()
    if not rows:
        raise NoSuchInboxError
    key = secret.key
    found = []
    for row in rows:
        try:
            body = await read_body(connection, row.id, key)
        except SealBrokenError:
            body = None
        answered = await connection.execute(
            sa.select(replies.c.id, replies.c.state_since)
            .where(replies.c.letter_id == row.id, replies.c.state == ReplyState.RELEASED)
            .order_by(replies.c.state_since)
        )
        history = await connection.execute(
            sa.select(events.c.at, events.c.target)
            .where(events.c.record == Record.LETTER, events.c.record_id == row.id)
            .order_by(events.c.number)
        )
        state = LetterState(row.state)
        found.append(
            Letter(
                id=row.id,
                prisoner=row.prisoner,
                facility=row.facility,
                state=state,
                body=body,
                history=tuple(Step(step.at, SENTENCES[LetterState(step.target)]) for step in history),
                reason=REFUSALS[Refusal(row.reason)] if row.reason else None,
                can_withdraw=state in WITHDRAWABLE and row.batch_state in {None, BatchState.OPEN},
                replies=tuple((reply.id, reply.state_since) for reply in answered),
            )
        )
    return found


async def check_owner(connection: AsyncConnection, secret: InboxSecret, letter_id: str) -> None:
    """Raises NoSuchInboxError where the letter does not belong to the inbox."""
    query = (
        sa.select(letters.c.id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash, letters.c.id == letter_id)
    )
    if (await connection.execute(query)).one_or_none() is None:
        raise NoSuchInboxError


async def read_reply(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> Reply:
    """A released reply of the inbox. Raises NoSuchInboxError."""
    row = await _released(connection, secret, reply_id)
    content_key = await load_key(connection, Context(Record.REPLY, reply_id), secret.key)
    return Reply(
        id=reply_id,
        prisoner=row.prisoner,
        transcript=Transcript.model_validate_json(content_key.decrypt(row.transcript)),
    )


async def reply_part(store: Store, secret: InboxSecret, reply_id: str, part: str) -> bytes:
    """The PDF of a released reply, or one of its pictures. Raises NoSuchInboxError and BlobMissingError."""
    async with store.database.reading() as connection:
        await _released(connection, secret, reply_id)
    return await open_part(store, Context(Record.REPLY, reply_id), part, secret.key)


async def _released(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> sa.Row[*tuple[Any, ...]]:
    row = (
        await connection.execute(
            sa.select(replies.c.state_since, replies.c.transcript, prisoners.c.name.label("prisoner"))
            .join(letters, letters.c.id == replies.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .where(
                inboxes.c.lookup_hash == secret.lookup_hash,
                replies.c.id == reply_id,
                replies.c.state == ReplyState.RELEASED,
            )
        )
    ).one_or_none()
    if row is None:
        raise NoSuchInboxError
    return row

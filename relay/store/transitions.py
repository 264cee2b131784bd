"""The one place where a state changes: the row, the event and the mail to the sender in one transaction."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import FIRST, Event
from relay.domain.letters import Wants
from relay.domain.lives import (
    ANSWERS,
    Actor,
    BatchState,
    LetterState,
    MailKind,
    MailState,
    PageState,
    Record,
    ReplyState,
    ScanState,
    State,
    transition,
)
from relay.domain.review import Decision
from relay.store import tables
from relay.store.database import new_id
from relay.store.leases import FREE, FRESH

TABLES: Final[Mapping[Record, sa.Table]] = {
    Record.LETTER: tables.letters,
    Record.BATCH: tables.batches,
    Record.SCAN: tables.scans,
    Record.PAGE: tables.pages,
    Record.REPLY: tables.replies,
}
STATES: Final[Mapping[Record, type[State]]] = {
    Record.LETTER: LetterState,
    Record.BATCH: BatchState,
    Record.SCAN: ScanState,
    Record.PAGE: PageState,
    Record.REPLY: ReplyState,
}


class NotThereError(LookupError):
    """The record does not exist."""


async def begin(
    connection: AsyncConnection, record: Record, state: State, *, by: Actor, at: datetime.datetime, **values: Any
) -> str:
    """Make a record in its first state, with its first event. Returns its id; `values` are its columns."""
    transition(record, None, state, by.who)
    record_id: str = values.pop("id", None) or new_id()
    await connection.execute(sa.insert(TABLES[record]).values(id=record_id, state=state, state_since=at, **values))
    await _append(connection, record, record_id, at=at, actor=by, source=None, target=state, reason=None)
    return record_id


async def move(
    connection: AsyncConnection,
    record: Record,
    record_id: str,
    target: State,
    *,
    by: Actor,
    at: datetime.datetime,
    reason: str | None = None,
    settles_at: datetime.datetime | None = None,
    decision_id: str | None = None,
    **values: Any,
) -> None:
    """Take a record to its next state: check, change, append the event, add the mail to the outbox.

    A held lease ends with the step. The mail about a decision of the review waits until it `settles_at`. Raises
    NotThereError, or ForbiddenTransitionError where the table of `relay.domain.lives` does not have the step.
    """
    table = TABLES[record]
    if reason is not None and "reason" in table.c:
        values["reason"] = reason
    row = (await connection.execute(sa.select(table).where(table.c.id == record_id).with_for_update())).one_or_none()
    if row is None:
        raise NotThereError(f"there is no {record} {record_id}")
    source = STATES[record](row.state)
    step = transition(record, source, target, by.who)
    if "lease_owner" in table.c:
        values |= FREE | FRESH
    if record is Record.LETTER:
        values["settles_at"] = settles_at
    await connection.execute(
        sa.update(table).where(table.c.id == record_id).values(state=target, state_since=at, **values)
    )
    await _append(connection, record, record_id, at=at, actor=by, source=source, target=target, reason=reason)
    if step.mail is not None:
        reply_id = record_id if record is Record.REPLY else None
        await add_mail(
            connection,
            step.mail,
            row.letter_id if reply_id else record_id,
            at=at,
            reply_id=reply_id,
            decision_id=decision_id,
            not_before=settles_at,
        )


async def note(
    connection: AsyncConnection, record: Record, record_id: str, *, by: Actor, at: datetime.datetime, reason: str
) -> None:
    """Append an event that leaves the record in its state. Raises NotThereError."""
    table = TABLES[record]
    row = (await connection.execute(sa.select(table.c.state).where(table.c.id == record_id).with_for_update())).first()
    if row is None:
        raise NotThereError(f"there is no {record} {record_id}")
    await _append(connection, record, record_id, at=at, actor=by, source=row.state, target=row.state, reason=reason)


async def to_translators(connection: AsyncConnection, letter_id: str, *, by: Actor, at: datetime.datetime) -> None:
    """Pass a queued letter on to the translators, if the facility does not take its language and nobody did so yet."""
    letters, decisions = tables.letters, tables.decisions
    done = sa.exists().where(
        decisions.c.letter_id == letters.c.id,
        decisions.c.decision == Decision.TRANSLATED,
        decisions.c.void_at.is_(None),
    )
    foreign = sa.select(letters.c.id).where(letters.c.id == letter_id, letters.c.translate_from.is_not(None), ~done)
    if (await connection.execute(foreign)).first() is not None:
        await move(connection, Record.LETTER, letter_id, LetterState.TRANSLATING, by=by, at=at)


async def forget_partly(connection: AsyncConnection, letter_id: str, *, at: datetime.datetime) -> None:
    """Drop the mail that a letter was accepted in part: it is read again, and the sender is told what comes of that."""
    outbox = tables.outbox
    partly = (outbox.c.letter_id == letter_id, outbox.c.kind == MailKind.PARTLY)
    await connection.execute(
        sa.update(outbox)
        .where(*partly, outbox.c.state == MailState.WAITING)
        .values(state=MailState.DROPPED, state_since=at, **FREE)
    )


async def read_anew(connection: AsyncConnection, letter_id: str, *, by: Actor, at: datetime.datetime) -> None:
    """Let a letter that is queued again be read from the start.

    Who accepted it, or passed it on to a second reader, may get it again.
    """
    decisions = tables.decisions
    accepted = (Decision.SECOND, Decision.APPROVE, Decision.APPROVE_IN_PART)
    before = (decisions.c.letter_id == letter_id, decisions.c.decision.in_(accepted))
    await connection.execute(sa.update(decisions).where(*before, decisions.c.void_at.is_(None)).values(void_at=at))
    await to_translators(connection, letter_id, by=by, at=at)


async def add_mail(
    connection: AsyncConnection,
    kind: MailKind,
    letter_id: str,
    *,
    at: datetime.datetime,
    reply_id: str | None = None,
    decision_id: str | None = None,
    not_before: datetime.datetime | None = None,
    body: bytes | None = None,
    mail_id: str | None = None,
) -> bool:
    """Add a mail to the sender of a letter to the outbox, unless that sender wants none. Returns whether it was added.

    Its Message-ID is made here, once, so that a repeated delivery is recognised as the same mail.
    """
    wants = (
        await connection.execute(sa.select(tables.letters.c.wants).where(tables.letters.c.id == letter_id))
    ).scalar_one()
    if wants == Wants.NOTHING and kind not in ANSWERS:
        return False
    await connection.execute(
        sa.insert(tables.outbox).values(
            id=mail_id or new_id(),
            kind=kind,
            letter_id=letter_id,
            reply_id=reply_id,
            decision_id=decision_id,
            next_try_at=not_before,
            message_id=new_id(),
            body=body,
            state=MailState.WAITING,
            state_since=at,
            created_at=at,
        )
    )
    return True


async def _append(
    connection: AsyncConnection,
    record: Record,
    record_id: str,
    *,
    at: datetime.datetime,
    actor: Actor,
    source: str | None,
    target: str,
    reason: str | None,
) -> None:
    events = tables.events
    last = (
        await connection.execute(
            sa.select(events.c.number, events.c.hash)
            .where(events.c.record == record, events.c.record_id == record_id)
            .order_by(events.c.number.desc())
            .limit(1)
        )
    ).one_or_none()
    event = Event(record, record_id, last.number + 1 if last else 1, at, str(actor), source, target, reason)
    await connection.execute(
        sa.insert(events).values(
            record=record,
            record_id=record_id,
            number=event.number,
            at=at,
            actor=event.actor,
            source=source,
            target=target,
            reason=reason,
            hash=event.hash(last.hash if last else FIRST),
        )
    )

"""What waits to be printed, and the batches: what the screens show."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from print.mailings import PRINTED_ONCE, SHEETS_UNKNOWN
from relay.domain.lives import BatchState, LetterState, Record
from relay.domain.ports import Screening
from relay.domain.reply_code import ReplyCode
from relay.store import directory
from relay.store.directory import Known
from relay.store.letters import settled
from relay.store.tables import (
    batches,
    enclosures,
    envelopes,
    events,
    facilities,
    letters,
    prisoners,
    reply_order_letters,
    reprints,
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Approved letters of one facility that are in no batch."""

    facility_id: str
    facility: str
    letters: int
    grams: float
    """About, each letter in an envelope of its own."""
    since: tuple[datetime.datetime, ...]
    """When each was accepted, the oldest first."""

    @property
    def oldest(self) -> datetime.datetime:
        """When the oldest was accepted."""
        return self.since[0]


@dataclass(frozen=True, slots=True)
class SetAside:
    """An approved letter that could not be rendered."""

    id: str
    facility: str
    prisoner: str
    code: ReplyCode
    reason: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the screens show it."""

    id: str
    facility: str
    state: BatchState
    since: datetime.datetime
    copy: bool
    letters: int
    delivered: int
    progress: int
    """Letters rendered so far."""
    envelopes: int
    grams: float
    problem: str | None
    """Why the last try to render it failed."""
    set_aside: bool
    facility_id: str

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of it: its letters were taken back or set aside."""
        return not self.letters and not self.envelopes


@dataclass(frozen=True, slots=True)
class Envelope:
    """One envelope of a rendered batch."""

    id: str
    number: int
    prisoner: str
    codes: tuple[ReplyCode, ...]
    sheets: int
    grams: float
    postage: float | None
    """Up to how many grams its class of postage goes; None where the post takes no such letter."""
    tracking: str | None
    states: tuple[LetterState, ...]
    """Of its letters as they are now."""

    @property
    def can_be_printed_again(self) -> bool:
        """Whether a letter in it went out and did not come back."""
        return any(state in PRINTED_ONCE for state in self.states)


async def waiting(connection: AsyncConnection, screening: Screening, now: datetime.datetime) -> list[Waiting]:
    """What waits to be printed, by facility, the oldest first. What the review can still undo is not in it."""
    rows = await connection.execute(
        sa.select(prisoners.c.facility_id, letters.c.state_since, letters.c.sheets)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(*ready(now))
        .order_by(letters.c.state_since)
    )
    found: dict[str, list[sa.Row[*tuple[Any, ...]]]] = {}
    for row in rows:
        found.setdefault(row.facility_id, []).append(row)
    known = await directory.facilities_by_id(connection, found)
    result = []
    for facility_id, group in found.items():
        says = screening.rules_of(known[facility_id])
        grams = sum(says.grams(row.sheets or SHEETS_UNKNOWN) for row in group)
        since = tuple(row.state_since for row in group)
        result.append(Waiting(facility_id, known[facility_id].name, len(group), grams, since))
    return result


def ready(now: datetime.datetime) -> Sequence[sa.ColumnElement[bool]]:
    """The conditions that a letter can go into a batch."""
    return (
        letters.c.state == LetterState.APPROVED,
        letters.c.batch_id.is_(None),
        letters.c.set_aside_at.is_(None),
        settled(now),
    )


async def set_aside(connection: AsyncConnection) -> list[SetAside]:
    """The letters that could not be rendered, the oldest first."""
    rows = await connection.execute(
        sa.select(
            letters.c.id,
            letters.c.last_error,
            letters.c.set_aside_at,
            prisoners.c.name.label("prisoner"),
            facilities.c.name.label("facility"),
            reply_order_letters.c.code,
        )
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(facilities, facilities.c.id == prisoners.c.facility_id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(letters.c.state == LetterState.APPROVED, letters.c.set_aside_at.is_not(None))
        .order_by(letters.c.set_aside_at, letters.c.id)
    )
    return [
        SetAside(row.id, row.facility, row.prisoner, ReplyCode(row.code), row.last_error or "", row.set_aside_at)
        for row in rows
    ]


async def all_batches(connection: AsyncConnection, posted: int = 50) -> list[Batch]:
    """All batches with something left to do, and then so many that are posted, each newest first."""
    newest_first = sa.select(batches.c.id).order_by(batches.c.created_at.desc(), batches.c.id)
    unposted = (await connection.scalars(newest_first.where(batches.c.state != BatchState.POSTED))).all()
    done = await connection.scalars(newest_first.where(batches.c.state == BatchState.POSTED).limit(posted))
    return await _batches(connection, [*unposted, *done])


async def one_batch(connection: AsyncConnection, batch_id: str) -> Batch | None:
    """One batch; None where there is none of this id."""
    return next(iter(await _batches(connection, [batch_id])), None)


async def _batches(connection: AsyncConnection, ids: Sequence[str]) -> list[Batch]:
    """These batches, in this order."""
    letter = (letters.c.id, letters.c.state)
    enclosed = envelopes.join(enclosures, enclosures.c.envelope_id == envelopes.c.id)
    # What came back is no more in its batch, but was in its envelope.
    printed = sa.union(
        sa.select(letters.c.batch_id, *letter).where(letters.c.batch_id.in_(ids)),
        sa.select(reprints.c.batch_id, *letter)
        .join(letters, letters.c.id == reprints.c.letter_id)
        .where(reprints.c.batch_id.in_(ids)),
        sa.select(envelopes.c.batch_id, *letter)
        .select_from(enclosed.join(letters, letters.c.id == enclosures.c.letter_id))
        .where(envelopes.c.batch_id.in_(ids)),
    ).subquery()
    counted = (
        sa.select(
            printed.c.batch_id,
            sa.func.count().label("letters"),
            sa.func.count().filter(printed.c.state == LetterState.DELIVERED).label("delivered"),
        )
        .group_by(printed.c.batch_id)
        .subquery()
    )
    weighed = (
        sa.select(
            envelopes.c.batch_id, sa.func.count().label("envelopes"), sa.func.sum(envelopes.c.grams).label("grams")
        )
        .where(envelopes.c.batch_id.in_(ids))
        .group_by(envelopes.c.batch_id)
        .subquery()
    )
    rows = await connection.execute(
        sa.select(
            batches,
            facilities.c.name.label("facility"),
            *(sa.func.coalesce(column, 0).label(column.name) for column in (*counted.c[1:], *weighed.c[1:])),
        )
        .join(facilities, facilities.c.id == batches.c.facility_id)
        .outerjoin(counted, counted.c.batch_id == batches.c.id)
        .outerjoin(weighed, weighed.c.batch_id == batches.c.id)
        .where(batches.c.id.in_(ids))
    )
    found = {row.id: _batch(row) for row in rows}
    return [found[batch_id] for batch_id in ids if batch_id in found]


def _batch(row: sa.Row[Any]) -> Batch:
    return Batch(
        row.id,
        row.facility,
        BatchState(row.state),
        row.state_since,
        row.copy,
        row.letters,
        row.delivered,
        row.progress,
        row.envelopes,
        row.grams,
        row.last_error,
        row.set_aside_at is not None,
        row.facility_id,
    )


async def envelopes_of(connection: AsyncConnection, batch_id: str) -> list[Envelope]:
    """The envelopes of a rendered batch, as they are numbered."""
    rows = await connection.execute(
        sa.select(envelopes, prisoners.c.name.label("prisoner"))
        .join(prisoners, prisoners.c.id == envelopes.c.prisoner_id)
        .where(envelopes.c.batch_id == batch_id)
        .order_by(envelopes.c.number)
    )
    inside: dict[str, list[tuple[ReplyCode, LetterState]]] = {}
    codes = await connection.execute(
        sa.select(enclosures.c.envelope_id, letters.c.state, reply_order_letters.c.code)
        .join(envelopes, envelopes.c.id == enclosures.c.envelope_id)
        .join(letters, letters.c.id == enclosures.c.letter_id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(envelopes.c.batch_id == batch_id)
        .order_by(letters.c.created_at, letters.c.id)
    )
    for row in codes:
        inside.setdefault(row.envelope_id, []).append((ReplyCode(row.code), LetterState(row.state)))
    return [
        Envelope(
            row.id,
            row.number,
            row.prisoner,
            tuple(dict.fromkeys(code for code, _ in inside.get(row.id, []))),
            row.sheets,
            row.grams,
            row.postage,
            row.tracking,
            tuple(state for _, state in inside.get(row.id, [])),
        )
        for row in rows
    ]


async def recipients_of(connection: AsyncConnection, batch_id: str) -> list[Known]:
    """To whom each envelope of a rendered batch goes, as they are numbered."""
    numbered = sa.select(envelopes.c.prisoner_id).where(envelopes.c.batch_id == batch_id).order_by(envelopes.c.number)
    ids = (await connection.scalars(numbered)).all()
    known = {one: await directory.by_id(connection, one) for one in dict.fromkeys(ids)}
    return [known[one] for one in ids]


async def last_batch_of(connection: AsyncConnection, letter_ids: Sequence[str]) -> str | None:
    """The batch in which one of these letters was printed last."""
    own = sa.select(letters.c.batch_id, batches.c.created_at).join(batches, batches.c.id == letters.c.batch_id)
    again = sa.select(reprints.c.batch_id, batches.c.created_at).join(batches, batches.c.id == reprints.c.batch_id)
    printed = sa.union_all(
        own.where(letters.c.id.in_(letter_ids)), again.where(reprints.c.letter_id.in_(letter_ids))
    ).subquery()
    found: str | None = await connection.scalar(
        sa.select(printed.c.batch_id).order_by(printed.c.created_at.desc()).limit(1)
    )
    return found


async def posted_at(connection: AsyncConnection, letter_ids: Sequence[str]) -> datetime.datetime | None:
    """When one of these letters was posted last."""
    posted = (events.c.record == Record.LETTER, events.c.target == LetterState.POSTED)
    found: datetime.datetime | None = await connection.scalar(
        sa.select(sa.func.max(events.c.at, type_=events.c.at.type)).where(*posted, events.c.record_id.in_(letter_ids))
    )
    return found


async def tells_correspondents(connection: AsyncConnection, prisoner_id: str) -> bool:
    """Whether the sheet "who wrote to me" goes along in the next envelope to a prisoner."""
    query = sa.select(prisoners.c.tell_correspondents).where(prisoners.c.id == prisoner_id)
    return bool(await connection.scalar(query))

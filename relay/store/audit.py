"""Checkpoints over the events, and their verification."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import FIRST, FORGOTTEN, Event, moment
from relay.store.database import alone
from relay.store.tables import checkpoints, events
from relay.store.transitions import TABLES


def _head(before: str, at: datetime.datetime, hashes: list[str]) -> str:
    return hashlib.sha256("\n".join([before, moment(at), *hashes]).encode()).hexdigest()


async def add_checkpoint(connection: AsyncConnection, at: datetime.datetime) -> str | None:
    """Chain the events that no checkpoint has yet. Returns the new head, or None where there are none."""
    await alone(connection, "checkpoint")
    fresh = events.c.checkpoint_id.is_(None)
    if (await connection.execute(sa.select(events.c.id).where(fresh).limit(1))).first() is None:
        return None
    before: str | None = (
        await connection.execute(sa.select(checkpoints.c.head).order_by(checkpoints.c.id.desc()).limit(1))
    ).scalar_one_or_none()
    number = (
        await connection.execute(sa.insert(checkpoints).values(at=at, head=FIRST).returning(checkpoints.c.id))
    ).scalar_one()
    # One statement takes the events and tells which: meanwhile others add events, and not in the order of their ids.
    taken = await connection.execute(
        sa.update(events).where(fresh).values(checkpoint_id=number).returning(events.c.id, events.c.hash)
    )
    head = _head(before or FIRST, at, [row.hash for row in sorted(taken, key=lambda row: row.id)])
    await connection.execute(sa.update(checkpoints).where(checkpoints.c.id == number).values(head=head))
    return head


@dataclass
class Audit:
    """What the verification found."""

    events: int = 0
    records: int = 0
    tail: int = 0
    """Events that no checkpoint holds yet."""
    faults: list[str] = field(default_factory=list)


async def verify(connection: AsyncConnection) -> Audit:
    """Walk the chain of each record and of the checkpoints, and compare the last events with the states."""
    audit = Audit()
    await _verify_records(connection, audit)
    await _verify_checkpoints(connection, audit)
    return audit


async def _verify_records(connection: AsyncConnection, audit: Audit) -> None:
    states: dict[tuple[str, str], str] = {}
    for record, table in TABLES.items():
        for row in await connection.execute(sa.select(table.c.id, table.c.state)):
            states[record, row.id] = row.state
    last: dict[tuple[str, str], tuple[int, str, str]] = {}
    forgotten: set[tuple[str, str]] = set()
    rows = await connection.stream(sa.select(events).order_by(events.c.record, events.c.record_id, events.c.number))
    async for row in rows:
        audit.events += 1
        name = (row.record, row.record_id)
        number, state, before = last.get(name, (0, None, FIRST))
        event = Event(row.record, row.record_id, row.number, row.at, row.actor, row.source, row.target, row.reason)
        if (row.number, row.source, row.hash) != (number + 1, state, event.hash(before)):
            audit.faults.append(f"{row.record} {row.record_id}: event {row.number} does not follow the one before it")
        last[name] = (row.number, row.target, row.hash)
        if row.reason == FORGOTTEN:
            forgotten.add(name)
    audit.records = len(last)
    for name in sorted(states.keys() | last.keys()):
        told = last[name][1] if name in last else None
        if states.get(name) != (None if name in forgotten else told):
            audit.faults.append(
                f"{name[0]} {name[1]}: the state is {states.get(name) or 'missing'}, the events say {told or 'nothing'}"
            )


async def _verify_checkpoints(connection: AsyncConnection, audit: Audit) -> None:
    hashes: dict[int | None, list[str]] = {}
    for row in await connection.execute(sa.select(events.c.checkpoint_id, events.c.hash).order_by(events.c.id)):
        hashes.setdefault(row.checkpoint_id, []).append(row.hash)
    audit.tail = len(hashes.get(None, []))
    before = FIRST
    for row in await connection.execute(sa.select(checkpoints).order_by(checkpoints.c.id)):
        if _head(before, row.at, hashes.get(row.id, [])) != row.head:
            audit.faults.append(f"checkpoint {row.id} of {row.at:%Y-%m-%d}: it or its events were changed or removed")
        before = row.head

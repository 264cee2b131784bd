"""The audit finds what was changed in the history, wherever that is; and nothing where nothing was."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import FIRST, Event
from relay.domain.lives import SENDER, WORKER, Actor, LetterState, Record, ScanState, Who
from relay.store.audit import Audit, add_checkpoint, verify
from relay.store.sealed import Store
from relay.store.tables import checkpoints, conversations, events, letters, scans
from relay.store.transitions import begin, move
from tests.fakes.clock import FakeClock
from tests.store.rows import AT, add_row

ANNA = Actor(Who.VOLUNTEER, "anna")


@dataclass
class History:
    """A letter with four events and a scan with two: five in two checkpoints, the last of the letter in none."""

    letter_id: str
    scan_id: str


async def add_letter(connection: AsyncConnection, at: datetime.datetime) -> str:
    conversation_id = await add_row(connection, conversations)
    (prisoner_id,) = (await connection.execute(sa.select(conversations.c.prisoner_id).limit(1))).scalars().all()
    values = {"language": "de", "wants": "full", "body": b"", "submission_hash": conversation_id, "created_at": at}
    return await begin(
        connection,
        Record.LETTER,
        LetterState.UNCONFIRMED,
        by=SENDER,
        at=at,
        conversation_id=conversation_id,
        prisoner_id=prisoner_id,
        **values,
    )


async def step(connection: AsyncConnection, letter_id: str, state: LetterState, by: Actor, clock: FakeClock) -> None:
    clock.advance(minutes=1)
    reason = "spam" if state is LetterState.REFUSED else None
    await move(connection, Record.LETTER, letter_id, state, by=by, at=clock(), reason=reason)


@pytest.fixture
async def history(store: Store, clock: FakeClock) -> History:
    """The history, untouched."""
    async with store.database.writing() as connection:
        letter_id = await add_letter(connection, clock())
        values = {"sha256": "0" * 64, "name": b"", "created_at": clock()}
        scan_id = await begin(connection, Record.SCAN, ScanState.RECEIVED, by=ANNA, at=clock(), **values)
        await step(connection, letter_id, LetterState.QUEUED, SENDER, clock)
        await add_checkpoint(connection, clock())
        await step(connection, letter_id, LetterState.HELD, ANNA, clock)
        await move(connection, Record.SCAN, scan_id, ScanState.SPLIT, by=WORKER, at=clock())
        clock.advance(days=1)
        await add_checkpoint(connection, clock())
        await step(connection, letter_id, LetterState.QUEUED, ANNA, clock)
    return History(letter_id, scan_id)


async def faults_after(store: Store, *statements: sa.Executable) -> list[str]:
    """What the audit finds after these changes, which are then undone."""
    async with store.database.writing() as connection:
        savepoint = await connection.begin_nested()
        for statement in statements:
            await connection.execute(statement)
        found = await verify(connection)
        await savepoint.rollback()
    return found.faults


def of_letter(history: History, number: int) -> Sequence[sa.ColumnElement[bool]]:
    """The condition that names one event of the letter."""
    return (events.c.record_id == history.letter_id, events.c.number == number)


async def test_audit_of_empty_store(store: Store) -> None:
    async with store.database.reading() as connection:
        assert await verify(connection) == Audit(events=0, records=0, tail=0, faults=[])


async def test_audit_of_untouched_history(store: Store, history: History, clock: FakeClock) -> None:
    async with store.database.reading() as connection:
        assert await verify(connection) == Audit(events=6, records=2, tail=1, faults=[])
    async with store.database.writing() as connection:
        assert await add_checkpoint(connection, clock()) is not None
        assert await add_checkpoint(connection, clock()) is None
        assert await verify(connection) == Audit(events=6, records=2, tail=0, faults=[])


async def test_audit_finds_every_changed_column_of_every_event(store: Store, history: History) -> None:
    changes = {
        "record": "reply",
        "record_id": "0" * 32,
        "number": 9,
        "at": AT,
        "actor": "volunteer:boris",
        "source": "approved",
        "target": "approved",
        "reason": "threat",
        "hash": "0" * 64,
        "checkpoint_id": None,
    }
    assert set(changes) | {"id"} == set(events.c.keys())
    missed = []
    for number in (1, 2, 3, 4):
        for column, value in changes.items():
            if (number, column) == (4, "checkpoint_id"):
                continue  # the tail is in no checkpoint anyway
            changed = sa.update(events).where(*of_letter(history, number)).values({column: value})
            if not await faults_after(store, changed):
                missed.append((number, column))
    assert missed == []


async def test_audit_finds_event_put_into_another_checkpoint(store: Store, history: History) -> None:
    first, second = (await _column(store, checkpoints.c.id))[:2]
    moved = sa.update(events).where(*of_letter(history, 2)).values(checkpoint_id=second)
    assert [fault.partition(" of ")[0] for fault in await faults_after(store, moved)] == [
        f"checkpoint {first}",
        f"checkpoint {second}",
    ]


async def test_audit_finds_every_dropped_event(store: Store, history: History) -> None:
    letter, scan = f"letter {history.letter_id}", f"scan {history.scan_id}"
    checkpoint, _ = await _column(store, checkpoints.c.id)
    gap = "event {} does not follow the one before it".format
    drop = [await faults_after(store, sa.delete(events).where(*of_letter(history, number))) for number in (1, 2, 4)]
    first, middle, last = drop
    changed = f"checkpoint {checkpoint} of 2031-05-04: it or its events were changed or removed"
    assert first == [f"{letter}: {gap(2)}", changed]
    assert middle == [f"{letter}: {gap(3)}", changed]
    assert last == [f"{letter}: the state is queued, the events say held"]
    all_of_scan = sa.delete(events).where(events.c.record_id == history.scan_id)
    assert (await faults_after(store, all_of_scan))[0] == f"{scan}: the state is split, the events say nothing"


async def test_audit_finds_changed_state_and_missing_record(store: Store, history: History) -> None:
    letter = sa.update(letters).where(letters.c.id == history.letter_id).values(state="approved")
    assert await faults_after(store, letter) == [
        f"letter {history.letter_id}: the state is approved, the events say queued"
    ]
    assert await faults_after(store, sa.delete(scans)) == [
        f"scan {history.scan_id}: the state is missing, the events say split"
    ]


async def test_audit_finds_record_that_was_never_begun(store: Store, history: History) -> None:
    async with store.database.writing() as connection:
        scan_id = await add_row(connection, scans, state="received")
        assert (await verify(connection)).faults == [f"scan {scan_id}: the state is received, the events say nothing"]


async def test_audit_finds_record_whose_history_was_made_up_anew(store: Store, history: History) -> None:
    """Who can write the table can compute the hashes too: then the checkpoints tell."""
    rewritten: list[sa.Executable] = [sa.delete(events).where(*of_letter(history, 4))]
    before = FIRST
    async with store.database.reading() as connection:
        for row in (await connection.execute(sa.select(events).order_by(events.c.number))).all():
            if row.record_id != history.letter_id or row.number == 4:
                continue
            actor = "volunteer:boris" if row.number == 3 else row.actor
            event = Event(row.record, row.record_id, row.number, row.at, actor, row.source, row.target, row.reason)
            before = event.hash(before)
            rewritten.append(sa.update(events).where(events.c.id == row.id).values(actor=actor, hash=before))
    rewritten.append(sa.update(letters).where(letters.c.id == history.letter_id).values(state="held"))
    _, second = await _column(store, checkpoints.c.id)
    assert await faults_after(store, *rewritten) == [
        f"checkpoint {second} of 2031-05-05: it or its events were changed or removed"
    ]


async def test_audit_finds_changed_checkpoints(store: Store, history: History) -> None:
    first, second = await _column(store, checkpoints.c.id)
    for checkpoint in (first, second):
        for values in ({"at": AT}, {"head": "0" * 64}):
            changed = sa.update(checkpoints).where(checkpoints.c.id == checkpoint).values(values)
            found = await faults_after(store, changed)
            assert found[0].startswith(f"checkpoint {checkpoint} of ")
    merged = sa.update(events).where(events.c.checkpoint_id == first).values(checkpoint_id=second)
    assert await faults_after(store, merged, sa.delete(checkpoints).where(checkpoints.c.id == first)) != []


async def test_audit_sees_one_state_while_others_write(store: Store, history: History, clock: FakeClock) -> None:
    """Between its queries steps are made; it must not take them for faults."""
    async with store.database.reading() as reading:
        await reading.execute(sa.select(letters.c.state))
        async with store.database.writing() as writing:
            await step(writing, history.letter_id, LetterState.REFUSED, ANNA, clock)
        assert await verify(reading) == Audit(events=6, records=2, tail=1, faults=[])
    async with store.database.reading() as reading:
        assert await verify(reading) == Audit(events=7, records=2, tail=2, faults=[])


async def test_checkpoints_made_while_others_write(store: Store, clock: FakeClock) -> None:
    """Events come in between, on PostgreSQL not in the order of their ids; each is in one checkpoint or in the tail."""

    async def write() -> None:
        async with store.database.writing() as connection:
            letter_id = await add_letter(connection, clock())
            await asyncio.sleep(0)
            await step(connection, letter_id, LetterState.QUEUED, SENDER, clock)

    async def checkpoint() -> None:
        async with store.database.writing() as connection:
            await add_checkpoint(connection, clock())

    await asyncio.gather(*(work() for _ in range(10) for work in (write, write, checkpoint)))
    async with store.database.reading() as connection:
        found = await verify(connection)
    assert (found.events, found.records, found.faults) == (40, 20, [])


async def _column(store: Store, column: sa.Column[int]) -> list[int]:
    async with store.database.reading() as connection:
        return list((await connection.execute(sa.select(column).order_by(column))).scalars().all())

"""The table of lives against the rows: what it allows happens with its event and its mail, all else not at all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import sqlalchemy as sa

from relay.domain.lives import (
    SENDER,
    TRANSITIONS,
    WORKER,
    Actor,
    ForbiddenTransitionError,
    LetterState,
    PageState,
    Record,
    ReplyState,
    ScanState,
    State,
    Who,
)
from relay.store import leases
from relay.store.sealed import Store
from relay.store.tables import events, letters, outbox, replies
from relay.store.transitions import STATES, TABLES, NotThereError, begin, move
from tests.fakes.clock import FakeClock
from tests.store.rows import AT, add_record, add_row, dump

ALLOWED = [(step.record, step.source, step.target, who) for step in TRANSITIONS.values() for who in step.by]


def every_step() -> Iterator[tuple[Record, State | None, State, Who]]:
    """Every step that can be named."""
    for record in Record:
        states: list[State] = list(STATES[record])
        yield from product([record], [None, *states], states, Who)


class PowerCutError(Exception):
    """Something fails after a step."""


async def queue_and_lose_power(store: Store, letter_id: str) -> None:
    """A step, a record that begins, and then nothing any more."""
    now = store.database.clock()
    async with store.database.writing() as connection:
        before = await dump(connection)
        await move(connection, Record.LETTER, letter_id, LetterState.QUEUED, by=SENDER, at=now)
        values = {"sha256": "0" * 64, "name": b"", "created_at": now}
        await begin(connection, Record.SCAN, ScanState.RECEIVED, by=WORKER, at=now, **values)
        assert await dump(connection) != before
        raise PowerCutError


async def test_transition_allowed_moves_with_one_event_and_its_mail(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        for (record, source, target, who), wants in product(ALLOWED, ("full", "nothing")):
            if source is None:
                continue
            table = TABLES[record]
            letter_id = await add_record(connection, Record.LETTER, LetterState.POSTED, wants=wants)
            leased = {"lease_owner": "worker-1", "lease_until": AT, "lease_ends": AT, "attempts": 2, "next_try_at": AT}
            leased |= {"last_error": "Failure", "set_aside_at": AT}
            values = {name: value for name, value in leased.items() if name in table.c}
            values |= {"letter_id": letter_id} if record is Record.REPLY else {}
            values |= {"wants": wants} if record is Record.LETTER else {}
            record_id = await add_record(connection, record, source, **values)

            await move(connection, record, record_id, target, by=Actor(who, "anna"), at=clock(), reason="spam")

            row = (await connection.execute(sa.select(table).where(table.c.id == record_id))).mappings().one()
            assert (row["state"], row["state_since"]) == (target, clock())
            free = leases.FREE | leases.FRESH
            assert {name: row[name] for name in free if name in row} == {n: v for n, v in free.items() if n in row}
            columns = (events.c.number, events.c.at, events.c.actor, events.c.source, events.c.target, events.c.reason)
            written = await connection.execute(
                sa.select(*columns).where(events.c.record == record, events.c.record_id == record_id)
            )
            assert [tuple(event) for event in written] == [(1, clock(), f"{who}:anna", source, target, "spam")]
            kind = TRANSITIONS[record, source, target].mail
            about = letter_id if record is Record.REPLY else record_id
            mails = await connection.execute(
                sa.select(outbox.c.kind, outbox.c.letter_id, outbox.c.reply_id, outbox.c.state)
            )
            reply_id = record_id if record is Record.REPLY else None
            expected = [(kind, about, reply_id, "waiting")] if kind and wants != "nothing" else []
            assert [tuple(mail) for mail in mails] == expected
            await connection.execute(sa.delete(outbox))


async def test_transition_forbidden_changes_nothing(store: Store, clock: FakeClock) -> None:
    ids: dict[tuple[Record, State], str] = {}
    async with store.database.writing() as connection:
        for record in Record:
            for state in STATES[record]:
                ids[record, state] = await add_record(connection, record, state)
        before = await dump(connection)
        forbidden = 0
        for step in every_step():
            record, source, target, who = step
            if step in ALLOWED:
                continue
            made = (
                begin(connection, record, target, by=Actor(who), at=clock())
                if source is None
                else move(connection, record, ids[record, source], target, by=Actor(who), at=clock())
            )
            with pytest.raises(ForbiddenTransitionError):
                await made
            forbidden += 1
        assert await dump(connection) == before
        assert forbidden == len(list(every_step())) - len(ALLOWED)


async def test_transition_and_exception_after_it_leave_nothing(store: Store) -> None:
    async with store.database.writing() as connection:
        letter_id = await add_record(connection, Record.LETTER, LetterState.UNCONFIRMED)
        before = await dump(connection)
    with pytest.raises(PowerCutError):
        await queue_and_lose_power(store, letter_id)
    async with store.database.reading() as connection:
        assert await dump(connection) == before


async def test_begin_makes_record_with_first_event(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        letter_id = await add_record(connection, Record.LETTER, LetterState.POSTED)
        scan_id = await add_record(connection, Record.SCAN, ScanState.SPLIT)
        reply_id = await begin(
            connection,
            Record.REPLY,
            ReplyState.OPEN,
            by=Actor(Who.VOLUNTEER, "anna"),
            at=clock(),
            letter_id=letter_id,
            scan_id=scan_id,
            created_at=clock(),
        )
        row = (await connection.execute(sa.select(replies))).one()
        assert (row.id, row.letter_id, row.state, row.state_since) == (reply_id, letter_id, "open", clock())
        event = (await connection.execute(sa.select(events))).one()
        assert (event.record, event.record_id, event.number) == ("reply", reply_id, 1)
        assert (event.actor, event.source, event.target, event.reason) == ("volunteer:anna", None, "open", None)


async def test_move_of_record_that_is_not_there(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        with pytest.raises(NotThereError, match="there is no letter abc"):
            await move(connection, Record.LETTER, "abc", LetterState.QUEUED, by=SENDER, at=clock())


async def test_move_keeps_reason_only_where_row_has_one(store: Store, clock: FakeClock) -> None:
    by = Actor(Who.VOLUNTEER, "anna")
    async with store.database.writing() as connection:
        letter_id = await add_record(connection, Record.LETTER, LetterState.QUEUED)
        await move(connection, Record.LETTER, letter_id, LetterState.REFUSED, by=by, at=clock(), reason="spam")
        page_id = await add_row(connection, TABLES[Record.PAGE], state="held")
        await move(connection, Record.PAGE, page_id, PageState.VOID, by=by, at=clock(), reason="blank")
        assert (await connection.execute(sa.select(letters.c.reason))).scalars().all() == ["spam"]
        written = await connection.execute(sa.select(events.c.record, events.c.reason).order_by(events.c.id))
        assert [tuple(event) for event in written] == [("letter", "spam"), ("page", "blank")]

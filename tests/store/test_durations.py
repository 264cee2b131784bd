"""How long steps took is counted from events, by facility, on both engines; what is late is asked of that."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import LetterState, MailKind, Record
from relay.domain.overdue import LATE_WITHOUT_DATA, LISTED_FOR, Step, Usual
from relay.store import tables
from relay.store.durations import KEPT_FOR, Durations, UsualTimes, usual_times
from relay.store.overdue import (
    LOOKED_EVERY,
    Telling,
    asked_again,
    count_asked_again,
    count_late,
    late_letters,
    tell_overdue,
    waiting,
)
from relay.store.sealed import Store
from tests.fakes.clock import FakeClock
from tests.store.rows import add_row

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)

S = LetterState


async def add_letter(
    connection: AsyncConnection, now: datetime.datetime, prisoner: str, *past: tuple[LetterState, float]
) -> str:
    """A letter with its events; `past` is its states, and how many days ago it came into each."""
    at = [now - days * DAY for _, days in past]
    letter = await add_row(
        connection,
        tables.letters,
        prisoner_id=prisoner,
        state=past[-1][0],
        state_since=at[-1],
        created_at=at[0],
        wants="full",
    )
    source = None
    for number, ((state, _), moment) in enumerate(zip(past, at, strict=True), start=1):
        await add_row(
            connection,
            tables.events,
            record=Record.LETTER,
            record_id=letter,
            number=number,
            at=moment,
            source=source,
            target=state,
            checkpoint_id=None,
        )
        source = state
    return letter


async def add_prisoner(connection: AsyncConnection, facility: str) -> str:
    return await add_row(connection, tables.prisoners, facility_id=facility, state="active")


async def add_answered(
    connection: AsyncConnection, now: datetime.datetime, facility: str, days: Sequence[float]
) -> None:
    """Letters to a facility that were answered after so many days."""
    prisoner = await add_prisoner(connection, facility)
    for each in days:
        past = (S.PRINTED, each + 1.5), (S.POSTED, each + 1), (S.DELIVERED, 1)
        await add_letter(connection, now, prisoner, *past)


async def times_of(store: Store) -> UsualTimes:
    async with store.database.reading() as connection:
        return await usual_times(connection, store.database.clock())


async def test_nothing_is_usual_without_letters(store: Store) -> None:
    assert await times_of(store) == UsualTimes()


async def test_steps_are_counted_by_facility(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        near, far, new = [await add_row(connection, tables.facilities) for _ in range(3)]
        await add_answered(connection, clock(), near, [3.5, 4.5, 5.5, 6.5, 7.5])
        await add_answered(connection, clock(), far, [30.5] * 5)
        await add_answered(connection, clock(), new, [60.5] * 4)
    times = await times_of(store)
    assert times.of(Step.ARRIVING, near) == Usual(low=4, median=6, high=8, most=8)
    assert times.of(Step.ARRIVING, far) == Usual(31, 31, 31, 31)
    assert times.of(Step.ARRIVING, new) == times.of_all[Step.ARRIVING] == Usual(5, 31, 61, 61)
    assert (Step.ARRIVING, new) not in times.of_facility
    assert times.of(Step.READING, near) is None


async def test_facility_is_the_one_to_which_a_letter_was_posted(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        before, after = [await add_row(connection, tables.facilities) for _ in range(2)]
        await add_answered(connection, clock(), before, [5.5] * 5)
        batch = await add_row(connection, tables.batches, facility_id=before)
        await connection.execute(sa.update(tables.letters).values(batch_id=batch))
        await connection.execute(sa.update(tables.prisoners).values(facility_id=after))
    assert set((await times_of(store)).of_facility) == {(Step.ARRIVING, before)}


async def test_reading_goes_on_between_two_readers_and_after_an_undone_decision(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        facility = await add_row(connection, tables.facilities)
        prisoner = await add_prisoner(connection, facility)
        past = (
            (S.UNCONFIRMED, 40), (S.QUEUED, 39), (S.CHANGES_REQUESTED, 38), (S.QUEUED, 20.5), (S.TRANSLATING, 20),
            (S.QUEUED, 19), (S.SECOND_READING, 18), (S.APPROVED, 17),
        )  # fmt: skip
        for _ in range(5):
            await add_letter(connection, clock(), prisoner, *past)
    # Since the sender changed it, and not since it was first written.
    assert (await times_of(store)).of_all == {Step.READING: Usual(4, 4, 4, 4)}


async def test_printing_and_posting_are_one_step(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        for _ in range(5):
            await add_letter(
                connection, clock(), prisoner, (S.QUEUED, 10), (S.APPROVED, 9.5), (S.PRINTED, 4), (S.POSTED, 3)
            )
    assert (await times_of(store)).of_all == {Step.POSTING: Usual(7, 7, 7, 7)}


async def test_what_was_never_marked_as_posted_does_not_count(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        for _ in range(5):
            await add_letter(connection, clock(), prisoner, (S.APPROVED, 9), (S.PRINTED, 4), (S.DELIVERED, 3))
    assert await times_of(store) == UsualTimes()


async def test_what_ended_long_ago_does_not_count(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        await add_answered(connection, clock(), await add_row(connection, tables.facilities), [5.5] * 5)
    clock.advance(days=88)
    assert (await times_of(store)).of_all == {Step.ARRIVING: Usual(6, 6, 6, 6)}
    clock.advance(days=2)
    assert await times_of(store) == UsualTimes()


async def test_usual_times_are_kept_for_a_while(store: Store, clock: FakeClock) -> None:
    durations = Durations(store.database)
    assert await durations.usual() == UsualTimes()
    async with store.database.writing() as connection:
        await add_answered(connection, clock(), await add_row(connection, tables.facilities), [5.5] * 5)
    clock.now += KEPT_FOR - DAY / 1000
    assert await durations.usual() == UsualTimes()
    clock.now += DAY / 1000
    assert (await durations.usual()).of_all == {Step.ARRIVING: Usual(6, 6, 6, 6)}


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (S.TRANSLATING, Step.READING),
        (S.QUEUED, Step.READING),
        (S.SECOND_READING, Step.READING),
        (S.APPROVED, Step.POSTING),
        (S.PRINTED, Step.POSTING),
        (S.POSTED, Step.ARRIVING),
    ],
)
async def test_letter_is_late_after_the_fixed_days(
    store: Store, clock: FakeClock, state: LetterState, step: Step
) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        letter = await add_letter(connection, clock(), prisoner, (state, 0))
    since = clock()
    clock.now += LATE_WITHOUT_DATA[step]
    async with store.database.reading() as connection:
        assert await count_late(connection, UsualTimes(), clock()) == (0, None)
        assert not (await waiting(connection, sa.true(), UsualTimes(), clock()))[letter].late
        clock.advance(seconds=1)
        assert await count_late(connection, UsualTimes(), clock()) == (1, since)
        (late,) = await late_letters(connection, UsualTimes(), clock(), 10)
        assert (late.letter_id, late.since, late.step, late.late) == (letter, since, step, True)


async def test_letter_is_late_by_what_is_usual_for_its_facility(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        near, far, new = [await add_row(connection, tables.facilities) for _ in range(3)]
        await add_answered(connection, clock(), near, [15.5] * 5)
        await add_answered(connection, clock(), far, [40.5] * 9)
        ids = [
            await add_letter(connection, clock(), await add_prisoner(connection, facility), (S.POSTED, days))
            for facility in (near, far, new)
            for days in (31.9, 32.1, 81.9, 82.1)
        ]
    times = await times_of(store)
    async with store.database.reading() as connection:
        late = await late_letters(connection, times, clock(), 100)
        known = await waiting(connection, sa.true(), times, clock())
    # twice 16 days, and twice 41, which is also the middle of all
    assert {one.letter_id for one in late} == {*ids[1:4], ids[7], ids[11]}
    assert {one.letter_id for one in late} == {letter_id for letter_id, one in known.items() if one.late}
    assert [one.since for one in late] == sorted(one.since for one in late)


async def test_what_was_posted_long_ago_is_not_listed_any_more(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        await add_letter(connection, clock(), prisoner, (S.POSTED, 0))
        unread = await add_letter(connection, clock(), prisoner, (S.QUEUED, 0))
    clock.now += LISTED_FOR
    async with store.database.reading() as connection:
        assert (await count_late(connection, UsualTimes(), clock()))[0] == 2
        clock.advance(seconds=1)
        (late,) = await late_letters(connection, UsualTimes(), clock(), 10)
    assert late.letter_id == unread  # what waits for us never drops out of sight


async def test_copy_begins_its_way_anew(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        letter = await add_letter(connection, clock(), prisoner, (S.POSTED, 70))
        batch = await add_row(connection, tables.batches, copy=True, state="open", created_at=clock() - DAY)
        await add_row(connection, tables.reprints, batch_id=batch, letter_id=letter)
    async with store.database.reading() as connection:
        assert await count_late(connection, UsualTimes(), clock()) == (0, None)
        found = (await waiting(connection, sa.true(), UsualTimes(), clock()))[letter]
        assert (found.late, found.late_in_all, found.since) == (False, True, clock() - DAY)
        clock.advance(days=60)
        assert (await count_late(connection, UsualTimes(), clock()))[0] == 1


async def test_destroyed_letter_is_not_late(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        await add_letter(connection, clock(), prisoner, (S.POSTED, 70))
        wish = {"destroyed_at": clock(), "asked_again_at": clock()}
        await connection.execute(sa.update(tables.letters).values(wish))
    async with store.database.reading() as connection:
        assert await count_late(connection, UsualTimes(), clock()) == (0, None)
        assert await count_asked_again(connection) == (0, None)
        assert await waiting(connection, sa.true(), UsualTimes(), clock()) == {}


async def test_only_active_prisoners_get_copies(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        letter = await add_letter(connection, clock(), prisoner, (S.POSTED, 70))
        await connection.execute(sa.update(tables.letters).values(asked_again_at=clock()))
    async with store.database.writing() as connection:
        (asked,) = await asked_again(connection, UsualTimes(), clock())
        assert (asked.letter_id, asked.can_be_sent_again) == (letter, True)
        assert await count_asked_again(connection) == (1, clock())
        await connection.execute(sa.update(tables.prisoners).values(state="do_not_write"))
        assert await asked_again(connection, UsualTimes(), clock()) == []
        assert await count_asked_again(connection) == (0, None)
        assert not (await waiting(connection, sa.true(), UsualTimes(), clock()))[letter].can_be_sent_again


async def mails(store: Store) -> list[tuple[str, str]]:
    async with store.database.reading() as connection:
        rows = await connection.execute(sa.select(tables.outbox).order_by(tables.outbox.c.created_at))
        return [(row.kind, row.letter_id) for row in rows]


async def test_sender_is_told_once_before_and_once_after_posting(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        letter = await add_letter(connection, clock(), prisoner, (S.QUEUED, 11))
    told = (str(MailKind.OVERDUE), letter)

    async def now_in(state: LetterState) -> None:
        async with store.database.writing() as connection:
            await connection.execute(sa.update(tables.letters).values(state=state, state_since=clock()))
        clock.advance(days=61)

    assert await tell_overdue(store, UsualTimes()) == 1
    assert await tell_overdue(store, UsualTimes()) == 0
    await now_in(S.APPROVED)
    assert await tell_overdue(store, UsualTimes()) == 0
    assert await mails(store) == [told]
    await now_in(S.POSTED)
    assert await tell_overdue(store, UsualTimes()) == 1
    assert await tell_overdue(store, UsualTimes()) == 0
    assert await mails(store) == [told, told]


async def test_sender_who_wants_no_mail_gets_none(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        await add_letter(connection, clock(), prisoner, (S.POSTED, 70))
        await connection.execute(sa.update(tables.letters).values(wants="nothing"))
    assert await tell_overdue(store, UsualTimes()) == 1
    assert await tell_overdue(store, UsualTimes()) == 0
    assert await mails(store) == []


async def test_worker_looks_for_late_letters_now_and_then(store: Store, clock: FakeClock) -> None:
    telling = Telling(store, Durations(store.database))
    assert not await telling.tell_next()
    async with store.database.writing() as connection:
        prisoner = await add_prisoner(connection, await add_row(connection, tables.facilities))
        await add_letter(connection, clock(), prisoner, (S.POSTED, 70))
    assert not await telling.tell_next()
    clock.now += LOOKED_EVERY
    assert await telling.tell_next()
    assert not await telling.tell_next()
    assert len(await mails(store)) == 1

"""What the printing changes, step by step."""

from __future__ import annotations

import asyncio
import datetime

import pytest
import sqlalchemy as sa

from print import steps
from relay.desk.steps import withdraw
from relay.domain.lives import BatchState, ForbiddenTransitionError
from relay.store import tables
from relay.store.transitions import NotThereError
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, both_engines


async def mark(house: House, batch: str, *states: BatchState) -> None:
    for state in states:
        await steps.mark(house.store, batch, state, house.volunteers["anna"])


@both_engines
async def test_batch_takes_the_approved_letters_of_one_facility(house: House) -> None:
    first, second = await house.approved(), await house.approved()
    other, unread = await house.approved(RUSSIAN), await house.queued()
    async with house.store.database.reading() as connection:
        waiting = await steps.waiting(connection, house.clock())
    assert sorted((row.facility, row.letters) for row in waiting) == sorted(
        [(ENGLISH.facility.name, 2), (RUSSIAN.facility.name, 1)]
    )
    batch = await house.batch()
    rows = {sent.id: await house.row(tables.letters, id=sent.id) for sent in (first, second, other, unread)}
    assert {key: row.batch_id for key, row in rows.items()} == {
        first.id: batch,
        second.id: batch,
        other.id: None,
        unread.id: None,
    }
    async with house.store.database.reading() as connection:
        (made,) = await steps.all_batches(connection)
        assert [row.facility for row in await steps.waiting(connection, house.clock())] == [RUSSIAN.facility.name]
    assert (made.id, made.state, made.letters, made.problem) == (batch, "open", 2, None)


@both_engines
async def test_batch_has_only_letters_whose_decision_cannot_be_undone(house: House) -> None:
    settled, young = await house.approved(), await house.approved()
    change = sa.update(tables.letters).where(tables.letters.c.id == young.id)
    async with house.store.database.writing() as connection:
        await connection.execute(change.values(settles_at=house.clock() + datetime.timedelta(seconds=1)))
    async with house.store.database.reading() as connection:
        assert [row.letters for row in await steps.waiting(connection, house.clock())] == [1]
    first = await house.batch()
    assert [row.id for row in await house.rows(tables.letters, batch_id=first)] == [settled.id]
    with pytest.raises(steps.NothingToPrintError):
        await house.batch()
    house.clock.advance(seconds=1)
    second = await house.batch()
    assert [row.id for row in await house.rows(tables.letters, batch_id=second)] == [young.id]


@both_engines
async def test_button_pressed_twice_makes_one_batch(house: House) -> None:
    for _ in range(3):
        await house.approved()
    made = await asyncio.gather(*(house.batch() for _ in range(4)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in made) == ["NothingToPrintError"] * 3 + ["str"]
    assert len(await house.rows(tables.batches)) == 1


async def test_batch_has_no_more_letters_than_one_evening_folds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "LETTERS_IN_BATCH", 2)
    sent = []
    for _ in range(3):
        sent.append(await house.approved())
        house.clock.advance(minutes=1)
    batch = await house.batch()
    assert {row.id for row in await house.rows(tables.letters, batch_id=batch)} == {one.id for one in sent[:2]}


@pytest.mark.parametrize("facility", ["", "nowhere"])
async def test_batch_of_an_unknown_facility_is_empty(house: House, facility: str) -> None:
    await house.approved()
    with pytest.raises(steps.NothingToPrintError):
        await steps.make_batch(house.store, facility, house.anna)
    assert await house.rows(tables.batches) == []


@both_engines
async def test_marks_take_the_letters_along(house: House) -> None:
    sent = await house.approved(address=ADDRESS)
    batch = await house.batch()
    await steps.rendered(house.store, batch, [sent.id], b"pages")
    assert await house.state(sent) == "approved"
    await mark(house, batch, BatchState.PRINTED)
    assert await house.state(sent) == "printed"
    assert await house.rows(tables.outbox, kind="posted") == []
    await mark(house, batch, BatchState.POSTED)
    assert await house.state(sent) == "posted"
    assert len(await house.rows(tables.outbox, kind="posted")) == 1


@pytest.mark.parametrize(
    ("done", "next_"),
    [
        ([], BatchState.PRINTED),
        ([], BatchState.POSTED),
        (["rendered"], BatchState.POSTED),
        (["rendered", BatchState.PRINTED], BatchState.PRINTED),
        (["rendered", BatchState.PRINTED, BatchState.POSTED], BatchState.PRINTED),
    ],
    ids=str,
)
async def test_mark_out_of_turn_changes_nothing(house: House, done: list[str], next_: BatchState) -> None:
    sent = await house.approved()
    batch = await house.batch()
    for state in done:
        if isinstance(state, BatchState):
            await mark(house, batch, state)
        else:
            await steps.rendered(house.store, batch, [sent.id], b"pages")
    before = (await house.row(tables.batches), await house.row(tables.letters))
    with pytest.raises(ForbiddenTransitionError):
        await mark(house, batch, next_)
    assert (await house.row(tables.batches), await house.row(tables.letters)) == before


async def test_mark_of_an_unknown_batch(house: House) -> None:
    with pytest.raises(NotThereError):
        await mark(house, "0" * 32, BatchState.PRINTED)


async def test_letter_that_an_answer_proved_delivered_stays_so(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    await steps.rendered(house.store, batch, [sent.id], b"pages")
    await house.replied(sent)  # printed and posted, but nobody marked it
    assert await house.state(sent) == "delivered"
    await mark(house, batch, BatchState.PRINTED, BatchState.POSTED)
    assert await house.state(sent) == "delivered"
    assert (await house.row(tables.batches)).state == "posted"


@both_engines
async def test_pages_without_a_withdrawn_letter_are_not_stored(house: House) -> None:
    stays, goes = await house.approved(), await house.approved()
    batch = await house.batch()
    await withdraw(house.store, goes.id)
    with pytest.raises(steps.BatchChangedError):
        await steps.rendered(house.store, batch, [stays.id, goes.id], b"pages of both")
    assert (await house.row(tables.batches)).state == "open"
    assert (await house.rows(tables.blobs), house.blobs()) == ([], [])
    await steps.rendered(house.store, batch, [stays.id], b"pages of one")
    assert await steps.batch_pdf(house.store, batch, house.office_key) == b"pages of one"


async def test_pages_of_an_open_or_unknown_batch(house: House) -> None:
    await house.approved()
    for batch in (await house.batch(), "0" * 32):
        with pytest.raises(steps.NotRenderedError):
            await steps.batch_pdf(house.store, batch, house.office_key)


async def test_batch_with_something_left_to_do_is_before_newer_ones_that_are_posted(house: House) -> None:
    await house.approved()
    forgotten = await house.rendered()
    for _ in range(2):
        house.clock.advance(minutes=1)
        await house.posted()
    async with house.store.database.reading() as connection:
        shown = await steps.all_batches(connection, limit=2)
    assert [(row.id == forgotten, row.state) for row in shown] == [(True, "rendered"), (False, "posted")]

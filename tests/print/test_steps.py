"""What the printing changes, step by step."""

from __future__ import annotations

import asyncio
import datetime

import pytest
import sqlalchemy as sa

from print import queue, steps
from print.mailings import CANNOT_BE_OPENED
from relay.desk.steps import withdraw
from relay.domain.events import REPRINTED
from relay.domain.lives import BatchState, ForbiddenTransitionError
from relay.store import audit, tables
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
        waiting = await queue.waiting(connection, house.printing.screening, house.clock())
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
        (made,) = await queue.all_batches(connection)
        assert [row.facility for row in await queue.waiting(connection, house.printing.screening, house.clock())] == [
            RUSSIAN.facility.name
        ]
    assert (made.id, made.state, made.letters, made.problem) == (batch, "open", 2, None)


@both_engines
async def test_batch_has_only_letters_whose_decision_cannot_be_undone(house: House) -> None:
    settled, young = await house.approved(), await house.approved()
    change = sa.update(tables.letters).where(tables.letters.c.id == young.id)
    async with house.store.database.writing() as connection:
        await connection.execute(change.values(settles_at=house.clock() + datetime.timedelta(seconds=1)))
    async with house.store.database.reading() as connection:
        assert [row.letters for row in await queue.waiting(connection, house.printing.screening, house.clock())] == [1]
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
    first, second = await steps.make_batches(house.store, house.anna)
    assert {row.id for row in await house.rows(tables.letters, batch_id=first)} == {one.id for one in sent[:2]}
    assert [row.id for row in await house.rows(tables.letters, batch_id=second)] == [sent[2].id]


@both_engines
async def test_everything_that_waits_is_one_batch_for_each_facility(house: House) -> None:
    sent = []
    for person in (ENGLISH, RUSSIAN, ENGLISH):
        sent.append(await house.approved(person))
        house.clock.advance(minutes=1)
    made = await steps.make_batches(house.store, house.anna)
    rows = {one.id: (await house.row(tables.letters, id=one.id)).batch_id for one in sent}
    assert [rows[one.id] for one in sent] == [made[0], made[1], made[0]]
    with pytest.raises(steps.NothingToPrintError):
        await steps.make_batches(house.store, house.anna)


@pytest.mark.parametrize("facility", ["", "nowhere"])
async def test_batch_of_an_unknown_facility_is_empty(house: House, facility: str) -> None:
    await house.approved()
    with pytest.raises(steps.NothingToPrintError):
        await steps.make_batches(house.store, house.anna, facility)
    assert await house.rows(tables.batches) == []


@both_engines
async def test_marks_take_the_letters_along(house: House) -> None:
    sent = await house.approved(address=ADDRESS)
    batch = await house.batch()
    await house.on_paper(batch)
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
    await house.approved()
    batch = await house.batch()
    for state in done:
        if isinstance(state, BatchState):
            await mark(house, batch, state)
        else:
            await house.on_paper(batch)
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
    await house.on_paper(batch)
    await house.replied(sent)  # printed and posted, but nobody marked it
    assert await house.state(sent) == "delivered"
    await mark(house, batch, BatchState.PRINTED, BatchState.POSTED)
    assert await house.state(sent) == "delivered"
    assert (await house.row(tables.batches)).state == "posted"


@both_engines
async def test_pages_without_a_withdrawn_letter_are_not_stored(house: House) -> None:
    stays, goes = await house.approved(), await house.approved()
    batch = await house.batch()
    planned = await house.planned(batch)
    await withdraw(house.store, goes.id)
    with pytest.raises(steps.BatchChangedError):
        await house.on_paper(batch, b"pages of both", planned)
    assert (await house.row(tables.batches)).state == "open"
    assert (await house.rows(tables.blobs), house.blobs(), await house.rows(tables.envelopes)) == ([], [], [])
    await house.on_paper(batch, b"pages of one")
    assert await steps.batch_pdf(house.store, batch, house.office_key) == b"pages of one"
    assert [row.letter_id for row in await house.rows(tables.enclosures)] == [stays.id]


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
        shown = await queue.all_batches(connection, posted=1)
    assert [(row.id == forgotten, row.state) for row in shown] == [(True, "rendered"), (False, "posted")]


async def test_no_batch_with_something_left_to_do_is_left_out(house: House) -> None:
    made = []
    for _ in range(3):
        await house.approved()
        house.clock.advance(minutes=1)
        made.append(await house.batch())
    await house.posted()
    async with house.store.database.reading() as connection:
        shown = await queue.all_batches(connection, posted=0)
    assert [one.id for one in shown] == made[::-1]


@both_engines
async def test_envelopes_are_stored_with_their_weight(house: House) -> None:
    for _ in range(2):
        await house.approved()
    batch = await house.batch()
    await house.on_paper(batch)
    says = house.printing.screening.rules_of(ENGLISH.facility)
    grams = says.weight.of(2, return_envelope=says.printing.return_envelope is not None)
    async with house.store.database.reading() as connection:
        found = await queue.envelopes_of(connection, batch)
        (made,) = await queue.all_batches(connection)
    assert [(one.number, one.prisoner, one.sheets, one.postage) for one in found] == [
        (number, ENGLISH.prisoner.name, 2, says.weight.postage(grams)) for number in (1, 2)
    ]
    assert [one.grams for one in found] == pytest.approx([grams] * 2)
    assert made.envelopes == 2
    assert made.grams == pytest.approx(2 * grams)


async def test_what_waits_is_weighed(house: House) -> None:
    sent = await house.approved(sheets=2)
    assert (await house.row(tables.letters, id=sent.id)).sheets == 3
    async with house.store.database.reading() as connection:
        (row,) = await queue.waiting(connection, house.printing.screening, house.clock())
    says = house.printing.screening.rules_of(ENGLISH.facility)
    grams = says.weight.of(3, return_envelope=says.printing.return_envelope is not None)
    assert row.grams == pytest.approx(grams)
    assert (row.letters, row.since) == (1, (house.clock(),))


@both_engines
async def test_copy_has_the_same_letters_and_changes_no_state(house: House) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.approved()
    batch = (await house.row(tables.letters, id=sent.id)).batch_id
    (copy,) = await steps.reprint(house.store, tables.letters.c.batch_id == batch, house.anna)
    assert [one.letter_ids for one in await house.planned(copy)] == [(sent.id,)]
    await house.on_paper(copy)
    mails = len(await house.rows(tables.outbox))
    await mark(house, copy, BatchState.PRINTED, BatchState.POSTED)
    assert await house.state(sent) == "posted"
    assert len(await house.rows(tables.outbox)) == mails
    (event,) = await house.rows(tables.events, record_id=sent.id, reason=REPRINTED)
    assert (event.source, event.target) == ("posted", "posted")
    async with house.store.database.reading() as connection:
        assert (await audit.verify(connection)).faults == []
        shown = {one.id: (one.copy, one.letters) for one in await queue.all_batches(connection)}
    assert (shown[copy], shown[batch]) == ((True, 1), (False, 1))


async def test_copy_of_what_jammed_in_the_printer_is_posted_in_its_place(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    await house.on_paper(batch)
    await mark(house, batch, BatchState.PRINTED)
    (copy,) = await steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    await house.on_paper(copy)
    await mark(house, copy, BatchState.PRINTED, BatchState.POSTED)
    assert await house.state(sent) == "posted"


async def test_letter_that_was_never_printed_has_no_copy(house: House) -> None:
    sent = await house.approved()
    with pytest.raises(steps.NothingToPrintError):
        await steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    assert await house.rows(tables.batches) == []


@both_engines
async def test_hand_over_delivers_what_was_posted(house: House) -> None:
    sent, other = await house.posted(), await house.approved()
    batch = (await house.row(tables.letters, id=sent.id)).batch_id
    of = tables.letters.c.batch_id == batch
    assert await steps.hand_over(house.store, of, house.volunteers["anna"]) == 1
    assert (await house.state(sent), await house.state(other)) == ("delivered", "approved")
    assert await steps.hand_over(house.store, of, house.volunteers["anna"]) == 0


async def test_tracking_number_is_noted_as_the_post_writes_it(house: House) -> None:
    await house.posted()
    envelope = await house.row(tables.envelopes)
    await steps.track(house.store, [(envelope.id, " rr 123 456 785 ru ")])
    assert (await house.row(tables.envelopes)).tracking == "RR123456785RU"
    await steps.track(house.store, [(envelope.id, " ")])
    assert (await house.row(tables.envelopes)).tracking is None


@both_engines
async def test_letter_that_cannot_be_opened_is_set_aside_and_can_be_tried_again(house: House) -> None:
    fine, shredded = await house.approved(), await house.approved()
    batch = await house.batch()
    keys = tables.content_keys
    async with house.store.database.writing() as connection:
        lost = (await connection.execute(sa.select(keys).where(keys.c.record_id == shredded.id))).mappings().all()
        await connection.execute(sa.delete(keys).where(keys.c.record_id == shredded.id))
    await house.on_paper(batch)
    assert [row.letter_id for row in await house.rows(tables.enclosures)] == [fine.id]
    async with house.store.database.reading() as connection:
        (aside,) = await queue.set_aside(connection)
        assert await queue.waiting(connection, house.printing.screening, house.clock()) == []
    assert (aside.id, aside.code, aside.reason) == (shredded.id, await house.code(shredded), CANNOT_BE_OPENED)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.insert(keys), [dict(row) for row in lost])
    await steps.try_again(house.store, shredded.id)
    await house.on_paper(await house.batch())
    assert {row.letter_id for row in await house.rows(tables.enclosures)} == {fine.id, shredded.id}


async def test_batch_names_the_journal_as_it_was_when_it_was_made(house: House) -> None:
    await house.approved()
    async with house.store.database.writing() as connection:
        head = await audit.add_checkpoint(connection, house.clock())
    await house.batch()
    assert (await house.row(tables.batches)).checkpoint == head


@both_engines
async def test_letter_set_aside_can_be_read_again(house: House) -> None:
    sent = await house.approved(text="\U00012000")
    await house.batch()
    assert await house.render()
    waiting = await house.approved()
    assert (await house.row(tables.letters, id=sent.id)).set_aside_at is not None
    for _ in range(2):
        await steps.back_to_review(house.store, sent.id, house.volunteers["anna"])
    row = await house.row(tables.letters, id=sent.id)
    assert (row.state, row.set_aside_at, row.last_error) == ("queued", None, None)
    assert (await house.row(tables.decisions, letter_id=sent.id)).void_at is not None
    await steps.back_to_review(house.store, waiting.id, house.volunteers["anna"])
    assert await house.state(waiting) == "approved"

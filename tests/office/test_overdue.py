"""The office sees what is late, and orders the copies that senders ask for."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from print import steps as print_steps
from relay.desk.timeline import ask_again
from relay.domain.events import COPY_ORDERED, REPRINTED
from relay.domain.lives import BatchState
from relay.office import overdue
from relay.store import tables
from relay.store.durations import UsualTimes
from tests.workplaces import ENGLISH, RUSSIAN, House, Sent, both_engines, get, post

SCREEN = "/en/overdue"


async def late(house: House, **options: Any) -> Sent:
    """A letter that was posted 61 days ago."""
    sent = await house.posted(**options)
    house.clock.advance(days=61)
    return sent


async def ask(house: House, sent: Sent) -> None:
    await ask_again(house.store, sent.secret, sent.id, UsualTimes())


async def set_prisoner(house: House, state: str) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.prisoners).values(state=state))


async def test_nothing_is_overdue(house: House) -> None:
    await house.posted()
    assert "Nothing is overdue." in (await get(await house.office(), SCREEN)).screen.text
    text = (await get(await house.office(), "/en/")).screen.text
    assert "0 letters overdue nothing waits" in text
    assert "0 letters that senders want sent again nothing waits" in text


@both_engines
async def test_overdue_letters_by_facility_oldest_first(house: House) -> None:
    first = await house.posted()
    house.clock.advance(days=30)
    await house.posted(RUSSIAN)
    house.clock.advance(days=61)
    await house.queued()
    house.clock.advance(days=11)
    text = (await get(await house.office(), SCREEN)).screen.text
    english, russian = text.index(f"{ENGLISH.facility.name} 2 letters"), text.index(f"{RUSSIAN.facility.name} 1 letter")
    assert english < russian
    assert "102 days" in text[english:russian]
    assert "11 days" in text[english:russian]
    assert "72 days" in text[russian:]
    assert "3 letters overdue the oldest for 3 months" in (await get(await house.office(), "/en/")).screen.text
    assert await house.state(first) == "posted"


async def test_what_senders_ask_for_comes_first(house: House) -> None:
    await house.posted(RUSSIAN)
    sent = await late(house)
    await ask(house, sent)
    screen = (await get(await house.office(), SCREEN)).screen
    asked = screen.text.index("Senders ask for a copy")
    assert asked < screen.text.index(ENGLISH.prisoner.name) < screen.text.index(RUSSIAN.prisoner.name)
    assert screen.text.count(ENGLISH.prisoner.name) == 1
    house.clock.advance(days=2)
    tile = "1 letters that senders want sent again the oldest for 2 days"
    assert tile in (await get(await house.office(), "/en/")).screen.text


@both_engines
async def test_copy_is_ordered_by_one_tap(house: House) -> None:
    sent = await late(house)
    await ask(house, sent)
    answer = await post(await house.office(), SCREEN, {"letter": sent.id})
    assert (answer.status, answer.location) == (303, f"{SCREEN}?ordered")
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None
    (event,) = await house.rows(tables.events, record_id=sent.id, reason=COPY_ORDERED)
    assert event.actor == str(house.anna)
    (batch,) = await house.rows(tables.batches, copy=True)
    assert [row.letter_id for row in await house.rows(tables.reprints, batch_id=batch.id)] == [sent.id]
    assert "Nothing is overdue." in (await get(await house.office(), SCREEN)).screen.text
    desk = await house.desk()
    assert "A copy of it will be printed next." in (await get(desk, sent.inbox)).screen.text
    await house.on_paper(batch.id)
    await print_steps.mark(house.store, batch.id, BatchState.PRINTED, house.volunteers["anna"])
    assert len(await house.rows(tables.events, record_id=sent.id, reason=REPRINTED)) == 1
    assert "Printed once more, as a copy." in (await get(desk, sent.inbox)).screen.text


async def test_copy_is_ordered_without_being_asked_for(house: House) -> None:
    sent = await late(house)
    await post(await house.office(), SCREEN, {"letter": sent.id})
    assert len(await house.rows(tables.reprints, letter_id=sent.id)) == 1


async def test_second_tap_orders_nothing_more(house: House) -> None:
    sent = await late(house)
    await post(await house.office(), SCREEN, {"letter": sent.id})
    answer = await post(await house.office(), SCREEN, {"letter": sent.id})
    assert answer.status == 409
    assert "Nothing was ordered." in answer.screen.text
    assert len(await house.rows(tables.reprints, letter_id=sent.id)) == 1


@pytest.mark.parametrize("letter", ["", "x", "a" * 5000])
async def test_no_copy_of_what_is_not_there(house: House, letter: str) -> None:
    await late(house)
    assert (await post(await house.office(), SCREEN, {"letter": letter})).status == 409
    assert await house.rows(tables.batches, copy=True) == []


async def test_no_copy_of_what_is_not_late(house: House) -> None:
    sent = await house.posted()
    assert (await post(await house.office(), SCREEN, {"letter": sent.id})).status == 409


async def test_no_copy_to_who_cannot_be_written_to(house: House) -> None:
    sent = await late(house)
    await ask(house, sent)
    await set_prisoner(house, "do_not_write")
    screen = (await get(await house.office(), SCREEN)).screen
    assert "The prisoner cannot be written to now." in screen.text
    assert SCREEN not in screen.forms
    assert (await post(await house.office(), SCREEN, {"letter": sent.id})).status == 409
    assert await house.rows(tables.reprints) == []


async def test_process_that_ends_between_order_and_note_orders_once(house: House) -> None:
    sent = await late(house)
    await ask(house, sent)

    class Interrupted:
        async def reprint(self, letter_id: str, volunteer_id: str) -> None:
            await print_steps.Reprints(house.store).reprint(letter_id, volunteer_id)
            raise KeyboardInterrupt

    anna = house.volunteers["anna"]
    with pytest.raises(KeyboardInterrupt):
        await overdue.order_copy(house.store, Interrupted(), sent.id, anna, UsualTimes())
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is not None
    await overdue.order_copy(house.store, print_steps.Reprints(house.store), sent.id, anna, UsualTimes())
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None
    assert len(await house.rows(tables.reprints, letter_id=sent.id)) == 1


async def test_copy_of_a_card_is_for_all_on_it(house: House) -> None:
    first = await house.approved(card=True)
    second = await house.posted(card=True)
    assert await house.code(first) == await house.code(second)
    house.clock.advance(days=61)
    for sent in (first, second):
        await ask(house, sent)
    await post(await house.office(), SCREEN, {"letter": first.id})
    for sent in (first, second):
        assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None
        assert len(await house.rows(tables.events, record_id=sent.id, reason=COPY_ORDERED)) == 1


async def test_only_the_oldest_are_listed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overdue, "LISTED", 1)
    await house.posted()
    await late(house)
    assert "1 more letter is overdue; the oldest are listed." in (await get(await house.office(), SCREEN)).screen.text


async def test_only_volunteers_see_what_is_overdue(house: House) -> None:
    stranger = await house.office(None)
    assert (await get(stranger, SCREEN)).status == 303
    assert (await post(stranger, SCREEN, {"letter": "x"})).status == 303

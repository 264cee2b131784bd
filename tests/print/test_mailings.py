"""Which letters go into which envelope."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from print import steps
from print.mailings import correspondents, opened, plan
from print.printing import Printing
from relay.desk.steps import withdraw
from relay.domain.directory import Facility
from relay.domain.lives import BatchState
from relay.domain.ports import Screening
from relay.domain.review import FacilityRules
from relay.store import directory, tables
from tests.workplaces import ENGLISH, House, Sent, both_engines


class _Rules:
    """The screening of the house, with other rules for the printing."""

    def __init__(self, screening: Screening, **rules: Any) -> None:
        self._screening, self._rules = screening, rules

    def rules_of(self, facility: Facility) -> FacilityRules:
        found = self._screening.rules_of(facility)
        return dataclasses.replace(found, printing=found.printing.model_copy(update=self._rules))


def ruled(house: House, **rules: Any) -> Printing:
    return dataclasses.replace(house.printing, screening=_Rules(house.printing.screening, **rules))  # type: ignore[arg-type]


async def pieces(house: House, batch: str, printing: Printing | None = None) -> list[tuple[tuple[str, ...], ...]]:
    async with house.store.database.reading() as connection:
        return [one.pieces for one in await plan(connection, batch, printing or house.printing)]


async def several(house: House, count: int, **options: Any) -> list[Sent]:
    made = []
    for number in range(count):
        made.append(await house.approved(text=f"Letter {number}", **options))
        house.clock.advance(minutes=1)
    return made


def ids(sent: Sequence[Sent]) -> tuple[str, ...]:
    return tuple(one.id for one in sent)


@both_engines
async def test_each_letter_has_an_envelope_of_its_own(house: House) -> None:
    first, second = await several(house, 2)
    assert await pieces(house, await house.batch()) == [((first.id,),), ((second.id,),)]


@both_engines
async def test_letters_to_one_prisoner_share_an_envelope_where_the_profile_allows(house: House) -> None:
    first, second = await several(house, 2)
    shared = ruled(house, several_in_envelope=True)
    assert await pieces(house, await house.batch(), shared) == [((first.id,), (second.id,))]


async def test_shared_envelope_is_no_heavier_than_the_post_takes(house: House) -> None:
    sent = await several(house, 5)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(sheets=9))  # 45 g each
    found = await pieces(house, await house.batch(), ruled(house, several_in_envelope=True))
    assert found == [((sent[0].id,), (sent[1].id,)), ((sent[2].id,), (sent[3].id,)), ((sent[4].id,),)]


@both_engines
async def test_greetings_to_one_prisoner_share_a_card_and_its_code(house: House) -> None:
    letter, *cards = await several(house, 1) + await several(house, 3, card=True, sheets=2)
    batch = await house.batch()
    assert await pieces(house, batch) == [(ids(cards),), ((letter.id,),)]
    (first, _) = await house.planned(batch)
    mailing, _ = await opened(house.printing, first, copy=False)
    (card,) = mailing.letters
    assert [greeting.text for greeting in card.greetings] == ["Letter 0", "Letter 1", "Letter 2"]
    assert (card.code, card.reply_sheets, card.text) == (await house.code(cards[0]), 2, "")
    before = {await house.code(one) for one in cards}
    await house.on_paper(batch)
    after = {await house.code(one) for one in cards}
    assert (len(before), after) == (3, {card.code})
    (order,) = await house.rows(tables.reply_orders, code=card.code)
    assert order.sheets == 2
    assert await house.code(letter) not in after


async def test_card_without_others_is_a_letter(house: House) -> None:
    (alone,) = await several(house, 1, card=True)
    batch = await house.batch()
    mailing, _ = await opened(house.printing, (await house.planned(batch))[0], copy=False)
    assert [letter.text for letter in mailing.letters] == ["Letter 0"]
    assert await house.code(alone) == mailing.letters[0].code


async def test_greetings_stay_apart_where_the_facility_wants_no_cards(house: House) -> None:
    sent = await several(house, 2, card=True)
    found = await pieces(house, await house.batch(), ruled(house, cards=False))
    assert found == [((one.id,),) for one in sent]


async def test_greeting_that_was_taken_back_gets_no_answer_to_the_card(house: House) -> None:
    first, second, third = await several(house, 3, card=True)
    batch = await house.batch()
    await withdraw(house.store, second.id)
    await house.on_paper(batch)
    codes = [await house.code(one) for one in (first, second, third)]
    assert codes[0] == codes[2] != codes[1]


async def test_greeting_that_cannot_be_printed_is_set_aside_alone(house: House) -> None:
    first, second, third = await several(house, 3, card=True)
    batch = await house.batch()
    planned = await house.planned(batch)
    body = await house.row(tables.letters, id=second.id)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.content_keys).where(tables.content_keys.c.record_id == second.id))
    await house.on_paper(batch, planned=planned)
    row = await house.row(tables.letters, id=second.id)
    assert (row.batch_id, row.state, row.set_aside_at is None, bool(row.last_error)) == (None, "approved", False, True)
    assert body.set_aside_at is None
    inside = {one.letter_id for one in await house.rows(tables.enclosures)}
    assert inside == {first.id, third.id}
    assert await house.code(second) not in {await house.code(first), await house.code(third)}


async def test_copy_of_one_greeting_is_a_copy_of_its_card(house: House) -> None:
    cards = await several(house, 2, card=True)
    other = (await several(house, 1))[0]
    batch = await house.batch()
    await house.on_paper(batch)
    await steps.mark(house.store, batch, BatchState.PRINTED, house.volunteers["anna"])
    (copy,) = await steps.reprint(house.store, tables.letters.c.id == cards[1].id, house.anna)
    assert await pieces(house, copy) == [(ids(cards),)]
    assert other.id not in {row.letter_id for row in await house.rows(tables.reprints)}


@both_engines
async def test_who_was_moved_is_told_who_wrote_once(house: House) -> None:
    sent = await house.posted(name="Mary")
    moved = ENGLISH.facility.model_copy(update={"slug": "elsewhere", "name": "Elsewhere"})
    entry = dataclasses.replace(ENGLISH, facility=moved)
    async with house.store.database.writing() as connection:
        await directory.save(connection, [entry], by=house.anna, at=house.clock())
    await several(house, 2)
    batch = await house.batch(entry)
    planned = await house.planned(batch)
    assert [one.correspondents for one in planned] == [True, False]
    sheet = (await opened(house.printing, planned[0], copy=False))[0].correspondents
    assert sheet is not None
    assert [(one.printed_name, one.code) for one in sheet.correspondents] == [("Mary", await house.code(sent))]
    await house.on_paper(batch)
    assert not (await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).tell_correspondents


async def test_who_was_moved_and_to_whom_nobody_wrote_before_is_told_nothing(house: House) -> None:
    entry = dataclasses.replace(ENGLISH, facility=ENGLISH.facility.model_copy(update={"slug": "elsewhere"}))
    async with house.store.database.writing() as connection:
        await directory.save(connection, [entry], by=house.anna, at=house.clock())
    await house.approved()
    (first,) = await house.planned(await house.batch(entry))
    assert first.correspondents
    assert (await opened(house.printing, first, copy=False))[0].correspondents is None


async def test_correspondent_whose_letter_cannot_be_opened_is_left_out(house: House) -> None:
    broken = await house.posted(name="Mary")
    await house.posted(name="Ann")
    async with house.store.database.writing() as connection:
        await connection.execute(sa.delete(tables.content_keys).where(tables.content_keys.c.record_id == broken.id))
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, ENGLISH.prisoner.slug)
    assert known is not None
    sheet = await correspondents(house.printing, known)
    assert [one.printed_name for one in sheet.correspondents] == ["Ann"]


async def test_correspondents_are_each_named_once_with_their_last_code(house: House) -> None:
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, ENGLISH.prisoner.slug)
    assert known is not None
    first = await house.posted(name="Mary")
    house.clock.advance(days=1)
    other = await house.posted(name="Ann")
    house.clock.advance(days=1)
    again = await house.posted(name="Mary", phrase=first.phrase)
    await house.approved(name="Nobody yet")
    sheet = await correspondents(house.printing, known)
    assert [(one.printed_name, one.code) for one in sheet.correspondents] == [
        ("Mary", await house.code(again)),
        ("Ann", await house.code(other)),
    ]


@pytest.mark.parametrize("slug", [ENGLISH.prisoner.slug])
async def test_prisoner_nobody_wrote_to_has_an_empty_sheet(house: House, slug: str) -> None:
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, slug)
    assert known is not None
    assert (await correspondents(house.printing, known)).correspondents == ()


async def test_correspondents_of_one_card_stand_together(house: House) -> None:
    cards = [await house.approved(card=True, text="Hello", name=name) for name in ("Mary", "Ann")]
    batch = await house.batch()
    await house.on_paper(batch)
    await steps.mark(house.store, batch, BatchState.PRINTED, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        known = await directory.by_slug(connection, ENGLISH.prisoner.slug)
    assert known is not None
    (both,) = (await correspondents(house.printing, known)).correspondents
    assert sorted(both.printed_name.split(", ")) == ["Ann", "Mary"]
    assert both.code == await house.code(cards[0])

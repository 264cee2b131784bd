"""Which letter a volunteer gets, for how long, and what is left of it when the time is over."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from censor_queue import claims, decisions, translations
from censor_queue.claims import HARD_END, LEASE, NOT_AGAIN, UNOPENED_PAUSE
from censor_queue.review import Review
from relay.desk.history import AGAIN
from relay.desk.inbox import read_inbox
from relay.domain.directory import PrisonerState
from relay.domain.lives import READING, WORKER, LetterState
from relay.domain.reasons import ReviewReason
from relay.domain.review import Decision
from relay.store import directory, tables
from relay.store.database import new_id
from relay.store.leases import LeaseLostError
from relay.store.tables import letters
from tests.censor_queue.letters import SECOND, everything, in_state, next_id, review_of, take, with_photos
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, both_engines


async def connected(house: House) -> None:
    """Open all connections, so that what follows really begins at once."""

    async def connect() -> None:
        async with house.store.database.writing() as connection:
            await connection.execute(sa.select(1))
            await asyncio.sleep(0.02)

    await asyncio.gather(*(connect() for _ in range(5)))


async def change(house: House, sent: Sent, **values: Any) -> None:
    """Change the row of a letter as no step does."""
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(letters).where(letters.c.id == sent.id).values(**values))


async def decided(house: House, sent: Sent, volunteer_id: str, decision: Decision, **values: Any) -> None:
    """A decision of some time ago."""
    row = {"id": new_id(), "letter_id": sent.id, "volunteer_id": volunteer_id, "at": house.clock()}
    async with house.store.database.writing() as connection:
        await connection.execute(sa.insert(tables.decisions).values(row | {"decision": decision} | values))


async def review_days(house: House, facility: Any, days: int) -> None:
    """A facility whose letters should be read within some days."""
    async with house.store.database.writing() as connection:
        await directory.save_facility(connection, facility.model_copy(update={"review_days": days}))


# --- the order


@both_engines
async def test_letters_come_by_their_deadlines(house: House, review: Review) -> None:
    await review_days(house, RUSSIAN.facility, 1)
    await review_days(house, ENGLISH.facility, 3)
    slow = await house.queued(ENGLISH)
    house.clock.advance(days=1)
    slow_too = await house.queued(ENGLISH)
    quick = await house.queued(RUSSIAN)
    house.clock.advance(days=1, seconds=1)
    quick_but_late = await house.queued(RUSSIAN)
    came = [await take(review, f"volunteer-{number}") for number in range(4)]
    assert [letter.id for letter in came] == [quick.id, slow.id, quick_but_late.id, slow_too.id]
    days = datetime.timedelta(days=1)
    assert [letter.due_at - letter.waits_since for letter in came] == [days, 3 * days, days, 3 * days]


@both_engines
async def test_letter_for_a_second_reader_comes_first(house: House, review: Review, anna: str, boris: str) -> None:
    first = await house.queued()
    house.clock.advance(seconds=1)
    second = await house.queued()
    await decided(house, first, anna, Decision.SKIP)
    assert (await take(review, anna)).id == second.id
    await decisions.second_reader(review, second.id, anna)
    letter = await take(review, boris)
    assert (letter.id, letter.state) == (second.id, "second_reading")


@both_engines
async def test_letter_carries_what_the_screen_needs_and_no_address(house: House, review: Review, anna: str) -> None:
    sent = await with_photos(house, RUSSIAN, photos=2, address=ADDRESS)
    letter = await take(review, anna)
    assert (letter.id, letter.state, letter.known.prisoner.name) == (sent.id, "queued", RUSSIAN.prisoner.name)
    assert (letter.code, letter.sheets, len(letter.photos)) == (await house.code(sent), 1, 2)
    assert (letter.held_until, letter.hard_end) == (house.clock() + LEASE, house.clock() + HARD_END)
    assert letter.body.address is None
    assert ADDRESS not in repr(dataclasses.asdict(letter))
    assert repr(letter.text) in repr(dataclasses.asdict(letter))


# --- one letter, one volunteer


@both_engines
async def test_many_claims_at_once_never_give_one_letter_twice(house: House, review: Review) -> None:
    sent = [await house.queued() for _ in range(10)]
    await connected(house)
    claimed = await asyncio.gather(*(next_id(review, f"volunteer-{number}") for number in range(14)))
    held = sorted(letter for letter in claimed if letter is not None)
    assert len(claimed) - len(held) == 4
    assert held == sorted(one.id for one in sent)


@both_engines
async def test_many_tabs_of_one_volunteer_show_the_same_letter(house: House, review: Review, anna: str) -> None:
    for _ in range(4):
        await house.queued()
    await connected(house)
    claimed = await asyncio.gather(*(next_id(review, anna) for _ in range(6)))
    assert len(set(claimed)) == 1
    assert [row.lease_owner for row in await house.rows(letters)].count(anna) == 1


async def test_looking_again_does_not_prolong_the_claim(house: House, review: Review, anna: str) -> None:
    await house.queued()
    first = await take(review, anna)
    house.clock.advance(minutes=5)
    again = await take(review, anna)
    assert (again.held_until, again.hard_end) == (first.held_until, first.hard_end)


@both_engines
@pytest.mark.parametrize("decision", Decision)
async def test_letter_given_away_does_not_come_back(
    house: House, review: Review, anna: str, decision: Decision
) -> None:
    sent = await house.queued()
    await decided(house, sent, anna, decision)
    assert await next_id(review, anna) == (None if decision in NOT_AGAIN else sent.id)
    await claims.stop(review, anna)
    assert await next_id(review, house.volunteers["boris"]) == sent.id


@pytest.mark.parametrize("decision", NOT_AGAIN)
async def test_letter_comes_back_once_the_decision_is_void(
    house: House, review: Review, anna: str, decision: Decision
) -> None:
    sent = await house.queued()
    await decided(house, sent, anna, decision, void_at=house.clock())
    assert await next_id(review, anna) == sent.id


@both_engines
async def test_skipped_letter_goes_to_others_and_comes_back_when_asked_for(
    house: House, review: Review, anna: str, boris: str
) -> None:
    first = await house.queued()
    house.clock.advance(seconds=1)
    second = await house.queued()
    await claims.skip(review, (await take(review, anna)).id, anna)
    assert await next_id(review, anna) == second.id
    await claims.skip(review, second.id, anna)
    assert await next_id(review, anna) is None
    async with house.store.database.reading() as connection:
        assert [await claims.skipped(connection, one) for one in (anna, boris)] == [2, 0]
    assert await next_id(review, boris) == first.id
    await claims.take_back_skipped(review, anna)
    assert await next_id(review, anna) == second.id
    async with house.store.database.reading() as connection:
        assert await claims.skipped(connection, anna) == 0
    assert len(await house.rows(tables.decisions, decision="skip")) == 2  # what was is kept


# --- the one made ready


@both_engines
async def test_letter_made_ready_is_the_next_on_the_screen(house: House, review: Review, anna: str, boris: str) -> None:
    sent = []
    for _ in range(3):
        sent.append((await house.queued()).id)
        house.clock.advance(seconds=1)
    on_screen = await take(review, anna)
    ready = await claims.claim_ahead(review, anna)
    again = await claims.claim_ahead(review, anna)
    assert ready is not None
    assert again is not None
    assert [on_screen.id, ready.id, again.id] == [sent[0], sent[1], sent[1]]
    assert (ready.held_until, ready.hard_end) == (house.clock() + LEASE, None)
    assert await next_id(review, boris) == sent[2]
    house.clock.advance(minutes=2)
    await decisions.approve(review, on_screen.id, anna)
    shown = await take(review, anna)
    assert (shown.id, shown.held_until, shown.hard_end) == (sent[1], house.clock() + LEASE, house.clock() + HARD_END)
    assert await claims.claim_ahead(review, anna) is None


async def test_letter_made_ready_is_nobodys_after_its_time(house: House, review: Review, anna: str, boris: str) -> None:
    await house.queued()
    house.clock.advance(seconds=1)
    second = await house.queued()
    on_screen = await take(review, anna)
    assert await claims.claim_ahead(review, anna) is not None
    house.clock.now += LEASE - SECOND
    kept = await claims.renew(review, second.id, anna)  # of no use: nobody reads it
    await claims.renew(review, on_screen.id, anna)
    house.clock.now += 2 * SECOND
    assert kept.held_until < house.clock()
    assert (await next_id(review, boris), await next_id(review, anna)) == (second.id, on_screen.id)


async def test_only_letter_is_not_made_ready_beside_itself(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    assert await next_id(review, anna) == sent.id
    assert await claims.claim_ahead(review, anna) is None


# --- time


@both_engines
async def test_claim_lasts_while_it_is_renewed_up_to_its_hard_end(
    house: House, review: Review, anna: str, boris: str
) -> None:
    sent = await house.queued()
    ends = house.clock() + HARD_END
    await take(review, anna)
    while house.clock() + LEASE < ends:
        house.clock.now += LEASE * 0.75
        letter = await claims.renew(review, sent.id, anna)
        assert (letter.held_until, letter.hard_end) == (min(house.clock() + LEASE, ends), ends)
        assert await next_id(review, boris) is None
    house.clock.now = ends
    assert (await claims.renew(review, sent.id, anna)).held_until == ends
    house.clock.now += SECOND
    with pytest.raises(LeaseLostError):
        await claims.renew(review, sent.id, anna)
    assert await next_id(review, boris) == sent.id


async def test_claim_that_ran_out_begins_anew(house: House, review: Review, anna: str) -> None:
    sent = await house.queued()
    await take(review, anna)
    house.clock.now += LEASE + SECOND
    letter = await take(review, anna)
    assert (letter.id, letter.held_until) == (sent.id, house.clock() + LEASE)
    await decisions.approve(review, sent.id, anna)
    assert await house.state(sent) == "approved"


async def test_who_stops_holds_nothing(house: House, review: Review, anna: str, boris: str) -> None:
    ids = {(await house.queued()).id for _ in range(3)}
    await take(review, anna)
    await claims.claim_ahead(review, anna)
    kept = await next_id(review, boris)
    await claims.stop(review, anna)
    assert {row.id for row in await house.rows(letters) if row.lease_owner is None} == ids - {kept}
    assert (await house.row(letters, id=kept)).lease_owner == boris


HEJ = translations.Draft("Hej", translations.mark(""))
Step = Callable[[Review, str, str], Awaitable[object]]
STEPS: dict[str, Step] = {
    "held": claims.held,
    "renew": claims.renew,
    "skip": claims.skip,
    "knows": claims.knows,
    "approve": decisions.approve,
    "approve without": partial(decisions.approve, without_photos=True, reason=ReviewReason.PHOTO),
    "changes": partial(decisions.ask_for_changes, reason=ReviewReason.OTHER_PEOPLE, note="a note"),
    "refuse": partial(decisions.refuse, reason=ReviewReason.SPAM, block=True),
    "second reader": decisions.second_reader,
    "to be translated": partial(decisions.to_be_translated, language="sv"),
    "cover": partial(decisions.cover, words=[0]),
    "draft": partial(translations.save_draft, draft=HEJ),
    "translated": partial(translations.finish, draft=HEJ, max_pages=9),
    "not needed": translations.not_needed,
}


@both_engines
@pytest.mark.parametrize("step", STEPS)
async def test_step_without_the_claim_changes_nothing(
    house: House, review: Review, anna: str, boris: str, step: str
) -> None:
    sent = await with_photos(house, address=ADDRESS)
    await take(review, anna)
    before = await everything(house.store)
    for letter_id, who in ((sent.id, boris), ("0" * 32, anna), ("", anna)):
        with pytest.raises(LeaseLostError):
            await STEPS[step](review, letter_id, who)
    house.clock.now += LEASE + SECOND
    with pytest.raises(LeaseLostError):
        await STEPS[step](review, sent.id, anna)
    assert await everything(house.store) == before


# --- letters that cannot be opened


@both_engines
async def test_letter_that_cannot_be_opened_makes_way_and_comes_back(
    house: House, review: Review, anna: str, boris: str
) -> None:
    broken = await house.queued(text="A broken letter")
    house.clock.advance(seconds=1)
    fine = await house.queued()
    row = await house.row(letters, id=broken.id)
    await change(house, broken, body=row.body[:-1] + bytes([row.body[-1] ^ 1]))
    with structlog.testing.capture_logs() as logged:
        assert await next_id(review, anna) == fine.id
    assert [(entry["event"], entry["error"], entry["record"]) for entry in logged] == [
        ("letter_not_opened", "SealBrokenError", broken.id)
    ]
    left = await house.row(letters, id=broken.id)
    assert (left.state, left.lease_owner, left.last_error) == ("queued", None, "SealBrokenError")
    assert await next_id(review, boris) is None

    await change(house, broken, body=row.body)
    house.clock.now += UNOPENED_PAUSE
    letter = await take(review, boris)
    assert (letter.id, letter.text) == (broken.id, "A broken letter")
    await decisions.approve(review, broken.id, boris)
    assert (await house.row(letters, id=broken.id)).last_error is None


# --- people who cannot be written to


@both_engines
@pytest.mark.parametrize("state", [state for state in PrisonerState if state is not PrisonerState.ACTIVE])
async def test_letter_to_somebody_who_left_is_held_and_comes_back(
    house: House, review: Review, anna: str, boris: str, state: PrisonerState
) -> None:
    sent = await house.queued(RUSSIAN)
    house.clock.advance(seconds=1)
    other = await house.queued(ENGLISH)
    assert await next_id(review, anna) == sent.id
    await in_state(house, RUSSIAN, state)
    assert [await house.state(one) for one in (sent, other)] == ["held", "queued"]
    with pytest.raises(LeaseLostError):
        await decisions.approve(review, sent.id, anna)
    assert [await next_id(review, one) for one in (anna, boris)] == [other.id, None]
    await in_state(house, RUSSIAN, PrisonerState.ACTIVE)
    assert await next_id(review, boris) == sent.id
    await decisions.approve(review, sent.id, boris)
    assert await house.state(sent) == "approved"


async def test_approved_letter_to_somebody_who_left_is_read_again(
    house: House, review: Review, anna: str, boris: str
) -> None:
    sent = await house.queued(RUSSIAN)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    await in_state(house, RUSSIAN, PrisonerState.RELEASED)
    assert await house.state(sent) == "held"
    await in_state(house, RUSSIAN, PrisonerState.ACTIVE)
    assert await next_id(review, boris) == sent.id
    row = await house.row(letters, id=sent.id)
    assert (row.settles_at, row.batch_id) == (None, None)


@both_engines
async def test_letter_that_was_read_for_one_facility_is_read_again_for_another(
    house: House, review: Review, anna: str, boris: str
) -> None:
    rendered = await house.approved(RUSSIAN)
    await house.on_paper(await house.batch(RUSSIAN))
    batched = await house.approved(RUSSIAN)
    await house.batch(RUSSIAN)
    passed_on = await house.queued(RUSSIAN)
    await take(review, anna)
    await decisions.second_reader(review, passed_on.id, anna)
    moved = dataclasses.replace(RUSSIAN, facility=ENGLISH.facility)
    async with house.store.database.writing() as connection:
        await directory.save(connection, [moved], by=WORKER, at=house.clock())
    assert [await house.state(one) for one in (rendered, batched, passed_on)] == ["approved", "queued", "queued"]
    assert (await house.row(letters, id=batched.id)).batch_id is None
    async with house.store.database.reading() as connection:
        (shown,) = (await read_inbox(connection, batched.secret, house.clock())).letters
    assert shown.history[-1].sentence == AGAIN[LetterState.APPROVED]


async def test_two_readers_begin_anew_after_the_prisoner_was_away(house: House, anna: str, boris: str) -> None:
    review = review_of(house, second_reader=True)
    sent = await house.queued(RUSSIAN)
    await take(review, anna)
    await decisions.approve(review, sent.id, anna)
    for state in (PrisonerState.MOVED, PrisonerState.ACTIVE):
        await in_state(house, RUSSIAN, state)
    for reader, after in ((boris, "second_reading"), (anna, "approved")):
        assert await next_id(review, reader) == sent.id
        await decisions.approve(review, sent.id, reader)
        assert await house.state(sent) == after


async def test_letter_in_translation_is_held_and_translated_later(house: House, review: Review, anna: str) -> None:
    sent = await with_photos(house, RUSSIAN, photos=0, translate_from="sv")
    assert await house.state(sent) == "translating"
    await in_state(house, RUSSIAN, PrisonerState.MOVED)
    await in_state(house, RUSSIAN, PrisonerState.ACTIVE)
    assert (await house.state(sent), await next_id(review, anna)) == ("translating", None)


# --- what waits


@both_engines
async def test_waiting_letters_counted_up_to_a_limit(
    house: House, review: Review, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waiting() -> tuple[int, int, datetime.datetime | None]:
        async with house.store.database.reading() as connection:
            found = await claims.waiting(connection, READING, house.clock())
        return found.letters, found.overdue, found.oldest

    assert await waiting() == (0, 0, None)
    begun = house.clock()
    for _ in range(3):
        await house.queued()
        house.clock.advance(days=1)
    assert await waiting() == (3, 0, begun)
    house.clock.advance(seconds=1)
    assert await waiting() == (3, 1, begun)
    await take(review, anna)
    assert await waiting() == (3, 1, begun)  # what is being read waits for its decision
    monkeypatch.setattr(claims, "COUNTED", 1)
    assert await waiting() == (2, 1, begun)
    first = await house.row(letters, lease_owner=anna)
    await decisions.second_reader(review, first.id, anna)
    assert (await waiting())[0] == 2
    async with house.store.database.reading() as connection:
        assert (await claims.waiting(connection, [LetterState.SECOND_READING], house.clock())).letters == 1

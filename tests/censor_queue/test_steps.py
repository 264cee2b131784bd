"""The queue of the review: many claims at once, what happens to a letter meanwhile, and what the sender reads."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
import structlog

from censor_queue.steps import REVIEW_LEASE, UNOPENED_PAUSE, approve, claim_next, refuse
from relay.domain.directory import Entry, PrisonerState
from relay.domain.languages import LANGUAGES
from relay.domain.lives import WORKER
from relay.domain.reasons import REFUSALS, Refusal
from relay.locale import catalogue
from relay.store import directory, tables
from relay.store.leases import LeaseLostError
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, Client, House, both_engines, get, post

NOT_YOURS = "This letter was not yours any more: the time was over. Nothing was decided; here is the next one."


async def in_state(house: House, person: Entry, state: PrisonerState) -> None:
    """Somebody corrects the directory."""
    prisoner = person.prisoner.model_copy(update={"state": state})
    async with house.store.database.writing() as connection:
        await directory.save(connection, [Entry(prisoner, person.facility)], by=WORKER, at=house.clock())


async def connected(house: House) -> None:
    """Open all connections, so that what follows really begins at once."""

    async def connect() -> None:
        async with house.store.database.writing() as connection:
            await connection.execute(sa.select(1))
            await asyncio.sleep(0.02)

    await asyncio.gather(*(connect() for _ in range(5)))


# --- many at once


@both_engines
async def test_many_claims_at_once_never_give_one_letter_twice(house: House) -> None:
    sent = [await house.queued() for _ in range(10)]
    await connected(house)
    claimed = await asyncio.gather(
        *(claim_next(house.store, house.office_key, f"volunteer-{number}") for number in range(14))
    )
    held = sorted(letter.id for letter in claimed if letter is not None)
    assert len(claimed) - len(held) == 4
    assert held == sorted(one.id for one in sent)


@both_engines
async def test_many_claims_of_one_volunteer_give_the_same_letter(house: House) -> None:
    for _ in range(4):
        await house.queued()
    await connected(house)
    claimed = await asyncio.gather(
        *(claim_next(house.store, house.office_key, house.volunteers["anna"]) for _ in range(6))
    )
    assert len({letter.id if letter else None for letter in claimed}) == 1
    assert len([row for row in await house.rows(tables.letters) if row.lease_owner is not None]) == 1


@both_engines
async def test_of_two_decisions_at_once_one_counts(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    anna = house.volunteers["anna"]
    assert await claim_next(house.store, house.office_key, anna)
    await connected(house)
    outcomes = await asyncio.gather(
        approve(house.store, sent.id, anna),
        refuse(house.store, sent.id, anna, Refusal.SPAM),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [LeaseLostError]
    state = await house.state(sent)
    assert [row.target for row in await house.rows(tables.events, record_id=sent.id)][2:] == [state]
    assert len(await house.rows(tables.outbox, kind="refused")) == (1 if state == "refused" else 0)


# --- decisions that come too late


async def test_late_decision_changes_nothing_and_shows_the_next_letter(house: House, office_client: Client) -> None:
    first = await house.queued(address=ADDRESS, text="The first letter")
    house.clock.advance(minutes=1)
    second = await house.queued(address=ADDRESS, text="The second letter")
    await get(office_client, "/en/review")
    house.clock.advance(minutes=15, seconds=1)
    boris = await house.office("boris")
    assert (await get(boris, "/en/review")).screen.fields["letter"] == first.id
    before = await house.count(), await house.row(tables.letters, id=first.id)
    form = {"letter": first.id, "decision": "refuse", "reason": "spam"}
    answer = await post(office_client, "/en/review", form)
    assert (answer.status, answer.screen.wrong) == (409, [NOT_YOURS])
    assert (answer.screen.fields["letter"], "The second letter" in answer.screen.text) == (second.id, True)
    assert (await house.count(), await house.row(tables.letters, id=first.id)) == before
    assert (await post(boris, "/en/review", {"letter": first.id, "decision": "approve"})).status == 303
    assert [await house.state(sent) for sent in (first, second)] == ["approved", "queued"]


async def test_claim_that_ran_out_begins_anew(house: House) -> None:
    sent = await house.queued()
    anna = house.volunteers["anna"]
    assert await claim_next(house.store, house.office_key, anna)
    house.clock.advance(minutes=15, seconds=1)
    letter = await claim_next(house.store, house.office_key, anna)
    assert letter is not None
    assert (letter.id, letter.held_until) == (sent.id, house.clock() + REVIEW_LEASE)
    await approve(house.store, sent.id, anna)
    assert await house.state(sent) == "approved"


# --- letters that cannot be opened


@both_engines
async def test_letter_that_cannot_be_opened_makes_way_and_comes_back(house: House) -> None:
    broken = await house.queued(text="A broken letter")
    house.clock.advance(seconds=1)
    fine = await house.queued()
    row = await house.row(tables.letters, id=broken.id)
    change = sa.update(tables.letters).where(tables.letters.c.id == broken.id)
    async with house.store.database.writing() as connection:
        await connection.execute(change.values(body=row.body[:-1] + bytes([row.body[-1] ^ 1])))
    anna, boris = house.volunteers["anna"], house.volunteers["boris"]
    with structlog.testing.capture_logs() as logged:
        letter = await claim_next(house.store, house.office_key, anna)
    assert letter is not None
    assert letter.id == fine.id
    assert [(entry["event"], entry["error"], entry["record"]) for entry in logged] == [
        ("letter_not_opened", "SealBrokenError", broken.id)
    ]
    left = await house.row(tables.letters, id=broken.id)
    assert (left.state, left.lease_owner, left.last_error) == ("queued", None, "SealBrokenError")
    assert await claim_next(house.store, house.office_key, boris) is None

    async with house.store.database.writing() as connection:
        await connection.execute(change.values(body=row.body))
    house.clock.now += UNOPENED_PAUSE
    letter = await claim_next(house.store, house.office_key, boris)
    assert letter is not None
    assert (letter.id, letter.text) == (broken.id, "A broken letter")
    await approve(house.store, broken.id, boris)
    assert (await house.row(tables.letters, id=broken.id)).last_error is None


# --- people who cannot be written to


@both_engines
@pytest.mark.parametrize("state", [state for state in PrisonerState if state is not PrisonerState.ACTIVE])
async def test_letter_to_somebody_who_left_is_held_and_comes_back(house: House, state: PrisonerState) -> None:
    anna = house.volunteers["anna"]
    sent = await house.queued(RUSSIAN)
    other = await house.queued(ENGLISH)
    held = await claim_next(house.store, house.office_key, anna)
    assert held is not None
    await in_state(house, RUSSIAN, state)
    assert [await house.state(one) for one in (sent, other)] == ["held", "queued"]
    with pytest.raises(LeaseLostError):
        await approve(house.store, sent.id, anna)
    for volunteer in ("anna", "boris"):
        letter = await claim_next(house.store, house.office_key, house.volunteers[volunteer])
        assert (letter.id if letter else None) == (other.id if volunteer == "anna" else None)
    await in_state(house, RUSSIAN, PrisonerState.ACTIVE)
    again = await claim_next(house.store, house.office_key, house.volunteers["boris"])
    assert again is not None
    assert again.id == sent.id
    await approve(house.store, sent.id, house.volunteers["boris"])
    assert await house.state(sent) == "approved"


async def test_approved_letter_to_somebody_who_left_is_read_again(house: House) -> None:
    sent = await house.approved(RUSSIAN)
    await in_state(house, RUSSIAN, PrisonerState.RELEASED)
    assert await house.state(sent) == "held"
    await in_state(house, RUSSIAN, PrisonerState.ACTIVE)
    letter = await claim_next(house.store, house.office_key, house.volunteers["boris"])
    assert letter is not None
    assert (letter.id, letter.known.prisoner.name) == (sent.id, RUSSIAN.prisoner.name)


# --- what is shown


async def test_markup_in_a_letter_is_text(house: House, office_client: Client) -> None:
    text = 'Dear <u>friend</u> & <script src="//other.example"></script>\n{{ 7 * 7 }} </p><form action="/en/log-out">'
    name = '"><img src=x onerror=alert(1)>'
    await house.queued(text=text, name=name)
    plain = await get(office_client, "/en/review")
    assert f"{' '.join(text.split())} {name}" in plain.screen.text
    assert (plain.screen.images, {"u", "script"} & plain.screen.tags) == ([], set())
    assert plain.screen.html.count("<form") == 2  # the decision, and logging out


@pytest.mark.parametrize("language", LANGUAGES)
async def test_sender_reads_the_reason_in_the_language_of_the_letter(house: House, language: str) -> None:
    sent = await house.queued(language=language)
    office_client = await house.office()
    await get(office_client, "/de/review")
    form = {"letter": sent.id, "decision": "refuse", "reason": "threat"}
    assert (await post(office_client, "/de/review", form)).location == "/de/review"
    inbox = (await get(await house.desk(), sent.inbox.replace("/en/", f"/{language}/"))).screen
    _ = catalogue(language).gettext
    assert _("The reason: %(reason)s") % {"reason": _(REFUSALS[Refusal.THREAT])} in inbox.text
    assert _("A volunteer could not accept this letter. The reason is below.") in inbox.text

"""The review: one letter for one volunteer at a time, and a decision that counts once."""

from __future__ import annotations

import asyncio
import datetime

import pytest

from censor_queue import steps
from censor_queue.steps import REVIEW_LEASE
from relay.domain.reasons import REFUSALS, Refusal
from relay.domain.reply_code import grouped
from relay.store import tables
from relay.store.leases import LeaseLostError
from scanner.codes import PageCodes
from tests.workplaces import ADDRESS, TEXT, Client, House, Screen, both_engines, get, post

NOTHING = "Nothing is waiting. Thank you."
NOT_YOURS = "This letter was not yours any more: the time was over. Nothing was decided; here is the next one."
NO_REASON = "Please choose the reason for which this letter is refused."


def shown(screen: Screen) -> str | None:
    """The id of the letter that the screen shows."""
    return screen.fields.get("letter")


async def test_letter_is_shown_with_all_that_the_decision_needs(house: House, office_client: Client) -> None:
    sent = await house.queued(address=ADDRESS, name="Mary")
    house.clock.advance(hours=2)
    screen = (await get(office_client, "/en/review")).screen
    assert shown(screen) == sent.id
    assert "To John Sample HMP Nowhere (an invented prison)" in screen.text
    assert f"{' '.join(TEXT.split())} Mary" in screen.text
    assert grouped(await house.code(sent)) in screen.text
    assert "confirmed 2 hours ago" in screen.text
    assert "yours until May 4, 2031, 2:45:15 PM UTC" in screen.text.replace("\u202f", " ")


async def test_address_of_the_sender_is_on_no_screen_of_the_office(house: House, office_client: Client) -> None:
    sent = await house.posted(address=ADDRESS, text="An answered letter")
    await house.replied(sent)
    scan = await house.split(PageCodes())
    await house.queued(address=ADDRESS)
    page = await house.row(tables.pages, scan_id=scan)
    places = ["", "review", "print", "scan", f"scan/page/{page.id}?q=john", "directory", "log-in"]
    screens = [(await get(office_client, f"/en/{place}")).screen for place in places]
    assert [ADDRESS in screen.html or "mary@" in screen.html.lower() for screen in screens] == [False] * 7
    # The search found the letter, so what stands beside it was looked at.
    assert sent.id in screens[4].html


async def test_empty_queue_says_thanks(office_client: Client) -> None:
    screen = (await get(office_client, "/en/review")).screen
    assert screen.text == "Review Nothing is waiting. Thank you. Look again"


async def test_queue_is_read_oldest_first(house: House, office_client: Client) -> None:
    sent = []
    for _ in range(3):
        sent.append(await house.queued())
        house.clock.advance(minutes=1)
    read = []
    for _ in sent:
        letter = shown((await get(office_client, "/en/review")).screen)
        read.append(letter)
        answer = await post(office_client, "/en/review", {"letter": letter, "decision": "approve"})
        assert (answer.status, answer.location) == (303, "/en/review")
    assert read == [one.id for one in sent]
    assert NOTHING in (await get(office_client, "/en/review")).screen.text
    assert {await house.state(one) for one in sent} == {"approved"}


@both_engines
async def test_two_volunteers_never_hold_the_same_letter(house: House) -> None:
    sent = [await house.queued() for _ in range(3)]
    anna, boris = await house.office("anna"), await house.office("boris")
    answers = await asyncio.gather(get(anna, "/en/review"), get(boris, "/en/review"))
    first, second = (shown(answer.screen) for answer in answers)
    assert first != second
    assert {first, second} <= {one.id for one in sent}


@both_engines
async def test_last_letter_goes_to_one_of_two(house: House) -> None:
    sent = await house.queued()
    claimed = await asyncio.gather(
        *(steps.claim_next(house.store, house.office_key, house.volunteers[login]) for login in ("anna", "boris"))
    )
    assert sorted(letter.id if letter else "" for letter in claimed) == ["", sent.id]


async def test_own_letter_comes_back(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.queued()
    first = shown((await get(office_client, "/en/review")).screen)
    house.clock.now += REVIEW_LEASE
    assert shown((await get(office_client, "/en/review")).screen) == first
    # It is the same claim: looking again does not prolong it.
    house.clock.now += datetime.timedelta(microseconds=1)
    row = await house.row(tables.letters, id=first)
    assert row.lease_until < house.clock()


async def test_letter_of_somebody_who_left_goes_to_the_next(house: House, office_client: Client) -> None:
    sent = await house.queued()
    assert shown((await get(office_client, "/en/review")).screen) == sent.id
    boris = await house.office("boris")
    assert shown((await get(boris, "/en/review")).screen) is None
    house.clock.now += REVIEW_LEASE + datetime.timedelta(seconds=1)
    assert shown((await get(boris, "/en/review")).screen) == sent.id


@pytest.mark.parametrize("decision", [{"decision": "approve"}, {"decision": "refuse", "reason": "spam"}], ids=str)
async def test_decision_without_the_claim_changes_nothing(
    house: House, office_client: Client, decision: dict[str, str]
) -> None:
    sent = await house.queued()
    boris = await house.office("boris")
    assert shown((await get(boris, "/en/review")).screen) == sent.id
    before = await house.count()
    for letter in (sent.id, "0" * 32, ""):
        answer = await post(office_client, "/en/review", {"letter": letter} | decision)
        assert (answer.status, answer.screen.wrong) == (409, [NOT_YOURS])
    assert await house.state(sent) == "queued"
    assert await house.count() == before
    assert (await post(boris, "/en/review", {"letter": sent.id} | decision)).status == 303


async def test_decision_after_the_time_was_over_changes_nothing(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    house.clock.now += REVIEW_LEASE + datetime.timedelta(seconds=1)
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "approve"})
    assert (answer.status, answer.screen.wrong, await house.state(sent)) == (409, [NOT_YOURS], "queued")


@both_engines
async def test_decision_counts_once(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    form = {"letter": sent.id, "decision": "approve"}
    answers = await asyncio.gather(*(post(office_client, "/en/review", form) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [303, 409, 409]
    events = await house.rows(tables.events, record_id=sent.id)
    assert [row.target for row in events] == ["unconfirmed", "queued", "approved"]
    assert events[-1].actor == f"volunteer:{house.volunteers['anna']}"


@pytest.mark.parametrize(
    "form", [{"decision": "refuse"}, {"decision": "refuse", "reason": "because"}, {"decision": "maybe"}, {}], ids=str
)
async def test_refusal_needs_a_reason(house: House, office_client: Client, form: dict[str, str]) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    answer = await post(office_client, "/en/review", {"letter": sent.id} | form)
    assert (answer.status, answer.screen.wrong, shown(answer.screen)) == (422, [NO_REASON], sent.id)
    assert await house.state(sent) == "queued"


@pytest.mark.parametrize("reason", list(Refusal))
async def test_refusal_is_told_to_the_sender_with_its_reason(
    house: House, office_client: Client, reason: Refusal
) -> None:
    sent = await house.queued(address=ADDRESS)
    await get(office_client, "/en/review")
    form = {"letter": sent.id, "decision": "refuse", "reason": reason}
    assert (await post(office_client, "/en/review", form)).status == 303
    letter = await house.row(tables.letters, id=sent.id)
    assert (letter.state, letter.reason) == ("refused", reason)
    assert (await house.row(tables.outbox, kind="refused")).letter_id == sent.id
    assert f"The reason: {REFUSALS[reason]}" in (await get(await house.desk(), sent.inbox)).screen.text


async def test_letter_taken_back_while_it_is_read_cannot_be_approved(house: House, office_client: Client) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    assert (await post(await house.desk(), f"{sent.inbox}/withdraw/{sent.id}")).status == 303
    answer = await post(office_client, "/en/review", {"letter": sent.id, "decision": "approve"})
    assert (answer.status, NOTHING in answer.screen.text) == (409, True)
    assert await house.state(sent) == "withdrawn"


async def test_unconfirmed_letter_is_not_read(house: House, office_client: Client) -> None:
    sent = await house.submit(address=ADDRESS)
    assert shown((await get(office_client, "/en/review")).screen) is None
    with pytest.raises(LeaseLostError):
        await steps.approve(house.store, sent.id, house.volunteers["anna"])

"""What a sender wants by mail: chosen in the inbox, or by the button of a mail program."""

from __future__ import annotations

import pytest

from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.letters import Wants
from relay.mail.suppression import address_tag
from relay.sealing import InboxSecret
from relay.store import tables
from tests.desk.inboxes import writing_back
from tests.workplaces import ADDRESS, RUSSIAN, Client, House, both_engines, get, post

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def wanted(house: House) -> list[str]:
    """What each letter's sender wants."""
    return [row.wants for row in sorted(await house.rows(tables.letters), key=lambda row: row.created_at)]


@pytest.mark.parametrize("wants", [Wants.FULL, Wants.NOTICE, Wants.NOTHING])
@both_engines
async def test_choice_counts_for_all_letters_of_the_inbox_and_for_no_others(
    house: House, desk: Client, wants: Wants
) -> None:
    first = await house.queued(address=ADDRESS, wants=Wants.NOTICE)
    for person in (RUSSIAN, RUSSIAN):
        house.clock.advance(minutes=1)
        await house.queued(person, phrase=first.phrase, address=ADDRESS, wants=Wants.NOTICE)
    house.clock.advance(minutes=1)
    await house.queued(address=ADDRESS, wants=Wants.NOTICE)
    place = f"{first.inbox}/mails"
    assert (await get(desk, place)).screen.fields == {"wants": "notice"}
    answer = await post(desk, place, {"wants": wants})
    assert (answer.status, answer.location) == (303, f"{place}?saved")
    saved = (await get(desk, answer.location)).screen
    assert saved.fields == {"wants": wants}
    assert "Saved. It counts for all your letters here." in saved.text
    assert await wanted(house) == [wants, wants, wants, "notice"]


@both_engines
async def test_one_click_of_a_mail_program_stops_the_mails(house: House, desk: Client) -> None:
    first = await house.queued(address=ADDRESS)
    (waiting,) = await house.rows(tables.outbox, kind="queued")
    assert waiting.state == "waiting"
    answer = await post(desk, f"{first.inbox}/mails", ONE_CLICK)
    assert (answer.status, answer.body) == (200, b"")
    assert await wanted(house) == ["nothing"]
    assert (await house.row(tables.outbox, kind="queued")).state == "dropped"


async def test_one_click_from_a_foreign_site_does_nothing(house: House, desk: Client) -> None:
    first = await house.queued(address=ADDRESS)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert (await post(desk, f"{first.inbox}/mails", ONE_CLICK, headers=headers)).status == 403
    assert await wanted(house) == ["full"]


async def test_letters_without_an_address_stay_without_mails(house: House, desk: Client) -> None:
    first = await house.queued()
    house.clock.advance(minutes=1)
    await house.queued(phrase=first.phrase, address=ADDRESS)
    await post(desk, f"{first.inbox}/mails", {"wants": "notice"})
    assert await wanted(house) == ["nothing", "notice"]


async def test_inbox_without_an_address_has_no_choice(house: House, desk: Client) -> None:
    first = await house.queued()
    assert f"{first.inbox}/mails" not in (await get(desk, first.inbox)).screen.links
    screen = (await get(desk, f"{first.inbox}/mails")).screen
    assert (screen.forms, "You gave no mail address" in screen.text) == ([], True)
    await post(desk, f"{first.inbox}/mails", {"wants": "full"})
    assert await wanted(house) == ["nothing"]


async def test_letter_that_waits_for_its_mail_still_gets_it(house: House, desk: Client) -> None:
    """Otherwise the words alone would confirm what was to be confirmed by mail."""
    first = await house.submit(address=ADDRESS)
    await post(desk, f"{first.inbox}/mails", ONE_CLICK)
    assert await wanted(house) == ["full"]
    assert (await house.row(tables.outbox, kind="confirm")).state == "waiting"


async def test_choice_of_nothing_goes_on_with_the_next_letter(house: House, desk: Client) -> None:
    first = await house.queued(address=ADDRESS)
    await post(desk, f"{first.inbox}/mails", {"wants": "nothing"})
    house.clock.advance(minutes=1)
    place = await writing_back(house, first)
    fields = (await get(desk, place)).screen.fields | {"text": "Hello"}
    shown = (await post(desk, place, fields | {"action": "preview"})).screen
    assert (await post(desk, place, shown.fields | {"action": "send"})).status == 303
    assert await wanted(house) == ["nothing", "nothing"]
    await post(desk, f"{first.inbox}/mails", {"wants": "full"})
    assert await wanted(house) == ["full", "full"], "the address is still known"


async def test_letter_whose_content_was_destroyed_is_left_alone(house: House, desk: Client) -> None:
    first = await house.queued(address=ADDRESS, wants=Wants.NOTICE)
    house.clock.advance(minutes=1)
    await house.queued(phrase=first.phrase, address=ADDRESS, wants=Wants.NOTICE)
    async with house.store.database.writing() as connection:
        await connection.execute(tables.content_keys.delete().where(tables.content_keys.c.record_id == first.id))
    await post(desk, f"{first.inbox}/mails", {"wants": "full"})
    assert await wanted(house) == ["notice", "full"]


@pytest.mark.parametrize("form", [{}, {"wants": "everything"}, {"List-Unsubscribe": "no"}])
async def test_what_no_browser_sends(house: House, desk: Client, form: dict[str, str]) -> None:
    first = await house.queued(address=ADDRESS)
    assert (await post(desk, f"{first.inbox}/mails", form)).status == 400


async def test_choice_of_an_inbox_that_is_not_there(house: House, desk: Client) -> None:
    await house.queued(address=ADDRESS)
    for link in ("x", InboxSecret.from_phrase(new_claim_phrase("en")).link):
        place = f"/en/inbox/{link}/mails"
        assert [(await get(desk, place)).status, (await post(desk, place, ONE_CLICK)).status] == [404, 404]


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("permanent", "Mails to your address come back since May 4, 2031, so we send none any more. Please look here."),
        ("complaint", "Since May 4, 2031 our mails count as unwanted at your address, so we send none any more."),
    ],
)
async def test_mails_that_come_back_are_told_in_the_inbox(
    house: House, desk: Client, reason: str, sentence: str
) -> None:
    first, other = await house.queued(address=ADDRESS), await house.queued(address="other@supporter.example")
    tag = address_tag(house.office_key, ADDRESS)
    async with house.store.database.writing() as connection:
        mine = tables.inboxes.c.lookup_hash == first.secret.lookup_hash
        await connection.execute(tables.inboxes.update().where(mine).values(address_tag=tag))
        row = {"tag": tag, "since": house.clock(), "reason": reason}
        await connection.execute(tables.suppressions.insert().values(**row))
    for place in (first.inbox, f"{first.inbox}/mails"):
        assert sentence in (await get(desk, place)).screen.text
        assert sentence not in (await get(desk, place.replace(first.secret.link, other.secret.link))).screen.text

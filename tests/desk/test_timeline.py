"""What usually happens next with a letter, and what its sender can do when it is late."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from print import steps as print_steps
from relay.domain.events import ASKED_AGAIN
from relay.domain.lives import SENDER, WORKER, LetterState, Record
from relay.store import tables
from relay.store.durations import KEPT_FOR, UsualTimes
from relay.store.overdue import tell_overdue
from relay.store.transitions import move
from tests.conftest import SmtpCatcher
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, Sent, both_engines, get, post, send_all

LATE = "This takes longer than usual."
AGAIN = "You asked us to send it again."


async def update(house: House, table: sa.Table, row_id: str, **values: Any) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))


async def answered(house: House, *days: int) -> None:
    """Letters to the English facility that were answered after so many days; time passes with each."""
    for each in days:
        sent = await house.posted()
        house.clock.advance(days=each - 0.5)
        async with house.store.database.writing() as connection:
            now = house.clock()
            await move(connection, Record.LETTER, sent.id, LetterState.DELIVERED, by=WORKER, at=now)
    house.clock.now += KEPT_FOR


async def late(house: House, **options: Any) -> Sent:
    """A letter that was posted 61 days ago."""
    sent = await house.posted(**options)
    house.clock.advance(days=61)
    return sent


def action(sent: Sent, what: str) -> str:
    return f"{sent.inbox}/letter/{sent.id}/{what}"


async def test_without_data_the_days_of_the_review_are_said(house: House, desk: Client) -> None:
    sent = await house.queued()
    assert "It should be read within 3 days." in (await get(desk, sent.inbox)).screen.text
    facility = await house.row(tables.facilities, slug=ENGLISH.facility.slug)
    await update(house, tables.facilities, facility.id, review_days=0)
    assert "It should be read" not in (await get(desk, sent.inbox)).screen.text


async def test_without_data_nothing_is_said_about_the_post(house: House, desk: Client) -> None:
    sent = await house.posted()
    text = (await get(desk, sent.inbox)).screen.text
    assert "lately" not in text
    assert LATE not in text


@both_engines
async def test_days_to_this_facility_are_said(house: House, desk: Client) -> None:
    await answered(house, 4, 5, 6, 7, 9)
    sent = await house.posted()
    said = "Letters to this facility took 4 to 9 days lately until they were handed over or answered."
    assert said in (await get(desk, sent.inbox)).screen.text


async def test_days_to_all_facilities_are_said_where_too_few_went_to_this_one(house: House, desk: Client) -> None:
    await answered(house, 4, 4, 4, 4, 4)
    sent = await house.posted(RUSSIAN)
    said = "Letters took 4 days lately until they were handed over or answered."
    assert said in (await get(desk, sent.inbox)).screen.text


async def test_late_letter_says_so_and_what_can_be_done(house: House, desk: Client) -> None:
    sent = await late(house)
    screen = (await get(desk, sent.inbox)).screen
    assert LATE in screen.text
    assert action(sent, "again") in screen.forms
    assert action(sent, "complaint") in screen.links


async def test_letter_that_is_late_with_us_says_so_and_there_is_nothing_to_do(house: House, desk: Client) -> None:
    sent = await house.approved()
    house.clock.advance(days=15)
    screen = (await get(desk, sent.inbox)).screen
    assert LATE in screen.text
    assert action(sent, "again") not in screen.forms
    assert action(sent, "complaint") not in screen.links
    assert (await get(desk, action(sent, "complaint"))).status == 404


@both_engines
async def test_sender_asks_for_a_copy_once(house: House, desk: Client) -> None:
    sent = await late(house)
    for _ in range(2):
        answer = await post(desk, action(sent, "again"))
        assert (answer.status, answer.location) == (303, f"{sent.inbox}?letter={sent.id}#{sent.id}")
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at == house.clock()
    (event,) = await house.rows(tables.events, record_id=sent.id, reason=ASKED_AGAIN)
    assert (event.actor, event.source, event.target) == (str(SENDER), "posted", "posted")
    screen = (await get(desk, sent.inbox)).screen
    assert screen.text.count(AGAIN) == 1
    assert "The volunteers see that before all others." in screen.text
    assert action(sent, "again") not in screen.forms


async def test_nothing_is_asked_about_a_letter_that_is_not_late(house: House, desk: Client) -> None:
    sent = await house.posted()
    assert (await post(desk, action(sent, "again"))).status == 303
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None
    assert (await get(desk, action(sent, "complaint"))).status == 404


async def test_nothing_is_sent_again_to_who_cannot_be_written_to(house: House, desk: Client) -> None:
    sent = await late(house)
    prisoner = await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)
    await update(house, tables.prisoners, prisoner.id, state="do_not_write")
    screen = (await get(desk, sent.inbox)).screen
    assert LATE in screen.text
    assert action(sent, "again") not in screen.forms
    await post(desk, action(sent, "again"))
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None


async def test_nobody_asks_for_the_letters_of_others(house: House, desk: Client) -> None:
    sent = await late(house)
    other = await house.queued()
    for path in (f"{other.inbox}/letter/{sent.id}", f"/en/inbox/x/letter/{sent.id}"):
        assert (await post(desk, f"{path}/again")).status == 404
        assert (await get(desk, f"{path}/complaint")).status == 404
    assert (await house.row(tables.letters, id=sent.id)).asked_again_at is None


async def test_copy_on_its_way_is_not_late_and_the_prison_can_still_be_asked(house: House, desk: Client) -> None:
    sent = await late(house)
    await print_steps.reprint(house.store, tables.letters.c.id == sent.id, house.anna)
    screen = (await get(desk, sent.inbox)).screen
    assert LATE not in screen.text
    assert action(sent, "again") not in screen.forms
    assert action(sent, "complaint") in screen.links


@both_engines
async def test_complaint_has_the_dates_and_not_the_relay(house: House, desk: Client) -> None:
    await answered(house, 4, 5, 6, 7, 9)
    sent = await house.queued(address="mary@sender.example")
    house.clock.advance(days=1)
    await post_queued(house, sent)
    house.clock.advance(days=19)
    answer = await get(desk, action(sent, "complaint"))
    text = answer.screen.text
    row = await house.row(tables.letters, id=sent.id)
    for said in (
        ENGLISH.facility.name,
        f"Addressee: {ENGLISH.prisoner.name}",
        "Name of the sender on the letter: Mary",
        f"Written on: {row.created_at:%B} {row.created_at.day}, {row.created_at.year}",
        f"Posted on: {row.state_since:%B} {row.state_since.day}, {row.state_since.year}",
        "letters to your institution took 4 to 9 days lately",
    ):
        assert said in text
    body = answer.body.decode().partition('<section class="complaint')[2]
    for secret in ("Example relay", "PO Box 9", "mary@sender.example", sent.secret.link, await house.code(sent)):
        assert secret not in body


async def post_queued(house: House, sent: Sent) -> None:
    """Let a queued letter be read, printed and posted."""
    by = house.anna
    async with house.store.database.writing() as connection:
        for state in (LetterState.APPROVED, LetterState.PRINTED, LetterState.POSTED):
            await move(connection, Record.LETTER, sent.id, state, by=by, at=house.clock())


async def test_complaint_is_in_the_language_of_the_prison_and_in_that_of_the_sender(house: House, desk: Client) -> None:
    sent = await late(house, person=RUSSIAN)
    html = (await get(desk, action(sent, "complaint"))).body.decode()
    assert [html.count(f'class="letter text" lang="{language}"') for language in ("ru", "en", "de")] == [1, 1, 0]
    assert html.index('text" lang="ru"') < html.index('text" lang="en"')
    html = (await get(desk, action(sent, "complaint").replace("/en/", "/ru/"))).body.decode()
    assert [html.count(f'class="letter text" lang="{language}"') for language in ("ru", "en", "de")] == [1, 0, 0]


@pytest.mark.parametrize(("number", "said"), [(None, False), ("RR123456785GB", True)])
async def test_complaint_names_the_tracking_number_where_there_is_one(
    house: House, desk: Client, number: str | None, *, said: bool
) -> None:
    sent = await late(house)
    (enclosure,) = await house.rows(tables.enclosures, letter_id=sent.id)
    await update(house, tables.envelopes, enclosure.envelope_id, tracking=number)
    text = (await get(desk, action(sent, "complaint"))).screen.text
    assert ("Tracking number: RR123456785GB" in text) == said


async def test_sentences_about_days_agree_with_the_number(house: House, desk: Client) -> None:
    await answered(house, 1, 1, 1, 1, 1)
    sent = await house.posted()
    assert "took 1 day lately until they were handed over" in (await get(desk, sent.inbox)).screen.text


async def test_sender_is_told_by_mail_that_a_letter_is_late(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await late(house, address="mary@sender.example")
    assert await tell_overdue(house.store, UsualTimes()) == 1
    await send_all(house.sender(port=smtp_catcher.port))
    mail = smtp_catcher.mails[-1].message
    assert mail["subject"] == "Your letter takes longer than usual"
    body = mail.get_body(("plain",))
    assert body is not None
    text = " ".join(body.get_content().split())
    assert f"Your letter to {ENGLISH.prisoner.name} takes longer than letters to this place usually do." in text
    assert sent.secret.link in text


async def test_late_letter_among_many_says_so_though_it_is_folded(house: House, desk: Client) -> None:
    sent = await late(house)
    for _ in range(3):
        await house.queued(phrase=sent.phrase)
        house.clock.advance(minutes=1)
    screen = (await get(desk, sent.inbox)).screen
    assert action(sent, "again") not in screen.forms
    assert screen.text.count(LATE) == 1
    assert action(sent, "again") in (await get(desk, f"{sent.inbox}?letter={sent.id}")).screen.forms

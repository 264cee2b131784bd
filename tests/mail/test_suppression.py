"""Bounces of our own mails: what is noted, which addresses get no more mails, and how they get them again."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from relay.desk import steps as desk_steps
from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.lives import WORKER, LetterState, MailKind, Record
from relay.mail import suppression
from relay.mail.bounces import Bounce
from relay.mail.suppression import SUPPRESSED, Reason, Trouble, index_addresses_next, note_bounce
from relay.store import tables
from relay.store.transitions import add_mail, move
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, both_engines

DEAD = Bounce("maria@supporter.example", "5.1.1", True, None, dead=True)
FULL = Bounce(None, "5.2.2", True, None)
LATER = Bounce(None, "4.2.1", False, None)
DELAYED = Bounce(None, "4.4.1", False, None, delayed=True)
REFUSED = Bounce(None, "5.7.1", True, None, refused=True)
COMPLAINT = Bounce(None, None, None, None, complaint=True)
UNCLEAR = Bounce(None, None, None, None)
DAY = datetime.timedelta(days=1)


async def sent_mail(house: House, sent: Sent, kind: MailKind = MailKind.POSTED) -> str:
    """The Message-ID of a mail about a letter that went out."""
    known = {row.id for row in await house.rows(tables.outbox)}
    async with house.store.database.writing() as connection:
        await add_mail(connection, kind, sent.id, at=house.clock())
    (row,) = [row for row in await house.rows(tables.outbox) if row.id not in known]
    await put(house, row.id, state="sent", state_since=house.clock())
    return str(row.message_id)


async def put(house: House, mail_id: str, **values: Any) -> None:
    """Change a mail."""
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.outbox).where(tables.outbox.c.id == mail_id).values(**values))


async def came_back(house: House, message_id: str, bounce: Bounce) -> bool:
    """A bounce comes in."""
    return await note_bounce(house.store, house.office_key, message_id, bounce, house.clock())


async def is_suppressed(house: House, address: str = ADDRESS) -> bool:
    """Whether no mails go to an address."""
    async with house.store.database.reading() as connection:
        return await suppression.is_suppressed(connection, house.office_key, address)


async def lift(house: House) -> None:
    """The office lets mails go again."""
    async with house.store.database.writing() as connection:
        await suppression.lift(connection, suppression.address_tag(house.office_key, ADDRESS), house.clock())


async def mails(house: House) -> dict[str, tuple[str, str | None]]:
    """State and bounce of the mails that office and worker send, by kind."""
    return {row.kind: (row.state, row.bounce) for row in await house.rows(tables.outbox) if row.kind != "confirm"}


@both_engines
async def test_dead_address_gets_no_more_mails(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    message_id = await sent_mail(house, sent)
    assert await came_back(house, message_id, DEAD) is True
    assert await is_suppressed(house) is True
    assert await mails(house) == {"posted": ("bounced", "permanent 5.1.1"), "queued": ("dropped", None)}
    assert (await house.row(tables.outbox, kind="queued")).last_error == SUPPRESSED


@both_engines
async def test_lifted_address_gets_what_came_back_and_what_waited(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    await came_back(house, await sent_mail(house, sent), DEAD)
    await lift(house)
    assert await is_suppressed(house) is False
    assert await mails(house) == {"posted": ("waiting", None), "queued": ("waiting", None)}
    assert (await house.row(tables.outbox, kind="queued")).last_error is None


async def test_mail_whose_own_words_were_erased_does_not_come_again(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    await came_back(house, await sent_mail(house, sent, MailKind.LINK), DEAD)
    await lift(house)
    assert (await mails(house))["link"] == ("bounced", None)


async def test_bounce_of_a_mail_that_is_none_of_ours_is_nothing(house: House) -> None:
    await house.queued(address=ADDRESS)
    assert await came_back(house, "ff" * 16, Bounce(ADDRESS, "5.1.1", True, None, dead=True)) is False
    assert await is_suppressed(house) is False


async def test_forged_bounce_silences_nobody_else(house: House) -> None:
    """It names the address of a stranger; what counts is to whom the mail went that it is about."""
    own = await house.queued(address="eve@supporter.example")
    await house.queued(RUSSIAN, address=ADDRESS)
    await came_back(house, await sent_mail(house, own), Bounce(ADDRESS, "5.1.1", True, None, dead=True))
    assert await is_suppressed(house) is False
    assert await is_suppressed(house, "eve@supporter.example") is True


async def test_message_id_in_capitals_is_known(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    assert await came_back(house, (await sent_mail(house, sent)).upper(), DEAD) is True


@pytest.mark.parametrize(
    ("bounce", "expected"),
    [
        (FULL, ("bounced", "permanent 5.2.2")),
        (REFUSED, ("bounced", "refused 5.7.1")),
        (LATER, ("sent", "temporary 4.2.1")),
        (DELAYED, ("sent", "delayed 4.4.1")),
        (UNCLEAR, ("sent", "unknown")),
    ],
)
async def test_bounce_that_is_not_about_the_address_suppresses_nothing(
    house: House, bounce: Bounce, expected: tuple[str, str]
) -> None:
    sent = await house.queued(address=ADDRESS)
    await came_back(house, await sent_mail(house, sent), bounce)
    assert (await mails(house))["posted"] == expected
    assert await is_suppressed(house) is False


async def test_complaint_suppresses(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    await came_back(house, await sent_mail(house, sent), COMPLAINT)
    assert await is_suppressed(house) is True
    assert (await mails(house))["posted"] == ("sent", "complaint")
    assert (await house.row(tables.suppressions)).reason == "complaint"


@both_engines
@pytest.mark.parametrize("bounce", [LATER, FULL])
async def test_third_mail_that_comes_back_suppresses(house: House, bounce: Bounce) -> None:
    sent = await house.queued(address=ADDRESS)
    found = []
    for kind in (MailKind.POSTED, MailKind.PARTLY, MailKind.RETURNED):
        await came_back(house, await sent_mail(house, sent, kind), bounce)
        found.append(await is_suppressed(house))
    assert found == [False, False, True]
    assert (await house.row(tables.suppressions)).reason == "repeated"


async def test_same_mail_that_comes_back_again_counts_once(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    message_id = await sent_mail(house, sent)
    for _ in range(5):
        await came_back(house, message_id, LATER)
    assert await is_suppressed(house) is False


async def test_mails_that_came_back_long_ago_do_not_count(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    for kind in (MailKind.POSTED, MailKind.PARTLY, MailKind.RETURNED):
        await came_back(house, await sent_mail(house, sent, kind), LATER)
        house.clock.now += 20 * DAY
    assert await is_suppressed(house) is False


@pytest.mark.parametrize("bounce", [DELAYED, REFUSED])
async def test_warnings_and_refusals_of_us_do_not_add_up(house: House, bounce: Bounce) -> None:
    sent = await house.queued(address=ADDRESS)
    for kind in (MailKind.POSTED, MailKind.PARTLY, MailKind.RETURNED, MailKind.OVERDUE):
        await came_back(house, await sent_mail(house, sent, kind), bounce)
    assert await is_suppressed(house) is False


@pytest.mark.parametrize("later", [DELAYED, UNCLEAR])
async def test_what_comes_after_the_refusal_changes_nothing(house: House, later: Bounce) -> None:
    sent = await house.queued(address=ADDRESS)
    message_id = await sent_mail(house, sent)
    await came_back(house, message_id, DEAD)
    await came_back(house, message_id, later)
    assert (await mails(house))["posted"] == ("bounced", "permanent 5.1.1")


async def test_same_mailbox_written_otherwise_is_suppressed_too(house: House) -> None:
    sent = await house.queued(address="Mary+pyotr@sender.example")
    await came_back(house, await sent_mail(house, sent), DEAD)
    assert await is_suppressed(house, "mary@Sender.example") is True


async def test_inbox_knows_its_trouble(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    other = await house.queued(RUSSIAN, address="olga@supporter.example")
    await index_addresses_next(house.store, house.office_key)
    at = house.clock()
    await came_back(house, await sent_mail(house, sent), DEAD)
    house.clock.now += DAY
    found = []
    for one in (sent, other):
        inbox = await house.row(tables.inboxes, lookup_hash=one.secret.lookup_hash)
        async with house.store.database.reading() as connection:
            found.append(await suppression.trouble(connection, inbox.id))
    assert found == [Trouble(at, Reason.PERMANENT, "5.1.1"), None]


async def test_inbox_knows_that_the_last_mail_did_not_arrive(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    inbox = await house.row(tables.inboxes, lookup_hash=sent.secret.lookup_hash)

    async def trouble() -> Trouble | None:
        async with house.store.database.reading() as connection:
            return await suppression.trouble(connection, inbox.id)

    assert await trouble() is None
    at = house.clock()
    await came_back(house, await sent_mail(house, sent), FULL)
    assert await trouble() == Trouble(at, Reason.LAST, None)
    house.clock.now += DAY
    await sent_mail(house, sent, MailKind.RETURNED)
    assert await trouble() is None


@both_engines
async def test_inboxes_are_indexed_once_a_letter_is_confirmed(house: House) -> None:
    confirmed = await house.queued(address=ADDRESS)
    nameless = await house.queued(RUSSIAN)
    waiting = await house.submit(address="olga@supporter.example")
    assert await index_addresses_next(house.store, house.office_key) is True
    assert await index_addresses_next(house.store, house.office_key) is False
    found = [
        (await house.row(tables.inboxes, lookup_hash=one.secret.lookup_hash)).address_tag
        for one in (confirmed, nameless, waiting)
    ]
    assert found == [suppression.address_tag(house.office_key, ADDRESS), "", None]


async def test_inbox_is_indexed_by_the_address_of_its_newest_letter(house: House) -> None:
    phrase = new_claim_phrase("en")
    await house.queued(phrase=phrase)
    house.clock.now += DAY
    newer = await house.submit(RUSSIAN, address=ADDRESS, phrase=phrase)
    await desk_steps.confirm(house.store, await house.token(newer.id))
    await index_addresses_next(house.store, house.office_key)
    tag = suppression.address_tag(house.office_key, ADDRESS)
    assert (await house.row(tables.inboxes)).address_tag == tag


async def test_inbox_without_an_address_is_looked_at_again_with_the_next_letter(house: House) -> None:
    phrase = new_claim_phrase("en")
    await house.queued(phrase=phrase)
    await index_addresses_next(house.store, house.office_key)
    assert (await house.row(tables.inboxes)).address_tag == ""
    house.clock.now += DAY
    newer = await house.submit(RUSSIAN, address=ADDRESS, phrase=phrase)
    await desk_steps.confirm(house.store, await house.token(newer.id))
    await index_addresses_next(house.store, house.office_key)
    assert (await house.row(tables.inboxes)).address_tag == suppression.address_tag(house.office_key, ADDRESS)


async def test_inbox_whose_letters_all_expired_is_not_looked_at_again(house: House) -> None:
    sent = await house.submit(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await move(connection, Record.LETTER, sent.id, LetterState.EXPIRED, by=WORKER, at=house.clock())
    assert await index_addresses_next(house.store, house.office_key) is True
    assert (await house.row(tables.inboxes)).address_tag == ""
    assert await index_addresses_next(house.store, house.office_key) is False


async def test_letter_confirmed_by_mail_shows_that_the_address_works_again(house: House) -> None:
    first = await house.queued(address=ADDRESS)
    await index_addresses_next(house.store, house.office_key)
    await came_back(house, await sent_mail(house, first), DEAD)
    house.clock.now += DAY
    await house.queued(RUSSIAN, address=ADDRESS)
    await index_addresses_next(house.store, house.office_key)
    assert await is_suppressed(house) is False
    assert (await house.row(tables.outbox, kind="posted")).state == "waiting"


async def test_letter_from_before_shows_nothing(house: House) -> None:
    first = await house.queued(address=ADDRESS)
    await house.queued(RUSSIAN, address=ADDRESS)
    house.clock.now += DAY
    await came_back(house, await sent_mail(house, first), DEAD)
    await index_addresses_next(house.store, house.office_key)
    assert await is_suppressed(house) is True


async def test_office_sees_whom_it_hits_without_the_address(house: House) -> None:
    first = await house.queued(ENGLISH, address=ADDRESS)
    await house.queued(RUSSIAN, address=ADDRESS)
    await index_addresses_next(house.store, house.office_key)
    await came_back(house, await sent_mail(house, first), DEAD)
    async with house.store.database.reading() as connection:
        (found,) = await suppression.suppressed(connection, 10)
    assert found.trouble == Trouble(house.clock(), Reason.PERMANENT, "5.1.1")
    assert found.prisoners == (ENGLISH.prisoner.name, RUSSIAN.prisoner.name)
    assert (found.letters, found.held_back) == (2, 3)
    assert ADDRESS not in repr(found)


@both_engines
async def test_inbox_is_not_indexed_by_an_address_that_was_taken_back_before_its_confirmation(house: House) -> None:
    phrase = new_claim_phrase("en")
    waiting = await house.submit(phrase=phrase)
    house.clock.now += DAY
    foreign = await house.submit(RUSSIAN, address=ADDRESS, phrase=phrase)
    await desk_steps.withdraw(house.store, foreign.id)
    assert await index_addresses_next(house.store, house.office_key) is False
    assert (await house.row(tables.inboxes)).address_tag is None
    await desk_steps.confirm_by_phrase(house.store, waiting.phrase, per_hour=1000)
    assert await index_addresses_next(house.store, house.office_key) is True
    assert (await house.row(tables.inboxes)).address_tag == ""

"""The office's screen of the mails."""

from __future__ import annotations

import datetime

import pytest

from relay.mail.bounces import Bounce
from relay.mail.incoming import Addressed, Doubt, IncomingState, Source, keep, put
from relay.mail.suppression import index_addresses_next, note_bounce
from relay.store import tables
from tests.mail.incoming import by, mail
from tests.mail.test_suppression import DEAD, FULL, REFUSED, sent_mail
from tests.mail.test_suppression import put as put_mail
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, Client, House, get, post

HOUR = datetime.timedelta(hours=1)


async def untaken(house: House, raw: bytes, reason: Doubt | None = Doubt.OTHER_SENDER) -> str:
    """The id of a mail that nobody could take, to the conversation of a letter that there is."""
    conversation = (await house.rows(tables.conversations))[0]
    (found,) = await keep(house.store, raw, [Addressed(conversation_id=conversation.id)], Source.SMTP)
    async with house.store.database.writing() as connection:
        await put(connection, found, IncomingState.UNKNOWN, house.clock(), reason=reason)
    return found


async def test_screen_without_mails_says_so(house: House, office_client: Client) -> None:
    screen = (await get(office_client, "/en/mails")).screen
    assert screen.text == "Mails Mails that wait No mail waits."
    assert screen.forms == ["/en/log-out"]


async def test_waiting_mails_are_shown_with_their_age(house: House, office_client: Client) -> None:
    await house.queued(address=ADDRESS)
    house.clock.now += 3 * HOUR
    await house.queued(RUSSIAN, address=ADDRESS)
    row = (await house.rows(tables.outbox, kind="queued"))[0]
    await put_mail(house, row.id, last_error="SMTPDataError 451")
    text = (await get(office_client, "/en/mails")).screen.text
    assert "They failed, and are tried again. (SMTPDataError 451) 1 3 hours" in text
    assert "They were not tried yet. 1 1 minute" in text
    home = (await get(office_client, "/en/")).screen
    assert "2 mails not sent yet the oldest for 3 hours" in home.text
    assert "/en/mails" in home.links


async def test_dead_address_is_shown_without_it_and_can_be_lifted(house: House, office_client: Client) -> None:
    first = await house.queued(ENGLISH, address=ADDRESS)
    await house.queued(RUSSIAN, address=ADDRESS)
    await index_addresses_next(house.store, house.office_key)
    await note_bounce(house.store, house.office_key, await sent_mail(house, first), DEAD, house.clock())
    house.clock.now += HOUR
    screen = (await get(office_client, "/en/mails")).screen
    names = f"{ENGLISH.prisoner.name}, {RUSSIAN.prisoner.name}"
    assert f"{names} There is no such address. there is no such mailbox (5.1.1) 1 hour 2 3" in screen.text
    assert ADDRESS not in screen.html
    tag = (await house.row(tables.suppressions)).tag
    answer = await post(office_client, "/en/mails", {"tag": tag})
    assert (answer.status, answer.location) == (303, "/en/mails")
    assert await house.rows(tables.suppressions) == []
    assert {row.state for row in await house.rows(tables.outbox) if row.kind != "confirm"} == {"waiting"}


async def test_mails_that_were_not_wanted_go_again_when_a_volunteer_says_so(
    house: House, office_client: Client
) -> None:
    sent = await house.queued(address=ADDRESS)
    other = await house.queued(RUSSIAN, address=ADDRESS)
    for one, bounce in ((sent, REFUSED), (other, Bounce(None, None, True, None, refused=True))):
        await note_bounce(house.store, house.office_key, await sent_mail(house, one), bounce, house.clock())
    screen = (await get(office_client, "/en/mails")).screen
    assert "They came back. the other server does not want our mails (5.7.1) 1" in screen.text
    assert screen.forms.count("/en/mails") == 2
    await post(office_client, "/en/mails", {"bounce": "refused 5.7.1"})
    assert sorted(row.state for row in await house.rows(tables.outbox, kind="posted")) == ["bounced", "waiting"]


async def test_mail_to_a_full_mailbox_is_shown_and_goes_again(house: House, office_client: Client) -> None:
    sent = await house.queued(address=ADDRESS)
    await note_bounce(house.store, house.office_key, await sent_mail(house, sent), FULL, house.clock())
    screen = (await get(office_client, "/en/mails")).screen
    assert "Mails that came back" in screen.text
    assert "They came back. the mailbox is full (5.2.2) 1" in screen.text
    await post(office_client, "/en/mails", {"bounce": "permanent 5.2.2"})
    assert (await house.row(tables.outbox, kind="posted")).state == "waiting"


async def test_mail_that_nobody_could_take_is_read_and_put_away(house: House, office_client: Client) -> None:
    await house.queued(ENGLISH, address=ADDRESS)
    found = await untaken(house, by(subject="Re: <b>hello</b>", text="Dear John,\n<script>alert(1)</script>"))
    house.clock.now += HOUR
    screen = (await get(office_client, "/en/mails")).screen
    assert "It did not come from the address that belongs to the conversation. came 1 hour ago" in screen.text
    assert f"/en/mails/{found}" in screen.links
    assert "maria@" not in screen.html
    opened = (await get(office_client, f"/en/mails/{found}")).screen
    assert opened.heading == "Re: <b>hello</b>"
    assert "Dear John, <script>alert(1)</script>" in opened.text
    assert {"script", "b"} & opened.tags == {"b"}
    assert "maria@" not in opened.html
    answer = await post(office_client, f"/en/mails/{found}")
    assert (answer.status, answer.location) == (303, "/en/mails")
    row = await house.row(tables.incoming)
    assert (row.state, row.reason) == ("settled", "other_sender")
    assert (await get(office_client, f"/en/mails/{found}")).status == 404


async def test_mail_is_handed_out_as_it_came(house: House, office_client: Client) -> None:
    await house.queued(address=ADDRESS)
    raw = by(text="Привет")
    found = await untaken(house, raw)
    answer = await get(office_client, f"/en/mails/{found}/file")
    assert (answer.body, answer.headers["Content-Type"]) == (raw, "application/octet-stream")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{found}.eml"'


@pytest.mark.parametrize("raw", [b"", b"\0\xff" * 1000, mail("From: a@x.example\nContent-Type: image/png", "x")])
async def test_mail_without_a_text_is_shown(house: House, office_client: Client, raw: bytes) -> None:
    await house.queued(address=ADDRESS)
    opened = (await get(office_client, f"/en/mails/{await untaken(house, raw, None)}")).screen
    assert opened.heading == "A mail without a subject"
    assert "There is no text in it that could be shown." in opened.text


async def test_long_mail_is_shortened(house: House, office_client: Client) -> None:
    await house.queued(address=ADDRESS)
    found = await untaken(house, by(text="word " * 20_000))
    opened = (await get(office_client, f"/en/mails/{found}")).screen
    assert "This is its beginning; the file has all." in opened.text
    assert len(opened.text) < 21_000


async def test_mail_that_is_no_heap_work_is_not_opened(house: House, office_client: Client) -> None:
    await house.queued(address=ADDRESS)
    found = await untaken(house, by())
    async with house.store.database.writing() as connection:
        await put(connection, found, IncomingState.LETTER, house.clock())
    for path in (f"/en/mails/{found}", f"/en/mails/{found}/file", "/en/mails/nothing"):
        assert (await get(office_client, path)).status == 404

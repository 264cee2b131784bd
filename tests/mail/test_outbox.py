"""The outbox: real exchanges with mail servers, and what becomes of a mail that fails."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from censor_queue import claims, decisions
from censor_queue.review import Review
from relay.app import opened
from relay.desk import steps as desk_steps
from relay.domain.letters import Wants
from relay.domain.lives import LetterState, MailState, Record
from relay.domain.reasons import REVIEW_REASONS, ReviewReason
from relay.locale import catalogue
from relay.mail import outgoing, sending
from relay.mail.sending import Sender
from relay.sealing import Context
from relay.store import leases, tables
from relay.store.letters import letter_context
from relay.store.sealed import open_part, shred
from relay.store.transitions import move
from relay.worker import office_jobs
from tests.conftest import CaughtMail, MailServer, SmtpCatcher
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, WORKER_NAME, Client, House, both_engines, get, post, send_all

SECOND = datetime.timedelta(seconds=1)
NOTICE = ["multipart/alternative", "text/plain", "text/html"]
WITH_PICTURE = ["multipart/mixed", *NOTICE, "application/pdf"]


@pytest.fixture
def config() -> str:
    """A group whose name has to be encoded."""
    return """\
[site]
name = "Письма; друзьям"
desk_url = "https://desk.example"
return_address = ["PO Box 9", "00000 Nowhere"]

[mail]
sender = "post@relay.example"

[review]
undo_minutes = 0
"""


@asynccontextmanager
async def server(handler: Any, **options: Any) -> AsyncIterator[int]:
    """A mail server of its own kind; gives its port."""
    running = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="localhost", **options), "127.0.0.1", 0
    )
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


def text_of(mail: CaughtMail) -> str:
    """The text of a mail."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    return "\n".join(str(body.get_content()).splitlines())


async def states(house: House) -> list[tuple[str, str]]:
    """Kind and state of all mails, oldest first."""
    return [(row.kind, row.state) for row in sorted(await house.rows(tables.outbox), key=lambda row: row.created_at)]


# --- what arrives


@both_engines
async def test_sender_is_told_each_step_and_gets_the_reply(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.submit(RUSSIAN, address=ADDRESS, language="ru")
    token = await house.token(sent.id)
    desk, office = (house.sender(desk=desk, port=smtp_catcher.port) for desk in (True, False))
    assert await send_all(desk) == 1
    house.clock.advance(minutes=1)
    await desk_steps.confirm(house.store, token)
    house.clock.advance(minutes=1)
    assert await claims.claim_next(house.review, house.volunteers["anna"])
    await decisions.approve(house.review, sent.id, house.volunteers["anna"])
    await house.rendered(RUSSIAN)
    reply = await house.replied(sent)
    assert await send_all(office) == 2
    assert [await send_all(desk), await send_all(office)] == [0, 0]

    _ = catalogue("ru").gettext
    assert [mail.message["subject"] for mail in smtp_catcher.mails] == [
        _("Please confirm your letter"),
        _("Your letter is confirmed"),
        _("You have an answer"),
    ]
    assert [(mail.sender, mail.recipients) for mail in smtp_catcher.mails] == [("post@relay.example", [ADDRESS])] * 3
    rows = sorted(await house.rows(tables.outbox), key=lambda row: row.created_at)
    assert [row.state for row in rows] == ["sent"] * 3
    assert [mail.message["message-id"] for mail in smtp_catcher.mails] == [
        f"<{row.message_id}@relay.example>" for row in rows
    ]
    confirm, _queued, answer = smtp_catcher.mails
    assert f"\n\nhttps://desk.example/ru/confirm/{token}\n\n" in text_of(confirm)
    link = f"\n\nhttps://desk.example{sent.inbox.replace('/en/', '/ru/')}\n\n"
    assert [link in text_of(mail) for mail in smtp_catcher.mails] == [False, True, True]
    assert "\n\nПривет friend?\n\n" in text_of(answer)
    (pdf,) = answer.message.iter_attachments()
    assert pdf.get_content() == await open_part(
        house.store, Context(Record.REPLY, reply), "reply.pdf", house.office_key
    )


async def test_postfix_delivers_the_reply(house: House, mail_server: MailServer) -> None:
    sent = await house.posted(address=ADDRESS)
    reply = await house.replied(sent, "Hello", "friend")
    await send_all(house.sender(port=mail_server.port))
    mails = {str(mail["subject"]): mail for mail in await asyncio.to_thread(mail_server.mails, 3)}
    assert mails.keys() == {"Your letter is confirmed", "Your letter is on its way", "You have an answer"}
    answer = mails["You have an answer"]
    assert [address.addr_spec for address in answer["from"].addresses] == ["post@relay.example"]
    assert answer["from"].addresses[0].display_name.replace("\u00a0", " ") == "Письма; друзьям"
    assert answer["to"] == ADDRESS
    assert [part.get_content_type() for part in answer.walk()] == WITH_PICTURE
    text, _html, pdf = list(answer.walk())[2:]
    assert "\n\nHello friend?\n\n" in text.get_content()
    assert pdf.get_content() == await open_part(
        house.store, Context(Record.REPLY, reply), "reply.pdf", house.office_key
    )


async def test_sender_who_wants_a_notice_gets_nothing_of_the_reply(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.posted(address=ADDRESS, wants=Wants.NOTICE)
    await house.replied(sent, "Secret", "words")
    await send_all(house.sender(port=smtp_catcher.port))
    answer = next(mail for mail in smtp_catcher.mails if mail.message["subject"] == "You have an answer")
    assert [part.get_content_type() for part in answer.message.walk()] == NOTICE
    assert text_of(answer) == (
        "John Sample has answered your letter.\n\nYour letters and the answers are here:\n\n"
        f"https://desk.example{sent.inbox}\n\nWho has this link can read them: do not pass it on."
    )


async def test_sender_without_address_gets_no_mail(house: House) -> None:
    sent = await house.posted()
    await house.replied(sent)
    assert await states(house) == []


async def test_reason_of_a_refusal_arrives_in_the_language_of_the_sender(
    house: House, smtp_catcher: SmtpCatcher
) -> None:
    sent = await house.queued(address=ADDRESS, language="sv")
    await claims.claim_next(house.review, house.volunteers["anna"])
    await decisions.refuse(house.review, sent.id, house.volunteers["anna"], ReviewReason.CASE_DETAILS)
    await send_all(house.sender(port=smtp_catcher.port))
    _ = catalogue("sv").gettext
    refused = next(mail for mail in smtp_catcher.mails if mail.message["subject"] == _("Your letter was not accepted"))
    reason = _("The reason: {reason}").format(reason=_(REVIEW_REASONS[ReviewReason.CASE_DETAILS]))
    assert f"\n\n{reason}\n\n" in text_of(refused)


# --- decisions of the review, which can be undone for ten minutes


NOTE = "Please leave out the court."
Decide = Callable[[Review, str, str], Awaitable[None]]


async def ask_for_changes(review: Review, letter_id: str, anna: str) -> None:
    await decisions.ask_for_changes(review, letter_id, anna, ReviewReason.CASE_DETAILS, NOTE)


async def refuse(review: Review, letter_id: str, anna: str) -> None:
    await decisions.refuse(review, letter_id, anna, ReviewReason.CASE_DETAILS, NOTE)


async def approve_in_part(review: Review, letter_id: str, anna: str) -> None:
    await decisions.cover(review, letter_id, anna, [0])
    await decisions.approve(review, letter_id, anna, reason=ReviewReason.CASE_DETAILS, note=NOTE)


DECISIONS = pytest.mark.parametrize(
    ("decide", "subject"),
    [
        (ask_for_changes, "Please change something in your letter"),
        (refuse, "Your letter was not accepted"),
        (approve_in_part, "Your letter was accepted in part"),
    ],
)


async def decided(house: House, decide: Decide) -> tuple[Review, str, str]:
    """A letter about which anna has just decided: the review, the decision, and who anna is."""
    sent = await house.queued(address=ADDRESS, language="de")
    anna, review = house.volunteers["anna"], dataclasses.replace(house.review, undo=datetime.timedelta(minutes=10))
    assert await claims.claim_next(review, anna)
    await decide(review, sent.id, anna)
    return review, (await house.row(tables.decisions)).id, anna


@DECISIONS
@both_engines
async def test_mail_about_a_decision_waits_until_it_has_settled(
    house: House, smtp_catcher: SmtpCatcher, decide: Decide, subject: str
) -> None:
    await decided(house, decide)
    office = house.sender(port=smtp_catcher.port)
    await send_all(office)
    house.clock.advance(minutes=10, seconds=-1)
    assert await send_all(office) == 0
    _ = catalogue("de").gettext
    assert [mail.message["subject"] for mail in smtp_catcher.mails] == [_("Your letter is confirmed")]
    house.clock.advance(seconds=1)
    assert await send_all(office) == 1
    mail = smtp_catcher.mails[-1]
    assert mail.message["subject"] == _(subject)
    reason = _("The reason: {reason}").format(reason=_(REVIEW_REASONS[ReviewReason.CASE_DETAILS]))
    note = _("The volunteer writes: {note}").format(note=NOTE)
    assert f"\n\n{reason}\n\n{note}\n\n" in text_of(mail)


async def test_mail_about_a_letter_refused_before_decisions_were_kept(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.queued(address=ADDRESS)
    reason, refused = ReviewReason.CASE_DETAILS, LetterState.REFUSED
    async with house.store.database.writing() as connection:
        await move(connection, Record.LETTER, sent.id, refused, by=house.anna, at=house.clock(), reason=reason)
    await send_all(house.sender(port=smtp_catcher.port))
    assert f"The reason: {REVIEW_REASONS[reason]}" in text_of(smtp_catcher.mails[-1])


@DECISIONS
async def test_mail_about_an_undone_decision_is_dropped(
    house: House, smtp_catcher: SmtpCatcher, decide: Decide, subject: str
) -> None:
    del subject
    review, decision, anna = await decided(house, decide)
    await decisions.undo(review, decision, anna)
    house.clock.advance(hours=1)
    assert await send_all(house.sender(port=smtp_catcher.port)) == 1
    assert len(smtp_catcher.mails) == 1
    assert (await house.row(tables.outbox, decision_id=decision)).state == "dropped"


@DECISIONS
async def test_mail_about_a_decision_goes_at_once_when_it_is_released(
    house: House, smtp_catcher: SmtpCatcher, decide: Decide, subject: str
) -> None:
    review, decision, anna = await decided(house, decide)
    await decisions.release(review, [decision], anna)
    await send_all(house.sender(port=smtp_catcher.port))
    assert smtp_catcher.mails[-1].message["subject"] == catalogue("de").gettext(subject)
    assert (await house.row(tables.outbox, decision_id=decision)).state == "sent"


@DECISIONS
async def test_mail_about_a_letter_that_was_taken_back_meanwhile_is_dropped(
    house: House, smtp_catcher: SmtpCatcher, decide: Decide, subject: str
) -> None:
    del subject
    _review, decision, _anna = await decided(house, decide)
    await desk_steps.withdraw(house.store, (await house.row(tables.letters)).id)
    house.clock.advance(hours=1)
    await send_all(house.sender(port=smtp_catcher.port))
    assert (await house.row(tables.outbox, decision_id=decision)).state == "dropped"


async def test_sender_without_address_is_told_in_the_inbox_alone(house: House) -> None:
    sent = await house.queued()
    assert await claims.claim_next(house.review, house.volunteers["anna"])
    await ask_for_changes(house.review, sent.id, house.volunteers["anna"])
    assert await states(house) == []


# --- what fails


async def test_refusal_for_now_is_tried_again_later_and_later(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.submit(address=ADDRESS)
    before = await house.row(tables.outbox)
    smtp_catcher.refuse_with = f"451 4.7.1 <{ADDRESS}> greylisted, try again"
    desk = house.sender(desk=True, port=smtp_catcher.port)
    pauses = []
    for attempt in range(1, 12):
        assert await send_all(desk) == 1
        row = await house.row(tables.outbox)
        assert (row.state, row.attempts, row.last_error) == ("waiting", attempt, "SMTPDataError 451")
        pauses.append((row.next_try_at - house.clock()).total_seconds())
        house.clock.now = row.next_try_at - SECOND
        assert await send_all(desk) == 0
        house.clock.now = row.next_try_at
    assert pauses == [*(30 * 2**number for number in range(10)), 6 * 3600]

    smtp_catcher.refuse_with = None
    assert await send_all(desk) == 1
    row = await house.row(tables.outbox)
    assert (row.state, row.last_error, row.state_since) == ("sent", None, house.clock())
    (mail,) = smtp_catcher.mails
    assert mail.message["message-id"] == f"<{before.message_id}@relay.example>"
    assert mail.message["date"].datetime == before.created_at.replace(microsecond=0)


async def test_mail_that_always_fails_is_given_up(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.queued(address=ADDRESS)
    smtp_catcher.refuse_with = "451 4.7.1 try again"
    office = house.sender(port=smtp_catcher.port, attempts=2)
    for _ in range(2):
        assert await send_all(office) == 1
        house.clock.advance(days=1)
    assert await send_all(office) == 0
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.last_error, row.lease_owner) == ("gave_up", "SMTPDataError 451", None)


async def test_recipient_whom_postfix_refuses_holds_nobody_up(house: House, mail_server: MailServer) -> None:
    await house.queued(address="nobody@elsewhere.example")
    house.clock.advance(seconds=1)
    await house.queued(address=ADDRESS)
    assert await send_all(house.sender(port=mail_server.port)) == 2
    (mail,) = await asyncio.to_thread(mail_server.mails, 1)
    assert mail["to"] == ADDRESS
    rows = sorted(await house.rows(tables.outbox, kind="queued"), key=lambda row: row.created_at)
    assert [(row.state, row.last_error) for row in rows] == [
        ("waiting", "SMTPRecipientsRefused 454"),
        ("sent", None),
    ]


async def test_mail_that_the_server_refuses_for_good_is_given_up(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.queued(address=ADDRESS)
    smtp_catcher.refuse_with = f"550 5.1.1 <{ADDRESS}>: user unknown"
    assert await send_all(house.sender(port=smtp_catcher.port)) == 1
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.last_error) == ("gave_up", "SMTPDataError 550")


class Picky:
    """Answers each command that the relay gives with what it was told to."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers

    async def handle_MAIL(self, *details: Any) -> str:  # noqa: N802 (aiosmtpd's)
        details[2].mail_from = details[3]
        return self.answers.get("mail", "250 2.1.0 go on")

    async def handle_RCPT(self, *details: Any) -> str:  # noqa: N802 (aiosmtpd's)
        details[2].rcpt_tos.append(details[3])
        return self.answers.get("rcpt", "250 2.1.5 go on")


@pytest.mark.parametrize(
    ("answers", "state", "error"),
    [
        ({"mail": "530 5.7.0 log in first"}, "waiting", "SMTPSenderRefused"),
        ({"mail": "550 5.1.8 this relay is not welcome"}, "waiting", "SMTPSenderRefused"),
        ({"rcpt": f"450 4.2.1 <{ADDRESS}> slow down"}, "waiting", "SMTPRecipientsRefused 450"),
        ({"rcpt": "554 5.7.1 relay access denied"}, "waiting", "SMTPRecipientsRefused 554"),
        ({"rcpt": "550 5.7.1 relaying denied"}, "waiting", "SMTPRecipientsRefused 550"),
        ({"rcpt": f"550 5.1.1 <{ADDRESS}> unknown"}, "gave_up", "SMTPRecipientsRefused 550"),
    ],
)
async def test_only_what_is_said_about_the_recipient_is_final(
    house: House, answers: dict[str, str], state: str, error: str
) -> None:
    await house.queued(address=ADDRESS)
    async with server(Picky(**answers)) as port:
        await send_all(house.sender(port=port))
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.last_error) == (state, error)


async def test_refused_log_in_is_tried_again(house: House, smtp_catcher: SmtpCatcher) -> None:
    def refuse(*login: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    await house.queued(address=ADDRESS)
    async with server(smtp_catcher, authenticator=refuse, auth_require_tls=False) as port:
        await send_all(house.sender(port=port, username="relay", password="wrong"))
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.attempts, row.last_error) == ("waiting", 0, "SMTPAuthenticationError 535")
    house.clock.now = row.next_try_at
    async with server(
        smtp_catcher, authenticator=lambda *login: AuthResult(success=True), auth_require_tls=False
    ) as port:
        await send_all(house.sender(port=port, username="relay", password="right"))
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]


async def test_mail_waits_where_the_encryption_that_was_asked_for_is_missing(
    house: House, smtp_catcher: SmtpCatcher
) -> None:
    await house.queued(address=ADDRESS)
    for tls in ("starttls", "tls"):
        await send_all(house.sender(port=smtp_catcher.port, tls=tls))
        house.clock.advance(days=1)
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.attempts, smtp_catcher.mails) == ("waiting", 0, [])


async def test_mails_wait_for_a_server_that_is_down(
    house: House, smtp_catcher: SmtpCatcher, unused_tcp_port: int
) -> None:
    for _ in range(3):
        await house.queued(address=ADDRESS)
    assert await send_all(house.sender(port=unused_tcp_port)) == 0
    rows = await house.rows(tables.outbox, kind="queued")
    assert [(row.state, row.attempts, row.last_error) for row in rows] == [("waiting", 0, "SMTPConnectError")] * 3
    house.clock.advance(seconds=30)
    assert await send_all(house.sender(port=smtp_catcher.port)) == 3
    assert len(smtp_catcher.mails) == 3


async def test_server_that_hangs_up_after_it_took_the_mail_has_it(house: House) -> None:
    class HangsUp(SmtpCatcher):
        async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
            assert server.transport is not None
            asyncio.get_running_loop().call_soon(server.transport.close)
            return await super().handle_DATA(server, session, envelope)

    await house.queued(address=ADDRESS)
    catcher = HangsUp()
    async with server(catcher) as port:
        await send_all(house.sender(port=port))
    assert (len(catcher.mails), (await house.row(tables.outbox, kind="queued")).state) == (1, "sent")


async def test_fresh_mails_go_before_those_that_failed(house: House, smtp_catcher: SmtpCatcher) -> None:
    smtp_catcher.refuse_with = "451 4.7.1 try again"
    for number in range(10):
        await house.queued(address=f"a{number}@sender.example")
    office = house.sender(port=smtp_catcher.port, connections=1)
    assert await send_all(office) == 10
    smtp_catcher.refuse_with = None
    house.clock.advance(minutes=1)
    for number in range(10, 12):
        await house.queued(address=f"a{number}@sender.example")
        house.clock.advance(seconds=1)
    assert await send_all(office) == 12
    assert [mail.recipients for mail in smtp_catcher.mails[:2]] == [["a10@sender.example"], ["a11@sender.example"]]


# --- addresses with other letters


async def test_domain_in_other_letters_is_written_in_its_ascii_form(house: House) -> None:
    await house.queued(address="mary@пример.example")
    asked: list[str] = []

    class Listening(Picky):
        async def handle_RCPT(self, *details: Any) -> str:  # noqa: N802 (aiosmtpd's)
            asked.append(details[3])
            return await super().handle_RCPT(*details)

    async with server(Listening(), enable_SMTPUTF8=False) as port:
        await send_all(house.sender(port=port))
    assert asked == ["mary@xn--e1afmkfd.example"]
    assert (await house.row(tables.outbox, kind="queued")).state == "sent"


async def test_name_in_other_letters_goes_to_a_server_that_takes_it(house: House, mail_server: MailServer) -> None:
    await house.queued(address="мария@sender.example")
    await send_all(house.sender(port=mail_server.port))
    (mail,) = await asyncio.to_thread(mail_server.mails, 1)
    assert str(mail["delivered-to"] or mail["x-original-to"]) == "мария@sender.example"


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("мария@sender.example", "SMTPNotSupported"),
        ("=?utf-8?q?eve=40other.example=3e?=@sender.example", "AddressNotWritableError"),
    ],
)
async def test_address_that_cannot_be_sent_to_is_given_up_and_holds_nobody_up(
    house: House, smtp_catcher: SmtpCatcher, address: str, error: str
) -> None:
    await house.queued(address=address)
    house.clock.advance(seconds=1)
    await house.queued(address=ADDRESS)
    async with server(smtp_catcher, enable_SMTPUTF8=False) as port:
        for _ in range(3):
            await send_all(house.sender(port=port, attempts=3))
            house.clock.advance(days=1)
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]
    rows = sorted(await house.rows(tables.outbox, kind="queued"), key=lambda row: row.created_at)
    assert [(row.state, row.last_error) for row in rows] == [("gave_up", error), ("sent", None)]


# --- once, or the same mail again


@both_engines
async def test_two_workers_send_each_mail_once(house: House, smtp_catcher: SmtpCatcher) -> None:
    addresses = [f"a{number}@sender.example" for number in range(12)]
    for address in addresses:
        await house.queued(address=address)
    settings = house.mail_settings(port=smtp_catcher.port)
    senders = [Sender(house.store, settings, f"worker-{name}", house.office_key, desk=False) for name in "abc"]
    await asyncio.gather(*(send_all(sender) for sender in senders))
    assert sorted(mail.recipients[0] for mail in smtp_catcher.mails) == sorted(addresses)
    assert {row.state for row in await house.rows(tables.outbox, kind="queued")} == {"sent"}


@both_engines
async def test_crash_after_the_server_took_a_mail_sends_the_same_mail_again(
    house: House, smtp_catcher: SmtpCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    async def killed(*arguments: Any, **options: Any) -> None:
        raise KilledError

    await house.queued(address=ADDRESS)
    with monkeypatch.context() as patched:
        patched.setattr(sending, "finish_sent", killed)
        with pytest.raises(KilledError):
            await send_all(house.sender(port=smtp_catcher.port))
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.lease_owner) == ("waiting", WORKER_NAME)

    async with opened(house.relay.installation) as restarted:
        restarted.store.database.clock = house.clock
        settings = house.mail_settings(port=smtp_catcher.port)
        again = Sender(restarted.store, settings, "worker-new", restarted.office_key, desk=False)
        assert await send_all(again) == 0
        house.clock.now += leases.LEASE + SECOND
        assert await send_all(again) == 1
        assert await send_all(again) == 0
    assert len(smtp_catcher.mails) == 2
    first, second = (caught.message.as_bytes() for caught in smtp_catcher.mails)
    assert first == second
    assert (await house.row(tables.outbox, kind="queued")).state == "sent"


async def dies(house: House, name: str) -> None:
    """A worker claims the next mail, is killed, and is buried by the next one."""
    folder = house.relay.installation.runtime
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()  # nobody locks it: as after SIGKILL
    async with house.store.database.writing() as connection:
        waiting = tables.outbox.c.state == MailState.WAITING
        order = tables.outbox.c.created_at
        await leases.claim(connection, tables.outbox, waiting, owner=name, now=house.clock(), order_by=order)
    async with leases.owning(house.store.database, folder):
        pass


@both_engines
async def test_mail_that_kills_its_workers_is_given_up_and_holds_nobody_up(
    house: House, smtp_catcher: SmtpCatcher
) -> None:
    await house.queued(address="first@sender.example")
    house.clock.advance(seconds=1)
    await house.queued(address=ADDRESS)
    office = house.sender(port=smtp_catcher.port, attempts=7)
    for death in range(7):
        await dies(house, f"worker-{death}")
    rows = sorted(await house.rows(tables.outbox, kind="queued"), key=lambda row: row.created_at)
    assert [(row.state, row.attempts, row.set_aside_at) for row in rows] == [("waiting", 7, None), ("waiting", 0, None)]
    await send_all(office)
    rows = sorted(await house.rows(tables.outbox, kind="queued"), key=lambda row: row.created_at)
    assert [(row.state, row.last_error) for row in rows] == [("gave_up", leases.DIED), ("sent", None)]
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]


async def test_mail_whose_worker_died_a_few_times_is_sent(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.queued(address=ADDRESS)
    for death in range(leases.ATTEMPTS + 1):
        await dies(house, f"worker-{death}")
    assert await send_all(house.sender(port=smtp_catcher.port)) == 1
    assert (await house.row(tables.outbox, kind="queued")).state == "sent"


async def test_server_that_takes_for_ever_is_left_before_the_lease_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datetime.timedelta(seconds=sending.SECONDS) < leases.LEASE
    monkeypatch.setattr(sending, "SECONDS", 0.2)

    class Dawdling(Picky):
        async def handle_DATA(self, *details: Any) -> str:  # noqa: N802 (aiosmtpd's)
            await asyncio.Event().wait()
            return "250 2.0.0 at last"

    await house.queued(address=ADDRESS)
    async with server(Dawdling()) as port:
        assert await send_all(house.sender(port=port)) == 1
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.attempts, row.last_error, row.lease_owner) == ("waiting", 1, "TimeoutError", None)


async def size_of_the_reply(house: House) -> int:
    """Bytes of the mail that brings the reply; it stays in the outbox."""
    composer = outgoing.Composer(house.store, house.settings, house.office_key, None, desk=False)
    ((_, opened),) = await composer.open(await house.rows(tables.outbox, kind="reply"))
    assert isinstance(opened, outgoing.Opened)
    return len((await composer.write(opened)).data)


@pytest.mark.parametrize(("more", "kinds"), [(0, WITH_PICTURE), (-1, NOTICE)])
async def test_reply_too_large_for_a_mail_is_announced_with_the_link(
    house: House, smtp_catcher: SmtpCatcher, monkeypatch: pytest.MonkeyPatch, more: int, kinds: list[str]
) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    office = house.sender(port=smtp_catcher.port)
    size = await size_of_the_reply(house)
    monkeypatch.setattr(outgoing, "LARGEST_MAIL", size + more)
    await send_all(office)
    answer = next(mail for mail in smtp_catcher.mails if mail.message["subject"] == "You have an answer")
    assert [part.get_content_type() for part in answer.message.walk()] == kinds
    assert f"https://desk.example{sent.inbox}" in text_of(answer)


# --- tried again by a person


@both_engines
async def test_mails_given_up_go_again_when_a_volunteer_says_so(
    house: House, smtp_catcher: SmtpCatcher, office_client: Client
) -> None:
    await house.submit(address="unconfirmed@sender.example")
    house.clock.advance(seconds=1)
    await house.queued(address="unknown@sender.example")
    smtp_catcher.refuse_with = "550 5.1.1 unknown"
    desk, office = (house.sender(desk=desk, port=smtp_catcher.port, attempts=1) for desk in (True, False))
    assert [await send_all(desk), await send_all(office)] == [1, 1]
    house.clock.advance(seconds=1)
    await house.queued(address=ADDRESS)
    smtp_catcher.refuse_with = "451 4.7.1 try again"
    assert await send_all(office) == 1
    smtp_catcher.refuse_with = None

    screen = (await get(office_client, "/en/mails")).screen
    assert screen.forms.count("/en/mails") == 2  # a confirmation has no words any more that could be sent
    assert [word in screen.text for word in ("(SMTPDataError 550) 1", "(SMTPDataError 451) 1")] == [True, True]
    for error in ("SMTPDataError 451", "nothing"):
        answer = await post(office_client, "/en/mails", {"error": error})
        assert (answer.status, answer.location) == (303, "/en/mails")
    assert [await send_all(desk), await send_all(office)] == [0, 1]
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]
    found = [(kind, state) for kind, state in await states(house) if state == "gave_up"]
    assert found == [("confirm", "gave_up"), ("queued", "gave_up")]


# --- what is dropped, and what is forgotten


async def test_mail_about_a_destroyed_letter_is_dropped(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.queued(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await shred(connection, letter_context(sent.id))
    assert await send_all(house.sender(port=smtp_catcher.port)) == 1
    assert (await states(house))[-1] == ("queued", "dropped")
    assert smtp_catcher.mails == []


async def confirmed(house: House, letter_id: str) -> None:
    """The sender confirms."""
    await desk_steps.confirm(house.store, await house.token(letter_id))


async def withdrawn(house: House, letter_id: str) -> None:
    """The sender takes the letter back."""
    await desk_steps.withdraw(house.store, letter_id)


async def expired(house: House, letter_id: str) -> None:
    """The letter is not confirmed in time."""
    del letter_id
    house.clock.advance(days=8)
    for job in office_jobs(house.store, house.relay.installation, house.office_key, house.printing)[-2:]:
        await job(WORKER_NAME)


ENDINGS = pytest.mark.parametrize("end", [confirmed, withdrawn, expired])


@ENDINGS
async def test_confirmation_that_is_not_needed_any_more_is_not_sent(
    house: House, smtp_catcher: SmtpCatcher, end: Any
) -> None:
    sent = await house.submit(address=ADDRESS)
    await end(house, sent.id)
    assert await send_all(house.sender(desk=True, port=smtp_catcher.port)) == 0
    assert (await states(house))[0] == ("confirm", "dropped")


@ENDINGS
@both_engines
async def test_confirmation_that_is_dropped_before_its_turn_is_not_sent(
    house: House, smtp_catcher: SmtpCatcher, monkeypatch: pytest.MonkeyPatch, end: Any
) -> None:
    first = await house.submit(address=ADDRESS)
    house.clock.advance(seconds=1)
    second = await house.submit(address="boris@sender.example")
    hand_over = aiosmtplib.SMTP.sendmail

    async def meanwhile(*arguments: Any, **options: Any) -> Any:
        answer = await hand_over(*arguments, **options)
        await end(house, second.id)
        return answer

    monkeypatch.setattr(aiosmtplib.SMTP, "sendmail", meanwhile)
    assert await send_all(house.sender(desk=True, port=smtp_catcher.port, connections=1)) == 1
    assert [mail.recipients for mail in smtp_catcher.mails] == [[ADDRESS]]
    rows = {row.letter_id: row.state for row in await house.rows(tables.outbox, kind="confirm")}
    assert rows == {first.id: "sent", second.id: "dropped"}


@pytest.mark.parametrize("answer", ["451 4.7.1 try again", "550 5.1.1 unknown"])
@ENDINGS
async def test_confirmation_that_ended_while_it_was_sent_stays_ended(
    house: House, smtp_catcher: SmtpCatcher, monkeypatch: pytest.MonkeyPatch, end: Any, answer: str
) -> None:
    sent = await house.submit(address=ADDRESS)
    hand_over = aiosmtplib.SMTP.sendmail

    async def meanwhile(*arguments: Any, **options: Any) -> Any:
        await end(house, sent.id)
        return await hand_over(*arguments, **options)

    monkeypatch.setattr(aiosmtplib.SMTP, "sendmail", meanwhile)
    smtp_catcher.refuse_with = answer
    await send_all(house.sender(desk=True, port=smtp_catcher.port))
    row = await house.row(tables.outbox, kind="confirm")
    assert (row.state, row.attempts, row.last_error) == ("dropped", 0, None)


@pytest.mark.parametrize(("answer", "state"), [(None, "sent"), ("550 5.1.1 unknown", "gave_up")])
@both_engines
async def test_finished_confirmation_is_erased(
    house: House, smtp_catcher: SmtpCatcher, tmp_path: Path, answer: str | None, state: str, engine: str
) -> None:
    await house.submit(address=ADDRESS)
    row = await house.row(tables.outbox)
    (key,) = await house.rows(tables.content_keys, record="mail", record_id=row.id)
    secrets = [row.body, key.wrap]

    def on_disk() -> list[bool]:
        files = [path.read_bytes() for path in tmp_path.glob("relay.sqlite*")]
        return [any(secret in data for data in files) for secret in secrets]

    assert on_disk() == [engine == "sqlite"] * 2
    smtp_catcher.refuse_with = answer
    assert await send_all(house.sender(desk=True, port=smtp_catcher.port)) == 1
    row = await house.row(tables.outbox)
    assert (row.state, row.body) == (state, None)
    assert await house.rows(tables.content_keys, record="mail") == []
    assert on_disk() == [False, False]


async def test_desk_and_office_send_only_their_own_mails(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.submit(ENGLISH, address=ADDRESS)
    assert await send_all(house.sender(port=smtp_catcher.port)) == 0
    sent = await house.queued(address=ADDRESS)
    assert await send_all(house.sender(desk=True, port=smtp_catcher.port)) == 1
    assert [(row.kind, row.state) for row in await house.rows(tables.outbox, letter_id=sent.id, kind="queued")] == [
        ("queued", "waiting")
    ]

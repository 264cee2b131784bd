"""What the mails of the outbox carry: where answers and bounces go, and what only one mail says."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import SMTP

from relay.domain.letters import Wants
from relay.domain.lives import ANSWERS, LetterState, MailKind
from relay.mail import connections
from relay.mail.addresses import AnswerTo, ReturnPath, purpose
from relay.mail.compose import Own
from relay.mail.connections import is_loopback
from relay.mail.outbox import add_own_mail
from relay.sealing import token_hash
from relay.store import tables
from tests.conftest import CaughtMail, SmtpCatcher
from tests.conftest import _certificate as make_certificate
from tests.workplaces import ADDRESS, House, Sent, both_engines, send_all

MAILBOX = "letters@relay.example"


@pytest.fixture
def config() -> str:
    """A group that takes answers by mail."""
    return f"""\
[site]
desk_url = "https://desk.example"
return_address = ["PO Box 9", "00000 Nowhere"]

[incoming]
address = "{MAILBOX}"

[review]
undo_minutes = 0
"""


def text_of(mail: CaughtMail) -> str:
    """The text of a mail."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def conversation(house: House, sent: Sent) -> Any:
    """The conversation of a letter."""
    letter = await house.row(tables.letters, id=sent.id)
    return await house.row(tables.conversations, id=letter.conversation_id)


# --- answers and bounces


@both_engines
async def test_answers_go_to_the_conversation_and_bounces_to_the_mail(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.queued(address=ADDRESS)
    await send_all(house.sender(port=smtp_catcher.port))
    (mail,) = smtp_catcher.mails
    row = await house.row(tables.outbox, kind="queued")
    assert purpose(MAILBOX, mail.sender) == ReturnPath(row.message_id)
    answer = purpose(MAILBOX, str(mail.message["reply-to"]))
    assert isinstance(answer, AnswerTo)
    assert token_hash(answer.token) == (await conversation(house, sent)).answer_hash
    assert mail.message["list-unsubscribe"] == f"<https://desk.example{sent.inbox}/mails>"
    assert mail.message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


@both_engines
async def test_conversation_from_before_the_upgrade_can_be_answered(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.queued(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.conversations).values(answer_hash=None))
    await send_all(house.sender(port=smtp_catcher.port))
    answer = purpose(MAILBOX, str(smtp_catcher.mails[0].message["reply-to"]))
    assert isinstance(answer, AnswerTo)
    assert token_hash(answer.token) == (await conversation(house, sent)).answer_hash


async def test_confirmation_is_no_part_of_a_conversation_yet(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.submit(address=ADDRESS)
    await send_all(house.sender(desk=True, port=smtp_catcher.port))
    (mail,) = smtp_catcher.mails
    assert [mail.message[name] for name in ("reply-to", "list-unsubscribe", "references")] == [None] * 3
    assert isinstance(purpose(MAILBOX, mail.sender), ReturnPath)


async def test_mails_of_a_conversation_belong_together(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.posted(address=ADDRESS)
    await house.queued(address="boris@sender.example")
    await send_all(house.sender(port=smtp_catcher.port))
    threads = {str(mail.message["references"]) for mail in smtp_catcher.mails if mail.recipients == [ADDRESS]}
    others = {str(mail.message["references"]) for mail in smtp_catcher.mails if mail.recipients != [ADDRESS]}
    assert (len(threads), len(others), threads & others) == (1, 1, set())


# --- what only one mail says


OWN = Own(
    token="one-time-token",
    words="apple river stone",
    subject="Re: Your letter",
    sentences=("Your signature was left out.",),
    text="Dear John",
)


@pytest.mark.parametrize("kind", sorted(ANSWERS))
@both_engines
async def test_own_words_arrive_and_are_erased(house: House, smtp_catcher: SmtpCatcher, kind: MailKind) -> None:
    sent = await house.queued(address=ADDRESS)
    await send_all(house.sender(port=smtp_catcher.port))
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(wants=Wants.NOTHING))
        await add_own_mail(connection, house.store, kind, sent.id, OWN, house.clock())
    row = await house.row(tables.outbox, kind=kind)
    assert row.body is not None
    assert b"apple" not in row.body
    await send_all(house.sender(port=smtp_catcher.port))
    mail = smtp_catcher.mails[-1]
    said = text_of(mail)
    inbox, button = f"https://desk.example{sent.inbox}", "https://desk.example/en/link/one-time-token"
    shown = {
        name: word in said for name, word in {"words": OWN.words, "text": OWN.text, "subject": OWN.subject}.items()
    }
    expected = {
        MailKind.TAKEN: {"text", "subject"},
        MailKind.NOT_TAKEN: {"subject"},
        MailKind.LINK_OFFER: set(),
        MailKind.LINK: {"words"},
    }[kind]
    assert {name for name, there in shown.items() if there} == expected
    assert [inbox in said, button in said] == ([False, True] if kind == MailKind.LINK_OFFER else [True, False])
    assert (mail.message["reply-to"] is None) == (kind in {MailKind.LINK_OFFER, MailKind.LINK})
    assert mail.message["list-unsubscribe"] is None
    row = await house.row(tables.outbox, kind=kind)
    assert (row.state, row.body, await house.rows(tables.content_keys, record="mail")) == ("sent", None, [])


async def test_who_wants_nothing_gets_no_news(house: House) -> None:
    sent = await house.queued()
    async with house.store.database.writing() as connection:
        await add_own_mail(connection, house.store, MailKind.OVERDUE, sent.id, Own(), house.clock())
    assert await house.rows(tables.outbox) == []
    assert await house.rows(tables.content_keys, record="mail") == []


async def test_letter_that_began_inside_is_announced_and_brought(house: House, smtp_catcher: SmtpCatcher) -> None:
    sent = await house.posted(address=ADDRESS)
    async with house.store.database.writing() as connection:
        await add_own_mail(connection, house.store, MailKind.BEGUN, sent.id, Own(), house.clock())
    await house.replied(sent, "Hello")
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.letters).values(state=LetterState.BEGUN))
    await send_all(house.sender(port=smtp_catcher.port))
    begun = [mail for mail in smtp_catcher.mails if mail.message["subject"] == "Somebody in prison has written to you"]
    said = sorted(text_of(mail).splitlines()[0] for mail in begun)
    assert said[0].startswith("John Sample has written to you.")
    assert len(said) == 2


# --- encryption on the way to the server


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_certificate_that_nobody_vouches_for_is_taken_from_this_machine_alone(
    house: House, smtp_catcher: SmtpCatcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: bool, tls: str
) -> None:
    make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setattr(connections, "is_loopback", lambda host: here)
    at_once, later = (context, None) if tls == "tls" else (None, context)
    await house.queued(address=ADDRESS)
    running = await asyncio.get_running_loop().create_server(
        lambda: SMTP(smtp_catcher, hostname="localhost", tls_context=later), "127.0.0.1", 0, ssl=at_once
    )
    async with running:
        await send_all(house.sender(port=running.sockets[0].getsockname()[1], tls=tls))
    row = await house.row(tables.outbox, kind="queued")
    assert (len(smtp_catcher.mails), row.state, row.attempts) == ((1, "sent", 0) if here else (0, "waiting", 0))


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("mail.example", False), ("192.0.2.1", False)],
)
def test_certificates_of_other_machines_are_checked(host: str, here: bool) -> None:
    assert is_loopback(host) is here

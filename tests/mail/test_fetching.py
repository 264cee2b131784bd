"""Mails out of a mailbox of a real dovecot: none is lost, none is stored twice, and none stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import imap_tools
import pytest
from structlog.testing import capture_logs

from relay.config import IncomingSettings
from relay.mail import fetching
from relay.mail.addresses import answer_address, return_path
from relay.mail.fetching import EVERY, Fetcher
from relay.mail.incoming import RAW, incoming_context
from relay.store import tables
from relay.store.sealed import open_part
from tests.conftest import ImapServer
from tests.mail.incoming import MAILBOX, by
from tests.workplaces import ADDRESS, RUSSIAN, House, Sent, both_engines

NOBODYS = by(to=MAILBOX)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """The name of a mailbox of its own for each test."""
    return f"post{abs(hash(request.node.nodeid))}"


def fetcher(house: House, server: ImapServer, user: str, **settings: Any) -> Fetcher:
    """What fetches the mails of a user."""
    values: dict[str, Any] = {
        "address": MAILBOX,
        "imap_host": server.host,
        "imap_port": server.port,
        "imap_tls": "none",
        "imap_username": user,
        "imap_password": server.password,
        "max_megabytes": 1,
    }
    return Fetcher(house.store, IncomingSettings(**(values | settings)))


async def answer_to(house: House, sent: Sent) -> str:
    """The address to which a sender answers."""
    letter = await house.row(tables.letters, id=sent.id)
    return answer_address(MAILBOX, sent.secret.answer_token(letter.conversation_id))


async def contents(house: House) -> list[bytes]:
    """All that came in."""
    rows = await house.rows(tables.incoming)
    return [await open_part(house.store, incoming_context(row.id), RAW, house.office_key) for row in rows]


async def look(house: House, fetcher: Fetcher) -> bool:
    """What a look into the mailbox gives that is due."""
    house.clock.now += EVERY
    return await fetcher.fetch_next()


@both_engines
async def test_mail_is_stored_and_taken_out(house: House, imap_server: ImapServer, user: str) -> None:
    sent = await house.queued(address=ADDRESS)
    raw = by(to=await answer_to(house, sent))
    imap_server.deliver(user, raw)
    await look(house, fetcher(house, imap_server, user))
    row, letter = await house.row(tables.incoming), await house.row(tables.letters)
    assert (row.state, row.source, row.conversation_id) == ("received", "imap", letter.conversation_id)
    assert await contents(house) == [raw]
    assert imap_server.left(user) == []


@pytest.mark.parametrize("tls", ["tls", "starttls"])
async def test_mail_is_fetched_over_tls(house: House, imap_server: ImapServer, user: str, tls: str) -> None:
    imap_server.deliver(user, NOBODYS)
    port = imap_server.tls_port if tls == "tls" else imap_server.port
    await look(house, fetcher(house, imap_server, user, imap_tls=tls, imap_port=port))
    assert await contents(house) == [NOBODYS]


async def test_recipients_are_those_of_the_envelope_before_those_that_are_written(
    house: House, imap_server: ImapServer, user: str
) -> None:
    first, second = await house.queued(address=ADDRESS), await house.queued(RUSSIAN, address=ADDRESS)
    one, two = await answer_to(house, first), await answer_to(house, second)
    mail = await house.row(tables.outbox, kind="queued", letter_id=first.id)
    path = return_path(MAILBOX, mail.message_id)
    imap_server.deliver(
        user,
        by("a@x.example", f"Delivered-To: {one}", to=two),
        by("a@x.example", f"X-Original-To: <{path}>"),
        by("a@x.example", "Delivered-To: post@relay.example", to=f"Relay <{one}>, {two}"),
    )
    await look(house, fetcher(house, imap_server, user))
    letters = {row.id: row.conversation_id for row in await house.rows(tables.letters)}
    found = [(row.conversation_id, row.mail_id) for row in await house.rows(tables.incoming)]
    wanted = [
        (letters[first.id], None),
        (None, mail.id),
        (letters[first.id], None),
        (letters[second.id], None),
    ]
    assert sorted(found, key=str) == sorted(wanted, key=str)


async def test_mail_for_nobody_is_stored_too(house: House, imap_server: ImapServer, user: str) -> None:
    imap_server.deliver(user, NOBODYS)
    await look(house, fetcher(house, imap_server, user))
    row = await house.row(tables.incoming)
    assert (row.conversation_id, row.mail_id) == (None, None)


async def test_process_that_ends_before_the_mail_is_taken_out_stores_it_once(
    house: House, imap_server: ImapServer, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    imap_server.deliver(user, NOBODYS)

    def die(*_: object) -> None:
        raise RuntimeError("the process died")

    with monkeypatch.context() as killed:
        killed.setattr(imap_tools.BaseMailBox, "delete", die)
        with pytest.raises(RuntimeError):
            await look(house, fetcher(house, imap_server, user))
    assert (await contents(house), imap_server.left(user)) == ([NOBODYS], [NOBODYS])
    await look(house, fetcher(house, imap_server, user))
    assert (await contents(house), imap_server.left(user)) == ([NOBODYS], [])


async def test_same_number_after_a_new_uidvalidity_is_another_mail(
    house: House, imap_server: ImapServer, user: str
) -> None:
    imap_server.deliver(user, NOBODYS)
    await look(house, fetcher(house, imap_server, user))
    for file in imap_server.mailbox(user).glob("dovecot*"):  # what it numbers mails by
        file.unlink()
    await asyncio.sleep(1.1)  # the new one is the second in which it is made
    other = by(to=MAILBOX, text="another one")
    imap_server.deliver(user, other)
    await look(house, fetcher(house, imap_server, user))
    assert sorted(await contents(house)) == sorted([NOBODYS, other])


async def test_mail_that_is_too_large_stays_and_is_noted_once(house: House, imap_server: ImapServer, user: str) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS))
    large, small = by(to=to, text="0123456789 abcdef\n" * 70_000), by(to=to)
    imap_server.deliver(user, large, small)
    fetching_ = fetcher(house, imap_server, user)
    for _ in range(3):
        await look(house, fetching_)
    rows = sorted(await house.rows(tables.incoming), key=lambda row: row.reason or "")
    assert [row.reason for row in rows] == [None, "too_large"]
    assert [row.conversation_id is None for row in rows] == [False, False]
    head = large.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert sorted(await contents(house)) == sorted([head, small])
    assert imap_server.left(user) == [large]


async def test_many_mails_are_fetched_in_several_looks(
    house: House, imap_server: ImapServer, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "AT_ONCE", 2)
    imap_server.deliver(user, *(by(to=MAILBOX, text=f"mail {number}") for number in range(5)))
    fetching_ = fetcher(house, imap_server, user)
    assert [await fetching_.fetch_next() for _ in range(3)] == [True, True, False]
    assert len(await house.rows(tables.incoming)) == 5


async def test_mailbox_is_looked_into_once_in_a_while(house: House, imap_server: ImapServer, user: str) -> None:
    fetching_ = fetcher(house, imap_server, user)
    assert await fetching_.fetch_next() is False
    imap_server.deliver(user, NOBODYS)
    await fetching_.fetch_next()
    assert imap_server.left(user) == [NOBODYS]
    await look(house, fetching_)
    assert imap_server.left(user) == []


def told(logs: Sequence[Any]) -> list[tuple[str, str]]:
    """What was logged."""
    return [(one["event"], one.get("error", "")) for one in logs]


async def test_server_that_is_away_is_told_once_and_tried_again(
    house: House, imap_server: ImapServer, user: str, unused_tcp_port: int
) -> None:
    away = fetcher(house, imap_server, user, imap_port=unused_tcp_port)
    with capture_logs() as logs:
        for _ in range(3):
            assert await look(house, away) is False
    assert told(logs) == [("mailbox_away", "ConnectionRefusedError")]


@pytest.mark.parametrize("wrong", [{"imap_password": "wrong"}, {"imap_password": "пароль"}, {"imap_folder": "None"}])
async def test_mailbox_that_does_not_open_is_told_once(
    house: House, imap_server: ImapServer, user: str, wrong: dict[str, str]
) -> None:
    closed = fetcher(house, imap_server, user, **wrong)
    with capture_logs() as logs:
        for _ in range(2):
            assert await look(house, closed) is False
    assert [event for event, _ in told(logs)] == ["mailbox_away"]


async def test_nothing_in_the_log_names_the_account(house: House, imap_server: ImapServer, user: str) -> None:
    with capture_logs() as logs:
        await look(house, fetcher(house, imap_server, user, imap_password="wrong"))
    assert user not in str(logs)
    imap_server.deliver(user, NOBODYS)
    await look(house, fetcher(house, imap_server, user))
    assert user not in (await house.row(tables.incoming)).fetched


@pytest.mark.parametrize("to", ["(" * 5000, "(()" * 60_000, '"' * 190_000])
async def test_addresses_that_nobody_can_take_apart_hold_up_no_other_mail(
    house: House, imap_server: ImapServer, user: str, to: str
) -> None:
    odd = by(to=to)
    imap_server.deliver(user, odd, NOBODYS)
    await look(house, fetcher(house, imap_server, user))
    assert sorted(await contents(house)) == sorted([odd, NOBODYS])
    assert imap_server.left(user) == []

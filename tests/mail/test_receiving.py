"""Mails from a mail server: refused at once where nobody is known, stored before the answer where somebody is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.app import PortTakenError, Role, running
from relay.config import IncomingSettings
from relay.domain.letters import Wants
from relay.mail import receiving
from relay.mail.addresses import answer_address, return_path
from relay.mail.incoming import RAW, incoming_context
from relay.mail.receiving import listening, taking_answers
from relay.store import tables
from relay.store.database import Database
from relay.store.sealed import Store, open_part
from tests.mail.incoming import MAILBOX, by
from tests.workplaces import ADDRESS, RUSSIAN, House, Sent, both_engines

SETTINGS = IncomingSettings(address=MAILBOX, port=1, max_megabytes=1)
STORED = "250 2.0.0 The mail is stored"
NOBODY = "550 5.1.1 There is no such address here"


async def answer_to(house: House, sent: Sent) -> str:
    """The address to which a sender answers."""
    letter = await house.row(tables.letters, id=sent.id)
    return answer_address(MAILBOX, sent.secret.answer_token(letter.conversation_id))


class Lmtp:
    """A mail server that hands mails over, line by line: no client speaks LMTP to more than one recipient."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: str, answers: int = 1) -> list[str]:
        """The last lines of the answers to a line."""
        self.writer.write(f"{line}\r\n".encode())
        return [await self.heard() for _ in range(answers)]

    async def heard(self) -> str:
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 20)).decode().rstrip("\r\n")
            if line[3:4] != "-":
                return line

    async def send(self, raw: bytes, *to: str, sender: str = ADDRESS) -> list[str]:
        """What is answered: to each recipient, and then to the mail for each that was taken."""
        await self.say(f"MAIL FROM:<{sender}>")
        heard = [(await self.say(f"RCPT TO:<{one}>"))[0] for one in to]
        taken = sum(line.startswith("250") for line in heard)
        if taken:
            await self.say("DATA")
            self.writer.write(raw)
            heard += await self.say("\r\n.", taken)
        await self.say("RSET")
        return heard


@asynccontextmanager
async def lmtp(store: Store, **settings: Any) -> AsyncIterator[Lmtp]:
    """A connection to our server."""
    async with listening(store, SETTINGS.model_copy(update=settings), 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = Lmtp(reader, writer)
        await client.heard()
        await client.say("LHLO localhost" if settings.get("protocol", "lmtp") == "lmtp" else "EHLO localhost")
        try:
            yield client
        finally:
            writer.close()
            await writer.wait_closed()


async def stored(house: House) -> list[tuple[str | None, str | None, bytes]]:
    """Conversation, mail, and content of all that came in, oldest first."""
    rows = sorted(await house.rows(tables.incoming), key=lambda row: str(row.conversation_id))
    assert {(row.state, row.source, row.fetched) for row in rows} <= {("received", "smtp", None)}
    return [
        (
            row.conversation_id,
            row.mail_id,
            await open_part(house.store, incoming_context(row.id), RAW, house.office_key),
        )
        for row in rows
    ]


@both_engines
async def test_mail_is_stored_as_it_came_with_its_envelope_before_the_answer(house: House) -> None:
    sent = await house.queued(address=ADDRESS)
    to, conversation = await answer_to(house, sent), (await house.row(tables.letters)).conversation_id
    raw = by("Mary <mary@sender.example>", to=to)
    async with lmtp(house.store) as client:
        assert await client.send(raw, to) == ["250 2.1.5 Mails are taken here", STORED]
        head = f"Return-Path: <{ADDRESS}>\r\nDelivered-To: {to}\r\n".encode()
        assert await stored(house) == [(conversation, None, head + raw + b"\r\n")]


async def test_answer_to_capital_letters_is_the_same(house: House) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS))
    async with lmtp(house.store) as client:
        assert (await client.send(by(), to.upper()))[-1] == STORED


async def test_return_path_of_a_mail_is_known_and_needs_no_sender(house: House) -> None:
    await house.queued(address=ADDRESS)
    mail = await house.row(tables.outbox, kind="queued")
    async with lmtp(house.store) as client:
        assert (await client.send(by(), return_path(MAILBOX, mail.message_id), sender=""))[-1] == STORED
    ((conversation, mail_id, raw),) = await stored(house)
    assert (conversation, mail_id, raw.partition(b"\r\n")[0]) == (None, mail.id, b"Return-Path: <>")


@pytest.mark.parametrize(
    "to",
    [
        MAILBOX,
        answer_address(MAILBOX, "a" * 26),
        return_path(MAILBOX, "0" * 32),
        "letters+x@relay.example",
        "somebody@else.example",
        f"letters+a{'a' * 26}@else.example",
    ],
)
async def test_address_that_nobody_has_is_refused_before_anything_is_sent(house: House, to: str) -> None:
    await house.queued(address=ADDRESS)
    async with lmtp(house.store) as client:
        assert await client.send(by(), to) == [NOBODY]
    assert await house.rows(tables.incoming) == []


async def test_each_recipient_gets_an_answer_and_each_conversation_the_mail_once(house: House) -> None:
    first, second = await house.queued(address=ADDRESS), await house.queued(RUSSIAN, address=ADDRESS)
    one, two = await answer_to(house, first), await answer_to(house, second)
    async with lmtp(house.store) as client:
        heard = await client.send(by(), one, MAILBOX, two, one)
    taken = "250 2.1.5 Mails are taken here"
    assert heard == [taken, NOBODY, taken, taken, STORED, STORED, STORED]
    conversations = {row.conversation_id for row in await house.rows(tables.letters)}
    assert [row[0] for row in await stored(house)] == sorted(conversations)


async def test_smtp_answers_once(house: House) -> None:
    first, second = await house.queued(address=ADDRESS), await house.queued(RUSSIAN, address=ADDRESS)
    async with lmtp(house.store, protocol="smtp") as client:
        await client.say("MAIL FROM:<>")
        for sent in (first, second):
            await client.say(f"RCPT TO:<{await answer_to(house, sent)}>")
        await client.say("DATA")
        client.writer.write(by())
        assert await client.say("\r\n.") == [STORED]
        assert await client.say("NOOP") == ["250 OK"]
    assert len(await stored(house)) == 2


async def test_too_large_a_mail_is_refused_by_its_announced_size(house: House) -> None:
    async with lmtp(house.store) as client:
        heard = await client.say("MAIL FROM:<a@x.example> SIZE=1000001")
    assert heard == ["552 Error: message size exceeds fixed maximum message size"]


async def test_too_large_a_mail_is_refused_for_each_recipient_once_it_came(house: House) -> None:
    first, second = await house.queued(address=ADDRESS), await house.queued(RUSSIAN, address=ADDRESS)
    to = [await answer_to(house, sent) for sent in (first, second)]
    async with lmtp(house.store) as client:
        heard = await client.send(by(text="0123456789 abcdef\n" * 70_000), *to)
        assert heard[2:] == ["552 Error: Too much mail data"] * 2
        assert (await client.send(by(), to[0]))[-1] == STORED
    assert len(await stored(house)) == 1


async def test_long_lines_are_taken(house: House) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS))
    async with lmtp(house.store) as client:
        assert (await client.send(by(text="word " * 10_000), to))[-1] == STORED


async def test_mail_that_cannot_be_stored_stays_with_the_server(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS))

    async def full(*_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(house.store.blobs, "put_bytes", full)
    async with lmtp(house.store) as client:
        assert (await client.send(by(), to))[-1] == receiving.LATER
    assert await house.rows(tables.incoming) == []


async def test_database_that_is_away_refuses_nobody_for_good(house: House, tmp_path: Path) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS))
    away = Database(f"sqlite+aiosqlite:///{tmp_path / 'nothing.sqlite'}")
    async with lmtp(replace(house.store, database=away)) as client:
        assert await client.send(by(), to) == ["451 4.3.0 This cannot be looked up at the moment; try again later"]
    await away.close()


async def test_nothing_names_the_machine_or_the_program(house: House) -> None:
    async with listening(house.store, SETTINGS, 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"220 localhost ESMTP\r\n"
        writer.close()


async def test_no_port_means_no_server(house: House) -> None:
    async with taking_answers(house.store, IncomingSettings()) as port:
        assert port == 0


async def test_desk_takes_mails_and_says_where_it_cannot(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        incoming = house.settings.incoming.model_copy(update={"address": MAILBOX, "port": port})
        settings = house.settings.model_copy(update={"incoming": incoming})
        house.relay.settings = settings  # type: ignore[misc]
        with pytest.raises(PortTakenError, match=f"nothing can listen on 127.0.0.1:{port}"):
            async with running(house.relay, [Role.DESK]):
                pass


async def test_wants_nothing_by_mail_and_still_answers(house: House) -> None:
    to = await answer_to(house, await house.queued(address=ADDRESS, wants=Wants.NOTICE))
    async with lmtp(house.store) as client:
        assert (await client.send(by(), to))[-1] == STORED

"""Debian's postfix as the server that takes our mails: refusals of all kinds, slowness, and its own absence."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.store import tables
from tests.conftest import MailServer
from tests.mail.bulk import add_mails
from tests.workplaces import ADDRESS, House, send_all


async def outcomes(house: House) -> dict[tuple[str, int, str | None], int]:
    """How many mails have which state, attempts and error."""
    rows = await house.rows(tables.outbox, kind="queued")
    return dict(Counter((row.state, row.attempts, row.last_error) for row in rows))


@asynccontextmanager
async def greylisting(server: MailServer, seconds: dict[str, int]) -> AsyncIterator[None]:
    """A policy server of postfix that wants to see each recipient twice; counts how often it was asked."""

    async def judge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := (await reader.readuntil(b"\n\n") if not reader.at_eof() else b""):
            fields = dict(line.split("=", 1) for line in request.decode().splitlines() if line)
            seen = seconds[fields["recipient"]] = seconds.get(fields["recipient"], 0) + 1
            action = "DUNNO" if seen > 1 else "DEFER_IF_PERMIT 4.7.1 greylisted, come again"
            writer.write(f"action={action}\n\n".encode())
            await writer.drain()

    async def politely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await judge(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    path = server.folder / "greylisting"
    async with await asyncio.start_unix_server(politely, path):
        path.chmod(0o777)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


async def test_greylisted_mail_comes_with_the_next_try(house: House, mail_server: MailServer) -> None:
    await add_mails(house.store, ["greylisted-mary@sender.example", ADDRESS])
    asked: dict[str, int] = {}
    async with greylisting(mail_server, asked):
        office = house.sender(port=mail_server.port)
        assert await send_all(office) == 2
        assert await outcomes(house) == {("waiting", 1, "SMTPRecipientsRefused 450"): 1, ("sent", 0, None): 1}
        house.clock.advance(seconds=30)
        assert await send_all(office) == 1
    assert asked == {"greylisted-mary@sender.example": 2}
    assert len(await asyncio.to_thread(mail_server.mails, 2)) == 2


async def test_refusals_are_taken_as_they_are_meant(house: House, mail_server: MailServer) -> None:
    await add_mails(house.store, ["unknown-mary@sender.example", "full-mary@sender.example", ADDRESS])
    assert await send_all(house.sender(port=mail_server.port)) == 3
    assert await outcomes(house) == {
        ("gave_up", 1, "SMTPRecipientsRefused 550"): 1,
        ("waiting", 1, "SMTPRecipientsRefused 452"): 1,
        ("sent", 0, None): 1,
    }
    (mail,) = await asyncio.to_thread(mail_server.mails, 1)
    assert mail["to"] == ADDRESS


async def test_slow_mailboxes_delay_no_other(house: House, mail_server: MailServer) -> None:
    slow = [f"slow-{number}@sender.example" for number in range(8)]
    quick = [f"mary-{number}@sender.example" for number in range(40)]
    await add_mails(house.store, [*slow, *quick])
    office = house.sender(port=mail_server.port, connections=4, per_domain=4)
    order: list[str] = []
    while await office.send_next():
        order = [str(mail["to"]) for mail in await asyncio.to_thread(mail_server.mails, 0)]
        if set(quick) <= set(order):
            break
    assert not set(slow) <= set(order), "the quick ones are all there before the last slow one"
    await office.drain()


async def test_mails_wait_while_the_host_is_dead(house: House, mail_server: MailServer) -> None:
    await add_mails(house.store, [f"mary-{number}@sender.example" for number in range(20)])
    postfix = ["postfix", "-c", str(mail_server.folder)]
    await asyncio.to_thread(subprocess.run, [*postfix, "stop"], check=True)
    try:
        office = house.sender(port=mail_server.port)
        assert await send_all(office) == 0
        assert await outcomes(house) == {("waiting", 0, "SMTPConnectError"): 20}
    finally:
        await asyncio.to_thread(subprocess.run, [*postfix, "start"], check=True)
    house.clock.advance(seconds=30)
    assert await send_all(office) == 20
    assert len(await asyncio.to_thread(mail_server.mails, 20)) == 20

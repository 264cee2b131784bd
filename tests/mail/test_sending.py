"""Many mails at a time: those that cannot be delivered, servers in trouble, and sudden death."""

from __future__ import annotations

import asyncio
import datetime
import signal
import sys
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import SMTP

from relay.config import Settings
from relay.mail import sending
from relay.mail.sending import Mailing, Sender
from relay.mail.suppression import address_tag
from relay.sealing import PrivateKey
from relay.store import tables
from relay.store.sealed import Store
from tests.conftest import SmtpCatcher
from tests.fakes.clock import FakeClock
from tests.mail.bulk import add_mails
from tests.mail.mixed_server import DEAD, Mailboxes, listening
from tests.mail.sending_process import settings_for
from tests.workplaces import House, both_engines, send_all


@pytest.fixture
def sender(store: Store, office: PrivateKey) -> Any:
    """Makes senders of the office."""

    def make(port: int, **mail: Any) -> Sender:
        return Sender(store, settings_for(port, **mail), "worker-test", office, desk=False)

    return make


async def states(store: Store) -> dict[tuple[str, str | None], int]:
    """How many mails have each state and error."""
    async with store.database.reading() as connection:
        rows = await connection.execute(sa.select(tables.outbox.c.state, tables.outbox.c.last_error))
        return dict(Counter((row.state, row.last_error) for row in rows))


# --- bad addresses


async def test_dead_addresses_at_the_head_delay_nobody(store: Store, sender: Any) -> None:
    dead = [f"{DEAD[number % len(DEAD)]}-{number}@dead{number}.example" for number in range(40)]
    good = [f"mary-{number}@friends{number % 40}.example" for number in range(200)]
    await add_mails(store, [*dead, *good])
    mailboxes = Mailboxes()
    async with listening(mailboxes) as port, asyncio.timeout(sending.SECONDS * 0.9):  # nothing that hangs has ended yet
        office = sender(port)
        while len(mailboxes.taken) < len(good):
            assert await office.send_next()
        await office._abandon()
    assert sorted(mailboxes.taken) == sorted(good)


async def test_domain_that_hangs_holds_only_its_places(store: Store, sender: Any) -> None:
    await add_mails(store, [f"hangs-{number}@dead.example" for number in range(60)] + ["mary@sender.example"])
    mailboxes = Mailboxes()
    async with listening(mailboxes) as port:
        office = sender(port)
        while not mailboxes.taken:
            await office.send_next()
        domains = [one.mail.domain for one in office._on_its_way.values()]
        await office._abandon()
    assert domains == ["dead.example"] * 3


async def test_slow_mail_is_waited_for_where_nobody_else_waits(
    store: Store, sender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.1)
    await add_mails(store, ["mary@sender.example"])
    mailboxes = Mailboxes(seconds=0.8)
    async with listening(mailboxes) as port:
        assert await send_all(sender(port, connections=1)) == 1
    assert await states(store) == {("sent", None): 1}


# --- the pace


async def test_domain_gets_no_more_in_a_minute_than_allowed(store: Store, sender: Any, clock: FakeClock) -> None:
    await add_mails(store, [f"mary-{number}@large.example" for number in range(7)] + ["boris@small.example"])
    mailboxes = Mailboxes()
    arrived = []
    async with listening(mailboxes) as port:
        office = sender(port, per_domain_per_minute=3)
        for _ in range(4):
            await send_all(office)
            arrived.append(len(mailboxes.taken))
            clock.advance(minutes=1)
    assert arrived == [4, 7, 8, 8]
    async with store.database.reading() as connection:
        attempts = (await connection.execute(sa.select(sa.func.sum(tables.outbox.c.attempts)))).scalar_one()
    assert attempts == 0


async def test_one_domain_has_only_its_connections(store: Store, sender: Any) -> None:
    class Counting(Mailboxes):
        now = most = 0

        async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
            self.now += 1
            self.most = max(self.most, self.now)
            answer = await super().handle_DATA(server, session, envelope)
            self.now -= 1
            return answer

    await add_mails(store, [f"mary-{number}@large.example" for number in range(30)])
    mailboxes = Counting(seconds=0.02)
    async with listening(mailboxes) as port:
        assert await send_all(sender(port, per_domain=2)) == 30
    assert mailboxes.most == 2


async def test_who_gets_several_mails_gets_them_in_their_order(store: Store, sender: Any, clock: FakeClock) -> None:
    ids = []
    for _ in range(5):
        ids += await add_mails(store, ["mary@sender.example"])
        clock.advance(seconds=1)
    async with store.database.reading() as connection:
        message_ids = [
            (
                await connection.execute(sa.select(tables.outbox.c.message_id).where(tables.outbox.c.id == mail_id))
            ).scalar_one()
            for mail_id in ids
        ]
    catcher = SmtpCatcher()
    running = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, hostname="localhost"), "127.0.0.1", 0
    )
    async with running:
        assert await send_all(sender(running.sockets[0].getsockname()[1])) == 5
    assert [mail.message["message-id"].partition("@")[0][1:] for mail in catcher.mails] == message_ids


# --- connections


async def test_connections_carry_many_mails(store: Store, sender: Any) -> None:
    class Greeting(Mailboxes):
        sessions = 0

        async def handle_EHLO(  # noqa: N802 (aiosmtpd's)
            self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
        ) -> list[str]:
            del server, envelope
            self.sessions += 1
            session.host_name = hostname
            return responses

    await add_mails(store, [f"mary-{number}@sender{number}.example" for number in range(60)])
    mailboxes = Greeting()
    async with listening(mailboxes) as port:
        assert await send_all(sender(port, connections=4)) == 60
    assert mailboxes.sessions <= 4


async def test_server_that_closes_after_each_mail_gets_all(store: Store, sender: Any) -> None:
    class Impolite(Mailboxes):
        async def handle_MAIL(  # noqa: N802 (aiosmtpd's)
            self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
        ) -> str:
            if getattr(session, "carried", False):
                assert server.transport is not None
                asyncio.get_running_loop().call_soon(server.transport.close)
                return "421 4.7.0 enough for one connection"
            session.carried = True
            envelope.mail_from = address
            envelope.mail_options.extend(options)
            return "250 2.1.0 go on"

    await add_mails(store, [f"mary-{number}@sender{number}.example" for number in range(20)])
    mailboxes = Impolite()
    async with listening(mailboxes) as port:
        assert await send_all(sender(port, connections=2)) == 20
    assert await states(store) == {("sent", None): 20}


class Choosy(SMTP):
    """A server that lets in only so many at a time."""

    most = 3
    inside = 0

    def connection_made(self, transport: Any) -> None:
        """Turn away who is one too many."""
        if Choosy.inside >= self.most:
            transport.write(b"421 4.7.0 too many connections\r\n")
            transport.close()
            return
        Choosy.inside += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Let the next one in."""
        if self.transport is not None:
            Choosy.inside -= 1
            super().connection_lost(error)


@pytest.mark.parametrize("most", [1, 3])
async def test_server_that_takes_few_connections_gets_all(
    store: Store, sender: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Choosy, "most", most)
    monkeypatch.setattr(Choosy, "inside", 0)
    await add_mails(store, [f"mary-{number}@sender{number}.example" for number in range(30)])
    mailboxes = Mailboxes(seconds=0.005)
    loop = asyncio.get_running_loop()
    running = await loop.create_server(lambda: Choosy(mailboxes, hostname="localhost"), "127.0.0.1", 0)
    async with running:
        assert await send_all(sender(running.sockets[0].getsockname()[1])) == 30
    assert await states(store) == {("sent", None): 30}


async def test_server_that_lets_nobody_in_uses_up_no_attempts(
    store: Store, sender: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Choosy, "most", 0)
    asked = 0

    def counted(*arguments: Any) -> Choosy:
        nonlocal asked
        asked += 1
        return Choosy(Mailboxes(), hostname="localhost")

    await add_mails(store, [f"mary-{number}@sender{number}.example" for number in range(100)])
    async with await asyncio.get_running_loop().create_server(counted, "127.0.0.1", 0) as running:
        office = sender(running.sockets[0].getsockname()[1])
        asked_after = []
        for _ in range(4):
            assert await send_all(office) == 0
            asked_after.append(asked)
            clock.advance(seconds=31)
    assert asked_after == [1, 2, 2, 3], "one at a time, after a pause that grows"
    async with store.database.reading() as connection:
        attempts = (await connection.execute(sa.select(sa.func.sum(tables.outbox.c.attempts)))).scalar_one()
    assert attempts == 0


# --- the end of a process


async def test_drain_waits_for_what_is_on_its_way(store: Store, office: PrivateKey) -> None:
    await add_mails(store, [f"mary-{number}@sender{number}.example" for number in range(30)])
    mailboxes = Mailboxes(seconds=0.1)
    async with listening(mailboxes) as port:
        mailing = Mailing(store, settings_for(port), office, None, desk=False)
        assert await mailing("worker-test") > 0
        await mailing.drain()
    found = await states(store)
    assert found == {("sent", None): len(mailboxes.taken), ("waiting", None): 30 - len(mailboxes.taken)}
    async with store.database.reading() as connection:
        held = sa.select(sa.func.count()).where(tables.outbox.c.lease_owner.is_not(None))
        assert (await connection.execute(held)).scalar_one() == 0


async def test_killed_worker_loses_no_mail_and_sends_no_other(
    store: Store, office: PrivateKey, database_url: str, tmp_path: Any
) -> None:
    """Killed again and again while it sends; what comes twice is the same mail."""
    addresses = [f"mary-{number}@sender{number}.example" for number in range(120)]
    await add_mails(store, addresses)

    class Killing(SmtpCatcher):
        """Kills the worker at some mails, before or after it says that it has them."""

        process: asyncio.subprocess.Process | None = None

        async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
            answer = await super().handle_DATA(server, session, envelope)
            if len(self.mails) in {10, 35, 36, 80} and self.process is not None:
                self.process.kill()
            return answer

    catcher = Killing()
    async with listening(catcher) as port:
        command = [sys.executable, "-m", "tests.mail.sending_process"]
        arguments = [database_url, office.seed.hex(), str(port), str(tmp_path)]
        ends: list[int] = []
        while ends[-1:] != [0]:
            catcher.process = await asyncio.create_subprocess_exec(*command, *arguments)
            ends.append(await catcher.process.wait())
    assert -signal.SIGKILL in ends
    arrived: dict[str, set[str]] = {}
    for mail in catcher.mails:
        arrived.setdefault(mail.recipients[0], set()).add(str(mail.message["message-id"]))
    assert sorted(arrived) == sorted(addresses)
    assert {len(message_ids) for message_ids in arrived.values()} == {1}
    assert await states(store) == {("sent", None): 120}


# --- settings


def test_default_settings_give_up_after_about_four_days() -> None:
    pauses = [min(30 * 2**number, 6 * 3600) for number in range(Settings().mail.attempts - 1)]
    assert datetime.timedelta(days=3.5) < datetime.timedelta(seconds=sum(pauses)) < datetime.timedelta(days=5)


@both_engines
async def test_suppressed_address_gets_no_mail(house: House, smtp_catcher: SmtpCatcher) -> None:
    await house.queued(address="Mary+relay@sender.example")
    async with house.store.database.writing() as connection:
        tag = address_tag(house.office_key, "mary@sender.example")
        values = {"tag": tag, "since": house.clock(), "reason": "permanent", "status": "5.1.1"}
        await connection.execute(sa.insert(tables.suppressions).values(values))
    await send_all(house.sender(port=smtp_catcher.port))
    row = await house.row(tables.outbox, kind="queued")
    assert (row.state, row.last_error, smtp_catcher.mails) == ("dropped", "suppressed", [])

"""Mail out: how fast the outbox empties, and what addresses take from that which cannot be delivered to.

Run with `python -m benchmarks.delivery [--json]`; takes some minutes, and is of use only on a quiet machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosmtplib
import sqlalchemy as sa
import structlog.testing

from benchmarks import Figure, bounces, report
from relay.domain.lives import MailState
from relay.mail.connections import Outgoing
from relay.mail.outgoing import Composer, Opened
from relay.mail.sending import Sender
from relay.sealing import PrivateKey
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.schema import migrate
from relay.store.sealed import Store
from relay.store.tables import outbox
from tests.mail.bulk import add_mails
from tests.mail.mixed_server import DEAD, elsewhere
from tests.mail.sending_process import settings_for

BENCH: Final = "delivery"
CONNECTIONS: Final = 10


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    mails: int = 10_000
    dead: int = 100
    """Addresses before all others to which nothing can be delivered, each of a domain of its own."""
    plain: int = 1_000
    """Mails that the plain loops send."""
    milliseconds: float = 5
    """How long the server takes to keep a mail."""
    domains: int = 500
    """To which the mails go."""


def good(sizes: Sizes) -> list[str]:
    """Addresses that work."""
    return [f"mary-{number}@friends{number % sizes.domains}.example" for number in range(sizes.mails)]


def dead(sizes: Sizes) -> list[str]:
    """Addresses of all kinds that do not."""
    return [f"{DEAD[number % len(DEAD)]}-{number}@dead{number}.example" for number in range(sizes.dead)]


async def opened(folder: Path, name: str, key: PrivateKey, addresses: Sequence[str]) -> Store:
    """A new database on the disk with these mails in its outbox."""
    database = Database(f"sqlite+aiosqlite:///{folder / name}.sqlite")
    await migrate(database)
    store = Store(database, Blobs(str(folder / "blobs")), key.public)
    await add_mails(store, addresses)
    return store


async def seconds_for(store: Store, key: PrivateKey, sizes: Sizes) -> float:
    """How long the outbox takes until all mails to addresses that work are sent."""
    sent = sa.select(sa.func.count()).where(outbox.c.state == MailState.SENT)
    with elsewhere(sizes.milliseconds) as port:
        many = 60 * sizes.mails  # no domain gets so many: their pace is not what is measured
        settings = settings_for(port, connections=CONNECTIONS, per_domain_per_minute=many)
        sender = Sender(store, settings, "worker-bench", key, desk=False)
        begun = time.perf_counter()
        tried = 0
        while True:
            tried += await sender.send_next()
            if tried < sizes.mails:
                continue
            async with store.database.reading() as connection:
                if (await connection.execute(sent)).scalar_one() == sizes.mails:
                    break
        spent = time.perf_counter() - begun
    await sender.drain()  # what hangs ends with the server
    await store.database.close()
    return spent


async def written(store: Store, key: PrivateKey, sizes: Sizes) -> list[Outgoing]:
    """The first of these mails, as they go to the server."""
    composer = Composer(store, settings_for(25), key, None, desk=False)
    async with store.database.reading() as connection:
        rows = (await connection.execute(sa.select(outbox).limit(sizes.plain))).all()
    opened_rows = [one for _, one in await composer.open(rows) if isinstance(one, Opened)]
    return [await composer.write(one) for one in opened_rows]


async def over_one(mails: Sequence[Outgoing], port: int) -> None:
    """One connection, one mail after the other."""
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="localhost") as connection:
        for mail in mails:
            await connection.sendmail(mail.sender, [mail.recipient], mail.data)


async def over_new_ones(mails: Sequence[Outgoing], port: int) -> None:
    """A connection for each mail, one after the other: what the outbox did before."""
    for mail in mails:
        await over_one([mail], port)


async def over_many(mails: Sequence[Outgoing], port: int) -> None:
    """As many connections as the outbox has."""
    await asyncio.gather(*(over_one(mails[number::CONNECTIONS], port) for number in range(CONNECTIONS)))


PLAIN: Final = {
    "plain loop, 10 connections, mails written before": over_many,
    "plain loop, one connection": over_one,
    "plain loop, a connection for each mail": over_new_ones,
}


async def plain_speeds(mails: Sequence[Outgoing], sizes: Sizes) -> dict[str, float]:
    """Mails a second of loops that only send."""
    speeds = {}
    for name, loop in PLAIN.items():
        with elsewhere(sizes.milliseconds) as port:
            begun = time.perf_counter()
            await loop(mails, port)
            speeds[name] = len(mails) / (time.perf_counter() - begun)
    return speeds


async def outbox_figures(folder: Path, sizes: Sizes) -> list[Figure]:
    """The outbox alone, with dead addresses at its head, and loops over the same mails."""
    key = PrivateKey.new()
    with_dead = await opened(folder, "dead", key, [*dead(sizes), *good(sizes)])
    without = await opened(folder, "good", key, good(sizes))
    speeds = await plain_speeds(await written(without, key, sizes), sizes)
    clean = sizes.mails / await seconds_for(without, key, sizes)
    hindered = sizes.mails / await seconds_for(with_dead, key, sizes)
    one_each = speeds["plain loop, a connection for each mail"]
    return [
        Figure(BENCH, "outbox throughput", clean, "mails/s", None, speeds),
        Figure(BENCH, "outbox throughput against a connection for each mail", clean / one_each, "times", 1, {}, True),
        Figure(BENCH, f"outbox throughput behind {sizes.dead} dead addresses", hindered, "mails/s"),
        Figure(BENCH, "speed left behind dead addresses", hindered / clean, "share", 0.8, {}, True),
    ]


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    """The figures of the outbox."""
    with structlog.testing.capture_logs():
        return asyncio.run(outbox_figures(folder, sizes))


def main() -> list[Figure]:
    """All figures at their full size."""
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        return [*measure(Path(folder), Sizes()), *bounces.figures()]


if __name__ == "__main__":
    report(main)

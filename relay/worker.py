"""The worker: runs the jobs of the workplaces, one after the other of each kind, until it is asked to stop."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from censor_queue.jobs import count_passed
from print.jobs import render_next
from print.print_jobs import look_at_jobs, send_next
from print.printing import Printing
from relay.config import Installation, Settings
from relay.desk.by_mail import Taking, take_incoming_next
from relay.domain.lives import WORKER, LetterState, MailKind, Record
from relay.log import failed
from relay.mail.fetching import Fetcher
from relay.mail.lost_links import offer_next, replace_next
from relay.mail.outbox import drop_mails
from relay.mail.sending import Mailing
from relay.mail.signing import load_signer
from relay.mail.suppression import index_addresses_next
from relay.opened import remove_left_behind
from relay.retention import keeping_clocks
from relay.sealing import PrivateKey
from relay.store.audit import add_checkpoint
from relay.store.durations import Durations
from relay.store.leases import owning
from relay.store.letters import letter_context
from relay.store.overdue import Telling
from relay.store.sealed import Store, shred
from relay.store.tables import checkpoints, events, letters
from relay.store.transitions import move
from scanner import jobs as scanning
from scanner.photos import PhotoDecoder
from scanner.scan_mail import unpack_next
from scanner.watched_folder import WatchedFolder

PAUSE: Final = 1.0
"""Seconds between two looks at an empty queue."""
CHECKPOINT_EVERY: Final = datetime.timedelta(days=1)
EXPIRED_AT_ONCE: Final = 100
DRAIN_SECONDS: Final = 30
"""How long a job or a request may take to end when the process is asked to stop; work is then given back."""

Job = Callable[[str], Awaitable[bool | int]]
"""Does the next piece of work in the name of this owner of leases; false where there was none."""


def desk_jobs(store: Store, installation: Installation, desk: PrivateKey) -> list[Job]:
    """The jobs of a desk: it sends the confirmations, and fetches mails that it cannot open.

    Raises ConfigError where the key that signs mails is none.
    """
    mailing = Mailing(store, installation.settings, desk, load_signer(installation), desk=True)
    if not installation.settings.incoming.imap_host:
        return [mailing]
    fetcher = Fetcher(store, installation.settings.incoming)
    return [mailing, lambda _: fetcher.fetch_next()]


def office_jobs(store: Store, installation: Installation, office: PrivateKey, printing: Printing) -> list[Job]:
    """The jobs that need the office's key."""
    settings, engine = installation.settings, scanning.engine(installation)
    folder = installation.scan_folder
    watched = WatchedFolder(store, folder, settings.scan.max_megabytes) if folder else None
    late = Telling(store, Durations(store.database))
    taking = Taking(store, office, settings, PhotoDecoder(), printing.pages, printing.screening)
    return [
        Mailing(store, settings, office, load_signer(installation), desk=False),
        lambda owner: render_next(printing, owner),
        *[lambda owner: send_next(printing, owner)] * max(1, len(settings.print.printers)),
        lambda owner: look_at_jobs(store, settings, owner),
        *([lambda _: watched.take_next()] if watched else []),
        lambda owner: unpack_next(store, owner, office),
        lambda owner: scanning.split_next(store, settings, engine, owner, office),
        lambda owner: scanning.assemble_next(store, owner, office, printing.screening),
        lambda _: count_passed(store, office),
        lambda _: index_addresses_next(store, office),
        lambda _: late.tell_next(),
        lambda owner: take_incoming_next(taking, owner),
        lambda owner: offer_next(store, owner, office),
        lambda owner: replace_next(store, owner, office),
        keeping_clocks(store, settings.retention, office),
        partial(_expire, store, settings),
        partial(_checkpoint, store),
    ]


@asynccontextmanager
async def working(store: Store, runtime: Path, jobs: Sequence[Job]) -> AsyncIterator[None]:
    """Run the jobs until the end of the block; what is begun then is finished, or given back where it takes long.

    First gives back what a process that was killed on this machine still holds, and removes what it left in the clear.
    """
    await asyncio.to_thread(remove_left_behind)
    async with owning(store.database, runtime) as owner:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(_repeat(job, owner, stop)) for job in jobs]
        try:
            yield
        finally:
            stop.set()
            if tasks:
                await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job, owner: str, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            if await job(owner):
                continue
        except Exception as error:  # noqa: BLE001 - a database that is away for a while ends no worker
            failed("worker_failed", error)
        try:
            await asyncio.wait_for(stop.wait(), PAUSE)
        except TimeoutError:
            continue
    if isinstance(job, Mailing):
        await job.drain()


async def _expire(store: Store, settings: Settings, owner: str) -> bool:
    """Destroy letters that were never confirmed."""
    del owner
    now = store.database.clock()
    old = now - datetime.timedelta(days=settings.letter.days_to_confirm)
    unconfirmed = (letters.c.state == LetterState.UNCONFIRMED, letters.c.created_at < old)
    query = sa.select(letters.c.id).where(*unconfirmed).limit(EXPIRED_AT_ONCE)
    async with store.database.reading() as connection:
        if (await connection.execute(query)).first() is None:
            return False
    async with store.database.writing() as connection:
        found = (await connection.execute(query.with_for_update())).scalars().all()
        for letter_id in found:
            await move(connection, Record.LETTER, letter_id, LetterState.EXPIRED, by=WORKER, at=now)
            await shred(connection, letter_context(letter_id))
            await drop_mails(connection, letter_id, [MailKind.CONFIRM], now)
    await store.database.forget()
    return bool(found)


async def _checkpoint(store: Store, owner: str) -> bool:
    """Chain the events of the last day."""
    del owner
    now = store.database.clock()
    last = sa.select(sa.func.max(checkpoints.c.at, type_=checkpoints.c.at.type))
    unchained = sa.select(events.c.id).where(events.c.checkpoint_id.is_(None)).limit(1)
    async with store.database.reading() as connection:
        at = (await connection.execute(last)).scalar_one()
        if at is not None and at > now - CHECKPOINT_EVERY:
            return False
        if (await connection.execute(unchained)).first() is None:
            return False
    async with store.database.writing() as connection:
        await add_checkpoint(connection, now)
    return False

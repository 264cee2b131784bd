"""What a worker does for the scanning: it splits received files and assembles the replies."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Final

import sqlalchemy as sa
import structlog

from relay.config import Installation, Settings
from relay.domain.lives import ReplyState, ScanState
from relay.domain.ports import Screening
from relay.domain.scan_parts import ORIGINAL, page_picture, page_untouched
from relay.domain.sheet import TICK_SIDE
from relay.opened import private_folder
from relay.sealing import ContentKey, PrivateKey
from relay.store.directory import facilities_by_id
from relay.store.letters import languages_of, outstanding_codes
from relay.store.sealed import Store, find_blob, find_blobs
from relay.store.tables import letters, prisoners, replies, scans
from relay.store.work import work_on_next
from scanner import kraken, reply_steps, steps, tesseract
from scanner.assembly import AssembledPage, assemble
from scanner.codes import PageCodes
from scanner.covering import cover, without_covered
from scanner.intake import PageFile, pages
from scanner.ladder import climb
from scanner.limits import Limits, ScanRefusedError
from scanner.outstanding import Outstanding
from scanner.reading import Reading, scan_key
from scanner.recognition import Engine, recognise
from scanner.suggesting import FoundPage, suggestions
from scanner.tick_boxes import is_tick_side
from scanner.tick_boxes import read as read_ticks
from scanner.transcript import transcript, writing_area

LOG: Final = structlog.get_logger()
USUAL_LANGUAGES: Final = ("ru", "en")
"""Languages of a page whose conversation is not known; English goes with every one, for names and addresses."""
with suppress(AttributeError):  # of glibc: blocks of the size of a picture go back to the system when they are freed
    ctypes.CDLL(None).mallopt(-3, 1_000_000)  # M_MMAP_THRESHOLD
AT_ONCE: Final = len(os.sched_getaffinity(0))
"""Pages of one file that are recognised at a time."""


def limits(settings: Settings) -> Limits:
    """The limits of one file from the settings."""
    scan = settings.scan
    return Limits(
        megabytes=scan.max_megabytes,
        pages=scan.max_pages,
        megapixels=scan.max_megapixels,
        seconds=scan.seconds_per_file,
    )


def engine(installation: Installation) -> Engine:
    """The engine that reads the pages."""
    if installation.settings.scan.engine == "kraken":
        return partial(kraken.read_page, model=installation.scan_model)
    return tesseract.read_page


async def split_next(
    store: Store, settings: Settings, engine: Engine, owner: str, office: PrivateKey, scan_id: str | None = None
) -> bool:
    """Split the oldest received file, or the named one. False where there is none."""

    async def split(claimed_id: str) -> None:
        try:
            await _split(store, settings, engine, owner, office, claimed_id)
        except ScanRefusedError as refusal:
            LOG.info("scan_refused", scan=claimed_id, reason=refusal.reason)
            await steps.reject(store, claimed_id, owner, refusal.reason)

    files = [scans.c.state == ScanState.RECEIVED, steps.is_file(), *([scans.c.id == scan_id] if scan_id else [])]
    return await work_on_next(store.database, scans, *files, owner=owner, do=split)


async def _split(
    store: Store, settings: Settings, engine: Engine, owner: str, office: PrivateKey, scan_id: str
) -> None:
    async with store.database.reading() as connection:
        key = await scan_key(connection, scan_id, office)
        original = await find_blob(connection, key.context, ORIGINAL)
        facility_id = await connection.scalar(sa.select(scans.c.facility_id).where(scans.c.id == scan_id))
        done = await steps.read_already(connection, scan_id)
    reader = _Reader(store, engine, owner, key)
    with private_folder() as folder:
        path = folder / ORIGINAL
        with path.open("wb") as file:
            async for chunk in store.blobs.get(original, key):
                file.write(chunk)
        tasks: list[asyncio.Task[None]] = []
        at_once = asyncio.Semaphore(AT_ONCE)
        async with _ended(tasks), aclosing(pages(path, folder, limits(settings))) as found:
            async for page in found:
                if page.number == 1:
                    await steps.note_count(store, scan_id, page.of)
                if page.number in done:
                    page.remove()
                    continue
                await at_once.acquire()
                task = asyncio.create_task(reader.read(page))
                task.add_done_callback(lambda _: at_once.release())
                tasks.append(task)
            await asyncio.gather(*tasks)
    async with store.database.reading() as connection:
        readings = await steps.waiting_readings(connection, scan_id, key)
        found_pages = [
            FoundPage(number, reading.codes, reading.ranked, reading.words) for number, reading in readings.items()
        ]
        in_doubt = any(page.codes.agreed is None for page in found_pages)
        outstanding = [code for code, _ in await outstanding_codes(connection)] if in_doubt else []
        suggested = await suggestions(connection, found_pages, outstanding, facility_id)
    await steps.place(
        store,
        scan_id,
        owner,
        key,
        {
            number: reading.model_copy(update={"suggested": suggested.get(number, ()), "words": ()})
            for number, reading in readings.items()
        },
    )


@asynccontextmanager
async def _ended(tasks: list[asyncio.Task[None]]) -> AsyncIterator[None]:
    """No task of the list runs after the block."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Reader:
    """Reads the pages of one scan and stores what is kept of them."""

    def __init__(self, store: Store, engine: Engine, owner: str, key: ContentKey) -> None:
        self._store, self._engine, self._owner, self._key = store, engine, owner, key
        self._outstanding: Outstanding | None = None
        self._loading = asyncio.Lock()

    async def read(self, page: PageFile) -> None:
        """Read a page and store it; its files are removed."""
        put: list[str] = []
        try:
            reading = await self._reading(page)
            async with self._store.blobs.dropped_on_failure(put):
                put.append(await self._store.blobs.put_bytes(page.jpeg.read_bytes(), self._key))
                put.append(await self._store.blobs.put_bytes(page.untouched.read_bytes(), self._key))
            kept = steps.ReadPage(page.number, reading, *put)
            await steps.keep_page(self._store, self._key.context.id, self._owner, self._key, kept)
        finally:
            page.remove()

    async def _reading(self, page: PageFile) -> Reading:
        climbed = await climb(page, self._codes)
        code = climbed.codes.agreed
        languages: tuple[str, ...] = ()
        if code is not None:
            async with self._store.database.reading() as connection:
                languages = await languages_of(connection, code.code)
        tried = tuple(dict.fromkeys((*languages, "en"))) if languages else USUAL_LANGUAGES
        side = code.side if code else None
        writing = writing_area(page.geometry, side)
        # Where no code was read the whole page is looked at: the prisoner's name stands above the writing.
        read = await recognise(self._engine, page.pgm, tried, page.dpi, writing if code else None)
        if read.failure is not None:
            LOG.warning("page_not_recognised", reason=read.failure)
        boxes = page.samples.boxes
        tick_side = is_tick_side(boxes)
        return Reading(
            lines=transcript(read.words, (page.width, page.height), writing, tried[0]),
            codes=climbed.codes,
            tried=climbed.tried,
            ranked=climbed.ranked,
            words=() if code else tuple(word.text for word in read.words),
            ticks=read_ticks(boxes) if tick_side or (side is TICK_SIDE and tick_side is None) else {},
            tick_side=tick_side,
            blank=page.blank and _may_be_empty(page, climbed.codes),
        )

    async def _codes(self) -> Outstanding:
        """The codes that may come back, loaded once for all pages of the scan."""
        async with self._loading:
            if self._outstanding is None:
                async with self._store.database.reading() as connection:
                    codes = await outstanding_codes(connection)
                self._outstanding = await asyncio.to_thread(Outstanding, codes)
            return self._outstanding


def _may_be_empty(page: PageFile, codes: PageCodes) -> bool:
    """Whether a page may be left out when nothing is written on it: the second side of a sheet, and the back of a page
    without any code. A first side is never left out, because its tick boxes speak too."""
    if codes.agreed is not None:
        return codes.agreed.side is not None and codes.agreed.side is not TICK_SIDE
    return not (codes.reads or codes.foreign or page.straightened)


async def assemble_next(store: Store, owner: str, office: PrivateKey, screening: Screening) -> bool:
    """Look over, or assemble and release, the oldest reply that this is due for. False where there is none."""

    async def work(reply_id: str) -> None:
        async with store.database.reading() as connection:
            row = (
                await connection.execute(
                    sa.select(replies.c.state, prisoners.c.facility_id)
                    .join(letters, letters.c.id == replies.c.letter_id)
                    .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
                    .where(replies.c.id == reply_id)
                )
            ).one()
            facilities = await facilities_by_id(connection, [row.facility_id])
        if row.state == ReplyState.OPEN:
            unseen = screening.rules_of(facilities[row.facility_id]).release_unseen
            await reply_steps.look_over(store, office, reply_id, release_unseen=unseen)
        else:
            await _assemble(store, office, reply_id)

    due = sa.or_(
        sa.and_(replies.c.state == ReplyState.OPEN, replies.c.pages_of.is_(None)),
        replies.c.state == ReplyState.CHECKED,
        replies.c.stale,
    )
    return await work_on_next(store.database, replies, due, owner=owner, do=work)


async def _assemble(store: Store, office: PrivateKey, reply_id: str) -> None:
    async with store.database.reading() as connection:
        reply = await reply_steps.to_assemble(connection, reply_id, office)
        blobs = await find_blobs(connection, reply.scan_key.context)
    sent = []
    for page in reply.pages:
        picture = await store.blobs.get_bytes(blobs[page_picture(page.number)], reply.scan_key)
        untouched = None
        if page.covered:
            picture = await asyncio.to_thread(cover, picture, page.covered)
        elif part := blobs.get(page_untouched(page.number)):
            untouched = await store.blobs.get_bytes(part, reply.scan_key)
        sent.append(reply_steps.SentPage(picture, untouched, without_covered(page.reading.lines, page.covered)))
    shown = [AssembledPage(page.picture, page.lines) for page in sent]
    pdf = await asyncio.to_thread(assemble, shown, reply.missing, reply.language)
    await reply_steps.release(store, office, reply, pdf, sent)

"""What a worker does for the scanning: it splits received files and assembles the replies."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import structlog

from relay.config import Settings
from relay.domain.lives import Record, ReplyState, ScanState
from relay.opened import private_folder
from relay.sealing import ContentKey, Context, PrivateKey
from relay.store.letters import languages_of
from relay.store.sealed import Store, find_blob, find_blobs, load_key
from relay.store.tables import replies, scans
from relay.store.work import work_on_next
from scanner import steps
from scanner.assembly import AssembledPage, assemble
from scanner.intake import PageFile, pages
from scanner.limits import Limits, ScanRefusedError
from scanner.printed_code import read_printed_code
from scanner.tesseract import LANGUAGES, recognise
from scanner.transcript import transcript

LOG: Final = structlog.get_logger()
USUAL_LANGUAGES: Final = ("ru", "en")
"""Languages of a page whose conversation is not known; English goes with every one, for names and addresses."""
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


async def split_next(
    store: Store, settings: Settings, owner: str, office: PrivateKey, scan_id: str | None = None
) -> bool:
    """Split the oldest received file, or the named one. False where there is none."""

    async def split(claimed_id: str) -> None:
        try:
            await _split(store, settings, owner, office, claimed_id)
        except ScanRefusedError as refusal:
            LOG.info("scan_refused", scan=claimed_id, reason=refusal.reason)
            await steps.reject(store, claimed_id, owner, refusal.reason)

    conditions = [scans.c.state == ScanState.RECEIVED, *([scans.c.id == scan_id] if scan_id else [])]
    return await work_on_next(store.database, scans, *conditions, owner=owner, do=split)


async def _split(store: Store, settings: Settings, owner: str, office: PrivateKey, scan_id: str) -> None:
    context = Context(Record.SCAN, scan_id)
    async with store.database.reading() as connection:
        key = await load_key(connection, context, office)
        original = await find_blob(connection, context, steps.ORIGINAL)
    put: list[str] = []
    with private_folder() as folder:
        path = folder / steps.ORIGINAL
        with path.open("wb") as file:
            async for chunk in store.blobs.get(original, key):
                file.write(chunk)
        read: list[asyncio.Task[steps.ReadPage]] = []
        at_once = asyncio.Semaphore(AT_ONCE)
        async with store.blobs.dropped_on_failure(put), _ended(read):
            async with aclosing(pages(path, folder, limits(settings))) as found:
                async for page in found:
                    await at_once.acquire()
                    task = asyncio.create_task(_read(store, key, page, put))
                    task.add_done_callback(lambda _: at_once.release())
                    read.append(task)
            done = await asyncio.gather(*read)
    await steps.split(store, scan_id, owner, key, done)


@asynccontextmanager
async def _ended(tasks: list[asyncio.Task[steps.ReadPage]]) -> AsyncIterator[None]:
    """No task of the list runs after the block."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(store: Store, key: ContentKey, page: PageFile, put: list[str]) -> steps.ReadPage:
    """Read a page and store what is kept of it; the ids of the new blobs go to `put` as well. Its files are removed."""
    try:
        codes = await read_printed_code(page)
        languages: tuple[str, ...] = ()
        if codes.agreed is not None:
            async with store.database.reading() as connection:
                languages = await languages_of(connection, codes.agreed.code)
        tried = dict.fromkeys((*languages, "en") if languages else USUAL_LANGUAGES)
        recognised = await recognise(page.pgm, "+".join(LANGUAGES[language] for language in tried), page.dpi)
        if recognised.failure is not None:
            LOG.warning("page_not_recognised", reason=recognised.failure)
        picture = await store.blobs.put_bytes(page.jpeg.read_bytes(), key)
        put.append(picture)
        text = await store.blobs.put_bytes(recognised.text_pdf, key) if recognised.text_pdf else None
        put += [text] if text else []
    finally:
        page.pgm.unlink()
        page.jpeg.unlink()
    side = codes.agreed.side if codes.agreed else None
    lines = transcript(recognised.words, page.geometry, side)
    return steps.ReadPage(page.number, codes, lines, picture, text)


async def assemble_next(store: Store, owner: str, office: PrivateKey) -> bool:
    """Assemble and release the oldest open reply. False where there is none."""

    async def assemble_reply(reply_id: str) -> None:
        await _assemble(store, office, reply_id)

    return await work_on_next(
        store.database, replies, replies.c.state == ReplyState.OPEN, owner=owner, do=assemble_reply
    )


async def _assemble(store: Store, office: PrivateKey, reply_id: str) -> None:
    async with store.database.reading() as connection:
        reply = await steps.open_reply(connection, reply_id, office)
        blobs = await find_blobs(connection, reply.scan_key.context)
    assembled = []
    for page in reply.pages:
        picture = await store.blobs.get_bytes(blobs[steps.page_picture(page.number)], reply.scan_key)
        text = blobs.get(steps.page_text(page.number))
        text_pdf = await store.blobs.get_bytes(text, reply.scan_key) if text else None
        assembled.append(AssembledPage(picture, text_pdf))
    pdf = await asyncio.to_thread(assemble, assembled)
    await steps.release(store, reply, pdf, [page.jpeg for page in assembled])

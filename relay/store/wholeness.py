"""Whether rows, keys and blobs fit together: what is named and not there, what is there and named by nothing, what
nobody can open, and what stands where no step leads on. Reports only.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import BatchState, LetterState, MailState, PageState, Record, ReplyState, ScanState
from relay.store.blobs import BlobMissingError, Stored
from relay.store.erasing import REMOVED
from relay.store.sealed import Store
from relay.store.tables import (
    batches,
    blobs,
    content_keys,
    inboxes,
    incoming,
    letters,
    link_requests,
    outbox,
    pages,
    replies,
    scans,
)

BEING_WRITTEN: Final = datetime.timedelta(hours=1)
"""So young blobs may be named by a row soon."""
FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
"""The folders of the blobs, which are looked at one by one: all names at once would fill the memory."""
ROWS: Final = 500
MAIL: Final = "mail"

_READABLE: Final[dict[str, tuple[sa.Table, sa.ColumnElement[bool]]]] = {
    Record.LETTER: (
        letters,
        sa.and_(
            letters.c.destroyed_at.is_(None),
            letters.c.state != LetterState.EXPIRED,
            sa.func.length(letters.c.body) > 0,
        ),
    ),
    "inbox": (inboxes, sa.func.length(inboxes.c.secret) > 0),
    Record.BATCH: (batches, sa.exists().where(blobs.c.record == Record.BATCH, blobs.c.record_id == batches.c.id)),
    Record.SCAN: (scans, scans.c.destroyed_at.is_(None)),
    Record.REPLY: (replies, replies.c.transcript.is_not(None)),
    MAIL: (outbox, outbox.c.body.is_not(None)),
    "incoming": (incoming, incoming.c.destroyed_at.is_(None)),
    "link_request": (link_requests, link_requests.c.address.is_not(None)),
}
"""Where the records of content keys stand, and which of them somebody must be able to open."""

_STATES: Final[dict[sa.Table, type[LetterState | BatchState | ScanState | PageState | ReplyState | MailState]]] = {
    letters: LetterState,
    batches: BatchState,
    scans: ScanState,
    pages: PageState,
    replies: ReplyState,
    outbox: MailState,
}

_HOLDS_PAGES: Final = sa.func.coalesce(replies.c.pages_of, replies.c.id)
_WITHOUT_A_STEP: Final = (
    (
        "letter",
        "it is printed or posted in no batch",
        sa.select(letters.c.id).where(
            letters.c.state.in_((LetterState.PRINTED, LetterState.POSTED)), letters.c.batch_id.is_(None)
        ),
    ),
    (
        "page",
        "it is placed in no reply",
        sa.select(pages.c.id)
        .join(scans, scans.c.id == pages.c.scan_id)
        .where(pages.c.state == PageState.PLACED, pages.c.reply_id.is_(None), scans.c.destroyed_at.is_(None)),
    ),
    (
        "page",
        "it waits in a file that is done",
        sa.select(pages.c.id)
        .join(scans, scans.c.id == pages.c.scan_id)
        .where(pages.c.state == PageState.WAITING, scans.c.state == ScanState.SPLIT),
    ),
    (
        "reply",
        "it waits and has no pages",
        sa.select(replies.c.id).where(
            replies.c.state.in_((ReplyState.OPEN, ReplyState.HELD, ReplyState.CHECKED)),
            ~sa.exists().where(pages.c.reply_id == _HOLDS_PAGES),
        ),
    ),
)
"""What no step leads on from: the kind of record, what is wrong with it, and the ids."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit."""

    record: str
    id: str
    problem: str


Told = Callable[[int, int], None]
"""Hears how many folders of how many are done."""


async def findings(store: Store, told: Told) -> AsyncIterator[Finding]:
    """All that does not fit. Rows are looked at in one state of the database, blobs folder by folder."""
    async with store.database.reading() as connection:
        for record, problem, query in _of_rows(store.office.fingerprint):
            async with connection.stream(query.execution_options(yield_per=ROWS)) as found:
                async for (row_id,) in found:
                    yield Finding(record, str(row_id), problem)
    oldest = store.database.clock() - BEING_WRITTEN
    there, beside = await store.blobs.folders()
    for name in there:
        if name not in FOLDERS:
            beside += [one async for one in store.blobs.stored(name)]
    for one in beside:
        yield Finding("blob", one.path, "it is none of ours")
    for number, folder in enumerate(FOLDERS, start=1):
        async for finding in _of_folder(store, folder, oldest, is_there=folder in there):
            yield finding
        told(number, len(FOLDERS))


def _of_rows(office: str) -> Iterator[tuple[str, str, sa.Select[tuple[str]]]]:
    """Kind of record, problem, and the ids of the rows that have it."""
    keys = content_keys.c
    for record, (table, readable) in _READABLE.items():
        its = sa.select(keys.record_id).where(keys.record == record, keys.record_id == table.c.id)
        ours = its.where(keys.recipient == office)
        yield record, "it has no key: nobody can open it", sa.select(table.c.id).where(readable, ~its.exists())
        if record != MAIL:  # of which some are sealed to the desk
            query = sa.select(table.c.id).where(readable, its.exists(), ~ours.exists())
            yield record, "it is not sealed to the office", query
        gone = ~sa.select(table.c.id).where(table.c.id == keys.record_id).exists()
        orphans = sa.select(keys.record_id).where(keys.record == record, gone).distinct()
        yield record, "it is gone, and its keys are left", orphans
        gone = ~sa.select(table.c.id).where(table.c.id == blobs.c.record_id).exists()
        yield (
            "blob",
            f"the {record} is gone that it belongs to",
            sa.select(blobs.c.id).where(blobs.c.record == record, gone),
        )
    known = sa.select(keys.record_id).where(keys.record.not_in(_READABLE)).distinct()
    yield "key", "it is of an unknown kind of record", known
    unknown = sa.select(blobs.c.id).where(blobs.c.record.not_in((*_READABLE, REMOVED)))
    yield "blob", "it belongs to an unknown kind of record", unknown
    for table, states in _STATES.items():
        query = sa.select(table.c.id).where(table.c.state.not_in(list(states)))
        yield table.name, "its state is unknown to this version", query
    yield from _WITHOUT_A_STEP


async def _of_folder(store: Store, folder: str, oldest: datetime.datetime, *, is_there: bool) -> AsyncIterator[Finding]:
    async with store.database.reading() as connection:
        rows = await connection.execute(
            sa.select(blobs.c.id, blobs.c.record).where(blobs.c.id.between(folder + "0" * 30, folder + "f" * 30))
        )
        named = {row.id: row.record for row in rows}
    if is_there:
        async for one in store.blobs.stored(folder):
            if one.blob_id is None:
                yield Finding("blob", one.path, "it is none of ours")
            elif named.pop(one.blob_id, None) is None and await _is_unnamed(store, one, oldest):
                yield Finding("blob", one.blob_id, "no row names it")
    for blob_id, record in named.items():
        if record != REMOVED and await _is_missing(store, blob_id):
            yield Finding("blob", blob_id, f"a {record} names it, and it is not there")


async def _is_unnamed(store: Store, one: Stored, oldest: datetime.datetime) -> bool:
    if one.since >= oldest:
        return False
    async with store.database.reading() as connection:
        return not await _names(connection, one.blob_id)


async def _is_missing(store: Store, blob_id: str) -> bool:
    """Whether a blob that was not in the list is missing, and was not deleted together with its row meanwhile."""
    try:
        await store.blobs.get_sealed(blob_id)
    except BlobMissingError:
        async with store.database.reading() as connection:
            return await _names(connection, blob_id)
    return False


async def _names(connection: AsyncConnection, blob_id: str | None) -> bool:
    kept = sa.select(blobs.c.id).where(blobs.c.id == blob_id, blobs.c.record != REMOVED)
    return (await connection.execute(kept)).first() is not None

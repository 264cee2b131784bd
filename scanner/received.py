"""The files that came, how far their reading is, and what became of their pages."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import PageState, ReplyState, ScanState
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import ReplyCode
from relay.sealing import PrivateKey, SealBrokenError
from relay.store.tables import ON_HEAP, facilities, letters, pages, prisoners, replies, scans
from scanner.codes import Method
from scanner.reading import scan_key

SHOWN: Final = 30
"""Files in the list."""


class NoSuchScanError(LookupError):
    """There is no such scan."""


@dataclass(frozen=True, slots=True)
class ReceivedScan:
    """A received file as the screens show it."""

    id: str
    name: str
    """Empty where it cannot be opened any more."""
    source: str
    facility: str | None
    """From which all its pages are, where somebody said so."""
    state: ScanState
    reason: str | None
    problem: str | None
    """Why the file, or a reply in it, was set aside."""
    received_at: datetime.datetime
    count: int | None
    """Of its pages, once that is known."""
    read: int
    placed: int
    waiting: int
    void: int


@dataclass(frozen=True, slots=True)
class ScanPage:
    """What became of one page of a scan."""

    id: str
    scan_id: str
    number: int
    state: PageState
    doubt: PageDoubt | None
    code: str | None
    sheet: int | None
    side: str | None
    method: Method | None
    by_hand: bool
    reply_id: str | None
    reply_state: ReplyState | None
    prisoner: str | None
    """Whose answer it is part of."""


_REPLY_ERROR: Final = (
    sa.select(sa.func.max(replies.c.last_error))
    .where(replies.c.scan_id == scans.c.id, replies.c.set_aside_at.is_not(None))
    .scalar_subquery()
)
_COUNT: Final = sa.select(sa.func.count()).where(pages.c.scan_id == scans.c.id)
_SCAN: Final = sa.select(
    scans,
    scans.c.page_count.label("of_pages"),
    facilities.c.name.label("facility"),
    _COUNT.scalar_subquery().label("read"),
    _COUNT.where(pages.c.state == PageState.PLACED).scalar_subquery().label("placed"),
    _COUNT.where(ON_HEAP).scalar_subquery().label("waiting"),
    _COUNT.where(pages.c.state == PageState.VOID).scalar_subquery().label("void"),
    _REPLY_ERROR.label("reply_error"),
).join(facilities, facilities.c.id == scans.c.facility_id, isouter=True)


async def received(connection: AsyncConnection, office: PrivateKey, limit: int = SHOWN) -> list[ReceivedScan]:
    """The files that came last, first those that are being read or have a problem, each newest first."""
    unfinished = sa.or_(scans.c.state == ScanState.RECEIVED, _REPLY_ERROR.is_not(None))
    order = (unfinished.desc(), scans.c.created_at.desc())
    # Chosen before their pages are counted: otherwise those of all files would be.
    chosen = sa.select(scans.c.id).order_by(*order).limit(limit)
    rows = await connection.execute(_SCAN.where(scans.c.id.in_(chosen)).order_by(*order))
    return [await _received(connection, row, office) for row in rows.all()]


async def these(connection: AsyncConnection, scan_ids: Collection[str], office: PrivateKey) -> list[ReceivedScan]:
    """Some received files, as far as they are there, the newest first."""
    rows = await connection.execute(_SCAN.where(scans.c.id.in_(scan_ids)).order_by(scans.c.created_at.desc()))
    return [await _received(connection, row, office) for row in rows.all()]


async def facility_names(connection: AsyncConnection) -> dict[str, str]:
    """The facilities that a pile can be from, by name: their ids and names."""
    rows = await connection.execute(sa.select(facilities.c.id, facilities.c.name).order_by(facilities.c.name))
    return {row.id: row.name for row in rows}


async def being_read(connection: AsyncConnection) -> int:
    """How many files are not read to their end yet and not set aside."""
    query = sa.select(sa.func.count()).where(scans.c.state == ScanState.RECEIVED, scans.c.set_aside_at.is_(None))
    return (await connection.execute(query)).scalar_one()


async def one(connection: AsyncConnection, scan_id: str, office: PrivateKey) -> ReceivedScan:
    """One received file. Raises NoSuchScanError."""
    found = await these(connection, [scan_id], office)
    if not found:
        raise NoSuchScanError
    return found[0]


async def pages_of(connection: AsyncConnection, scan_id: str, first: int, last: int) -> list[ScanPage]:
    """The pages of a scan with these numbers, as far as they were read."""
    return await _pages(connection, pages.c.scan_id == scan_id, pages.c.number.between(first, last))


async def page(connection: AsyncConnection, page_id: str) -> ScanPage | None:
    """One page, in any state."""
    found = await _pages(connection, pages.c.id == page_id)
    return found[0] if found else None


async def came_before(connection: AsyncConnection, duplicate: str) -> ScanPage | None:
    """The page of a reply that has the side of the sheet which came again as this page."""
    again = pages.alias()
    same = [
        pages.c[name] == sa.select(again.c[name]).where(again.c.id == duplicate).scalar_subquery()
        for name in ("code", "sheet", "side")
    ]
    found = await _pages(connection, *same, pages.c.state == PageState.PLACED)
    return found[0] if found else None


async def _pages(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> list[ScanPage]:
    rows = await connection.execute(
        sa.select(pages, replies.c.state.label("reply_state"), prisoners.c.name.label("prisoner"))
        .join(replies, replies.c.id == pages.c.reply_id, isouter=True)
        .join(letters, letters.c.id == replies.c.letter_id, isouter=True)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id, isouter=True)
        .where(*which)
        .order_by(pages.c.number)
    )
    return [
        ScanPage(
            row.id,
            row.scan_id,
            row.number,
            PageState(row.state),
            PageDoubt(row.doubt) if row.doubt else None,
            row.code,
            row.sheet,
            row.side,
            Method(row.method) if row.method else None,
            row.by_hand,
            *((row.reply_id, ReplyState(row.reply_state), row.prisoner) if row.state == PageState.PLACED else _NOWHERE),
        )
        for row in rows
    ]


_NOWHERE: Final = (None, None, None)


async def _received(connection: AsyncConnection, row: sa.Row[Any], office: PrivateKey) -> ReceivedScan:
    return ReceivedScan(
        row.id,
        await _name(connection, row, office),
        row.source,
        row.facility,
        ScanState(row.state),
        row.reason,
        row.last_error if row.set_aside_at else row.reply_error,
        row.created_at,
        row.of_pages,
        row.read,
        row.placed,
        row.waiting,
        row.void,
    )


async def _name(connection: AsyncConnection, scan: sa.Row[Any], office: PrivateKey) -> str:
    # One file whose key is gone hides no other one.
    try:
        return (await scan_key(connection, scan.id, office)).decrypt(scan.name, "name").decode()
    except SealBrokenError:
        return ""


@dataclass(frozen=True, slots=True)
class PageReport:
    """What became of one page of a scan."""

    page: int
    code: ReplyCode | None
    sheet: int | None
    side: str | None
    method: str | None
    letter: str | None
    """Id of the letter that it answers."""
    state: PageState
    doubt: PageDoubt | None


async def report(connection: AsyncConnection, scan_id: str) -> list[PageReport]:
    """What became of the pages of a scan."""
    rows = await connection.execute(
        sa.select(pages, replies.c.letter_id)
        .join(replies, replies.c.id == pages.c.reply_id, isouter=True)
        .where(pages.c.scan_id == scan_id)
        .order_by(pages.c.number)
    )
    return [
        PageReport(
            row.number,
            row.code,
            row.sheet,
            row.side,
            row.method,
            row.letter_id,
            PageState(row.state),
            PageDoubt(row.doubt) if row.doubt else None,
        )
        for row in rows
    ]

"""The heap: pages that wait for a person, and the letters that a person may give them to."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import PageState, Record, ScanState
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import NotAReplyCodeError, ReplyCode, read_code
from relay.sealing import ContentKey, Context, PrivateKey, SealBrokenError
from relay.store.letters import is_rendered, read_body
from relay.store.sealed import load_key
from relay.store.tables import (
    facilities,
    letters,
    pages,
    prisoners,
    replies,
    reply_order_letters,
    scans,
)
from scanner.matching import SENT
from scanner.steps import Reading

CANDIDATES: int = 20
"""Letters that are offered at most."""
NAMESAKES: int = 1000
"""Prisoners of one name whose letters are looked at; who searches for less than a name has to say more."""
HEAP_SHOWN: int = 200
"""Pages of the heap that are shown; the next ones come when these are decided about."""


class NoSuchPageError(LookupError):
    """There is no such page, or it does not wait for a person."""


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """A page that waits for a person."""

    id: str
    scan_id: str
    number: int
    doubt: PageDoubt
    since: datetime.datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A letter that a page might answer."""

    letter_id: str
    code: ReplyCode
    prisoner: str
    facility: str
    printed_name: str
    written_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class ReceivedScan:
    """A received file as the screens show it."""

    id: str
    name: str
    """Empty where it cannot be opened any more."""
    state: ScanState
    reason: str | None
    problem: str | None
    """Why the file, or a reply in it, was set aside."""
    received_at: datetime.datetime
    placed: int
    waiting: int


_WAITS = pages.c.state.in_([PageState.UNMATCHED, PageState.HELD])


async def waiting_pages(connection: AsyncConnection) -> list[WaitingPage]:
    """The heap, the oldest first."""
    rows = await connection.execute(
        sa.select(pages).where(_WAITS).order_by(pages.c.state_since, pages.c.number).limit(HEAP_SHOWN)
    )
    return [WaitingPage(row.id, row.scan_id, row.number, PageDoubt(row.doubt), row.state_since) for row in rows]


async def waiting_page(
    connection: AsyncConnection, page_id: str, office: PrivateKey
) -> tuple[WaitingPage, Reading, ContentKey]:
    """One page of the heap, what was read from it, and the key of its scan. Raises NoSuchPageError."""
    row = (await connection.execute(sa.select(pages).where(_WAITS, pages.c.id == page_id))).one_or_none()
    if row is None:
        raise NoSuchPageError
    key = await load_key(connection, Context(Record.SCAN, row.scan_id), office)
    reading = Reading.model_validate_json(key.decrypt(row.reading, f"reading {row.number}"))
    page = WaitingPage(row.id, row.scan_id, row.number, PageDoubt(row.doubt), row.state_since)
    return page, reading, key


async def candidates(
    connection: AsyncConnection, office: PrivateKey, codes: tuple[str, ...], search: str
) -> list[Candidate]:
    """Letters that may have an answer: those of the codes, or those that a search finds by code or prisoner's name."""
    query = (
        sa.select(
            letters.c.id,
            letters.c.created_at,
            reply_order_letters.c.code,
            prisoners.c.name.label("prisoner"),
            facilities.c.name.label("facility"),
        )
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(facilities, facilities.c.id == prisoners.c.facility_id)
        .where(letters.c.state.in_(SENT), is_rendered())
        .order_by(letters.c.created_at.desc())
        .limit(CANDIDATES)
    )
    if search:
        try:
            codes = (read_code(search).code,)
        except NotAReplyCodeError:
            codes = ()
    if codes:
        query = query.where(reply_order_letters.c.code.in_(codes))
    else:
        query = query.where(letters.c.prisoner_id.in_(await _named(connection, search.casefold().split())))
    return [
        Candidate(
            row.id,
            row.code,
            row.prisoner,
            row.facility,
            (await read_body(connection, row.id, office)).printed_name,
            row.created_at,
        )
        for row in (await connection.execute(query)).all()
    ]


async def _named(connection: AsyncConnection, words: list[str]) -> list[str]:
    """The prisoners whose name has all these words; none for no words."""
    if not words:
        return []
    # Names are compared here: the lower() of SQLite knows ASCII only.
    everyone = await connection.execute(sa.select(prisoners.c.id, prisoners.c.name))
    return [row.id for row in everyone if all(word in row.name.casefold() for word in words)][:NAMESAKES]


async def received(connection: AsyncConnection, office: PrivateKey, limit: int = 30) -> list[ReceivedScan]:
    """The files that came last, first those that are being read or have a problem, each newest first."""
    reply_error = (
        sa.select(sa.func.max(replies.c.last_error))
        .where(replies.c.scan_id == scans.c.id, replies.c.set_aside_at.is_not(None))
        .scalar_subquery()
    )
    count = sa.select(sa.func.count()).where(pages.c.scan_id == scans.c.id)
    rows = await connection.execute(
        sa.select(
            scans,
            count.where(pages.c.state == PageState.PLACED).scalar_subquery().label("placed"),
            count.where(_WAITS).scalar_subquery().label("waiting"),
            reply_error.label("reply_error"),
        )
        .order_by(
            sa.or_(scans.c.state == ScanState.RECEIVED, reply_error.is_not(None)).desc(), scans.c.created_at.desc()
        )
        .limit(limit)
    )
    return [
        ReceivedScan(
            row.id,
            await _name(connection, row, office),
            ScanState(row.state),
            row.reason,
            row.last_error if row.set_aside_at else row.reply_error,
            row.created_at,
            row.placed,
            row.waiting,
        )
        for row in rows.all()
    ]


async def _name(connection: AsyncConnection, scan: sa.Row[Any], office: PrivateKey) -> str:
    # One file whose key is gone hides no other one.
    try:
        return (await load_key(connection, Context(Record.SCAN, scan.id), office)).decrypt(scan.name, "name").decode()
    except SealBrokenError:
        return ""

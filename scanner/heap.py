"""The heap: pages that wait for a person, and the letters that a person may give them to."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import ANSWERABLE, PageState
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import ALPHABET, GROUP, NotAReplyCodeError, ReplyCode, Side, read_code
from relay.sealing import ContentKey, PrivateKey
from relay.store.letters import is_rendered, printed_name
from relay.store.tables import (
    ON_HEAP,
    facilities,
    letters,
    pages,
    prisoners,
    replies,
    reply_order_letters,
    reply_orders,
)
from scanner.reading import Reading, scan_key
from scanner.steps import is_for_nobody
from scanner.suggesting import Known, Why, plain, with_neighbours

CANDIDATES: Final = 20
"""Codes that a search offers at most."""
NAMESAKES: Final = 1000
"""Prisoners of one name whose letters are looked at; who searches for less than a name has to say more."""
HEAP_SHOWN: Final = 200
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
    for_nobody: bool
    """See `scanner.steps.is_for_nobody`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A letter that a page might answer, or the letters on one card: they all get the answer."""

    letter_id: str
    """Of a card any one."""
    code: ReplyCode
    prisoner: str
    facility: str
    printed_names: tuple[str, ...]
    written_at: datetime.datetime
    why: Why | None = None
    """What speaks for it, where it was not searched for."""


def _waiting(row: sa.Row[Any]) -> WaitingPage:
    # A page that was put away and taken back waits without a doubt of its own.
    doubt = PageDoubt(row.doubt) if row.doubt else PageDoubt.NO_CODE
    return WaitingPage(row.id, row.scan_id, row.number, doubt, row.state_since, is_for_nobody(row))


async def waiting_pages(connection: AsyncConnection) -> list[WaitingPage]:
    """The heap, the oldest first."""
    rows = await connection.execute(
        sa.select(pages).where(ON_HEAP).order_by(pages.c.state_since, pages.c.number, pages.c.id).limit(HEAP_SHOWN)
    )
    return [_waiting(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Queue:
    """How many wait, and since when the oldest does."""

    count: int
    oldest: datetime.datetime | None


async def waiting_count(connection: AsyncConnection) -> Queue:
    """The whole heap."""
    return Queue(
        *(await connection.execute(sa.select(sa.func.count(), sa.func.min(pages.c.state_since)).where(ON_HEAP))).one()
    )


async def next_waiting(connection: AsyncConnection, after: str) -> str | None:
    """The id of the page to be decided about after this one: the next of the heap, at its end the first again."""
    order = (pages.c.state_since, pages.c.number, pages.c.id)
    place = (await connection.execute(sa.select(*order).where(pages.c.id == after))).one_or_none()
    query = sa.select(pages.c.id).where(ON_HEAP, pages.c.id != after).order_by(*order).limit(1)
    found: str | None = None
    if place is not None:
        found = await connection.scalar(
            query.where(
                sa.tuple_(*order)
                > sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(place, order, strict=True)))
            )
        )
    return found if found is not None else await connection.scalar(query)


async def waiting_page(
    connection: AsyncConnection, page_id: str, office: PrivateKey
) -> tuple[WaitingPage, Reading, ContentKey]:
    """One page of the heap, what was read from it, and the key of its scan. Raises NoSuchPageError."""
    row = (await connection.execute(sa.select(pages).where(ON_HEAP, pages.c.id == page_id))).one_or_none()
    if row is None:
        raise NoSuchPageError
    key = await scan_key(connection, row.scan_id, office)
    return _waiting(row), Reading.opened(row.reading, key, row.number), key


async def suggested(
    connection: AsyncConnection, office: PrivateKey, page: WaitingPage, reading: Reading
) -> list[Candidate]:
    """The letters that are suggested for a page of the heap, the likeliest first."""
    known, sheets = await _known(connection, page.scan_id)
    found = with_neighbours(reading.suggested, known, page.number, sheets)
    whys = {one.code: one.why for one in found}
    offered: dict[str, Candidate] = {
        one.code: one for one in await _candidates(connection, office, [one.code for one in found], whys)
    }
    return [offered[one.code] for one in found if one.code in offered]


async def _known(connection: AsyncConnection, scan_id: str) -> tuple[dict[int, Known], dict[str, int]]:
    """The pages of a scan that are in an answer, and how many sheets were ordered with each code."""
    first = (
        sa.select(sa.func.min(reply_order_letters.c.code))
        .where(reply_order_letters.c.letter_id == replies.c.letter_id)
        .scalar_subquery()
    )
    placed = (
        sa.select(pages.c.number, sa.func.coalesce(pages.c.code, first).label("code"), pages.c.sheet, pages.c.side)
        .join(replies, replies.c.id == pages.c.reply_id)
        .where(pages.c.scan_id == scan_id, pages.c.state == PageState.PLACED)
        .subquery()
    )
    rows = await connection.execute(
        sa.select(placed, reply_orders.c.sheets).join(reply_orders, reply_orders.c.code == placed.c.code)
    )
    known, sheets = {}, {}
    for row in rows:
        known[row.number] = Known(row.code, row.sheet, Side(row.side) if row.side else None)
        sheets[row.code] = row.sheets
    return known, sheets


async def searched(connection: AsyncConnection, office: PrivateKey, search: str) -> list[Candidate]:
    """The letters that a search finds by code, by a part of it, or by words of the prisoner's name; newest first."""
    symbols = "".join(search.upper().split())
    try:
        found = await _candidates(connection, office, [read_code(search).code])
    except NotAReplyCodeError:
        found = []
    if not found and (names := await named(connection, search)):
        found = await _candidates(connection, office, await _newest(connection, letters.c.prisoner_id.in_(names)))
    if not found and len(symbols) >= GROUP and set(symbols) <= set(ALPHABET):
        part = reply_order_letters.c.code.contains(symbols, autoescape=True)
        found = await _candidates(connection, office, await _newest(connection, part))
    return found


async def _newest(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Sequence[str]:
    query = (
        sa.select(reply_order_letters.c.code)
        .join(letters, letters.c.id == reply_order_letters.c.letter_id)
        .where(letters.c.state.in_(ANSWERABLE), is_rendered(), which)
        .group_by(reply_order_letters.c.code)
        .order_by(sa.func.max(letters.c.created_at).desc())
        .limit(CANDIDATES)
    )
    return (await connection.scalars(query)).all()


async def _candidates(
    connection: AsyncConnection, office: PrivateKey, codes: Sequence[str], whys: dict[str, Why] | None = None
) -> list[Candidate]:
    """The letters of these codes that may have an answer, in the order of the codes."""
    rows = await connection.execute(
        sa.select(
            letters.c.id,
            letters.c.created_at,
            letters.c.state,
            reply_order_letters.c.code,
            prisoners.c.name.label("prisoner"),
            facilities.c.name.label("facility"),
        )
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(facilities, facilities.c.id == prisoners.c.facility_id)
        .where(is_rendered(), reply_order_letters.c.code.in_(codes))
        .order_by(letters.c.id)
    )
    of_codes: dict[str, list[Any]] = {}
    for row in rows.all():
        # Not in the query: SQLite would go through all letters in these states, and look for the few among them.
        if row.state in ANSWERABLE:
            of_codes.setdefault(row.code, []).append(row)
    return [
        Candidate(
            same[0].id,
            same[0].code,
            same[0].prisoner,
            same[0].facility,
            tuple([await printed_name(connection, row.id, office) for row in same]),
            max(row.created_at for row in same),
            (whys or {}).get(code),
        )
        for code in codes
        if (same := of_codes.get(code))
    ]


async def named(connection: AsyncConnection, search: str) -> list[str]:
    """The ids of the prisoners whose name has all words of the search; none for no words."""
    words = plain(search).split()
    if not words:
        return []
    everyone = (await connection.execute(sa.select(prisoners.c.id, prisoners.c.name))).all()

    def found() -> list[str]:
        return [row.id for row in everyone if all(word in plain(row.name) for word in words)][:NAMESAKES]

    # The first search of a process puts all names into Latin letters, which takes seconds where there are many.
    return await asyncio.to_thread(found)

"""The proof that no page is lost: every page of every file that was split is in one reply, or before a person."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import PageState, ReplyState, ScanState
from relay.store.tables import pages, replies, scans


@dataclass(frozen=True, slots=True)
class Unaccounted:
    """A page that is nowhere, or in two places at once."""

    scan_id: str
    number: int
    """Its place in the file; 0 where it is about the file as a whole."""
    problem: str


async def unaccounted(connection: AsyncConnection) -> list[Unaccounted]:
    """All pages of files that were split and that are not in exactly one reply, on the heap, or put away. Reports only.

    A file has as many pages as were counted when it was taken apart; before that was noted, as many as there are.
    """
    found: list[Unaccounted] = []
    there = (
        sa.select(pages.c.scan_id, sa.func.count().label("there"), sa.func.max(pages.c.number).label("last"))
        .group_by(pages.c.scan_id)
        .subquery()
    )
    files = sa.select(scans.c.id, scans.c.page_count, there.c.there, there.c.last).join(
        there, there.c.scan_id == scans.c.id, isouter=True
    )
    for row in await connection.execute(files.where(scans.c.state == ScanState.SPLIT)):
        known = row.there or 0
        # Numbers begin at 1 and occur once, so as many pages as the largest number are all of them.
        if known != (row.last or 0) or (row.page_count is not None and row.page_count != known):
            found.append(Unaccounted(row.id, 0, f"{row.page_count or row.last} pages were counted, {known} are there"))
    in_reply = pages.c.reply_id.is_not(None)
    placed = pages.c.state == PageState.PLACED
    elsewhere = (PageState.UNMATCHED, PageState.HELD, PageState.VOID)
    query = (
        sa.select(
            pages.c.scan_id,
            pages.c.number,
            pages.c.state,
            replies.c.state.label("reply_state"),
        )
        .join(scans, scans.c.id == pages.c.scan_id)
        .join(replies, replies.c.id == pages.c.reply_id, isouter=True)
        .where(
            scans.c.state == ScanState.SPLIT,
            sa.not_(
                sa.or_(
                    sa.and_(placed, in_reply, replies.c.scan_id == pages.c.scan_id, replies.c.state != ReplyState.VOID),
                    sa.and_(pages.c.state.in_(elsewhere), ~in_reply),
                )
            ),
        )
        .order_by(pages.c.scan_id, pages.c.number)
    )
    for page in await connection.execute(query):
        where = f"in a reply that is {page.reply_state}" if page.reply_state else "in no reply"
        found.append(Unaccounted(page.scan_id, page.number, f"it is {page.state} and {where}"))
    return found

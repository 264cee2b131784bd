"""Replies as volunteers see them: those that wait for a look, what is on their pages, and what prisoners ticked."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import Word
from relay.domain.lives import PageState, ReplyState
from relay.domain.reasons import ReplyDoubt
from relay.domain.reply_code import Side
from relay.domain.scan_parts import page_untouched
from relay.domain.sheet import Tick
from relay.sealing import ContentKey, PrivateKey
from relay.store.letters import printed_name
from relay.store.sealed import find_blobs
from relay.store.tables import corrections, facilities, letters, pages, prisoners, replies, scans, ticks, volunteers
from scanner.covering import without_covered
from scanner.heap import Queue
from scanner.reading import Reading
from scanner.reply_steps import ReplyPage, to_assemble, version
from scanner.transcript import Lines

SHOWN: Final = 200
"""Replies and ticks that are listed; the next ones come when these are decided about."""
RECENT: Final = 30
"""Released replies that are listed for those who correct transcripts."""


class NoSuchReplyError(LookupError):
    """There is no such reply, or the page is in none."""


@dataclass(frozen=True, slots=True)
class ListedReply:
    """A reply in a list."""

    id: str
    prisoner: str
    facility: str
    since: datetime.datetime
    """When it got into its state."""
    doubt: ReplyDoubt | None
    pages: int


@dataclass(frozen=True, slots=True)
class AnsweredLetter:
    """A letter that a reply answers."""

    id: str
    printed_name: str
    written_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class TickOnPage:
    """A tick of a page that matters: a box that is ticked, or of which that is not clear."""

    tick: Tick
    clear: bool
    settled: bool


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A page of a reply with what was ticked on it."""

    page: ReplyPage
    code: str | None
    ticks: tuple[TickOnPage, ...]
    has_untouched: bool
    """Whether it is kept as it was scanned, too: earlier versions kept only the cleaned picture."""

    @property
    def shown(self) -> Lines:
        """The transcript as its sender gets it."""
        return without_covered(self.page.reading.lines, self.page.covered)


@dataclass(frozen=True, slots=True)
class CheckedReply:
    """A reply as a volunteer looks it over. The reply to a card is one, whoever gets it."""

    listed: ListedReply
    state: ReplyState
    letters: tuple[AnsweredLetter, ...]
    forwarded: int
    """How many other correspondents get it too."""
    pages: tuple[CheckedPage, ...]
    missing: tuple[tuple[int, Side], ...]
    version: str
    """See `scanner.reply_steps.version`."""
    key: ContentKey
    """Opens the pictures of the pages."""


_LISTED: Final = (
    sa.select(
        replies.c.id,
        replies.c.state_since,
        replies.c.reason,
        prisoners.c.name.label("prisoner"),
        facilities.c.name.label("facility"),
        sa.select(sa.func.count())
        .where(pages.c.reply_id == replies.c.id, pages.c.state == PageState.PLACED)
        .scalar_subquery()
        .label("pages"),
    )
    .join(letters, letters.c.id == replies.c.letter_id)
    .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
    .join(facilities, facilities.c.id == prisoners.c.facility_id)
    .join(scans, scans.c.id == replies.c.scan_id)
    .where(
        replies.c.pages_of.is_(None),  # of a card the one that has the pages
        # Of which there is something to see.
        replies.c.state != ReplyState.ERASED,
        replies.c.destroyed_at.is_(None),
        scans.c.destroyed_at.is_(None),
    )
)
_HELD: Final = (replies.c.state == ReplyState.HELD, replies.c.pages_of.is_(None))


async def held(connection: AsyncConnection) -> list[ListedReply]:
    """The replies that wait for a look, the oldest first."""
    return await _listed(connection, _LISTED.where(*_HELD).order_by(replies.c.state_since, replies.c.id).limit(SHOWN))


async def held_count(connection: AsyncConnection) -> Queue:
    """All replies that wait for a look."""
    return Queue(
        *(await connection.execute(sa.select(sa.func.count(), sa.func.min(replies.c.state_since)).where(*_HELD))).one()
    )


async def next_held(connection: AsyncConnection, after: str | None = None) -> str | None:
    """The id of the oldest reply that waits for a look; of those behind the one named, where there are any."""
    order = (replies.c.state_since, replies.c.id)
    query = sa.select(replies.c.id).where(*_HELD).order_by(*order).limit(1)
    if after is not None:
        at = sa.select(replies.c.state_since).where(replies.c.id == after).scalar_subquery()
        behind = sa.or_(replies.c.state_since > at, sa.and_(replies.c.state_since == at, replies.c.id > after))
        found: str | None = await connection.scalar(query.where(behind))
        if found is not None:
            return found
        query = query.where(replies.c.id != after)
    return await connection.scalar(query)


async def released(connection: AsyncConnection) -> list[ListedReply]:
    """The replies that were released last, the newest first: their transcripts can be corrected."""
    order = (replies.c.state_since.desc(), replies.c.id)
    # Chosen before their pages are counted: otherwise those of all would be.
    which = (replies.c.state == ReplyState.RELEASED, replies.c.pages_of.is_(None))
    last = sa.select(replies.c.id).where(*which).order_by(*order).limit(RECENT)
    return await _listed(connection, _LISTED.where(replies.c.id.in_(last)).order_by(*order))


async def _listed(connection: AsyncConnection, query: sa.Select[Any]) -> list[ListedReply]:
    return [
        ListedReply(
            row.id,
            row.prisoner,
            row.facility,
            row.state_since,
            ReplyDoubt(row.reason) if row.reason else None,
            row.pages,
        )
        for row in await connection.execute(query)
    ]


async def one(connection: AsyncConnection, reply_id: str, office: PrivateKey) -> CheckedReply:
    """A reply with its pages in order; of a card the one that has them. Raises NoSuchReplyError, SealBrokenError."""
    listed = await _listed(connection, _LISTED.where(replies.c.id == reply_id))
    if not listed:
        raise NoSuchReplyError
    found = await to_assemble(connection, reply_id, office)
    parts = await find_blobs(connection, found.scan_key.context)
    codes = await connection.execute(sa.select(pages.c.id, pages.c.code).where(pages.c.reply_id == reply_id))
    code_of = {row.id: row.code for row in codes}
    ticked: dict[str, list[TickOnPage]] = {page.id: [] for page in found.pages}
    for row in await connection.execute(sa.select(ticks).where(ticks.c.page_id.in_(ticked))):
        ticked[row.page_id].append(TickOnPage(Tick(row.tick), row.clear, row.settled_at is not None))
    return CheckedReply(
        listed[0],
        found.state,
        await _answered(connection, reply_id, office),
        await forwarded_to(connection, reply_id),
        tuple(
            CheckedPage(
                page,
                code_of[page.id],
                tuple(sorted(ticked[page.id], key=lambda one: list(Tick).index(one.tick))),
                page_untouched(page.number) in parts,
            )
            for page in found.pages
        ),
        found.missing,
        await version(connection, reply_id),
        found.scan_key,
    )


async def _answered(connection: AsyncConnection, reply_id: str, office: PrivateKey) -> tuple[AnsweredLetter, ...]:
    rows = await connection.execute(
        sa.select(letters.c.id, letters.c.created_at)
        .join(replies, replies.c.letter_id == letters.c.id)
        .where(sa.func.coalesce(replies.c.pages_of, replies.c.id) == reply_id, ~replies.c.forwarded)
        .order_by(letters.c.id)
    )
    return tuple(
        [AnsweredLetter(row.id, await printed_name(connection, row.id, office), row.created_at) for row in rows.all()]
    )


async def forwarded_to(connection: AsyncConnection, reply_id: str) -> int:
    """How many other correspondents get a reply too."""
    alive = replies.c.state.not_in([ReplyState.VOID, ReplyState.ERASED])
    query = sa.select(sa.func.count()).where(replies.c.pages_of == reply_id, replies.c.forwarded, alive)
    return (await connection.execute(query)).scalar_one()


async def with_page(connection: AsyncConnection, page_id: str, office: PrivateKey) -> tuple[CheckedReply, CheckedPage]:
    """A page with the reply that it is in. Raises NoSuchReplyError, SealBrokenError."""
    placed = sa.select(pages.c.reply_id).where(pages.c.id == page_id, pages.c.state == PageState.PLACED)
    reply_id = await connection.scalar(placed)
    if reply_id is None:
        raise NoSuchReplyError
    reply = await one(connection, reply_id, office)
    return reply, next(page for page in reply.pages if page.page.id == page_id)


@dataclass(frozen=True, slots=True)
class OpenTick:
    """A tick that a person has to see to."""

    page_id: str
    tick: Tick
    clear: bool
    """Whether it is sure that the box is ticked."""
    since: datetime.datetime
    prisoner: str
    prisoner_slug: str
    facility: str
    letter_id: str
    reply_id: str


_OPEN: Final = ticks.c.settled_at.is_(None)


async def open_ticks(connection: AsyncConnection) -> list[OpenTick]:
    """The ticks that nobody has seen to, the oldest first."""
    return await _open_ticks(connection, sa.true())


async def open_tick(connection: AsyncConnection, page_id: str, tick: str) -> OpenTick | None:
    """One of the ticks that nobody has seen to."""
    found = await _open_ticks(connection, sa.and_(ticks.c.page_id == page_id, ticks.c.tick == tick))
    return found[0] if found else None


async def _open_ticks(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> list[OpenTick]:
    rows = await connection.execute(
        sa.select(
            ticks,
            prisoners.c.name.label("prisoner"),
            prisoners.c.slug,
            facilities.c.name.label("facility"),
            replies.c.letter_id,
            pages.c.reply_id,
        )
        .join(pages, pages.c.id == ticks.c.page_id)
        .join(replies, replies.c.id == pages.c.reply_id)
        .join(letters, letters.c.id == replies.c.letter_id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(facilities, facilities.c.id == prisoners.c.facility_id)
        .where(_OPEN, which)
        .order_by(ticks.c.created_at, ticks.c.page_id, ticks.c.tick)
        .limit(SHOWN)
    )
    return [
        OpenTick(
            row.page_id,
            Tick(row.tick),
            row.clear,
            row.created_at,
            row.prisoner,
            row.slug,
            row.facility,
            row.letter_id,
            row.reply_id,
        )
        for row in rows
    ]


async def open_tick_count(connection: AsyncConnection) -> int:
    """How many ticks nobody has seen to."""
    return (await connection.execute(sa.select(sa.func.count()).select_from(ticks).where(_OPEN))).scalar_one()


@dataclass(frozen=True, slots=True)
class Change:
    """Words of a transcript that became others; either may be empty."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Correction:
    """What a volunteer changed in the transcript of a page."""

    id: str
    at: datetime.datetime
    login: str
    changes: tuple[Change, ...]
    before: Reading


async def history(connection: AsyncConnection, page: ReplyPage, key: ContentKey) -> list[Correction]:
    """The corrections of the transcript of a page, the newest first; the key of its scan. Raises SealBrokenError."""
    rows = await connection.execute(
        sa.select(corrections.c.id, corrections.c.at, corrections.c.before, volunteers.c.login)
        .join(volunteers, volunteers.c.id == corrections.c.volunteer_id)
        .where(corrections.c.page_id == page.id)
        .order_by(corrections.c.at.desc(), corrections.c.id)
    )
    found, after = [], page.reading
    for row in rows:
        before = Reading.opened(row.before, key, page.number)
        found.append(Correction(row.id, row.at, row.login, changes(before.lines, after.lines), before))
        after = before
    return found


def changes(before: Lines, after: Lines) -> tuple[Change, ...]:
    """The words that differ between two transcripts of a page, in their order."""
    old, new = _texts(before), _texts(after)
    return tuple(
        Change(" ".join(old[a:b]), " ".join(new[c:d]))
        for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if what != "equal"
    )


def _texts(lines: Lines) -> list[str]:
    return [_text(word) for line in lines for word in line]


def _text(word: Word) -> str:
    return f"{word.text}?" if word.doubtful else word.text

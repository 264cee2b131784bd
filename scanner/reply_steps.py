"""What the scanning changes in replies: they are looked over, checked, corrected and released."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import Transcript
from relay.domain.lives import WORKER, Actor, LetterState, PageState, Record, ReplyState, Who
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import Side
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part, reply_untouched_part
from relay.domain.ticks import ABOUT_THE_PRISONER
from relay.sealing import ContentKey, Context, PrivateKey, PublicKey
from relay.store.database import new_id
from relay.store.leases import FREE, FRESH
from relay.store.sealed import Store, find_blobs, load_key, name_blob, save_key
from relay.store.tables import blobs, conversations, corrections, inboxes, letters, pages, replies, ticks
from relay.store.transitions import move, note
from relay.store.work import ChangedMeanwhileError
from scanner import forwarding
from scanner.matching import PlacedPage, missing_sides, reply_doubt
from scanner.reading import Box, Reading, opened_boxes, scan_key, sealed_boxes
from scanner.tick_steps import forget_ticks, renew_released
from scanner.transcript import Lines

CORRECTED: Final = "corrected"
COVERED: Final = "covered"
"""The reasons in the events of a page whose transcript was corrected, or of which something was covered."""


class ReplyNotHeldError(Exception):
    """The reply does not wait for a person: somebody released it already, or took its last page out."""


class PageNotPlacedError(Exception):
    """The page is in no reply."""


class ReplyChangedError(ChangedMeanwhileError):
    """The reply changed while it was assembled, and is assembled again; or since a volunteer looked at it."""


@dataclass(frozen=True, slots=True)
class ReplyPage:
    """A page of a reply."""

    id: str
    number: int
    """Its place in the scan."""
    sheet: int | None
    side: Side | None
    method: str | None
    by_hand: bool
    reading: Reading
    covered: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class ToAssemble:
    """A reply with its pages in order and the key of the scan that they come from."""

    id: str
    state: ReplyState
    pages_of: str
    """The reply that holds the pages: itself, or of a card the first one's."""
    letter_id: str
    language: str
    """The sender's."""
    inbox: PublicKey
    pages: tuple[ReplyPage, ...]
    missing: tuple[tuple[int, Side], ...]
    ticks: tuple[str, ...]
    forwarded: bool
    """Whether it answers another correspondent, and the prisoner wants this sender to have it too."""
    scan_key: ContentKey

    @property
    def content(self) -> tuple[Any, ...]:
        """All that its sender gets, or that decides about it."""
        return self.state, self.pages, self.missing, self.ticks, self.inbox.data


async def look_over(store: Store, office: PrivateKey, reply_id: str, *, release_unseen: bool) -> None:
    """Decide whether a person has to look at an open reply before its sender gets it. Raises SealBrokenError.

    Those to the other letters on a card, and what is forwarded, go the same way.
    """
    now = store.database.clock()
    async with store.database.writing() as connection:
        held = sa.select(replies).where(_group(reply_id)).order_by(replies.c.id).with_for_update()
        group = (await connection.execute(held)).all()
        row = next((one for one in group if one.id == reply_id), None)
        if row is None or row.state != ReplyState.OPEN:
            raise ReplyChangedError
        key = await scan_key(connection, row.scan_id, office)
        found = await _pages(connection, reply_id, key)
        unclear = set(
            await connection.scalars(
                sa.select(ticks.c.page_id).where(
                    ticks.c.page_id.in_([page.id for page in found]), ~ticks.c.clear, ticks.c.settled_at.is_(None)
                )
            )
        )
        missing = bool(await _missing(connection, reply_id)) or await _may_be_more(
            connection, row.scan_id, reply_id, key
        )
        doubt = reply_doubt(
            [PlacedPage(page.method, page.by_hand, page.id in unclear) for page in found],
            missing=missing,
            release_unseen=release_unseen,
        )
        state = ReplyState.CHECKED if doubt is None else ReplyState.HELD
        for one in group:
            await move(connection, Record.REPLY, one.id, state, by=WORKER, at=now, reason=doubt)


async def _may_be_more(connection: AsyncConnection, scan_id: str, reply_id: str, key: ContentKey) -> bool:
    """Whether a page of the same scan that waits for a person seems to belong to the reply."""
    codes = set(await connection.scalars(sa.select(pages.c.code).where(pages.c.reply_id == reply_id)))
    waits = (pages.c.scan_id == scan_id, pages.c.state.in_([PageState.UNMATCHED, PageState.HELD]))
    query = sa.select(pages.c.number, pages.c.reading).where(*waits, pages.c.doubt != PageDoubt.DUPLICATE)
    for row in await connection.execute(query):
        suggested = Reading.opened(row.reading, key, row.number).suggested
        if suggested and suggested[0].code in codes:
            return True
    return False


async def version(connection: AsyncConnection, reply_id: str) -> str:
    """What of a reply a volunteer sees: its pages, and what of them is covered."""
    query = sa.select(pages.c.id, pages.c.covered).where(pages.c.reply_id == reply_id).order_by(pages.c.id)
    seen = [(row.id, row.covered) for row in await connection.execute(query)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


async def check(
    store: Store, reply_id: str, volunteer_id: str, *, complete: bool = False, seen: str | None = None
) -> None:
    """Let a held reply go to its sender, as somebody who has looked at it; `seen` is the `version` looked at.

    With `complete` the sides that did not come are empty, and the sender is not told that they are missing. Raises
    ReplyNotHeldError, and ReplyChangedError where it is not any more what was seen.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        held = await _held(connection, reply_id)
        if seen is not None and seen != await version(connection, reply_id):
            raise ReplyChangedError
        for one in held:
            await move(connection, Record.REPLY, one, ReplyState.CHECKED, by=by, at=now, complete=complete)


async def take_out(store: Store, page_id: str, volunteer_id: str) -> None:
    """Put a page of a held reply back on the heap; a reply without pages is void.

    Raises PageNotPlacedError and ReplyNotHeldError.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        reply_id = (await _placed(connection, page_id)).reply_id
        group = await _held(connection, reply_id)
        await forget_ticks(connection, page_id, by=by, at=now)
        if not await forwarding.is_meant(connection, reply_id):
            void = await forwarding.void(connection, reply_id, by=by, at=now)
            group = [one for one in group if one not in void]
        await move(
            connection,
            Record.PAGE,
            page_id,
            PageState.HELD,
            by=by,
            at=now,
            reason=PageDoubt.TAKEN_OUT,
            doubt=PageDoubt.TAKEN_OUT,
            reply_id=None,
            by_hand=False,
            covered=None,
        )
        if (await connection.execute(sa.select(pages.c.id).where(pages.c.reply_id == reply_id))).first() is None:
            for one in group:
                await move(connection, Record.REPLY, one, ReplyState.VOID, by=by, at=now)


async def cover(store: Store, office: PrivateKey, page_id: str, boxes: Sequence[Box], volunteer_id: str) -> None:
    """Choose what of a page the sender must not see; it takes the place of what was chosen before.

    Raises PageNotPlacedError, and ReplyNotHeldError where the sender may have it already.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        page = await _placed(connection, page_id)
        await _held(connection, page.reply_id)
        key = await scan_key(connection, page.scan_id, office)
        sealed = sealed_boxes(boxes, key, page.number)
        await connection.execute(sa.update(pages).where(pages.c.id == page_id).values(covered=sealed))
        await note(connection, Record.PAGE, page_id, by=by, at=now, reason=COVERED)


async def correct(
    store: Store, office: PrivateKey, page_id: str, lines: Lines, volunteer_id: str, *, by_person: bool = True
) -> None:
    """Put the transcript of a page right. What stood there is kept; a sender who has the reply gets it anew.

    Without `by_person` it goes back to what a machine read. Raises PageNotPlacedError and SealBrokenError.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        page = await _placed(connection, page_id)
        key = await scan_key(connection, page.scan_id, office)
        reading = Reading.opened(page.reading, key, page.number).model_copy(
            update={"lines": lines, "by_person": by_person}
        )
        await connection.execute(
            sa.insert(corrections).values(
                id=new_id(), page_id=page_id, volunteer_id=volunteer_id, at=now, before=page.reading
            )
        )
        sealed = reading.sealed(key, page.number)
        await connection.execute(sa.update(pages).where(pages.c.id == page_id).values(reading=sealed))
        await note(connection, Record.PAGE, page_id, by=by, at=now, reason=CORRECTED)
        await renew_released(connection, page_id)


async def to_assemble(connection: AsyncConnection, reply_id: str, office: PrivateKey) -> ToAssemble:
    """What is needed to assemble a reply. Raises SealBrokenError."""
    row = (
        await connection.execute(
            sa.select(replies, letters.c.language, inboxes.c.public_key)
            .join(letters, letters.c.id == replies.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .where(replies.c.id == reply_id)
        )
    ).one()
    holder = row.pages_of or reply_id
    key = await scan_key(connection, row.scan_id, office)
    found = await _pages(connection, holder, key)
    ticked = sa.select(ticks.c.tick).where(ticks.c.page_id.in_([page.id for page in found]), ticks.c.clear)
    if row.forwarded:
        ticked = ticked.where(ticks.c.tick.in_(ABOUT_THE_PRISONER))
    return ToAssemble(
        reply_id,
        ReplyState(row.state),
        holder,
        row.letter_id,
        row.language,
        PublicKey(row.public_key),
        found,
        () if row.complete else await _missing(connection, holder),
        tuple(sorted(set(await connection.scalars(ticked)))),
        row.forwarded,
        key,
    )


@dataclass(frozen=True, slots=True)
class SentPage:
    """One page as its sender gets it."""

    picture: bytes
    untouched: bytes | None
    """As it was scanned; nothing where something of it is covered."""
    lines: Lines


async def release(store: Store, office: PrivateKey, reply: ToAssemble, pdf: bytes, sent: Sequence[SentPage]) -> None:
    """Seal an assembled reply to its sender and release it: it stands in the inbox, and the mail in the outbox.

    A released one takes the place of what the sender has. Every page of it was placed by an undoubted code or by a
    person. Raises ReplyChangedError, and SealBrokenError where a released one cannot be opened any more.
    """
    context = Context(Record.REPLY, reply.id)
    anew = reply.state is ReplyState.RELEASED
    if anew:
        async with store.database.reading() as connection:
            key = await load_key(connection, context, office)
            old = await find_blobs(connection, context)
    else:
        key, old = ContentKey.new(context), {}
    put: dict[str, str] = {}
    async with store.blobs.dropped_on_failure(put.values()):
        put[REPLY_PDF] = await store.blobs.put_bytes(pdf, key)
        for number, page in enumerate(sent, start=1):
            put[reply_picture_part(number)] = await store.blobs.put_bytes(page.picture, key)
            if page.untouched is not None:
                put[reply_untouched_part(number)] = await store.blobs.put_bytes(page.untouched, key)
    transcript = Transcript(
        pages=tuple(page.lines for page in sent),
        by_person=tuple(number for number, page in enumerate(reply.pages, 1) if page.reading.by_person),
        missing=reply.missing,
        ticks=reply.ticks,
        forwarded=reply.forwarded,
    )
    sealed = key.encrypt(transcript.model_dump_json().encode())
    now = store.database.clock()
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(put.values()):
        # Also the letter to which pages are given that this reply has too.
        holder = sa.select(replies.c.letter_id).where(replies.c.id == reply.pages_of).scalar_subquery()
        held = sa.select(letters.c.id, letters.c.state).where(letters.c.id.in_([reply.letter_id, holder]))
        states = {row.id: row.state for row in await connection.execute(held.order_by(letters.c.id).with_for_update())}
        await connection.execute(sa.select(replies.c.id).where(replies.c.id == reply.id).with_for_update())
        if (await to_assemble(connection, reply.id, office)).content != reply.content:
            raise ReplyChangedError
        if anew:
            this = (blobs.c.record == context.kind, blobs.c.record_id == context.id)
            await connection.execute(sa.delete(blobs).where(*this))
        else:
            await save_key(connection, key, [store.office, reply.inbox])
        for part, blob_id in put.items():
            await name_blob(connection, context, part, blob_id)
        values: dict[str, Any] = {"transcript": sealed, "stale": False}
        if anew:
            await connection.execute(
                sa.update(replies).where(replies.c.id == reply.id).values(**values, **FREE, **FRESH)
            )
            await note(connection, Record.REPLY, reply.id, by=WORKER, at=now, reason=CORRECTED)
        else:
            await move(connection, Record.REPLY, reply.id, ReplyState.RELEASED, by=WORKER, at=now, **values)
            # What answers another letter proves nothing about this one.
            unproved = {LetterState.APPROVED, LetterState.PRINTED, LetterState.POSTED}
            if not reply.forwarded and states[reply.letter_id] in unproved:
                await move(connection, Record.LETTER, reply.letter_id, LetterState.DELIVERED, by=WORKER, at=now)
    for blob_id in old.values():
        await store.blobs.delete(blob_id)


def _group(reply_id: str) -> sa.ColumnElement[bool]:
    """The reply that holds the pages, and those to others that have the same; without those that are no more."""
    alive = replies.c.state.not_in([ReplyState.VOID, ReplyState.ERASED])
    return sa.and_(sa.or_(replies.c.id == reply_id, replies.c.pages_of == reply_id), alive)


async def _held(connection: AsyncConnection, reply_id: str) -> list[str]:
    """The replies of the group, which wait for a person. Raises ReplyNotHeldError."""
    query = sa.select(replies.c.id, replies.c.state).where(_group(reply_id)).order_by(replies.c.id).with_for_update()
    group = (await connection.execute(query)).all()
    if not group or any(row.state != ReplyState.HELD for row in group):
        raise ReplyNotHeldError
    return [row.id for row in group]


async def _placed(connection: AsyncConnection, page_id: str) -> sa.Row[Any]:
    """The row of a page that is in a reply. Raises PageNotPlacedError."""
    row = (await connection.execute(sa.select(pages).where(pages.c.id == page_id).with_for_update())).one_or_none()
    if row is None or row.state != PageState.PLACED:
        raise PageNotPlacedError
    return row


async def _pages(connection: AsyncConnection, reply_id: str, key: ContentKey) -> tuple[ReplyPage, ...]:
    rows = await connection.execute(
        sa.select(pages)
        .where(pages.c.reply_id == reply_id)
        .order_by(sa.func.coalesce(pages.c.sheet, 0), sa.func.coalesce(pages.c.side, ""), pages.c.number)
    )
    return tuple(
        ReplyPage(
            row.id,
            row.number,
            row.sheet,
            Side(row.side) if row.side else None,
            row.method,
            row.by_hand,
            Reading.opened(row.reading, key, row.number),
            opened_boxes(row.covered, key, row.number),
        )
        for row in rows
    )


async def _missing(connection: AsyncConnection, reply_id: str) -> tuple[tuple[int, Side], ...]:
    """The sides that should be in a reply too; what came in another scan, or is blank, is not missing."""
    its = sa.select(pages.c.code).where(pages.c.reply_id == reply_id)
    known = pages.c.state.in_([PageState.PLACED, PageState.VOID])
    rows = await connection.execute(
        sa.select(pages.c.sheet, pages.c.side).where(pages.c.code.in_(its), known, pages.c.side.is_not(None))
    )
    return missing_sides((row.sheet, Side(row.side)) for row in rows)

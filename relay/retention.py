"""The clocks: what is stored is destroyed when its time is over, and later its rows go too.

What waits for a person, or is on its way, has no clock.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Retention
from relay.domain.events import DESTROYED
from relay.domain.lives import WORKER, BatchState, LetterState, MailState, PageState, Record, ReplyState, ScanState
from relay.domain.reasons import PageDoubt
from relay.mail.incoming import IncomingState, incoming_context
from relay.mail.lost_links import OFFERED_FOR, LinkState
from relay.sealing import ContentKey, Context, PrivateKey, PublicKey, SealBrokenError
from relay.store import erasing
from relay.store.letters import letter_context, read_body, settled
from relay.store.sealed import Store
from relay.store.tables import (
    ADDRESSED,
    KEPT,
    ON_HEAP,
    Moment,
    batches,
    blobs,
    blocks,
    conversations,
    decisions,
    enclosures,
    envelopes,
    hourly_counts,
    inboxes,
    incoming,
    letters,
    link_requests,
    outbox,
    pages,
    replies,
    reprints,
    scans,
    suppressions,
    ticks,
)
from relay.store.transitions import move, note

AT_ONCE: Final = 100
"""Rows of one kind that are looked for in one round: nobody waits long for the database meanwhile."""
EVERY: Final = datetime.timedelta(hours=1)
BATCH_KEPT: Final = datetime.timedelta(days=7)
"""How long the pages of a posted batch are kept, for a sheet that was spoiled; later a copy is made from the letter."""
COUNTED_FOR: Final = datetime.timedelta(days=2)
"""How long counts by the hour are kept."""

STOPPED: Final = (LetterState.REFUSED, LetterState.WITHDRAWN, LetterState.RETURNED)
OUT: Final = (LetterState.POSTED, LetterState.DELIVERED, LetterState.BEGUN)
"""States in which an answer may still come: the address is kept for it."""
UNFINISHED: Final = (ReplyState.OPEN, ReplyState.HELD, ReplyState.CHECKED)

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Done:
    """How much of each kind was destroyed."""

    letters: int = 0
    addresses: int = 0
    replies: int = 0
    pages: int = 0
    """That waited for a person."""
    scans: int = 0
    mails: int = 0
    """That came in."""
    batches: int = 0
    records: int = 0
    """Rows of which only times were left."""
    files: int = 0

    def __add__(self, other: Done) -> Done:
        """Both together."""
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Done(*(one + another for one, another in zip(mine, theirs, strict=True)))


def keeping_clocks(store: Store, settings: Retention, office: PrivateKey) -> Callable[[str], Awaitable[bool]]:
    """The job of the worker: round after round until nothing is due, then again in an hour."""
    next_at: datetime.datetime | None = None

    async def keep(owner: str) -> bool:
        nonlocal next_at
        del owner
        now = store.database.clock()
        if next_at is not None and now < next_at:
            return False
        if await run(store, settings, office) != Done():
            return True
        next_at = now + EVERY
        return False

    return keep


async def run(store: Store, settings: Retention, office: PrivateKey) -> Done:
    """One round: destroy what is due, at most AT_ONCE of each kind."""
    clock = _Clock(store, settings, office)
    done = Done(
        letters=await clock.letters(),
        addresses=await clock.addresses(),
        replies=await clock.replies(),
        pages=await clock.pages(),
        scans=await clock.scans(),
        mails=await clock.mails(),
        batches=await clock.batches(),
        records=await clock.records(),
        files=await erasing.remove_files(store),
    )
    if done != Done():
        await store.database.forget()
    return done


class _Clock:
    """The clocks at one moment."""

    def __init__(self, store: Store, settings: Retention, office: PrivateKey) -> None:
        self._store, self._settings, self._office = store, settings, office
        self._now = store.database.clock()

    def _before(self, days: int) -> datetime.datetime:
        return self._now - datetime.timedelta(days=days)

    async def _each(
        self, query: sa.Select[Any], do: Callable[[AsyncConnection, Any], Awaitable[None]], *, of: sa.Table
    ) -> int:
        """Do this to the rows that a query finds, in one transaction. Nothing is locked where there are none."""
        async with self._store.database.reading() as connection:
            if (await connection.execute(query.limit(1))).first() is None:
                return 0
        async with self._store.database.writing() as connection:
            due = query.limit(AT_ONCE).with_for_update(of=of, skip_locked=True)
            found = (await connection.execute(due)).all()
            for row in found:
                await do(connection, row)
        return len(found)

    # --- letters

    def _letters_due(self) -> sa.Select[Any]:
        settings = self._settings
        stopped, over = self._before(settings.stopped_letters), self._before(settings.letters)
        printed_again = sa.exists().where(
            reprints.c.letter_id == letters.c.id,
            reprints.c.batch_id == batches.c.id,
            batches.c.state.in_([BatchState.OPEN, BatchState.RENDERED]),
        )
        ended = sa.or_(
            letters.c.state == LetterState.EXPIRED,
            sa.and_(letters.c.state.in_(STOPPED), letters.c.state_since < stopped, settled(sa.literal(self._now))),
            sa.and_(letters.c.state == LetterState.CHANGES_REQUESTED, letters.c.state_since < over),
            sa.and_(letters.c.state.in_(OUT), letters.c.state_since < over, ~_answered_since(over)),
        )
        waits = sa.or_(letters.c.asked_again_at.is_not(None), printed_again)
        return sa.select(letters.c.id, letters.c.state).where(KEPT, ended, ~waits).order_by(letters.c.state_since)

    async def letters(self) -> int:
        """Destroy what was written. Of letters that may still be answered the address is left."""
        async with self._store.database.reading() as connection:
            due = (await connection.execute(self._letters_due().limit(AT_ONCE))).all()
            left = {row.id: await self._address_left(connection, row.id) for row in due if row.state in OUT}
        if not due:
            return 0
        done = 0
        async with self._store.database.writing() as connection:
            again = self._letters_due().where(letters.c.id.in_([row.id for row in due]))
            for row in (await connection.execute(again.with_for_update(of=letters, skip_locked=True))).all():
                kept = left.get(row.id)
                if kept is not None and kept.inbox != await _inbox_key(connection, row.id):
                    continue  # the inbox got another key meanwhile
                body, wraps = (kept.body, kept.wraps) if kept else (b"", None)
                await erasing.destroy_letter(connection, row.id, self._now, body, wraps)
                if row.state == LetterState.CHANGES_REQUESTED:  # nobody changed it; it waits for nobody any more
                    await move(connection, Record.LETTER, row.id, LetterState.ERASED, by=WORKER, at=self._now)
                else:
                    await note(connection, Record.LETTER, row.id, by=WORKER, at=self._now, reason=DESTROYED)
                done += 1
        return done

    async def _address_left(self, connection: AsyncConnection, letter_id: str) -> _Left | None:
        """The body of a letter with nothing but the address, sealed anew; None where it has none."""
        try:
            body = await read_body(connection, letter_id, self._office)
        except (SealBrokenError, ValueError):
            return None
        if body.address is None:
            return None
        inbox = await _inbox_key(connection, letter_id)
        key = ContentKey.new(letter_context(letter_id))
        bare = type(body)(text="", printed_name="", address=body.address)
        wraps = key.wrap([self._store.office, PublicKey(inbox)])
        return _Left(key.encrypt(bare.model_dump_json().encode()), wraps, inbox)

    async def addresses(self) -> int:
        """Destroy the addresses of letters to which no answer has come for as long as answers are kept."""
        over = self._before(self._settings.replies)
        due = sa.select(letters.c.id).where(ADDRESSED, letters.c.state_since < over, ~_answered_since(over))

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_letter(connection, row.id, self._now)

        return await self._each(due.order_by(letters.c.state_since), destroy, of=letters)

    # --- replies, pages and files

    async def replies(self) -> int:
        """Destroy replies that their senders had long enough."""
        over = self._before(self._settings.replies)
        void = self._before(self._settings.scans)
        due = sa.or_(
            sa.and_(replies.c.state == ReplyState.RELEASED, replies.c.state_since < over, ~replies.c.stale),
            sa.and_(replies.c.state == ReplyState.VOID, replies.c.state_since < void),
        )

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_reply(connection, row.id, self._now)

        query = sa.select(replies.c.id).where(KEPT, due).order_by(replies.c.state_since)
        return await self._each(query, destroy, of=replies)

    async def pages(self) -> int:
        """Destroy pages that nobody could place, and those that answer erased conversations."""
        erased = sa.and_(
            pages.c.doubt == PageDoubt.ERASED, pages.c.state_since < self._before(self._settings.erased_replies)
        )
        due = sa.or_(erased, pages.c.state_since < self._before(self._settings.pages))

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_waiting_page(connection, row.id, self._now)

        return await self._each(
            sa.select(pages.c.id).where(ON_HEAP, due).order_by(pages.c.state_since), destroy, of=pages
        )

    async def scans(self) -> int:
        """Destroy files all of whose pages found their place, and those that were never readable."""
        over, unread = self._before(self._settings.scans), self._before(self._settings.pages)
        its_page, its_reply = pages.c.scan_id == scans.c.id, replies.c.scan_id == scans.c.id
        at_work = sa.or_(
            pages.c.state.in_([PageState.WAITING, PageState.UNMATCHED, PageState.HELD]), pages.c.state_since >= over
        )
        unfinished = sa.or_(replies.c.state.in_(UNFINISHED), replies.c.stale, replies.c.state_since >= over)
        asked = sa.exists().where(its_page, ticks.c.page_id == pages.c.id, ticks.c.settled_at.is_(None))
        attached = scans.alias()
        needed = sa.or_(
            sa.exists().where(its_page, at_work),
            sa.exists().where(its_reply, unfinished),
            asked,
            sa.exists().where(attached.c.came_in == scans.c.id, attached.c.destroyed_at.is_(None)),
        )
        due = sa.or_(
            sa.and_(scans.c.state == ScanState.REJECTED, scans.c.state_since < unread),
            sa.and_(scans.c.state == ScanState.SPLIT, scans.c.state_since < over, ~needed),
        )

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_scan(connection, row.id, self._now)

        query = sa.select(scans.c.id).where(KEPT, due).order_by(scans.c.state_since)
        return await self._each(query, destroy, of=scans)

    async def mails(self) -> int:
        """Destroy mails that came in; those that wait for a person have as long as pages that do."""
        waits = incoming.c.state == IncomingState.UNKNOWN
        over = sa.case(
            (waits, sa.literal(self._before(self._settings.pages), Moment())),
            else_=sa.literal(self._before(self._settings.mails), Moment()),
        )
        due = (incoming.c.destroyed_at.is_(None), incoming.c.state != IncomingState.RECEIVED)

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_content(connection, incoming_context(row.id))
            gone = sa.update(incoming).where(incoming.c.id == row.id)
            settled = sa.case((waits, IncomingState.SETTLED), else_=incoming.c.state)
            await connection.execute(gone.values(destroyed_at=self._now, state=settled))

        return await self._each(
            sa.select(incoming.c.id).where(*due, incoming.c.state_since < over), destroy, of=incoming
        )

    async def batches(self) -> int:
        """Destroy the pages of batches that are posted; at once where a letter in them was erased."""
        of_batch = (blobs.c.record == Record.BATCH, blobs.c.record_id == batches.c.id)
        again = sa.select(reprints.c.letter_id).where(reprints.c.batch_id == batches.c.id)
        inside = sa.or_(letters.c.batch_id == batches.c.id, letters.c.id.in_(again))
        erased = sa.exists().where(inside, letters.c.state == LetterState.ERASED)
        kept = sa.exists().where(inside, letters.c.destroyed_at.is_(None))
        old = batches.c.state_since < self._now - BATCH_KEPT
        due = sa.or_(sa.and_(batches.c.state == BatchState.POSTED, sa.or_(old, erased)), ~kept)

        async def destroy(connection: AsyncConnection, row: Any) -> None:
            await erasing.destroy_content(connection, Context(Record.BATCH, row.id))

        rendered = batches.c.state != BatchState.OPEN
        return await self._each(
            sa.select(batches.c.id).join(blobs, sa.and_(*of_batch)).where(rendered, due), destroy, of=batches
        )

    # --- rows

    async def records(self) -> int:
        """Delete rows whose content was destroyed long ago: first replies, then what they stood on."""
        over, now = self._before(self._settings.records), self._now

        def forgetting(step: Callable[[AsyncConnection, str, datetime.datetime], Awaitable[None]]) -> Any:
            async def forget(connection: AsyncConnection, row: Any) -> None:
                await step(connection, row.id, now)

            return forget

        its_scan = sa.exists().where(scans.c.id == replies.c.scan_id, scans.c.destroyed_at < over)
        done = await self._each(
            sa.select(replies.c.id).where(replies.c.destroyed_at < over, its_scan).order_by(replies.c.destroyed_at),
            forgetting(erasing.forget_reply),
            of=replies,
        )
        attached = scans.alias()
        needed = sa.or_(
            sa.exists().where(replies.c.scan_id == scans.c.id),
            sa.exists().where(attached.c.came_in == scans.c.id),
        )
        done += await self._each(
            sa.select(scans.c.id).where(scans.c.destroyed_at < over, ~needed).order_by(scans.c.destroyed_at),
            forgetting(erasing.forget_scan),
            of=scans,
        )
        blocked = sa.exists().where(decisions.c.letter_id == letters.c.id, blocks.c.decision_id == decisions.c.id)
        answered = sa.exists().where(replies.c.letter_id == letters.c.id)
        done += await self._each(
            sa.select(letters.c.id)
            .where(letters.c.destroyed_at < over, sa.func.length(letters.c.body) == 0, ~answered, ~blocked)
            .order_by(letters.c.destroyed_at),
            forgetting(erasing.forget_letter),
            of=letters,
        )
        return done + await self._plain_rows(over)

    async def _plain_rows(self, over: datetime.datetime) -> int:
        """Delete rows that have no life of their own."""
        ended = outbox.c.state.in_([MailState.SENT, MailState.DROPPED, MailState.BOUNCED])
        empty = ~sa.exists().where(enclosures.c.envelope_id == envelopes.c.id)
        over_with = sa.or_(link_requests.c.state == LinkState.OFFERED, link_requests.c.set_aside_at.is_not(None))
        offered = (over_with, link_requests.c.created_at < self._now - OFFERED_FOR)
        due: Sequence[tuple[sa.Table, Sequence[Condition]]] = (
            (incoming, (incoming.c.destroyed_at < over,)),
            (outbox, (ended, outbox.c.created_at < over)),
            (envelopes, (envelopes.c.created_at < over, empty)),
            (suppressions, (suppressions.c.since < over,)),
            (link_requests, offered),
            (hourly_counts, (hourly_counts.c.hour < self._now - COUNTED_FOR,)),
        )
        done = 0
        for table, which in due:
            key = sa.tuple_(*table.primary_key) if len(table.primary_key) > 1 else next(iter(table.primary_key))
            chosen = sa.select(*table.primary_key).where(*which).limit(AT_ONCE)
            async with self._store.database.reading() as connection:
                if (await connection.execute(chosen.limit(1))).first() is None:
                    continue
            async with self._store.database.writing() as connection:
                done += (await connection.execute(sa.delete(table).where(key.in_(chosen)))).rowcount
        return done


@dataclass(frozen=True, slots=True)
class _Left:
    body: bytes
    wraps: dict[str, bytes]
    inbox: bytes
    """The public key to which it is sealed."""


async def _inbox_key(connection: AsyncConnection, letter_id: str) -> bytes:
    query = (
        sa.select(inboxes.c.public_key)
        .join(conversations, conversations.c.inbox_id == inboxes.c.id)
        .join(letters, letters.c.conversation_id == conversations.c.id)
        .where(letters.c.id == letter_id)
    )
    public_key: bytes = (await connection.execute(query)).scalar_one()
    return public_key


def _answered_since(since: datetime.datetime) -> Condition:
    """The condition that a letter has a reply that came since then, or is not at its end."""
    fresh = sa.or_(replies.c.state.in_(UNFINISHED), replies.c.state_since >= since)
    return sa.exists().where(replies.c.letter_id == letters.c.id, replies.c.state != ReplyState.VOID, fresh)

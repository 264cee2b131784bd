"""What the scanning changes in files and pages: files are taken in and split, pages placed, by code or by hand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import WORKER, Actor, LetterState, PageState, Record, ReplyState, ScanState, Who
from relay.domain.reasons import PageDoubt
from relay.domain.scan_parts import ORIGINAL, page_picture, page_untouched
from relay.sealing import ContentKey, Context, PrivateKey
from relay.store import leases
from relay.store.database import alone, new_id
from relay.store.letters import is_rendered, on_card_with, ordered_by
from relay.store.sealed import Store, name_blob, save_key
from relay.store.tables import letters, pages, replies, scans
from relay.store.transitions import NotThereError, begin, move, note
from relay.store.work import ChangedMeanwhileError
from scanner.codes import PageCodes
from scanner.limits import GOES_AGAIN, Reason
from scanner.matching import Circumstances, answerable, clashing_backs, not_erased, placing
from scanner.reading import Reading, scan_key
from scanner.tick_steps import note_ticks

CAME_AGAIN: Final = "came_again"
"""The reason in the event of a scan whose bytes came once more."""


class Source(StrEnum):
    """How a file came."""

    UPLOAD = "upload"
    FOLDER = "folder"
    MAIL = "mail"
    """In a mail; the mail itself is kept as a scan too."""
    SCANNER = "scanner"
    COMMAND = "command"


def is_file() -> sa.ColumnElement[bool]:
    """The condition that a scan is a file with pages, and not the mail in which such files came."""
    return sa.or_(scans.c.source != Source.MAIL, scans.c.came_in.is_not(None))


class PageNotOpenError(Exception):
    """The page does not wait for a person, or the letter cannot have an answer."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A received file; `known` where the same bytes had come before: then it is the scan that they are."""

    scan_id: str
    known: bool


async def take_in(
    store: Store,
    data: AsyncIterator[bytes],
    name: str,
    by: Actor,
    *,
    source: Source = Source.UPLOAD,
    facility_id: str | None = None,
    came_in: str | None = None,
) -> TakenIn:
    """Store a file as it came, before anything looks at it. The same bytes again give the scan that is there.

    All its pages are from the facility where one is given; `came_in` is the mail that it was attached to.
    """
    scan_id = new_id()
    key = ContentKey.new(Context(Record.SCAN, scan_id))
    digest = hashlib.sha256()

    async def hashed() -> AsyncIterator[bytes]:
        async for chunk in data:
            digest.update(chunk)
            yield chunk

    blob_id = await store.blobs.put(hashed(), key)
    now = store.database.clock()
    async with store.database.writing() as connection, store.blobs.dropped_on_failure([blob_id]):
        await alone(connection, digest.hexdigest())
        known: str | None = (
            await connection.execute(sa.select(scans.c.id).where(scans.c.sha256 == digest.hexdigest()))
        ).scalar_one_or_none()
        if known is None:
            await begin(
                connection,
                Record.SCAN,
                ScanState.RECEIVED,
                by=by,
                at=now,
                id=scan_id,
                sha256=digest.hexdigest(),
                created_at=now,
                name=key.encrypt(name.encode(errors="replace"), "name"),  # a name on a disk may be no Unicode
                source=source,
                facility_id=facility_id,
                came_in=came_in,
            )
            await save_key(connection, key, [store.office])
            await name_blob(connection, key.context, ORIGINAL, blob_id)
        else:
            await note(connection, Record.SCAN, known, by=by, at=now, reason=CAME_AGAIN)
    if known is not None:
        await store.blobs.delete(blob_id)
        return TakenIn(known, known=True)
    return TakenIn(scan_id, known=False)


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page of a scan with all that was found on it; its pictures are stored already."""

    number: int
    reading: Reading
    picture: str
    """Id of the blob."""
    untouched: str
    """Id of the blob with the page as it came."""

    @property
    def blobs(self) -> list[str]:
        """Ids of all its blobs."""
        return [self.picture, self.untouched]


async def note_count(store: Store, scan_id: str, count: int) -> None:
    """Note how many pages a scan has, so that its progress can be shown."""
    async with store.database.writing() as connection:
        await connection.execute(sa.update(scans).where(scans.c.id == scan_id).values(page_count=count))


async def read_already(connection: AsyncConnection, scan_id: str) -> frozenset[int]:
    """The numbers of the pages that were read before the reading of their scan was interrupted."""
    return frozenset(await connection.scalars(sa.select(pages.c.number).where(pages.c.scan_id == scan_id)))


async def keep_page(store: Store, scan_id: str, owner: str, key: ContentKey, page: ReadPage) -> None:
    """Note a page that was read; it is placed together with the others of its scan. Raises LeaseLostError."""
    now = store.database.clock()
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(page.blobs):
        await leases.check(connection, scans, scan_id, owner, now)
        await begin(
            connection,
            Record.PAGE,
            PageState.WAITING,
            by=WORKER,
            at=now,
            scan_id=scan_id,
            number=page.number,
            reading=page.reading.sealed(key, page.number),
        )
        await name_blob(connection, key.context, page_picture(page.number), page.picture)
        await name_blob(connection, key.context, page_untouched(page.number), page.untouched)


async def waiting_readings(connection: AsyncConnection, scan_id: str, key: ContentKey) -> dict[int, Reading]:
    """What was read from the pages of a scan that are not placed yet, by their numbers. Raises SealBrokenError."""
    waiting = (pages.c.scan_id == scan_id, pages.c.state == PageState.WAITING)
    rows = await connection.execute(sa.select(pages.c.number, pages.c.reading).where(*waiting).order_by(pages.c.number))
    return {row.number: Reading.opened(row.reading, key, row.number) for row in rows}


async def place(store: Store, scan_id: str, owner: str, key: ContentKey, readings: Mapping[int, Reading]) -> None:
    """Place the pages of a scan, each in a reply or before a person; the readings are stored with them anew.

    Raises LeaseLostError.
    """
    now = store.database.clock()
    codes = {number: reading.codes for number, reading in readings.items()}
    clashing = clashing_backs(codes)
    async with store.database.writing() as connection:
        await leases.check(connection, scans, scan_id, owner, store.database.clock())
        await move(connection, Record.SCAN, scan_id, ScanState.SPLIT, by=WORKER, at=now)
        facility_id = await connection.scalar(sa.select(scans.c.facility_id).where(scans.c.id == scan_id))
        # The same page in two files that are placed at the same moment has to be seen by one of them.
        for code in sorted({page.agreed.code for page in codes.values() if page.agreed}):
            await alone(connection, code)
        rows = await connection.execute(sa.select(pages.c.id, pages.c.number).where(pages.c.scan_id == scan_id))
        for page_id, number in sorted(rows.all(), key=lambda row: row.number):
            reading = readings[number]
            about = Circumstances(
                seen=await _seen(connection, reading.codes),
                blank=reading.blank,
                tick_side=reading.tick_side,
                clashes=number in clashing,
                facility_id=facility_id,
            )
            values = {"reading": reading.sealed(key, number)}
            await _place_by_code(connection, store, scan_id, page_id, reading, about, values)


async def reject(store: Store, scan_id: str, owner: str, reason: Reason) -> None:
    """Note that a file is no scan; the original is kept. Raises LeaseLostError."""
    async with store.database.writing() as connection:
        await leases.check(connection, scans, scan_id, owner, store.database.clock())
        now = store.database.clock()
        await move(connection, Record.SCAN, scan_id, ScanState.REJECTED, by=WORKER, at=now, reason=reason)


async def try_again(store: Store, scan_id: str, volunteer_id: str) -> None:
    """Read a file again that was set aside or went over a limit, and assemble its replies that were set aside.

    Raises NotThereError.
    """
    async with store.database.writing() as connection:
        row = (await connection.execute(sa.select(scans).where(scans.c.id == scan_id).with_for_update())).one_or_none()
        if row is None:
            raise NotThereError
        if row.state == ScanState.REJECTED and row.reason in GOES_AGAIN:
            by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
            await move(connection, Record.SCAN, scan_id, ScanState.RECEIVED, by=by, at=now)
        await leases.try_again(connection, scans, scans.c.id == scan_id)
        await leases.try_again(connection, replies, replies.c.scan_id == scan_id)


async def _place_by_code(
    connection: AsyncConnection,
    store: Store,
    scan_id: str,
    page_id: str,
    reading: Reading,
    about: Circumstances,
    values: dict[str, Any],
) -> None:
    now = store.database.clock()
    code = reading.codes.agreed
    ordered = await ordered_by(connection, code.code) if code else []
    where = placing(reading.codes, ordered, about)
    to = [order.letter_id for order in not_erased(ordered)]
    reply_id = await _open_reply(connection, to, scan_id, WORKER, store) if where.letter_id else None
    if code is not None and reply_id is not None and await ordered_by(connection, code.code) != ordered:
        raise ChangedMeanwhileError  # its sender has just erased the conversation
    if code is not None:
        values |= {"code": code.code, "sheet": code.sheet, "side": code.side, "method": code.method}
    await move(
        connection,
        Record.PAGE,
        page_id,
        where.state,
        by=WORKER,
        at=now,
        reason=where.doubt,
        doubt=where.doubt,
        reply_id=reply_id,
        **values,
    )
    if reply_id is not None:
        await note_ticks(connection, page_id, reading.ticks, ordered[0].prisoner_id, by=WORKER, at=now)


async def _seen(connection: AsyncConnection, codes: PageCodes) -> bool:
    code = codes.agreed
    if code is None:
        return False
    same = [pages.c.code == code.code, pages.c.state.in_([PageState.PLACED, PageState.HELD, PageState.WAITING])]
    if code.sheet is not None:
        side = sa.and_(pages.c.sheet == code.sheet, pages.c.side == code.side)
        same.append(sa.or_(side, pages.c.sheet.is_(None)))
    return (await connection.execute(sa.select(pages.c.id).where(*same).limit(1))).first() is not None


async def _open_reply(connection: AsyncConnection, to: Sequence[str], scan_id: str, by: Actor, store: Store) -> str:
    """The reply to these letters in this scan, or a new one: what is released, or about to be, gets no more pages.

    Several are greetings on one card: the reply to the first holds the pages, those to the others have the same.
    """
    # Whoever looks a reply over, checks it or takes its last page out holds it: no page gets into it meanwhile.
    answers = (replies.c.scan_id == scan_id, ~replies.c.forwarded)
    these = sa.select(replies.c.id).where(*answers, replies.c.letter_id.in_(to))
    await connection.execute(these.order_by(replies.c.id).with_for_update())
    holder = sa.func.coalesce(replies.c.pages_of, replies.c.id)
    unreleased = replies.c.state.in_([ReplyState.OPEN, ReplyState.HELD])
    count, still = sa.func.count(), (replies.c.letter_id.in_(to), unreleased)
    same = sa.select(holder).where(*answers).group_by(holder)
    # Exactly these: who was on the card when the first page came need not be who is on it now.
    same = same.having(count == len(to), count.filter(*still) == len(to))
    reply_id: str | None = (await connection.execute(same)).scalar_one_or_none()
    if reply_id is not None:
        return reply_id
    now = store.database.clock()

    async def new_reply(letter_id: str, pages_of: str | None) -> str:
        return await begin(
            connection,
            Record.REPLY,
            ReplyState.OPEN,
            by=by,
            at=now,
            letter_id=letter_id,
            scan_id=scan_id,
            created_at=now,
            pages_of=pages_of,
        )

    new = await new_reply(to[0], None)
    for other in to[1:]:
        await new_reply(other, new)
    return new


async def place_by_hand(store: Store, office: PrivateKey, page_id: str, letter_id: str, volunteer_id: str) -> None:
    """Give a page that waits for a person to a letter, and to those on one card with it.

    Raises PageNotOpenError, and SealBrokenError where the page cannot be opened any more.
    """
    by = Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.writing() as connection:
        page = await _waits_for_person(connection, page_id)
        if is_for_nobody(page):
            raise PageNotOpenError
        reading = Reading.opened(page.reading, await scan_key(connection, page.scan_id, office), page.number)
        meant = [letter_id, *await on_card_with(connection, letter_id, page.code)]
        # Whoever releases a reply holds its letters: so no page gets into one that is just being released.
        rows = (
            await connection.execute(
                sa.select(letters.c.id, letters.c.prisoner_id, letters.c.state, is_rendered().label("rendered"))
                .where(letters.c.id.in_(meant))
                .order_by(letters.c.id)
                .with_for_update()
            )
        ).all()
        to = [row.id for row in rows if answerable(LetterState(row.state), rendered=row.rendered)]
        if letter_id not in to:
            raise PageNotOpenError
        reply_id = await _open_reply(connection, to, page.scan_id, by, store)
        now = store.database.clock()
        await move(connection, Record.PAGE, page_id, PageState.PLACED, by=by, at=now, reply_id=reply_id, by_hand=True)
        await note_ticks(connection, page_id, reading.ticks, rows[0].prisoner_id, by=by, at=now)


async def put_away(store: Store, page_id: str, volunteer_id: str) -> None:
    """Note that a page is nobody's answer. Raises PageNotOpenError."""
    async with store.database.writing() as connection:
        await _waits_for_person(connection, page_id)
        by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
        await move(connection, Record.PAGE, page_id, PageState.VOID, by=by, at=now)


async def take_back(store: Store, page_id: str, volunteer_id: str) -> None:
    """Put a page on the heap again that was taken for empty, or put away. Raises PageNotOpenError."""
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    async with store.database.writing() as connection:
        page = (await connection.execute(sa.select(pages).where(pages.c.id == page_id).with_for_update())).one_or_none()
        if page is None or page.state != PageState.VOID or page.reading is None:  # its time is over
            raise PageNotOpenError
        await move(connection, Record.PAGE, page_id, PageState.UNMATCHED, by=by, at=now)


def is_for_nobody(page: sa.Row[Any]) -> bool:
    """Whether its code says that a page answers an erased letter. One without a code may still be another's."""
    return page.doubt == PageDoubt.ERASED and page.code is not None


async def _waits_for_person(connection: AsyncConnection, page_id: str) -> sa.Row[Any]:
    """The row of the page."""
    row = (await connection.execute(sa.select(pages).where(pages.c.id == page_id).with_for_update())).one_or_none()
    if row is None or row.state not in {PageState.UNMATCHED, PageState.HELD}:
        raise PageNotOpenError
    return row

"""What the scanning changes: files are taken in, split into pages, pages placed, replies released."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import Transcript, Word
from relay.domain.lives import WORKER, Actor, LetterState, PageState, Record, ReplyState, ScanState, Who
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import ReplyCode
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part
from relay.sealing import ContentKey, Context, PrivateKey, PublicKey
from relay.store import leases
from relay.store.database import alone, new_id
from relay.store.letters import is_rendered, on_card_with, ordered_by
from relay.store.sealed import Store, load_key, name_blob, save_key
from relay.store.tables import conversations, inboxes, letters, pages, replies, scans
from relay.store.transitions import NotThereError, begin, move
from relay.store.work import ChangedMeanwhileError
from scanner.codes import PageCodes
from scanner.limits import GOES_AGAIN, Reason
from scanner.matching import answerable, placing

ORIGINAL: Final = "original"


class PageNotOpenError(Exception):
    """The page does not wait for a person, or the letter cannot have an answer."""


class PagesChangedError(ChangedMeanwhileError):
    """A page came to the reply while it was assembled; it is assembled again."""


def page_picture(number: int) -> str:
    """The part of a scan that is the cleaned picture of a page."""
    return f"page-{number}.jpg"


def page_text(number: int) -> str:
    """The part of a scan that is the invisible text layer of a page."""
    return f"page-{number}.text.pdf"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A received file; `known` where the same bytes had come before."""

    scan_id: str
    known: bool


async def take_in(store: Store, data: AsyncIterator[bytes], name: str, by: Actor) -> TakenIn:
    """Store a file as it came, before anything looks at it. The same bytes again give the scan that is there."""
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
            )
            await save_key(connection, key, [store.office])
            await name_blob(connection, key.context, ORIGINAL, blob_id)
    if known is not None:
        await store.blobs.delete(blob_id)
        return TakenIn(known, known=True)
    return TakenIn(scan_id, known=False)


class Reading(BaseModel):
    """What was read from a page, sealed to the office until its reply is made."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[tuple[Word, ...], ...]
    suggested: tuple[str, ...]
    """Reply codes to show to a person."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page of a scan with all that was found on it; its pictures are stored already."""

    number: int
    codes: PageCodes
    lines: tuple[tuple[Word, ...], ...]
    picture: str
    """Id of the blob."""
    text: str | None
    """Id of the blob with the text layer."""

    @property
    def blobs(self) -> list[str]:
        """Ids of all its blobs."""
        return [self.picture, *([self.text] if self.text else [])]


async def split(store: Store, scan_id: str, owner: str, key: ContentKey, read: Sequence[ReadPage]) -> None:
    """Note the pages of a scan and place each: in a reply, or before a person. Raises LeaseLostError."""
    now = store.database.clock()
    blobs = [blob_id for page in read for blob_id in page.blobs]
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(blobs):
        await leases.check(connection, scans, scan_id, owner, store.database.clock())
        await move(connection, Record.SCAN, scan_id, ScanState.SPLIT, by=WORKER, at=now)
        # The same page in two files that are split at the same moment has to be seen by one of them.
        for code in sorted({page.codes.agreed.code for page in read if page.codes.agreed}):
            await alone(connection, code)
        for page in read:
            await _place_by_code(connection, store, scan_id, key, page)


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
    connection: AsyncConnection, store: Store, scan_id: str, key: ContentKey, page: ReadPage
) -> None:
    now = store.database.clock()
    code = page.codes.agreed
    ordered = await ordered_by(connection, code.code) if code else []
    place = placing(page.codes, ordered, seen=await _seen(connection, page.codes))
    reading = Reading(lines=page.lines, suggested=page.codes.suggested)
    page_id = await begin(
        connection,
        Record.PAGE,
        PageState.WAITING,
        by=WORKER,
        at=now,
        scan_id=scan_id,
        number=page.number,
        code=code.code if code else None,
        sheet=code.sheet if code else None,
        side=code.side if code else None,
        method=code.method if code else None,
        doubt=place.doubt,
        reading=key.encrypt(reading.model_dump_json().encode(), f"reading {page.number}"),
    )
    await name_blob(connection, key.context, page_picture(page.number), page.picture)
    if page.text is not None:
        await name_blob(connection, key.context, page_text(page.number), page.text)
    to = [order.letter_id for order in ordered]
    reply_id = await _open_reply(connection, to, scan_id, WORKER, store) if place.letter_id else None
    await move(connection, Record.PAGE, page_id, place.state, by=WORKER, at=now, reason=place.doubt, reply_id=reply_id)


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
    """The open reply to these letters in this scan, or a new one: what was released gets no more pages.

    Several are greetings on one card: the reply to the first holds the pages, those to the others have the same.
    """
    holder = sa.func.coalesce(replies.c.pages_of, replies.c.id)
    count, still = sa.func.count(), (replies.c.letter_id.in_(to), replies.c.state == ReplyState.OPEN)
    same = sa.select(holder).where(replies.c.scan_id == scan_id).group_by(holder)
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


async def place_by_hand(store: Store, page_id: str, letter_id: str, volunteer_id: str) -> None:
    """Give a page that waits for a person to a letter, and to those on one card with it. Raises PageNotOpenError."""
    by = Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.writing() as connection:
        scan_id, code = await _waits_for_person(connection, page_id)
        meant = [letter_id, *await on_card_with(connection, letter_id, code)]
        # Whoever releases a reply holds its letters: so no page gets into one that is just being released.
        rows = await connection.execute(
            sa.select(letters.c.id, letters.c.state, is_rendered().label("rendered"))
            .where(letters.c.id.in_(meant))
            .order_by(letters.c.id)
            .with_for_update()
        )
        to = [row.id for row in rows if answerable(LetterState(row.state), rendered=row.rendered)]
        if letter_id not in to:
            raise PageNotOpenError
        reply_id = await _open_reply(connection, to, scan_id, by, store)
        now = store.database.clock()
        await move(connection, Record.PAGE, page_id, PageState.PLACED, by=by, at=now, reply_id=reply_id)


async def put_away(store: Store, page_id: str, volunteer_id: str) -> None:
    """Note that a page is nobody's answer. Raises PageNotOpenError."""
    async with store.database.writing() as connection:
        await _waits_for_person(connection, page_id)
        by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
        await move(connection, Record.PAGE, page_id, PageState.VOID, by=by, at=now)


async def _waits_for_person(connection: AsyncConnection, page_id: str) -> tuple[str, str | None]:
    """The scan of the page, and the code on it."""
    row = (
        await connection.execute(
            sa.select(pages.c.scan_id, pages.c.code, pages.c.state).where(pages.c.id == page_id).with_for_update()
        )
    ).one_or_none()
    if row is None or row.state not in {PageState.UNMATCHED, PageState.HELD}:
        raise PageNotOpenError
    return row.scan_id, row.code


@dataclass(frozen=True, slots=True)
class ReplyPage:
    """A page of an open reply."""

    id: str
    number: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class OpenReply:
    """An open reply with its pages in order and the key of the scan that they come from."""

    id: str
    pages_of: str
    """The reply that holds the pages: itself, or of a card the first one's."""
    letter_id: str
    inbox: PublicKey
    pages: tuple[ReplyPage, ...]
    scan_key: ContentKey


async def open_reply(connection: AsyncConnection, reply_id: str, office: PrivateKey) -> OpenReply:
    """What is needed to assemble a reply. Raises SealBrokenError."""
    row = (
        await connection.execute(
            sa.select(replies.c.letter_id, replies.c.scan_id, replies.c.pages_of, inboxes.c.public_key)
            .join(letters, letters.c.id == replies.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .where(replies.c.id == reply_id)
        )
    ).one()
    key = await load_key(connection, Context(Record.SCAN, row.scan_id), office)
    found = await connection.execute(
        sa.select(pages.c.id, pages.c.number, pages.c.reading)
        .where(pages.c.reply_id == (row.pages_of or reply_id))
        .order_by(sa.func.coalesce(pages.c.sheet, 0), sa.func.coalesce(pages.c.side, ""), pages.c.number)
    )
    return OpenReply(
        reply_id,
        row.pages_of or reply_id,
        row.letter_id,
        PublicKey(row.public_key),
        tuple(
            ReplyPage(
                page.id,
                page.number,
                Reading.model_validate_json(key.decrypt(page.reading, f"reading {page.number}")),
            )
            for page in found
        ),
        key,
    )


async def release(store: Store, reply: OpenReply, pdf: bytes, pictures: Sequence[bytes]) -> None:
    """Seal an assembled reply to its sender and release it: it stands in the inbox, and the mail in the outbox.

    Every page of it was placed by an undoubted code or by a person. Raises PagesChangedError.
    """
    context = Context(Record.REPLY, reply.id)
    key = ContentKey.new(context)
    blobs: dict[str, str] = {}
    async with store.blobs.dropped_on_failure(blobs.values()):
        blobs[REPLY_PDF] = await store.blobs.put_bytes(pdf, key)
        for number, picture in enumerate(pictures, start=1):
            blobs[reply_picture_part(number)] = await store.blobs.put_bytes(picture, key)
    transcript = Transcript(pages=tuple(page.reading.lines for page in reply.pages))
    now = store.database.clock()
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(blobs.values()):
        # Also the letter to which pages are given that this reply has too.
        holder = sa.select(replies.c.letter_id).where(replies.c.id == reply.pages_of).scalar_subquery()
        held = sa.select(letters.c.id, letters.c.state).where(letters.c.id.in_([reply.letter_id, holder]))
        states = {row.id: row.state for row in await connection.execute(held.order_by(letters.c.id).with_for_update())}
        state = states[reply.letter_id]
        in_it = await connection.execute(sa.select(pages.c.id).where(pages.c.reply_id == reply.pages_of))
        if {row.id for row in in_it} != {page.id for page in reply.pages}:
            raise PagesChangedError
        await save_key(connection, key, [store.office, reply.inbox])
        for part, blob_id in blobs.items():
            await name_blob(connection, context, part, blob_id)
        sealed = key.encrypt(transcript.model_dump_json().encode())
        await move(connection, Record.REPLY, reply.id, ReplyState.CHECKED, by=WORKER, at=now, transcript=sealed)
        await move(connection, Record.REPLY, reply.id, ReplyState.RELEASED, by=WORKER, at=now)
        if state in {LetterState.APPROVED, LetterState.PRINTED, LetterState.POSTED}:
            await move(connection, Record.LETTER, reply.letter_id, LetterState.DELIVERED, by=WORKER, at=now)


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

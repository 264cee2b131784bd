"""Erasing and destroying: content that nobody can open any more, conversations that nobody wrote, rows that go.

Keys are deleted with the step; the files of blobs are, too, but only after it is committed: see `remove_files`.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import DESTROYED, FORGOTTEN
from relay.domain.letters import Wants
from relay.domain.lives import SENDER, WORKER, BatchState, LetterState, PageState, Record, ReplyState
from relay.domain.reasons import PageDoubt
from relay.domain.scan_parts import ORIGINAL, page_picture, page_untouched
from relay.sealing import Context, PrivateKey, token_hash
from relay.store.database import alone, new_id
from relay.store.letters import inbox_context, letter_context
from relay.store.sealed import Store, shred
from relay.store.tables import (
    batches,
    blobs,
    content_keys,
    conversations,
    corrections,
    decisions,
    enclosures,
    envelopes,
    inboxes,
    incoming,
    letters,
    link_requests,
    monthly_counts,
    outbox,
    pages,
    replies,
    reply_order_letters,
    reply_orders,
    reprints,
    scans,
    ticks,
)
from relay.store.transitions import NotThereError, move, note

NOBODY: Final = "nobody"
"""The inbox to which erased letters belong. Nobody has its secret."""
REMOVED: Final = "removed"
"""The record of blobs whose files are to be deleted."""
FILES_AT_ONCE: Final = 100


# --- a conversation, at its sender's wish


async def erase_conversation(store: Store, lookup_hash: str, conversation_id: str) -> None:
    """Erase a conversation of the inbox that is found under this hash, at once.

    Its letters and replies become rows without content, address or owner. What was not printed is not sent; replies
    that were not released wait for the office, which destroys them. Raises NotThereError.
    """
    now = store.database.clock()
    async with store.database.writing() as connection:
        # Who adds a letter to this inbox, or gives it another key, waits here.
        await alone(connection, lookup_hash)
        ours = sa.select(conversations).join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        ours = ours.where(inboxes.c.lookup_hash == lookup_hash, conversations.c.id == conversation_id)
        conversation = (await connection.execute(ours.with_for_update())).one_or_none()
        if conversation is None:
            raise NotThereError(f"there is no conversation {conversation_id}")
        these = sa.select(letters.c.id).where(letters.c.conversation_id == conversation_id).order_by(letters.c.id)
        letter_ids = (await connection.scalars(these.with_for_update())).all()
        await _erase_replies(connection, letter_ids, now)
        await _erase_mails(connection, conversation_id, letter_ids)
        nobodys = await _nobodys_conversation(connection, conversation.prisoner_id)
        for letter_id in letter_ids:
            await _erase_letter(connection, letter_id, nobodys, now)
        await connection.execute(sa.delete(conversations).where(conversations.c.id == conversation_id))
        await _delete_empty_inbox(connection, conversation.inbox_id)
    await remove_files(store)
    await store.database.forget()


async def _nobodys_conversation(connection: AsyncConnection, prisoner_id: str) -> str:
    await alone(connection, NOBODY)
    if (await connection.execute(sa.select(inboxes.c.id).where(inboxes.c.id == NOBODY))).first() is None:
        await connection.execute(
            sa.insert(inboxes).values(
                id=NOBODY,
                lookup_hash=token_hash(secrets.token_urlsafe(32)),
                public_key=PrivateKey.new().public.data,  # whose other half is gone with this line
                secret=b"",
                address_tag="",
            )
        )
    its = (conversations.c.inbox_id == NOBODY, conversations.c.prisoner_id == prisoner_id)
    found: str | None = await connection.scalar(sa.select(conversations.c.id).where(*its))
    if found is None:
        found = new_id()
        await connection.execute(sa.insert(conversations).values(id=found, inbox_id=NOBODY, prisoner_id=prisoner_id))
    return found


async def _erase_letter(connection: AsyncConnection, letter_id: str, nobodys: str, at: datetime.datetime) -> None:
    await destroy_letter(connection, letter_id, at)
    open_batches = sa.select(batches.c.id).where(batches.c.state == BatchState.OPEN)
    again = (reprints.c.letter_id == letter_id, reprints.c.batch_id.in_(open_batches))
    await connection.execute(sa.delete(reprints).where(*again))
    await connection.execute(
        sa.update(letters).where(letters.c.id == letter_id, letters.c.batch_id.in_(open_batches)).values(batch_id=None)
    )
    await move(
        connection,
        Record.LETTER,
        letter_id,
        LetterState.ERASED,
        by=SENDER,
        at=at,
        conversation_id=nobodys,
        wants=Wants.NOTHING,
        asked_again_at=None,
    )


async def _erase_mails(connection: AsyncConnection, conversation_id: str, letter_ids: Sequence[str]) -> None:
    """Delete the mails about these letters, sent or not, and those that came in about them."""
    of_ours = sa.select(outbox.c.id).where(outbox.c.letter_id.in_(letter_ids))
    about = sa.or_(incoming.c.conversation_id == conversation_id, incoming.c.mail_id.in_(of_ours))
    came_in = (await connection.scalars(sa.select(incoming.c.id).where(about))).all()
    for incoming_id in came_in:
        await destroy_content(connection, Context("incoming", incoming_id))
    await connection.execute(sa.delete(incoming).where(incoming.c.id.in_(came_in)))
    await _delete_mails(connection, outbox.c.letter_id.in_(letter_ids))


async def _delete_mails(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> None:
    for mail_id in (await connection.scalars(sa.select(outbox.c.id).where(which))).all():
        await shred(connection, Context("mail", mail_id))
    await connection.execute(sa.delete(outbox).where(which))


async def _erase_replies(connection: AsyncConnection, letter_ids: Sequence[str], at: datetime.datetime) -> None:
    own = sa.select(replies.c.id).where(replies.c.letter_id.in_(letter_ids))
    # Pages before replies, and replies in one order, as everybody locks them.
    await connection.execute(
        sa.select(pages.c.id).where(pages.c.reply_id.in_(own)).order_by(pages.c.id).with_for_update()
    )
    groups = sa.or_(replies.c.letter_id.in_(letter_ids), replies.c.pages_of.in_(own))
    rows = (await connection.execute(sa.select(replies).where(groups).order_by(replies.c.id).with_for_update())).all()
    for row in rows:
        if row.letter_id not in letter_ids:
            continue
        # Of an answer to a card others have the same pages: one of them holds them from now on.
        shared = [
            other.id
            for other in rows
            if other.pages_of == row.id and other.letter_id not in letter_ids and other.state != ReplyState.VOID
        ]
        if shared:
            await _pass_pages_on(connection, row.id, shared)
        else:
            await _take_pages(connection, row, at)
        await destroy_content(connection, Context(Record.REPLY, row.id))
        await move(
            connection,
            Record.REPLY,
            row.id,
            ReplyState.ERASED,
            by=SENDER,
            at=at,
            transcript=None,
            pages_of=None,
            stale=False,
            destroyed_at=at,
        )


async def _pass_pages_on(connection: AsyncConnection, reply_id: str, others: Sequence[str]) -> None:
    heir = others[0]
    await connection.execute(sa.update(pages).where(pages.c.reply_id == reply_id).values(reply_id=heir))
    await connection.execute(
        sa.update(replies)
        .where(replies.c.pages_of == reply_id)
        .values(pages_of=sa.case((replies.c.id == heir, None), else_=heir))
    )


async def _take_pages(connection: AsyncConnection, reply: sa.Row[Any], at: datetime.datetime) -> None:
    """Destroy the pages of a released reply; let those of another one wait for the office, for a while."""
    its = sa.select(pages).where(pages.c.reply_id == reply.id).order_by(pages.c.id)
    found = (await connection.execute(its)).all()
    if reply.state == ReplyState.RELEASED:
        await destroy_pages(connection, reply.scan_id, [page.number for page in found])
        return
    for page in found:
        await move(
            connection,
            Record.PAGE,
            page.id,
            PageState.HELD,
            by=SENDER,
            at=at,
            reason=PageDoubt.ERASED,
            doubt=PageDoubt.ERASED,
            covered=None,
        )


async def _delete_empty_inbox(connection: AsyncConnection, inbox_id: str) -> None:
    others = sa.select(conversations.c.id).where(conversations.c.inbox_id == inbox_id)
    if inbox_id == NOBODY or (await connection.execute(others.limit(1))).first() is not None:
        return
    await connection.execute(sa.delete(link_requests).where(link_requests.c.inbox_id == inbox_id))
    await shred(connection, inbox_context(inbox_id))
    await connection.execute(sa.delete(inboxes).where(inboxes.c.id == inbox_id))


# --- content


async def destroy_content(connection: AsyncConnection, context: Context, parts: Collection[str] | None = None) -> None:
    """Destroy what a record holds, or with `parts` only these of its blobs: its key is still needed then."""
    its = sa.and_(blobs.c.record == context.kind, blobs.c.record_id == context.id)
    if parts is None:
        await shred(connection, context)
    else:
        its = sa.and_(its, blobs.c.part.in_(parts))
    await connection.execute(sa.update(blobs).where(its).values(record=REMOVED, record_id=blobs.c.id, part=""))


async def destroy_letter(
    connection: AsyncConnection,
    letter_id: str,
    at: datetime.datetime,
    left: bytes = b"",
    wraps: Mapping[str, bytes] | None = None,
) -> None:
    """Destroy what a letter says, and what was noted about it.

    What is `left` of it, sealed under a fresh key that is wrapped in `wraps`, takes its place.
    """
    context = letter_context(letter_id)
    await destroy_content(connection, context)
    if wraps:
        wrapped = [{"recipient": recipient, "wrap": wrap} for recipient, wrap in wraps.items()]
        of = {"record": context.kind, "record_id": context.id}
        await connection.execute(sa.insert(content_keys), [of | one for one in wrapped])
    await connection.execute(
        sa.update(letters)
        .where(letters.c.id == letter_id)
        .values(
            body=left,
            treatment=None,
            submission_hash=token_hash(letter_id),
            confirmation_hash=None,
            last_error=None,
            destroyed_at=sa.func.coalesce(letters.c.destroyed_at, at),
        )
    )
    noted = sa.or_(decisions.c.note.is_not(None), decisions.c.treatment_before.is_not(None))
    await connection.execute(
        sa.update(decisions).where(decisions.c.letter_id == letter_id, noted).values(note=None, treatment_before=None)
    )
    inside = sa.select(enclosures.c.envelope_id).where(enclosures.c.letter_id == letter_id)
    tracked = (envelopes.c.id.in_(inside), envelopes.c.tracking.is_not(None))
    await connection.execute(sa.update(envelopes).where(*tracked).values(tracking=None))


async def destroy_reply(connection: AsyncConnection, reply_id: str, at: datetime.datetime) -> None:
    """Destroy a reply that its sender had long enough, or one without pages."""
    await destroy_content(connection, Context(Record.REPLY, reply_id))
    await connection.execute(
        sa.update(replies).where(replies.c.id == reply_id).values(transcript=None, destroyed_at=at)
    )
    await note(connection, Record.REPLY, reply_id, by=WORKER, at=at, reason=DESTROYED)


async def destroy_pages(connection: AsyncConnection, scan_id: str, numbers: Collection[int]) -> None:
    """Destroy these pages of a scan, and the file in which they came: its other pages have pictures of their own."""
    its = (pages.c.scan_id == scan_id, pages.c.number.in_(numbers))
    parts = {part(number) for number in numbers for part in (page_picture, page_untouched)}
    await destroy_content(connection, Context(Record.SCAN, scan_id), {ORIGINAL, *parts})
    if mail_id := await connection.scalar(sa.select(scans.c.came_in).where(scans.c.id == scan_id)):
        await destroy_content(connection, Context(Record.SCAN, mail_id), {ORIGINAL})
    of_these = sa.select(pages.c.id).where(*its)
    await connection.execute(sa.delete(corrections).where(corrections.c.page_id.in_(of_these)))
    await connection.execute(sa.update(pages).where(*its).values(reading=None, covered=None))


async def destroy_waiting_page(connection: AsyncConnection, page_id: str, at: datetime.datetime) -> None:
    """Destroy a page that waited for a person as long as it may."""
    row = (await connection.execute(sa.select(pages).where(pages.c.id == page_id))).one()
    await destroy_pages(connection, row.scan_id, [row.number])
    await move(connection, Record.PAGE, page_id, PageState.VOID, by=WORKER, at=at, reason=DESTROYED)


async def destroy_scan(connection: AsyncConnection, scan_id: str, at: datetime.datetime) -> None:
    """Destroy a received file with all its pages."""
    its = sa.select(pages.c.id).where(pages.c.scan_id == scan_id)
    await destroy_content(connection, Context(Record.SCAN, scan_id))
    await connection.execute(sa.delete(corrections).where(corrections.c.page_id.in_(its)))
    await connection.execute(sa.update(pages).where(pages.c.scan_id == scan_id).values(reading=None, covered=None))
    await connection.execute(sa.update(scans).where(scans.c.id == scan_id).values(name=b"", destroyed_at=at))
    await note(connection, Record.SCAN, scan_id, by=WORKER, at=at, reason=DESTROYED)


async def remove_files(store: Store) -> int:
    """Delete files of blobs whose records were destroyed. Returns how many.

    A process that is killed in between leaves the row, and the next call deletes the file.
    """
    async with store.database.reading() as connection:
        due = sa.select(blobs.c.id).where(blobs.c.record == REMOVED).limit(FILES_AT_ONCE)
        found = (await connection.scalars(due)).all()
    if not found:
        return 0
    for blob_id in found:
        with suppress(FileNotFoundError):
            await store.blobs.delete(blob_id)
    async with store.database.writing() as connection:
        await connection.execute(sa.delete(blobs).where(blobs.c.id.in_(found)))
    return len(found)


# --- rows


async def forget_reply(connection: AsyncConnection, reply_id: str, at: datetime.datetime) -> None:
    """Delete the row of a reply whose content is gone; it is counted, and its events stay."""
    await _count(connection, replies, reply_id)
    await note(connection, Record.REPLY, reply_id, by=WORKER, at=at, reason=FORGOTTEN)
    await connection.execute(sa.update(pages).where(pages.c.reply_id == reply_id).values(reply_id=None))
    await _delete_mails(connection, outbox.c.reply_id == reply_id)
    await connection.execute(sa.delete(replies).where(replies.c.id == reply_id))


async def forget_scan(connection: AsyncConnection, scan_id: str, at: datetime.datetime) -> None:
    """Delete the rows of a scan and its pages, whose content is gone and which no reply needs any more."""
    await _count(connection, scans, scan_id)
    its = (await connection.scalars(sa.select(pages.c.id).where(pages.c.scan_id == scan_id))).all()
    for page_id in its:
        await note(connection, Record.PAGE, page_id, by=WORKER, at=at, reason=FORGOTTEN)
    await note(connection, Record.SCAN, scan_id, by=WORKER, at=at, reason=FORGOTTEN)
    await connection.execute(sa.delete(ticks).where(ticks.c.page_id.in_(its)))
    await connection.execute(sa.delete(pages).where(pages.c.scan_id == scan_id))
    await connection.execute(sa.delete(scans).where(scans.c.id == scan_id))


async def forget_letter(connection: AsyncConnection, letter_id: str, at: datetime.datetime) -> None:
    """Delete the row of a letter whose content and replies are gone; it is counted, and its events stay."""
    await _count(connection, letters, letter_id)
    await note(connection, Record.LETTER, letter_id, by=WORKER, at=at, reason=FORGOTTEN)
    row = (
        await connection.execute(
            sa.select(letters.c.conversation_id, conversations.c.inbox_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .where(letters.c.id == letter_id)
        )
    ).one()
    codes = (
        await connection.scalars(
            sa.select(reply_order_letters.c.code).where(reply_order_letters.c.letter_id == letter_id)
        )
    ).all()
    await _delete_mails(connection, outbox.c.letter_id == letter_id)
    for table in (decisions, reply_order_letters, reprints, enclosures):
        await connection.execute(sa.delete(table).where(table.c.letter_id == letter_id))
    still = sa.exists().where(reply_order_letters.c.code == reply_orders.c.code)
    await connection.execute(sa.delete(reply_orders).where(reply_orders.c.code.in_(codes), ~still))
    await connection.execute(sa.delete(letters).where(letters.c.id == letter_id))
    its = sa.select(letters.c.id).where(letters.c.conversation_id == row.conversation_id).limit(1)
    if (await connection.execute(its)).first() is None:
        await connection.execute(sa.delete(conversations).where(conversations.c.id == row.conversation_id))
        await _delete_empty_inbox(connection, row.inbox_id)


async def _count(connection: AsyncConnection, table: sa.Table, row_id: str) -> None:
    """Count a row that is about to go in the month in which it came."""
    month = (await connection.execute(sa.select(table.c.created_at).where(table.c.id == row_id))).scalar_one()
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    counted = monthly_counts.c
    await connection.execute(
        insert(monthly_counts)
        .values(what=table.name, month=f"{month:%Y-%m}", number=1)
        .on_conflict_do_update(index_elements=[counted.what, counted.month], set_={"number": counted.number + 1})
    )

"""Letters that begin inside: somebody in prison writes first, to a mail address on the page or to a person by name."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import LetterBody, Wants
from relay.domain.lives import Actor, LetterState, MailKind, PageState, Record, ReplyState, Who
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import new_reply_code
from relay.mail.suppression import address_tag
from relay.sealing import ContentKey, InboxSecret, PrivateKey, PublicKey, SealBrokenError, token_hash
from relay.store.database import alone, new_id
from relay.store.inboxes import conversation_of
from relay.store.letters import letter_context, read_body, was_confirmed
from relay.store.sealed import Store, save_key
from relay.store.tables import (
    ON_HEAP,
    conversations,
    inboxes,
    letters,
    pages,
    replies,
    reply_order_letters,
    reply_orders,
)
from relay.store.transitions import NotThereError, add_mail, begin, move
from scanner.reading import Reading, scan_key
from scanner.steps import PageNotOpenError
from scanner.tick_steps import note_ticks

AN_ANSWER: Final = (
    PageDoubt.CONTRADICTION,
    PageDoubt.DUPLICATE,
    PageDoubt.LETTER_NOT_SENT,
    PageDoubt.OTHER_FACILITY,
    PageDoubt.ERASED,
)
"""Doubts about pages with a code of ours: they answer somebody, and are never sent to anybody else."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a volunteer found out about pages that nobody had asked for."""

    pages: tuple[str, ...]
    """Ids, of one scan."""
    prisoner_id: str
    language: str
    """Of whoever the letter is for."""
    address: str | None
    """The mail address on the page, normalised; None where there is none."""
    phrase: str
    """The claim phrase of the new inbox. The same phrase again is the same conversation."""
    join: bool = False
    """Whether it goes into the conversation that there is already; see `known`."""


@dataclass(frozen=True, slots=True)
class Known:
    """The conversation that an address has with a prisoner already."""

    id: str
    inbox_id: str
    lookup_hash: str
    language: str
    wants: Wants


def may_begin() -> sa.ColumnElement[bool]:
    """The condition that a page waits for a person and was not read as an answer to a letter of ours."""
    kept = pages.c.reading.is_not(None)  # otherwise its time is over
    return sa.and_(ON_HEAP, kept, sa.or_(pages.c.doubt.is_(None), pages.c.doubt.not_in(AN_ANSWER)))


async def open_numbers(connection: AsyncConnection, scan_id: str) -> dict[int, str]:
    """The pages of a scan with which a conversation may begin: ids by number."""
    query = sa.select(pages.c.number, pages.c.id).where(pages.c.scan_id == scan_id, may_begin())
    return {row.number: row.id for row in await connection.execute(query.order_by(pages.c.number))}


async def known(connection: AsyncConnection, office: PrivateKey, address: str, prisoner_id: str) -> Known | None:
    """The conversation of an address with a prisoner, if there is one in which the address was confirmed.

    The tag of an inbox only finds it: a bounce may have set that before anybody confirmed anything.
    """
    tag = address_tag(office, address)
    for row in await connection.execute(
        sa.select(
            letters.c.id.label("letter_id"),
            conversations.c.id,
            conversations.c.inbox_id,
            inboxes.c.lookup_hash,
            letters.c.language,
            letters.c.wants,
        )
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .join(letters, letters.c.conversation_id == conversations.c.id)
        .where(conversations.c.prisoner_id == prisoner_id, inboxes.c.address_tag == tag, was_confirmed())
        .order_by(letters.c.created_at.desc(), letters.c.id)
    ):
        with suppress(SealBrokenError, ValueError):  # it was destroyed
            written_from = (await read_body(connection, row.letter_id, office)).address
            if written_from and address_tag(office, written_from) == tag:
                return Known(row.id, row.inbox_id, row.lookup_hash, row.language, Wants(row.wants))
    return None


async def begin_conversation(store: Store, office: PrivateKey, beginning: Beginning, volunteer_id: str) -> None:
    """Begin a conversation with these pages: they become a reply that is released like all others.

    With an address, the mails go there. Does nothing where the pages are in this conversation already. Raises
    PageNotOpenError, NotThereError where there is no such conversation to join, and SealBrokenError where a page cannot
    be opened any more.
    """
    by, now = Actor(Who.VOLUNTEER, volunteer_id), store.database.clock()
    secret = InboxSecret.from_phrase(beginning.phrase)
    content_key = ContentKey.new(letter_context(new_id()))
    letter_id, language = content_key.context.id, beginning.language
    wants = Wants.FULL if beginning.address else Wants.NOTHING
    body = LetterBody(text="", printed_name="", address=beginning.address)
    async with store.database.writing() as connection:
        found = None
        if beginning.join:
            found = await _joined(connection, office, beginning)
            conversation_id, language, wants = found.id, found.language, found.wants
        elif await _begun_before(connection, secret, beginning):
            return
        # Pages before everything that hangs on them, and in one order, as everybody locks them.
        rows = (
            await connection.execute(
                sa.select(pages)
                .where(pages.c.id.in_(beginning.pages), may_begin())
                .order_by(pages.c.id)
                .with_for_update()
            )
        ).all()
        if not rows or len(rows) != len(set(beginning.pages)) or len({row.scan_id for row in rows}) != 1:
            raise PageNotOpenError
        if found is None:
            conversation_id = await conversation_of(connection, store, secret, beginning.prisoner_id)
            tag = address_tag(office, beginning.address) if beginning.address else ""
            ours = inboxes.c.lookup_hash == secret.lookup_hash
            await connection.execute(sa.update(inboxes).where(ours).values(address_tag=tag))
        await begin(
            connection,
            Record.LETTER,
            LetterState.BEGUN,
            by=by,
            at=now,
            id=letter_id,
            conversation_id=conversation_id,
            prisoner_id=beginning.prisoner_id,
            created_at=now,
            language=language,
            wants=wants,
            body=content_key.encrypt(body.model_dump_json().encode()),
            submission_hash=token_hash(new_id()),
        )
        await save_key(connection, content_key, [store.office, await _inbox_key(connection, conversation_id)])
        code = new_reply_code()  # never printed, but every letter has one
        await connection.execute(sa.insert(reply_orders).values(code=code, sheets=0))
        await connection.execute(sa.insert(reply_order_letters).values(code=code, letter_id=letter_id))
        if found is None:
            await add_mail(connection, MailKind.BEGUN, letter_id, at=now)
        await _as_reply(connection, office, rows, letter_id, beginning.prisoner_id, by, now)


async def _as_reply(
    connection: AsyncConnection,
    office: PrivateKey,
    rows: Sequence[sa.Row[Any]],
    letter_id: str,
    prisoner_id: str,
    by: Actor,
    at: datetime.datetime,
) -> None:
    """Put these pages of one scan into a reply that goes to the sender as soon as it is assembled."""
    scan_id = rows[0].scan_id
    reply_id = await begin(
        connection,
        Record.REPLY,
        ReplyState.OPEN,
        by=by,
        at=at,
        letter_id=letter_id,
        scan_id=scan_id,
        created_at=at,
        complete=True,
    )
    key = await scan_key(connection, scan_id, office)
    for row in rows:
        await move(connection, Record.PAGE, row.id, PageState.PLACED, by=by, at=at, reply_id=reply_id, by_hand=True)
        reading = Reading.opened(row.reading, key, row.number)
        await note_ticks(connection, row.id, reading.ticks, prisoner_id, by=by, at=at)
    await move(connection, Record.REPLY, reply_id, ReplyState.CHECKED, by=by, at=at)


async def _joined(connection: AsyncConnection, office: PrivateKey, beginning: Beginning) -> Known:
    found = beginning.address and await known(connection, office, beginning.address, beginning.prisoner_id)
    if not found:
        raise NotThereError
    # Who erases the conversation, or gives its inbox another key, waits, or is waited for.
    await alone(connection, found.lookup_hash)
    if await known(connection, office, beginning.address or "", beginning.prisoner_id) != found:
        raise NotThereError
    return found


async def _begun_before(connection: AsyncConnection, secret: InboxSecret, beginning: Beginning) -> bool:
    """Whether the same form came before."""
    await alone(connection, secret.lookup_hash)
    query = (
        sa.select(pages.c.id)
        .join(replies, replies.c.id == pages.c.reply_id)
        .join(letters, letters.c.id == replies.c.letter_id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash, pages.c.state == PageState.PLACED)
    )
    return set(beginning.pages) == set(await connection.scalars(query))


async def _inbox_key(connection: AsyncConnection, conversation_id: str) -> PublicKey:
    query = sa.select(inboxes.c.public_key).join(conversations, conversations.c.inbox_id == inboxes.c.id)
    return PublicKey((await connection.scalars(query.where(conversations.c.id == conversation_id))).one())

"""Letters in the store: what more than one workplace asks about them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letter_pages import LetterToPrint
from relay.domain.letters import LetterBody
from relay.domain.lives import BatchState, LetterState, Record
from relay.domain.reply_code import ReplyCode
from relay.sealing import Context, InboxSecret, PrivateKey
from relay.store.directory import Known
from relay.store.sealed import load_key
from relay.store.tables import batches, conversations, inboxes, letters, prisoners, reply_order_letters, reply_orders


def letter_context(letter_id: str) -> Context:
    """What the content of a letter is sealed under."""
    return Context(Record.LETTER, letter_id)


def inbox_context(inbox_id: str) -> Context:
    """What the secret of an inbox is sealed under."""
    return Context("inbox", inbox_id)


async def read_body(connection: AsyncConnection, letter_id: str, key: PrivateKey) -> LetterBody:
    """Open a letter. Raises SealBrokenError."""
    sealed = (await connection.execute(sa.select(letters.c.body).where(letters.c.id == letter_id))).scalar_one()
    content_key = await load_key(connection, letter_context(letter_id), key)
    return LetterBody.model_validate_json(content_key.decrypt(sealed))


async def inbox_secret(connection: AsyncConnection, letter_id: str, office: PrivateKey) -> InboxSecret:
    """The secret of the inbox that a letter belongs to, for the link in a mail. Raises SealBrokenError."""
    inbox = (
        await connection.execute(
            sa.select(inboxes.c.id, inboxes.c.secret)
            .join(conversations, conversations.c.inbox_id == inboxes.c.id)
            .join(letters, letters.c.conversation_id == conversations.c.id)
            .where(letters.c.id == letter_id)
        )
    ).one()
    return InboxSecret((await load_key(connection, inbox_context(inbox.id), office)).decrypt(inbox.secret))


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a reply code was ordered for."""

    letter_id: str
    letter_state: LetterState
    sheets: int
    rendered: bool
    """See `is_rendered`."""


def is_rendered() -> sa.ColumnElement[bool]:
    """The condition that the pages of a letter were made; before that nobody can have printed its reply sheets."""
    return sa.exists().where(batches.c.id == letters.c.batch_id, batches.c.state != BatchState.OPEN)


async def ordered_by(connection: AsyncConnection, code: ReplyCode) -> list[Ordered]:
    """The letters that a reply code belongs to; none for a code that was never given out."""
    rows = await connection.execute(
        sa.select(letters.c.id, letters.c.state, reply_orders.c.sheets, is_rendered().label("rendered"))
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .join(reply_orders, reply_orders.c.code == reply_order_letters.c.code)
        .where(reply_orders.c.code == code)
    )
    return [Ordered(row.id, LetterState(row.state), row.sheets, row.rendered) for row in rows]


async def languages_of(connection: AsyncConnection, code: ReplyCode) -> tuple[str, ...]:
    """The languages of the conversations of a reply code: the prisoners' and the senders'."""
    rows = await connection.execute(
        sa.select(prisoners.c.language, letters.c.language.label("sender_language"))
        .join(letters, letters.c.prisoner_id == prisoners.c.id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(reply_order_letters.c.code == code)
    )
    return tuple(dict.fromkeys(language for row in rows for language in row))


async def code_of(connection: AsyncConnection, letter_id: str) -> tuple[ReplyCode, int]:
    """The reply code of a letter, and how many reply sheets go with it."""
    row = (
        await connection.execute(
            sa.select(reply_orders.c.code, reply_orders.c.sheets)
            .join(reply_order_letters, reply_order_letters.c.code == reply_orders.c.code)
            .where(reply_order_letters.c.letter_id == letter_id)
        )
    ).one()
    return ReplyCode(row.code), row.sheets


async def to_print(
    connection: AsyncConnection, letter_id: str, known: Known, key: PrivateKey, return_address: tuple[str, ...]
) -> LetterToPrint:
    """A letter as the printer needs it; `return_address` is the installation's, a facility's own goes before."""
    body = await read_body(connection, letter_id, key)
    code, sheets = await code_of(connection, letter_id)
    created = (await connection.execute(sa.select(letters.c.created_at).where(letters.c.id == letter_id))).scalar_one()
    return printable(known, body, code, created.date(), return_address, sheets)


def printable(
    known: Known,
    body: LetterBody,
    code: ReplyCode,
    written_on: datetime.date,
    return_address: tuple[str, ...],
    sheets: int,
) -> LetterToPrint:
    """The letter that will be printed from what was written; see `to_print`."""
    own = tuple(known.facility.return_address.splitlines())
    return LetterToPrint(
        code=code,
        prisoner_name=known.prisoner.name,
        sheet_language=known.prisoner.language,
        printed_name=body.printed_name,
        text=body.text,
        written_on=written_on,
        return_address=own or return_address,
        reply_sheets=sheets,
    )

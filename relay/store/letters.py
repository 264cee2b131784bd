"""Letters in the store: what more than one workplace asks about them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letter_pages import LetterToPrint
from relay.domain.letters import LetterBody, Treatment, printed_text
from relay.domain.lives import CONFIRMED, SENT, BatchState, LetterState, Record
from relay.domain.photos import photo_part
from relay.domain.printing import PrintRules
from relay.domain.reply_code import ReplyCode
from relay.sealing import ContentKey, Context, InboxSecret, PrivateKey, SealBrokenError
from relay.store.directory import Known
from relay.store.sealed import Store, load_key, open_part
from relay.store.tables import (
    batches,
    conversations,
    events,
    inboxes,
    letters,
    prisoners,
    reply_order_letters,
    reply_orders,
)


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


def was_confirmed() -> sa.ColumnElement[bool]:
    """The condition that a letter needs no confirmation any more: only then its address is known to be the sender's.

    Its state does not tell: a letter can be withdrawn before it is confirmed.
    """
    mine = (events.c.record == Record.LETTER, events.c.record_id == letters.c.id)
    return sa.exists().where(*mine, events.c.target.in_(CONFIRMED))


async def printed_name(connection: AsyncConnection, letter_id: str, key: PrivateKey) -> str:
    """The name under a letter; empty where that was destroyed. Raises SealBrokenError."""
    gone = sa.select(letters.c.destroyed_at).where(letters.c.id == letter_id)
    if (await connection.execute(gone)).scalar_one() is not None:
        return ""
    return (await read_body(connection, letter_id, key)).printed_name


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
    prisoner_id: str
    facility_id: str
    """Where the prisoner is now."""


def is_rendered() -> sa.ColumnElement[bool]:
    """The condition that the pages of a letter were made; before that nobody can have printed its reply sheets."""
    return sa.exists().where(batches.c.id == letters.c.batch_id, batches.c.state != BatchState.OPEN)


async def ordered_by(connection: AsyncConnection, code: ReplyCode) -> list[Ordered]:
    """The letters that a reply code belongs to; none for a code that was never given out."""
    rows = await connection.execute(
        sa.select(
            letters.c.id,
            letters.c.state,
            reply_orders.c.sheets,
            is_rendered().label("rendered"),
            letters.c.prisoner_id,
            prisoners.c.facility_id,
        )
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .join(reply_orders, reply_orders.c.code == reply_order_letters.c.code)
        .where(reply_orders.c.code == code)
        .order_by(letters.c.id)
    )
    return [
        Ordered(row.id, LetterState(row.state), row.sheets, row.rendered, row.prisoner_id, row.facility_id)
        for row in rows
    ]


async def outstanding_codes(connection: AsyncConnection) -> list[tuple[ReplyCode, int]]:
    """Every reply code that may come back on paper, and how many sheets were ordered under it.

    Also those of letters that are answered already: a letter may have many replies.
    """
    sent = sa.exists().where(
        reply_order_letters.c.code == reply_orders.c.code,
        letters.c.id == reply_order_letters.c.letter_id,
        letters.c.state.in_(SENT),
        is_rendered(),
    )
    rows = await connection.execute(sa.select(reply_orders.c.code, reply_orders.c.sheets).where(sent))
    return [(ReplyCode(row.code), row.sheets) for row in rows]


async def on_card_with(connection: AsyncConnection, letter_id: str, code: str | None) -> Sequence[str]:
    """The other letters that were printed under the code of a letter, because they are greetings on one card.

    None where the paper has another `code`: a greeting that came back is printed again beside others.
    """
    of = reply_order_letters.c
    its = sa.select(of.code).where(of.letter_id == letter_id).scalar_subquery()
    others = sa.select(of.letter_id).where(of.code == its, of.letter_id != letter_id).order_by(of.letter_id)
    return (await connection.scalars(others if code is None else others.where(of.code == code))).all()


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


async def read_treatment(connection: AsyncConnection, letter_id: str, key: PrivateKey) -> Treatment:
    """What the review did to a letter so far. Raises SealBrokenError."""
    sealed = (await connection.execute(sa.select(letters.c.treatment).where(letters.c.id == letter_id))).scalar_one()
    if sealed is None:
        return Treatment()
    return open_treatment(sealed, await load_key(connection, letter_context(letter_id), key))


def open_treatment(sealed: bytes | None, content_key: ContentKey) -> Treatment:
    """What the review did to a letter, from its column; nothing where that is empty. Raises SealBrokenError."""
    return Treatment() if sealed is None else Treatment.model_validate_json(content_key.decrypt(sealed))


async def read_photos(store: Store, letter_id: str, body: LetterBody, key: PrivateKey) -> tuple[bytes, ...]:
    """The photos of a letter as JPEG. Raises SealBrokenError and BlobMissingError."""
    context = letter_context(letter_id)
    return tuple([await open_part(store, context, photo_part(n), key) for n in range(1, len(body.photos) + 1)])


async def to_print(
    store: Store,
    letter_id: str,
    known: Known,
    key: PrivateKey,
    return_address: tuple[str, ...],
    rules: PrintRules,
) -> LetterToPrint:
    """A letter as the printer needs it; `return_address` is the installation's, a facility's own goes before.

    Raises SealBrokenError and BlobMissingError.
    """
    async with store.database.reading() as connection:
        body = await read_body(connection, letter_id, key)
        treatment = await read_treatment(connection, letter_id, key)
        code, sheets = await code_of(connection, letter_id)
        times = sa.select(letters.c.created_at, letters.c.destroyed_at).where(letters.c.id == letter_id)
        row = (await connection.execute(times)).one()
        if row.destroyed_at is not None:  # its address may be left
            raise SealBrokenError("this letter was destroyed")
        written_on = row.created_at.date()
    photos = () if treatment.without_photos else await read_photos(store, letter_id, body, key)
    printed = body.model_copy(update={"text": printed_text(body, treatment)})
    return printable(known, printed, code, written_on, return_address, sheets, rules, photos)


def printable(
    known: Known,
    body: LetterBody,
    code: ReplyCode,
    written_on: datetime.date,
    return_address: tuple[str, ...],
    sheets: int,
    rules: PrintRules,
    photos: tuple[bytes, ...] = (),
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
        photos=photos,
        layout=known.prisoner.layout,
        rules=rules,
    )


def settled(now: datetime.datetime | sa.BindParameter[datetime.datetime]) -> sa.ColumnElement[bool]:
    """The condition that the review's decision about a letter cannot be undone any more."""
    return sa.or_(letters.c.settles_at.is_(None), letters.c.settles_at <= now)

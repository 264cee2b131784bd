"""Mails that came in: stored as they came, sealed to the office, before anybody hears that they were taken.

Whoever stores them needs only the office's public key; what they are is found out later, see `relay.desk.by_mail`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.mail.addresses import AnswerTo, purpose
from relay.sealing import ContentKey, Context, token_hash
from relay.store.database import alone, new_id
from relay.store.leases import FREE, FRESH
from relay.store.sealed import Store, name_blob, save_key
from relay.store.tables import conversations, incoming, outbox

RAW: Final = "raw"
"""The part of a mail's record that holds it as it came, behind the lines that say from whom and to whom it went."""


class IncomingState(StrEnum):
    """Where a mail that came in is."""

    RECEIVED = "received"
    LETTER = "letter"
    BOUNCE = "bounce"
    AUTOMATIC = "automatic"
    """Written by a program; nobody ever answers it."""
    UNKNOWN = "unknown"
    """Nobody can take it but a person."""
    SETTLED = "settled"
    """A person has put it away."""


class Source(StrEnum):
    """How a mail came."""

    SMTP = "smtp"
    """Handed over by a mail server, by LMTP or SMTP."""
    IMAP = "imap"


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class Doubt(StrEnum):
    """Why a mail is not taken as a letter."""

    NOT_ADDRESSED = "not_addressed"
    UNCLEAR = "unclear"
    UNREADABLE = "unreadable"
    NOT_CONFIRMED = "not_confirmed"
    ERASED = "erased"
    NOT_TO_BE_WRITTEN_TO = "not_to_be_written_to"
    OTHER_SENDER = "other_sender"
    EMPTY = "empty"
    TOO_MANY = "too_many"
    TOO_LARGE = "too_large"
    SEEMS_AUTOMATIC = "seems_automatic"
    FAILED = "failed"


DOUBTS: Final[dict[Doubt, str]] = {
    Doubt.NOT_ADDRESSED: _("It was not sent to the address of a conversation."),
    Doubt.UNCLEAR: _("It seems to say that a mail did not arrive, but not which one."),
    Doubt.UNREADABLE: _("It could not be taken apart."),
    Doubt.NOT_CONFIRMED: _("No letter of this conversation was ever confirmed."),
    Doubt.ERASED: _("This conversation was erased."),
    Doubt.NOT_TO_BE_WRITTEN_TO: _("Nobody can write to this prisoner through us any more."),
    Doubt.OTHER_SENDER: _("It did not come from the address that belongs to the conversation."),
    Doubt.EMPTY: _("There is nothing new in it: no text of its own, and no picture."),
    Doubt.TOO_MANY: _("More letters came by mail in one day than one conversation may bring."),
    Doubt.TOO_LARGE: _("It is too large. Smaller pictures help."),
    Doubt.SEEMS_AUTOMATIC: _("It begins like the answer of a program. With another subject it can be taken."),
    Doubt.FAILED: _("Reading it went wrong again and again."),
}
"""What the office, and the sender where there is one, reads about it."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """What a mail was sent to: a conversation, or the return path of one of our mails."""

    conversation_id: str | None = None
    mail_id: str | None = None
    """Of the outbox."""


async def addressed(connection: AsyncConnection, mailbox: str, address: str) -> Addressed | None:
    """What an address belongs to. None where it is none of ours, or nobody knows it."""
    match purpose(mailbox, address):
        case None:
            return None
        case AnswerTo(token):
            hashed = conversations.c.answer_hash == token_hash(token)
            found = (await connection.execute(sa.select(conversations.c.id).where(hashed))).scalar_one_or_none()
            return found and Addressed(conversation_id=found)
        case about:
            same = outbox.c.message_id == about.message_id
            found = (await connection.execute(sa.select(outbox.c.id).where(same))).scalar_one_or_none()
            return found and Addressed(mail_id=found)


async def known(connection: AsyncConnection, mailbox: str, addresses: Iterable[str]) -> list[Addressed]:
    """What these addresses belong to, each once; those that nobody knows are left out."""
    found = [await addressed(connection, mailbox, address) for address in dict.fromkeys(addresses)]
    return list(dict.fromkeys(one for one in found if one is not None))


def incoming_context(incoming_id: str) -> Context:
    """What a mail that came in is sealed under."""
    return Context("incoming", incoming_id)


async def keep(
    store: Store,
    raw: bytes,
    to: Sequence[Addressed],
    source: Source,
    fetched: str | None = None,
    reason: Doubt | None = None,
) -> Sequence[str]:
    """Store a mail, once for each of what it was sent to; it is durable when this returns. Returns the new ids.

    `fetched` names it where it lies in a mailbox: what was stored under this name already is not stored again.
    With a `reason` it is known already that it cannot be taken.
    """
    keys = [ContentKey.new(incoming_context(new_id())) for _ in to]
    now, blob_ids = store.database.clock(), [await store.blobs.put_bytes(raw, key) for key in keys]
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(blob_ids):
        if fetched is not None:
            await alone(connection, fetched)
        is_known = fetched is not None and await is_fetched(connection, fetched)
        for number, (one, key, blob_id) in enumerate(zip(to, keys, blob_ids, strict=True)):
            if is_known:
                break
            await connection.execute(
                sa.insert(incoming).values(
                    id=key.context.id,
                    state=IncomingState.RECEIVED,
                    state_since=now,
                    created_at=now,
                    source=source,
                    fetched=fetched if number == 0 or fetched is None else f"{fetched} {number}",
                    conversation_id=one.conversation_id,
                    mail_id=one.mail_id,
                    reason=reason,
                )
            )
            await name_blob(connection, key.context, RAW, blob_id)
            await save_key(connection, key, [store.office])
    if is_known:
        for blob_id in blob_ids:
            await store.blobs.delete(blob_id)
    return [] if is_known else [key.context.id for key in keys]


async def is_fetched(connection: AsyncConnection, fetched: str) -> bool:
    """Whether the mail under this name is stored already."""
    found = await connection.execute(sa.select(incoming.c.id).where(incoming.c.fetched == fetched))
    return found.first() is not None


async def put(
    connection: AsyncConnection,
    incoming_id: str,
    state: IncomingState,
    at: datetime.datetime,
    *,
    reason: Doubt | None = None,
    letter_id: str | None = None,
    mail_id: str | None = None,
) -> None:
    """Take a mail to its next state; a held lease ends with that."""
    known_now = {"letter_id": letter_id, "mail_id": mail_id}
    await connection.execute(
        sa.update(incoming)
        .where(incoming.c.id == incoming_id)
        .values(
            state=state,
            state_since=at,
            reason=reason,
            **{name: value for name, value in known_now.items() if value is not None},
            **FREE,
            **FRESH,
        )
    )

"""What the mails of the outbox say, and to whom: opened from their rows, and made into messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final

import sqlalchemy as sa
from email_validator import validate_email
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Settings
from relay.domain.letters import LetterBody, Transcript, Wants
from relay.domain.lives import ANSWERS, LetterState, MailKind, Record
from relay.domain.reply_parts import REPLY_PDF
from relay.mail import compose
from relay.mail.addresses import answer_address, return_path
from relay.mail.connections import Outgoing
from relay.mail.signing import Signer
from relay.mail.suppression import address_tag
from relay.sealing import ContentKey, Context, InboxSecret, PrivateKey, Wraps, token_hash
from relay.store.letters import inbox_context, letter_context
from relay.store.sealed import Store, find_blob, load_key
from relay.store.tables import (
    content_keys,
    conversations,
    decisions,
    inboxes,
    letters,
    prisoners,
    replies,
    suppressions,
)

LARGEST_MAIL: Final = 10_000_000
"""Bytes of a mail with its attachment. Postfix takes 10 240 000 unless told otherwise; many servers take no more."""

Row = sa.Row[*tuple[Any, ...]]


class DestroyedError(Exception):
    """The letter of a mail was destroyed meanwhile, or never had an address; nobody can be written to about it."""


class SuppressedError(Exception):
    """Mails to this address came back, so none goes there any more."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A mail whose address is known."""

    row: Row
    """Of the outbox."""
    address: str
    """As the server gets it."""
    language: str
    secret: InboxSecret | None = None
    """None for a confirmation, which the desk sends."""
    letter: Row | None = None
    token: str = ""
    """Of a confirmation."""

    @property
    def domain(self) -> str:
        """To which the mail goes."""
        return self.address.rpartition("@")[2].lower()


_Found = tuple[Row, Opened | Exception]


class Composer:
    """Opens and writes the mails of one key: the desk's confirmations, or all others."""

    def __init__(self, store: Store, settings: Settings, key: PrivateKey, signer: Signer | None, *, desk: bool) -> None:
        """Take the desk's private key with `desk`, else the office's."""
        self._store, self._settings, self._key, self._signer, self._desk = store, settings, key, signer, desk

    async def open(self, rows: Sequence[Row]) -> list[_Found]:
        """The rows with what was opened of each, or why that could not be."""
        found: list[_Found] = []
        async with self._store.database.reading() as connection:
            about = {} if self._desk else await _letters(connection, rows)
            wraps = await _wraps(connection, rows, about)
            for row in rows:
                try:
                    if self._desk:
                        found.append((row, self._open_confirmation(row, wraps)))
                    else:
                        found.append((row, self._open(row, about[row.letter_id], wraps)))
                except Exception as error:  # noqa: BLE001 - whatever is wrong with one mail, the others go on
                    found.append((row, error))
            if not self._desk:
                found = await self._without_suppressed(connection, found)
        await self._keep_answer_hashes(found)
        return found

    async def _without_suppressed(self, connection: AsyncConnection, found: Sequence[_Found]) -> list[_Found]:
        # Who has lost the link asks for it at this very address.
        asked = {MailKind.LINK_OFFER, MailKind.LINK}
        tags = {
            row.id: address_tag(self._key, one.address)
            for row, one in found
            if isinstance(one, Opened) and row.kind not in asked
        }
        query = sa.select(suppressions.c.tag).where(suppressions.c.tag.in_(tags.values()))
        dead = set((await connection.execute(query)).scalars())
        return [(row, SuppressedError() if tags.get(row.id) in dead else one) for row, one in found]

    def _open_confirmation(self, row: Row, wraps: dict[Context, Wraps]) -> Opened:
        context = Context("mail", row.id)
        key = ContentKey.unwrap(wraps.get(context, {}), self._key, context)
        wanted = compose.Confirmation.model_validate_json(key.decrypt(row.body))
        return Opened(row, _for_the_wire(wanted.address), wanted.language, token=wanted.token)

    def _open(self, row: Row, letter: Row, wraps: dict[Context, Wraps]) -> Opened:
        context, inbox = letter_context(row.letter_id), inbox_context(letter.inbox_id)
        if context not in wraps:
            raise DestroyedError
        body = LetterBody.model_validate_json(
            ContentKey.unwrap(wraps[context], self._key, context).decrypt(letter.body)
        )
        if body.address is None:
            raise DestroyedError
        secret = InboxSecret(ContentKey.unwrap(wraps.get(inbox, {}), self._key, inbox).decrypt(letter.secret))
        return Opened(row, _for_the_wire(body.address), letter.language, secret, letter)

    async def _keep_answer_hashes(self, found: Sequence[_Found]) -> None:
        """Note by which token the answers to a conversation are known, where it is older than such answers."""
        missing = {
            one.letter.conversation_id: token_hash(one.secret.answer_token(one.letter.conversation_id))
            for _, one in found
            if isinstance(one, Opened) and one.letter and one.secret and one.letter.answer_hash is None
        }
        if not missing or not self._settings.incoming.address:
            return
        async with self._store.database.writing() as connection:
            for conversation_id, answer_hash in missing.items():
                none_yet = (conversations.c.id == conversation_id, conversations.c.answer_hash.is_(None))
                await connection.execute(sa.update(conversations).where(*none_yet).values(answer_hash=answer_hash))

    async def write(self, mail: Opened) -> Outgoing:
        """The mail as it goes to the server."""
        message = await self._compose(mail)
        if isinstance(message, _WithPicture):
            return await asyncio.to_thread(self._with_picture, mail, message)
        return self._outgoing(mail, message)

    def _with_picture(self, mail: Opened, reply: _WithPicture) -> Outgoing:
        outgoing = self._outgoing(mail, reply.written(reply.pdf))
        return outgoing if len(outgoing.data) <= LARGEST_MAIL else self._outgoing(mail, reply.written(None))

    def _outgoing(self, mail: Opened, message: EmailMessage) -> Outgoing:
        utf8 = not mail.address.isascii()
        # In seven bits: servers on the way may change what has eight, and with that break the signature.
        data = message.as_bytes(policy=compose.POLICY.clone(cte_type="7bit", utf8=utf8))
        if self._signer is not None:
            data = self._signer.signed(data)
        mailbox = self._settings.incoming.address
        sender = return_path(mailbox, mail.row.message_id) if mailbox else self._settings.mail.sender
        return Outgoing(sender, mail.address, data, utf8)

    async def _compose(self, mail: Opened) -> EmailMessage | _WithPicture:
        row, site = mail.row, self._settings.site
        envelope = self._envelope(mail)
        if mail.letter is None or mail.secret is None:
            link = f"{site.desk_url}/{mail.language}/confirm/{mail.token}"
            return compose.confirmation(envelope, link, self._settings.letter.days_to_confirm)
        kind, prisoner = MailKind(row.kind), mail.letter.name
        link = f"{site.desk_url}/{mail.language}/inbox/{mail.secret.link}"
        if kind is MailKind.REPLY:
            return await self._reply(mail, mail.letter, envelope, link)
        if kind not in ANSWERS:
            return compose.notice(envelope, kind, prisoner, link, await self._why(row, mail.letter))
        async with self._store.database.reading() as connection:
            key = await load_key(connection, Context("mail", row.id), self._key)
        own = compose.Own.model_validate_json(key.decrypt(row.body))
        if kind is MailKind.LINK_OFFER:
            link = f"{site.desk_url}/{mail.language}/link/{own.token}"
        return compose.answer(envelope, kind, prisoner, link, own, self._settings.retention.mails)

    async def _reply(
        self, mail: Opened, letter: Row, envelope: compose.Envelope, link: str
    ) -> EmailMessage | _WithPicture:
        context, wants, begun = (
            Context(Record.REPLY, mail.row.reply_id),
            Wants(letter.wants),
            letter.state == LetterState.BEGUN,
        )
        async with self._store.database.reading() as connection:
            key = await load_key(connection, context, self._key)
            sealed = sa.select(replies.c.transcript).where(replies.c.id == mail.row.reply_id)
            transcript = Transcript.model_validate_json(key.decrypt((await connection.execute(sealed)).scalar_one()))
            if wants is not Wants.FULL:
                return compose.reply(envelope, wants, letter.name, link, transcript, None, begun=begun)
            blob_id = await find_blob(connection, context, REPLY_PDF)
        pdf = await self._store.blobs.get_bytes(blob_id, key)
        return _WithPicture(envelope, letter.name, link, transcript, pdf, begun)

    async def _why(self, row: Row, letter: Row) -> compose.Why | None:
        """The reason and the note of the decision that a mail is about."""
        if row.decision_id is None:
            told = row.kind in {MailKind.RETURNED, MailKind.REFUSED}  # refused before decisions were kept
            return compose.Why(letter.reason) if told and letter.reason else None
        async with self._store.database.reading() as connection:
            query = sa.select(decisions.c.reason, decisions.c.note).where(decisions.c.id == row.decision_id)
            found = (await connection.execute(query)).one()
            if found.reason is None:
                return None
            if found.note is None:
                return compose.Why(found.reason)
            key = await load_key(connection, letter_context(row.letter_id), self._key)
        return compose.Why(found.reason, key.decrypt(found.note).decode())

    def _envelope(self, mail: Opened) -> compose.Envelope:
        reply_to, thread, choice = "", "", ""
        kind, mailbox = MailKind(mail.row.kind), self._settings.incoming.address
        # What was not asked for by who gets it must not be answered with something that becomes a letter.
        if mail.secret is not None and mail.letter is not None and kind is not MailKind.LINK_OFFER:
            token = mail.secret.answer_token(mail.letter.conversation_id)
            thread = token_hash(f"thread {token}")[:32]
            reply_to = answer_address(mailbox, token) if mailbox and kind is not MailKind.LINK else ""
            if kind not in ANSWERS:
                choice = f"{self._settings.site.desk_url}/{mail.language}/inbox/{mail.secret.link}/mails"
        return compose.Envelope(
            sender_name=self._settings.site.name,
            sender=self._settings.mail.sender,
            address=mail.address,
            language=mail.language,
            message_id=mail.row.message_id,
            written_at=mail.row.created_at,
            reply_to=reply_to,
            thread=thread,
            choice=choice,
        )


@dataclass(frozen=True, slots=True)
class _WithPicture:
    """A reply that goes with its PDF, unless that is too large for a mail."""

    envelope: compose.Envelope
    prisoner: str
    link: str
    transcript: Transcript
    pdf: bytes
    begun: bool

    def written(self, pdf: bytes | None) -> EmailMessage:
        return compose.reply(
            self.envelope, Wants.FULL, self.prisoner, self.link, self.transcript, pdf, begun=self.begun
        )


async def _letters(connection: AsyncConnection, rows: Sequence[Row]) -> dict[str, Row]:
    found = await connection.execute(
        sa.select(
            letters.c.id,
            letters.c.body,
            letters.c.language,
            letters.c.wants,
            letters.c.reason,
            letters.c.state,
            letters.c.conversation_id,
            prisoners.c.name,
            conversations.c.answer_hash,
            inboxes.c.id.label("inbox_id"),
            inboxes.c.secret,
        )
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(letters.c.id.in_({row.letter_id for row in rows}))
    )
    return {letter.id: letter for letter in found}


async def _wraps(connection: AsyncConnection, rows: Sequence[Row], about: dict[str, Row]) -> dict[Context, Wraps]:
    """The wraps of the letters, inboxes and own words of mails; a record without any was destroyed."""
    wanted = {
        "mail": {row.id for row in rows},
        Record.LETTER: set(about),
        "inbox": {letter.inbox_id for letter in about.values()},
    }
    found: dict[Context, dict[str, bytes]] = {}
    for kind, ids in wanted.items():
        query = sa.select(content_keys).where(content_keys.c.record == kind, content_keys.c.record_id.in_(ids))
        for wrap in await connection.execute(query):
            found.setdefault(Context(wrap.record, wrap.record_id), {})[wrap.recipient] = wrap.wrap
    return dict(found)


def _for_the_wire(address: str) -> str:
    # Every server takes a domain of other letters in its ASCII form; only some take such a name before the @.
    return validate_email(address, check_deliverability=False).ascii_email or address

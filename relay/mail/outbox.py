"""The outbox: mails that wait, are sent, tried again, or given up. One bad address never holds up another mail."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final

import aiosmtplib
import sqlalchemy as sa
import structlog
from email_validator import validate_email
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Settings
from relay.domain.letters import Transcript, Wants
from relay.domain.lives import MailKind, MailState, Record
from relay.domain.reply_parts import REPLY_PDF
from relay.mail import compose
from relay.sealing import Context, PrivateKey
from relay.store import leases
from relay.store.letters import inbox_secret, letter_context, read_body
from relay.store.sealed import Store, find_blob, load_key, shred
from relay.store.tables import content_keys, decisions, letters, outbox, prisoners, replies

LOG: Final = structlog.get_logger()
SECONDS: Final = leases.LEASE.total_seconds() * 0.75
"""How long one mail may take as a whole: nobody else may begin to send it meanwhile."""
LARGEST_MAIL: Final = 10_000_000
"""Bytes of a mail with its attachment. Postfix takes 10 240 000 unless told otherwise; many servers take no more."""


class _DestroyedError(Exception):
    """The letter of a mail was destroyed meanwhile; nobody can be written to about it."""


ABOUT_THE_MAILBOX: Final = range(550, 554)
"""Refusals that another try does not change (RFC 5321, section 4.2.3): no such mailbox, moved, full, not allowed."""
POLICY: Final = "5.7."
"""Stands in refusals (RFC 3463) that are about us: relaying denied, log in first. That is put right on our side."""


class Sender:
    """Sends the mails of one key: the desk's confirmations, or all others, which the office composes."""

    def __init__(self, store: Store, settings: Settings, owner: str, key: PrivateKey, *, desk: bool) -> None:
        """Take the desk's private key with `desk`, else the office's."""
        self._store, self._settings, self._owner, self._key, self._desk = store, settings, owner, key, desk

    async def send_next(self) -> bool:
        """Send the oldest mail that is due. False where there is none."""
        ours = outbox.c.kind == MailKind.CONFIRM if self._desk else outbox.c.kind != MailKind.CONFIRM
        async with self._store.database.writing() as connection:
            rows = await leases.claim(
                connection,
                outbox,
                outbox.c.state == MailState.WAITING,
                ours,
                owner=self._owner,
                now=self._store.database.clock(),
                order_by=outbox.c.created_at,
            )
        for row in rows:
            await self._send(row)
        return bool(rows)

    async def _send(self, row: sa.Row[*tuple[Any, ...]]) -> None:
        mail = self._settings.mail
        if row.attempts >= mail.attempts:  # the last tries killed their workers, who could not give it up any more
            await self._end(row, MailState.GAVE_UP, row.last_error)
            return
        try:
            async with asyncio.timeout(SECONDS):
                message = await self._compose(row)
                await aiosmtplib.send(
                    message,
                    hostname=mail.host,
                    port=mail.port,
                    username=mail.username or None,
                    password=mail.password or None,
                    use_tls=mail.tls == "tls",
                    start_tls=mail.tls == "starttls",
                )
        except _DestroyedError:
            await self._end(row, MailState.DROPPED)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one mail, the others go on
            await self._failed(row, error)
        else:
            await self._end(row, MailState.SENT)

    async def _end(self, row: sa.Row[*tuple[Any, ...]], state: MailState, last_error: str | None = None) -> None:
        async with self._store.database.writing() as connection:
            await _finish(connection, row.id, state, self._store.database.clock(), last_error)
        await self._forget()

    async def _forget(self) -> None:
        if self._desk:
            await self._store.database.forget()

    async def _failed(self, row: sa.Row[*tuple[Any, ...]], error: Exception) -> None:
        code, words = _answer(error)
        # The server's own words may quote the address, so only the kind and the code are kept.
        told = f"{type(error).__name__} {code or ''}".strip()
        LOG.warning("mail_failed", mail=row.id, error=told)
        now = self._store.database.clock()
        final = code in ABOUT_THE_MAILBOX and POLICY not in words
        attempts = 1 if final else self._settings.mail.attempts
        async with self._store.database.writing() as connection:
            given_up = await leases.fail(
                connection, outbox, row.id, owner=self._owner, error=told, now=now, attempts=attempts
            )
            if given_up:
                await _finish(connection, row.id, MailState.GAVE_UP, now, told)
        if given_up:
            await self._forget()

    async def _compose(self, row: sa.Row[*tuple[Any, ...]]) -> EmailMessage:
        site = self._settings.site
        async with self._store.database.reading() as connection:
            if self._desk:
                key = await load_key(connection, Context("mail", row.id), self._key)
                wanted = compose.Confirmation.model_validate_json(key.decrypt(row.body))
                link = f"{site.desk_url}/{wanted.language}/confirm/{wanted.token}"
                envelope = self._envelope(row, wanted.address, wanted.language)
                return compose.confirmation(envelope, link, self._settings.letter.days_to_confirm)
            letter = (
                await connection.execute(
                    sa.select(letters.c.language, letters.c.wants, letters.c.reason, prisoners.c.name)
                    .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
                    .where(letters.c.id == row.letter_id)
                )
            ).one()
            if await _destroyed(connection, letter_context(row.letter_id)):
                raise _DestroyedError
            body = await read_body(connection, row.letter_id, self._key)
            secret = await inbox_secret(connection, row.letter_id, self._key)
            assert body.address is not None, "who gave no address is sent no mail"
            link = f"{site.desk_url}/{letter.language}/inbox/{secret.link}"
            envelope = self._envelope(row, body.address, letter.language)
            if row.kind != MailKind.REPLY:
                why = await self._why(connection, row, letter.reason)
                return compose.notice(envelope, MailKind(row.kind), letter.name, link, why)
            context = Context(Record.REPLY, row.reply_id)
            reply_key = await load_key(connection, context, self._key)
            sealed = (
                await connection.execute(sa.select(replies.c.transcript).where(replies.c.id == row.reply_id))
            ).scalar_one()
            blob_id = await find_blob(connection, context, REPLY_PDF)
        transcript = Transcript.model_validate_json(reply_key.decrypt(sealed))
        pdf = await self._store.blobs.get_bytes(blob_id, reply_key)
        message = compose.reply(envelope, Wants(letter.wants), letter.name, link, transcript, pdf)
        if len(message.as_bytes()) > LARGEST_MAIL:
            return compose.notice(envelope, MailKind.REPLY, letter.name, link)
        return message

    async def _why(
        self, connection: AsyncConnection, row: sa.Row[*tuple[Any, ...]], reason: str | None
    ) -> compose.Why | None:
        """The reason and the note of the decision that a mail is about."""
        if row.decision_id is None:
            told = row.kind in {MailKind.RETURNED, MailKind.REFUSED}  # refused before decisions were kept
            return compose.Why(reason) if told and reason else None
        found = (
            await connection.execute(
                sa.select(decisions.c.reason, decisions.c.note).where(decisions.c.id == row.decision_id)
            )
        ).one()
        if found.reason is None:
            return None
        note = ""
        if found.note is not None:
            key = await load_key(connection, letter_context(row.letter_id), self._key)
            note = key.decrypt(found.note).decode()
        return compose.Why(found.reason, note)

    def _envelope(self, row: sa.Row[*tuple[Any, ...]], address: str, language: str) -> compose.Envelope:
        # Every server takes a domain of other letters in its ASCII form; only some take such a name before the @.
        ascii_form = validate_email(address, check_deliverability=False).ascii_email
        return compose.Envelope(
            sender_name=self._settings.site.name,
            sender=self._settings.mail.sender,
            address=ascii_form or address,
            language=language,
            message_id=row.message_id,
            written_at=row.created_at,
        )


async def drop_mails(
    connection: AsyncConnection, letter_id: str, kinds: Sequence[MailKind], at: datetime.datetime
) -> None:
    """Drop mails of a letter that were not sent yet and are not needed any more."""
    await _drop(connection, at, outbox.c.letter_id == letter_id, outbox.c.kind.in_(kinds))


async def drop_mail_of(connection: AsyncConnection, decision_id: str, at: datetime.datetime) -> None:
    """Drop the mail about a decision of the review that was undone."""
    await _drop(connection, at, outbox.c.decision_id == decision_id)


async def send_mail_of(connection: AsyncConnection, decision_id: str) -> None:
    """Let the mail about a decision of the review go now."""
    waiting = (outbox.c.decision_id == decision_id, outbox.c.state == MailState.WAITING, outbox.c.attempts == 0)
    await connection.execute(sa.update(outbox).where(*waiting).values(next_try_at=None))


async def _drop(connection: AsyncConnection, at: datetime.datetime, *where: sa.ColumnElement[bool]) -> None:
    waiting = sa.select(outbox.c.id).where(*where, outbox.c.state == MailState.WAITING)
    for mail_id in (await connection.execute(waiting)).scalars().all():
        await _finish(connection, mail_id, MailState.DROPPED, at)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Mails that were given up for the same reason."""

    error: str
    count: int
    oldest: datetime.datetime


# What a confirmation says was erased when it was given up.
_CAN_GO_AGAIN: Final = sa.and_(outbox.c.state == MailState.GAVE_UP, outbox.c.kind != MailKind.CONFIRM)


async def given_up(connection: AsyncConnection) -> list[GivenUp]:
    """The mails that were given up and can be tried again, by what went wrong."""
    oldest = sa.func.min(outbox.c.state_since)
    rows = await connection.execute(
        sa.select(outbox.c.last_error, sa.func.count().label("mails"), oldest.label("oldest"))
        .where(_CAN_GO_AGAIN)
        .group_by(outbox.c.last_error)
        .order_by(oldest)
    )
    return [GivenUp(row.last_error, row.mails, row.oldest) for row in rows]


async def try_again(connection: AsyncConnection, error: str, at: datetime.datetime) -> None:
    """Let the mails wait again that were given up with this error."""
    await connection.execute(
        sa.update(outbox)
        .where(_CAN_GO_AGAIN, outbox.c.last_error == error)
        .values(state=MailState.WAITING, state_since=at, **leases.FRESH)
    )


async def _finish(
    connection: AsyncConnection, mail_id: str, state: MailState, at: datetime.datetime, last_error: str | None = None
) -> None:
    await connection.execute(
        sa.update(outbox)
        .where(outbox.c.id == mail_id)
        .values(
            state=state,
            state_since=at,
            body=None,
            last_error=last_error,
            **leases.FREE,
        )
    )
    await shred(connection, Context("mail", mail_id))


async def _destroyed(connection: AsyncConnection, context: Context) -> bool:
    """Whether a record has no wraps any more. One that is sealed to another key is not destroyed."""
    wraps = sa.select(content_keys.c.record_id).where(
        content_keys.c.record == context.kind, content_keys.c.record_id == context.id
    )
    return (await connection.execute(wraps)).first() is None


def _answer(error: Exception) -> tuple[int | None, str]:
    """The status and the words with which the server refused this mail; None where it refused us, or never answered."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return max(((recipient.code, recipient.message) for recipient in error.recipients), default=(None, ""))
    return (error.code, error.message) if isinstance(error, aiosmtplib.SMTPDataError) else (None, "")

"""The outbox: mails that wait, are sent, tried again, or given up. One bad address never holds up another mail."""

from __future__ import annotations

import datetime
from email.message import EmailMessage
from typing import Any, Final

import aiosmtplib
import sqlalchemy as sa
import structlog
from email_validator import validate_email
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Settings
from relay.domain.letters import Transcript, Wants
from relay.domain.lives import MailKind, Record
from relay.domain.reasons import REFUSALS, Refusal
from relay.mail import compose
from relay.sealing import Context, PrivateKey
from relay.store import leases
from relay.store.letters import inbox_secret, letter_context, read_body
from relay.store.sealed import Store, find_blob, load_key, shred
from relay.store.tables import content_keys, letters, outbox, prisoners, replies

LOG: Final = structlog.get_logger()
AT_ONCE: Final = 10
"""Mails that are claimed together."""
SECONDS: Final = 60
"""How long the mail server may take for one answer."""


class _DestroyedError(Exception):
    """The letter of a mail was destroyed meanwhile; nobody can be written to about it."""


class Sender:
    """Sends the mails of one key: the desk's confirmations, or all others, which the office composes."""

    def __init__(self, store: Store, settings: Settings, owner: str, key: PrivateKey, *, desk: bool) -> None:
        """Take the desk's private key with `desk`, else the office's."""
        self._store, self._settings, self._owner, self._key, self._desk = store, settings, owner, key, desk

    async def send_due(self) -> int:
        """Send what is due, one after the other. Returns how many were tried."""
        ours = outbox.c.kind == MailKind.CONFIRM if self._desk else outbox.c.kind != MailKind.CONFIRM
        async with self._store.database.writing() as connection:
            rows = await leases.claim(
                connection,
                outbox,
                outbox.c.state == "waiting",
                ours,
                owner=self._owner,
                now=self._store.database.clock(),
                order_by=outbox.c.created_at,
                limit=AT_ONCE,
            )
        for row in sorted(rows, key=lambda row: row.created_at):
            await self._send(row)
        return len(rows)

    async def _send(self, row: sa.Row[*tuple[Any, ...]]) -> None:
        async with self._store.database.writing() as connection:
            # A slow server may have held up the mails before this one so long that somebody else sends it now.
            if not await leases.renew(connection, outbox, row.id, owner=self._owner, now=self._store.database.clock()):
                return
        mail = self._settings.mail
        try:
            message = await self._compose(row)
            await aiosmtplib.send(
                message,
                hostname=mail.host,
                port=mail.port,
                username=mail.username or None,
                password=mail.password or None,
                use_tls=mail.tls == "tls",
                start_tls=mail.tls == "starttls",
                timeout=SECONDS,
            )
        except _DestroyedError:
            await self._end(row, "dropped")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one mail, the others go on
            await self._failed(row, error)
        else:
            await self._end(row, "sent")

    async def _end(self, row: sa.Row[*tuple[Any, ...]], state: str) -> None:
        async with self._store.database.writing() as connection:
            await _finish(connection, row.id, state, self._store.database.clock())
        await self._forget()

    async def _forget(self) -> None:
        if self._desk:
            await self._store.database.forget()

    async def _failed(self, row: sa.Row[*tuple[Any, ...]], error: Exception) -> None:
        code = _refusal(error)
        # The server's own words may quote the address, so only the kind and the code are kept.
        told = f"{type(error).__name__} {code or ''}".strip()
        LOG.warning("mail_failed", mail=row.id, error=told)
        now = self._store.database.clock()
        attempts = 1 if code is not None and code >= 500 else self._settings.mail.attempts
        async with self._store.database.writing() as connection:
            given_up = await leases.fail(
                connection, outbox, row.id, owner=self._owner, error=told, now=now, attempts=attempts
            )
            if given_up:
                await _finish(connection, row.id, "gave_up", now, last_error=told)
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
                reason = REFUSALS[Refusal(letter.reason)] if row.kind == MailKind.REFUSED and letter.reason else None
                return compose.notice(envelope, MailKind(row.kind), letter.name, link, reason)
            context = Context(Record.REPLY, row.reply_id)
            reply_key = await load_key(connection, context, self._key)
            sealed = (
                await connection.execute(sa.select(replies.c.transcript).where(replies.c.id == row.reply_id))
            ).scalar_one()
            blob_id = await find_blob(connection, context, "reply.pdf")
        transcript = Transcript.model_validate_json(reply_key.decrypt(sealed))
        pdf = await self._store.blobs.get_bytes(blob_id, reply_key)
        return compose.reply(envelope, Wants(letter.wants), letter.name, link, transcript, pdf)

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


async def drop_confirmations(connection: AsyncConnection, letter_id: str, at: datetime.datetime) -> None:
    """Drop the confirmations of a letter that were not sent yet: it is confirmed, withdrawn or expired meanwhile."""
    waiting = sa.select(outbox.c.id).where(
        outbox.c.letter_id == letter_id, outbox.c.kind == MailKind.CONFIRM, outbox.c.state == "waiting"
    )
    for mail_id in (await connection.execute(waiting)).scalars().all():
        await _finish(connection, mail_id, "dropped", at)


async def _finish(
    connection: AsyncConnection, mail_id: str, state: str, at: datetime.datetime, last_error: str | None = None
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


def _refusal(error: Exception) -> int | None:
    """The status with which the server refused this mail; None where it refused us, or never answered."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return max((recipient.code for recipient in error.recipients), default=None)
    return error.code if isinstance(error, aiosmtplib.SMTPDataError) else None

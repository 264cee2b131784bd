"""Takes mails from a mail server, over LMTP or SMTP: the answers of senders, and what came back.

A mail is stored before the server hears that it was taken. Recipients that nobody knows are refused before anything is
sent. Who a sender is does not matter here: it can be forged, and what comes back has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import AnyStr, Final

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from relay.config import IncomingSettings
from relay.log import failed
from relay.mail.incoming import Source, addressed, keep, known
from relay.mail.serving import Connection, serving
from relay.store.sealed import Store

LOG: Final = structlog.get_logger()
AT_ONCE: Final = 4
"""Mails that come in at the same time; further ones wait."""
MOST_RECIPIENTS: Final = 20
"""Of one mail."""
LONGEST_LINE: Final = 100_000
"""Bytes of a line. Mails should have no longer ones than 1000; some programs do not know that."""

LATER: Final = "451 4.3.0 The mail could not be stored; send it again later"


@asynccontextmanager
async def taking_answers(store: Store, settings: IncomingSettings) -> AsyncIterator[int]:
    """Take mails until the end of the block, at the port that it gives; 0 where the settings name none.

    Raises OSError where nothing can listen there.
    """
    if settings.port == 0:
        yield 0
        return
    async with listening(store, settings, settings.port) as port:
        yield port


@asynccontextmanager
async def listening(store: Store, settings: IncomingSettings, port: int) -> AsyncIterator[int]:
    """Take mails at this port, or at one that the system chooses for 0."""
    inbox = _Inbox(store, settings)
    connection = _OverLmtp if settings.protocol == "lmtp" else _OverSmtp

    def connected(places: asyncio.Semaphore) -> Connection:
        return connection(inbox, places, settings.max_megabytes, utf8=True)

    async with serving(connected, settings.host, port, at_once=AT_ONCE) as taken:
        yield taken


class _OverSmtp(Connection):
    line_length_limit = LONGEST_LINE


class _OverLmtp(LMTP, _OverSmtp):
    """The same over LMTP, which wants an answer to a mail for each of its recipients (RFC 2033, section 4.2)."""

    _recipients = 0

    async def push(self, status: AnyStr) -> None:
        """Say one line, or the same for each recipient where it is what became of a mail."""
        asks_for_mail = status[:3] in ("354", b"354")
        for _ in range(max(1, self._recipients)):
            await super().push(status)
        self._recipients = len(self.envelope.rcpt_tos) if asks_for_mail and self.envelope else 0


class _Inbox:
    """Who can be written to, and where mails go. The methods are called by aiosmtpd and answer with a reply line."""

    def __init__(self, store: Store, settings: IncomingSettings) -> None:
        self._store, self._settings = store, settings

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients at once"
        try:
            async with self._store.database.reading() as connection:
                found = await addressed(connection, self._settings.address, address)
        except Exception as error:  # noqa: BLE001 - whatever it was, the server has to keep its mail
            failed("incoming_not_looked_up", error)
            return "451 4.3.0 This cannot be looked up at the moment; try again later"
        if found is None:
            LOG.info("incoming_refused", why="recipient")
            return "550 5.1.1 There is no such address here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Mails are taken here"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        del server, session
        assert isinstance(envelope.content, bytes)
        # As a server does that puts a mail into a mailbox (RFC 5321, section 4.4).
        lines = [
            f"Return-Path: <{(envelope.mail_from or '').strip('<>')}>",
            *(f"Delivered-To: {to}" for to in envelope.rcpt_tos),
        ]
        raw = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape") + envelope.content
        try:
            async with self._store.database.reading() as connection:
                to = await known(connection, self._settings.address, envelope.rcpt_tos)
            if not to:  # erased since the recipients were asked for
                return "550 5.1.1 There is no such address here"
            await keep(self._store, raw, to, Source.SMTP)
        except Exception as error:  # noqa: BLE001 - whatever it was, the server has to keep its mail
            failed("incoming_not_stored", error)
            return LATER
        return "250 2.0.0 The mail is stored"

    async def handle_exception(self, error: Exception) -> str:
        """Called by aiosmtpd for what it does not expect; its own answer would be a final one, with the words of it."""
        failed("incoming_not_stored", error)
        return LATER

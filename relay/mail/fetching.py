"""Fetches mails out of a mailbox (IMAP). What is stored is taken out of the mailbox, and never before that.

A mail that lies in a mailbox can be read by whoever has the mail server, so none stays there. Its name (mailbox,
UIDVALIDITY and UID, RFC 3501, section 2.3.1.1) is stored with it: a process that ends between the two steps stores
nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import imaplib
import re
import ssl
from collections.abc import Callable, Sequence
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final, ParamSpec, TypeVar

import imap_tools
import structlog

from relay.config import IncomingSettings
from relay.mail.connections import is_loopback
from relay.mail.incoming import Addressed, Doubt, Source, is_fetched, keep, known
from relay.mail.parsing import addresses
from relay.store.sealed import Store

LOG: Final = structlog.get_logger()
EVERY: Final = datetime.timedelta(minutes=1)
"""How often somebody looks into the mailbox."""
SECONDS: Final = 60
"""How long an answer of the server is waited for."""
AT_ONCE: Final = 50
"""Mails that are fetched in one look."""
HEAD: Final = 200_000
"""Bytes of the headers of a mail that are read."""
ENVELOPE: Final = ("Delivered-To", "X-Original-To", "Envelope-To")
"""Headers in which mail servers note to whom a mail really went."""
WRITTEN: Final = ("To", "Cc")
"""Headers in which its sender says so."""

_TROUBLE: Final = (imap_tools.ImapToolsError, imaplib.IMAP4.error, OSError)
"""What is raised where the server is away, ends the connection, or refuses something."""

P = ParamSpec("P")
T = TypeVar("T")


class _AwayError(Exception):
    """The mailbox cannot be used at the moment."""


class Fetcher:
    """Fetches what lies in the mailbox of the settings."""

    def __init__(self, store: Store, settings: IncomingSettings) -> None:
        self._store, self._settings = store, settings
        self._look_at = datetime.datetime.min.replace(tzinfo=datetime.UTC)
        self._away = False

    async def fetch_next(self) -> bool:
        """Look into the mailbox, at most every EVERY, and store what lies there. False where nothing is left."""
        if (now := self._store.database.clock()) < self._look_at:
            return False
        try:
            more = await self._fetch()
        except _AwayError as error:
            if not self._away:  # said once, and not at every look
                LOG.warning("mailbox_away", error=type(error.__cause__).__name__)
            self._away, more = True, False
        else:
            self._away = False
        if not more:
            self._look_at = now + EVERY
        return more

    async def _fetch(self) -> bool:
        mailbox = await _asked(self._log_in)
        try:
            place = await _asked(self._place, mailbox)
            # Not what somebody else has deleted and the server has not yet removed.
            uids = await _asked(mailbox.uids, "UNDELETED")
            taken = 0
            for uid in uids:
                if taken == AT_ONCE:
                    return True
                taken += await self._take(mailbox, uid, f"{place} {uid}")
        finally:
            with contextlib.suppress(_AwayError):
                await _asked(mailbox.logout)
        return False

    def _log_in(self) -> imap_tools.BaseMailBox:
        settings = self._settings
        host, port = settings.imap_host, settings.imap_port
        context = ssl.create_default_context()
        if is_loopback(host):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        mailbox: imap_tools.BaseMailBox
        match settings.imap_tls:
            case "tls":
                mailbox = imap_tools.MailBox(host, port, timeout=SECONDS, ssl_context=context)
            case "starttls":
                mailbox = imap_tools.MailBoxStartTls(host, port, timeout=SECONDS, ssl_context=context)
            case "none":
                mailbox = imap_tools.MailBoxUnencrypted(host, port, timeout=SECONDS)
        name, password = settings.imap_username, settings.imap_password
        log_in = mailbox.login if f"{name}{password}".isascii() else mailbox.login_utf8
        try:
            return log_in(name, password, settings.imap_folder)
        except _TROUBLE:
            with contextlib.suppress(*_TROUBLE):
                mailbox.logout()
            raise

    def _place(self, mailbox: imap_tools.BaseMailBox) -> str:
        """A name of the folder as it is now; a hash, because an account is an address."""
        settings = self._settings
        (validity,) = mailbox.folder.status(settings.imap_folder, ["UIDVALIDITY"]).values()
        place = "\x1f".join((settings.imap_host, settings.imap_username, settings.imap_folder))
        return f"{hashlib.sha256(place.encode()).hexdigest()[:32]} {validity}"

    async def _take(self, mailbox: imap_tools.BaseMailBox, uid: str, fetched: str) -> bool:
        """Store one mail and take it out of the mailbox. False where it stays there."""
        async with self._store.database.reading() as connection:
            stored = await is_fetched(connection, fetched)
        size = await _asked(_size, mailbox, uid)
        large = size is not None and size > self._settings.max_megabytes * 1_000_000
        if large and stored:
            return False
        if not stored:
            raw = await _asked(_read, mailbox, uid, f"BODY.PEEK[HEADER]<0.{HEAD}>" if large else "BODY.PEEK[]")
            if raw is None:  # somebody was quicker, or the server cannot read it itself
                LOG.warning("mail_not_fetched")
                return False
            to = await self._sent_to(raw) or [Addressed()]
            await keep(self._store, raw, to, Source.IMAP, fetched, Doubt.TOO_LARGE if large else None)
        if large:
            LOG.warning("mail_too_large")
            return False
        await _asked(mailbox.delete, uid)
        return True

    async def _sent_to(self, raw: bytes) -> Sequence[Addressed]:
        async with self._store.database.reading() as connection:
            for headers in (ENVELOPE, WRITTEN):
                if found := await known(connection, self._settings.address, _addresses(raw, headers)):
                    return found
        return ()


async def _asked(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the server answers. The library waits for it, so that is done in a thread. Raises _AwayError."""
    try:
        return await asyncio.to_thread(ask, *args, **kwargs)
    except _TROUBLE as error:
        raise _AwayError from error


def _size(mailbox: imap_tools.BaseMailBox, uid: str) -> int | None:
    for piece in mailbox.client.uid("FETCH", uid, "(RFC822.SIZE)")[1]:
        if isinstance(piece, bytes) and (found := re.search(rb"RFC822\.SIZE (\d+)", piece, re.IGNORECASE)):
            return int(found[1])
    return None


def _read(mailbox: imap_tools.BaseMailBox, uid: str, what: str) -> bytes | None:
    for piece in mailbox.client.uid("FETCH", uid, f"({what})")[1]:
        if isinstance(piece, tuple):
            raw: bytes = piece[1]
            return raw
    return None


def _addresses(raw: bytes, headers: Sequence[str]) -> list[str]:
    message = BytesHeaderParser(policy=compat32).parsebytes(raw[:HEAD])
    return addresses(message, *headers)

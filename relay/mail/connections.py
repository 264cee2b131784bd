"""Connections to the mail server that takes our mails; each carries many mails, one after the other."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiosmtplib

from relay.config import Mail

CONNECT_SECONDS: Final = 30
"""How long the server may take to let us in."""
ANSWER_SECONDS: Final = 90.0
"""How long it may take for one answer."""
GOING_AWAY: Final = 421


class ServerAwayError(Exception):
    """The mail server cannot be reached, or lets nobody in. That says nothing about any mail."""

    def __init__(self, error: Exception) -> None:
        """Take what went wrong."""
        super().__init__(error_name(error))


class NoMoreConnectionsError(Exception):
    """The mail server takes our mails, but over no more connections than there are."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail as it is handed to the server."""

    sender: str
    recipient: str
    data: bytes
    utf8: bool = False
    """Whether an address has other letters than ASCII, which not every server takes."""


class Connections:
    """Connections that are kept open as long as there are mails."""

    def __init__(self, mail: Mail) -> None:
        """Prepare to connect as the settings say; nothing is opened yet."""
        self._mail = mail
        self._idle: list[aiosmtplib.SMTP] = []
        self._open = 0
        self._connecting = asyncio.Lock()
        self._refused = 0
        self._error: Exception = ConnectionError()

    async def send(self, outgoing: Outgoing, begin: Callable[[], None]) -> None:
        """Send a mail; calls `begin` when a connection is there. Raises what aiosmtplib does, and the errors above."""
        async with self._one() as (connection, used):
            begin()
            try:
                await _hand_over(connection, outgoing)
            except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPSenderRefused) as error:
                # The server may close a connection between two mails, also just now.
                if not used or getattr(error, "code", GOING_AWAY) != GOING_AWAY:
                    raise
                connection.close()
            else:
                return
        async with self._one(fresh=True) as (connection, _):
            await _hand_over(connection, outgoing)

    @asynccontextmanager
    async def _one(self, *, fresh: bool = False) -> AsyncIterator[tuple[aiosmtplib.SMTP, bool]]:
        """A connection, and whether it has carried mails before. It is kept where it is good for another mail."""
        used = None if fresh else self._unused()
        connection = used or await self._connect()
        good = False
        try:
            yield connection, used is not None
            good = True
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPNotSupported):
            good = True
            raise
        finally:
            if good and connection.is_connected:
                self._idle.append(connection)
            else:
                self._drop(connection)

    def _unused(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:
                return connection
            self._drop(connection)
        return None

    def _drop(self, connection: aiosmtplib.SMTP) -> None:
        connection.close()
        self._open -= 1

    async def _connect(self) -> aiosmtplib.SMTP:
        refused = self._refused
        async with self._connecting:
            # Who waited here while the server let somebody else not in need not ask it again.
            if self._refused > refused:
                raise self._away()
            mail = self._mail
            connection = aiosmtplib.SMTP(
                hostname=mail.host,
                port=mail.port,
                username=mail.username or None,
                password=mail.password or None,
                use_tls=mail.tls == "tls",
                start_tls=mail.tls == "starttls",
                validate_certs=not is_loopback(mail.host),
                local_hostname=mail.sender.rpartition("@")[2],  # the name of this machine is nobody's business
                timeout=ANSWER_SECONDS,
            )
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.connect()
                    if connection.is_ehlo_or_helo_needed:
                        await connection.ehlo()
            except Exception as error:
                self._refused += 1
                self._error = error
                connection.close()
                raise self._away() from error
            except BaseException:
                connection.close()
                raise
            self._open += 1
            return connection

    def _away(self) -> Exception:
        return NoMoreConnectionsError() if self._open else ServerAwayError(self._error)

    async def close(self) -> None:
        """Say goodbye over the connections on which nothing is sent."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._quit(connection) for connection in idle))

    async def _quit(self, connection: aiosmtplib.SMTP) -> None:
        try:
            async with asyncio.timeout(1):
                await connection.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            pass
        finally:
            self._drop(connection)


async def _hand_over(connection: aiosmtplib.SMTP, outgoing: Outgoing) -> None:
    options = ["SMTPUTF8", "BODY=8BITMIME"] if outgoing.utf8 else []
    await connection.sendmail(outgoing.sender, [outgoing.recipient], outgoing.data, mail_options=options)


def is_loopback(host: str) -> bool:
    """Whether a mail server is on this machine: nobody else can stand there, and its certificate is no one's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def error_name(error: Exception) -> str:
    """The kind of an error and the code in it: a server's own words may quote addresses."""
    return f"{type(error).__name__} {getattr(error, 'code', '')}".strip()

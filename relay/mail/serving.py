"""Takes mails that are handed over to us, a few at a time. What becomes of them is up to the handler (aiosmtpd's)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiosmtpd.smtp import SMTP, syntax

DRAIN_SECONDS: Final = 30
"""How long a mail that is just coming in is waited for when the process is asked to stop."""


class Connection(SMTP):
    """One connection over SMTP. Its greeting names neither the machine nor the program."""

    def __init__(self, handler: object, at_once: asyncio.Semaphore, megabytes: int, *, utf8: bool = False) -> None:
        """Take mails of at most so many megabytes (10^6 bytes); `utf8`: also to addresses beyond ASCII."""
        most = megabytes * 1_000_000
        super().__init__(handler, data_size_limit=most, hostname="localhost", ident="ESMTP", enable_SMTPUTF8=utf8)
        self._at_once = at_once

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's
        """Take one mail; further ones wait here."""
        async with self._at_once:
            await super().smtp_DATA(arg)


@asynccontextmanager
async def serving(
    connection: Callable[[asyncio.Semaphore], Connection], host: str, port: int, *, at_once: int
) -> AsyncIterator[int]:
    """Take mails until the end of the block, so many at the same time. Gives the port; for 0 the system chooses it.

    Raises OSError where nothing can listen there.
    """
    places = asyncio.Semaphore(at_once)
    server = await asyncio.get_running_loop().create_server(lambda: connection(places), host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                for _ in range(at_once):
                    await places.acquire()

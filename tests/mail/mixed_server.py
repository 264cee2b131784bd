"""A mail server whose mailboxes are of all kinds: ``python -m tests.mail.mixed_server [MILLISECONDS]``.

What it does with a recipient stands before the first dash of the address. It keeps a mail after so many milliseconds.
At the start it says on which port it listens, and at the end, when its input is closed, how many mails it took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiosmtpd.smtp import SMTP

ANSWERS: Final = {
    "unknown": "550 5.1.1 no such mailbox",
    "greylisted": "451 4.7.1 greylisted, come again",
    "nowhere": "450 4.4.3 the domain cannot be found",
}
"""Of mailboxes that refuse; `hangs` never answers, `slams` closes the connection."""
DEAD: Final = (*ANSWERS, "hangs", "slams")


class Mailboxes:
    """Takes mails for all others."""

    def __init__(self, seconds: float = 0) -> None:
        """Take the time that a mail takes to be kept."""
        self.seconds = seconds
        self.taken: list[str] = []

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's)
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Answer as the mailbox does."""
        del session, options
        kind = address.partition("-")[0]
        if kind == "hangs":
            await asyncio.Event().wait()
        if kind == "slams":
            assert server.transport is not None
            server.transport.close()
        if kind in ANSWERS:
            return ANSWERS[kind]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 go on"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
        """Keep a mail."""
        del server, session
        await asyncio.sleep(self.seconds)
        self.taken += envelope.rcpt_tos
        return "250 2.0.0 kept"


@asynccontextmanager
async def listening(mailboxes: Any) -> AsyncIterator[int]:
    """Take mails until the end of the block; gives the port."""
    running = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailboxes, hostname="localhost"), "127.0.0.1", 0
    )
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


async def main(milliseconds: str = "0") -> None:
    """Listen until the input is closed."""
    mailboxes = Mailboxes(float(milliseconds) / 1000)
    async with listening(mailboxes) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(len(mailboxes.taken), flush=True)


@contextmanager
def elsewhere(milliseconds: float = 0) -> Iterator[int]:
    """The server in a process of its own; gives its port."""
    command = [sys.executable, "-m", "tests.mail.mixed_server", str(milliseconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

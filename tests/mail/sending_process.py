"""A worker that sends mails, to be killed: ``python -m tests.mail.sending_process URL KEY PORT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from relay.config import Settings
from relay.mail.sending import Mailing
from relay.sealing import PrivateKey
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.leases import owning
from relay.store.sealed import Store


def settings_for(port: int, **mail: object) -> Settings:
    """Settings with the mail server on this port."""
    found = Settings()
    return found.model_copy(update={"mail": found.mail.model_copy(update={"port": port, **mail})})


async def main(url: str, key: str, port: str, folder: str) -> None:
    """Send until nothing is due."""
    office = PrivateKey(bytes.fromhex(key))
    database = Database(url)
    mailing = Mailing(Store(database, Blobs(folder), office.public), settings_for(int(port)), office, None, desk=False)
    async with owning(database, Path(folder) / "run") as owner:
        while await mailing(owner):
            pass
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

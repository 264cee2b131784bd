"""Another process on the same database: ``python -m tests.store.process migrate|claim|hold URL [FOLDER]``.

It says ``ready``, waits for a line, does its work, and says what came of it.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
from pathlib import Path

from relay.store import leases
from relay.store.database import Database, utc_now
from relay.store.tables import scans

A_CENTURY = datetime.timedelta(days=36525)


async def claim(database: Database, owner: str, limit: int) -> list[str]:
    """Claim some scans for a century; their ids."""
    async with database.writing() as connection:
        rows = await leases.claim(
            connection, scans, owner=owner, now=utc_now(), order_by=scans.c.created_at, limit=limit, lease=A_CENTURY
        )
    return [row.id for row in rows]


async def main(work: str, url: str, folder: str = "") -> None:
    """Do one of the works."""
    database = Database(url)
    print("ready", flush=True)
    sys.stdin.readline()
    if work == "migrate":
        from relay.store.schema import migrate  # takes long to load, and the others do not need it

        await migrate(database)
    elif work == "claim":
        while found := await claim(database, "somebody", 3):
            print(*found, sep="\n", flush=True)
    elif work == "hold":
        owner = leases.Owner(Path(folder))
        print(owner.name, *await claim(database, owner.name, 1), flush=True)
        sys.stdin.readline()
        owner.close()
    else:
        raise ValueError(work)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

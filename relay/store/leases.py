"""Leases: a claim on a row for a limited time. The row is the queue.

A claim is one conditional update that reports which rows it changed, so two claimants never hold the same row. A lease
has an owner, a renewal and a hard end. A row that fails again and again is set aside, where a person sees it.
"""

from __future__ import annotations

import datetime
import fcntl
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.database import Database
from relay.store.tables import batches, incoming, link_requests, outbox, print_jobs, replies, scans

LEASE: Final = datetime.timedelta(minutes=2)
"""How long a lease lasts without renewal."""
HARD_END: Final = datetime.timedelta(hours=6)
"""How long a lease lasts with all its renewals. A scan of 1000 pages takes one to two hours on two cores."""
FIRST_DELAY: Final = datetime.timedelta(seconds=30)
LONGEST_DELAY: Final = datetime.timedelta(hours=6)
ATTEMPTS: Final = 5
"""Failures after which a row is set aside."""
DIED: Final = "the process died"
"""What stands as the error of a row whose worker did not live to write one."""

WORK: Final = (batches, print_jobs, scans, replies, incoming, link_requests, outbox)
"""The tables whose rows workers claim."""
FREE: Final[dict[str, Any]] = {"lease_owner": None, "lease_until": None, "lease_ends": None}
"""The columns of a row that nobody holds."""
FRESH: Final[dict[str, Any]] = {"attempts": 0, "next_try_at": None, "last_error": None, "set_aside_at": None}
"""The columns of a row that never failed."""


class LeaseLostError(Exception):
    """The lease is over, or was never the owner's: somebody else may have done the work."""

    def __init__(self, table: str, row_id: str) -> None:
        """Name the row in the message."""
        super().__init__(f"the lease on {row_id} of {table} is over")


async def claim(
    connection: AsyncConnection,
    table: sa.Table,
    *where: sa.ColumnElement[bool],
    owner: str,
    now: datetime.datetime,
    order_by: sa.ColumnElement[Any],
    limit: int = 1,
    lease: datetime.timedelta = LEASE,
    hard_end: datetime.timedelta | None = HARD_END,
) -> Sequence[sa.Row[Any]]:
    """Claim up to `limit` free rows that are due, oldest first by `order_by`, and return them.

    With `hard_end` None the rows get none: it is for the claimant to set it, or not to renew.
    """
    columns = table.c
    free = sa.and_(
        *where,
        columns.set_aside_at.is_(None),
        sa.or_(columns.lease_until.is_(None), columns.lease_until < now),
        sa.or_(columns.next_try_at.is_(None), columns.next_try_at <= now),
    )
    # As a CTE it is run once. PostgreSQL may run a plain subquery again for each row of the table, and the rows that it
    # then skips as locked make room for others, up to all.
    chosen = (
        sa.select(columns.id)
        .where(free)
        .order_by(order_by)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    update = (
        sa.update(table)
        .where(columns.id.in_(sa.select(chosen.c.id)))
        .values(lease_owner=owner, lease_until=now + lease, lease_ends=None if hard_end is None else now + hard_end)
        .returning(*columns)
    )
    return (await connection.execute(update)).all()


async def renew(
    connection: AsyncConnection,
    table: sa.Table,
    row_id: str,
    *,
    owner: str,
    now: datetime.datetime,
    lease: datetime.timedelta = LEASE,
) -> bool:
    """Prolong a lease up to its hard end; false where the owner does not hold it any more."""
    until = sa.case((table.c.lease_ends < now + lease, table.c.lease_ends), else_=now + lease)
    update = sa.update(table).where(held_by(table, row_id, owner, now)).values(lease_until=until)
    changed: int = (await connection.execute(update)).rowcount
    return changed == 1


def held_by(table: sa.Table, row_id: str, owner: str, now: datetime.datetime) -> sa.ColumnElement[bool]:
    """The condition that the owner holds the lease on a row."""
    return sa.and_(table.c.id == row_id, table.c.lease_owner == owner, table.c.lease_until >= now)


async def check(connection: AsyncConnection, table: sa.Table, row_id: str, owner: str, now: datetime.datetime) -> None:
    """Make sure that the owner holds a row, up to the end of the transaction. Raises LeaseLostError."""
    held = sa.select(table.c.id).where(held_by(table, row_id, owner, now)).with_for_update()
    if (await connection.execute(held)).one_or_none() is None:
        raise LeaseLostError(table.name, row_id)


async def give_back(connection: AsyncConnection, table: sa.Table, row_id: str, *, owner: str) -> None:
    """End a lease; the row is free for the next claim."""
    await connection.execute(sa.update(table).where(table.c.id == row_id, table.c.lease_owner == owner).values(**FREE))


async def fail(
    connection: AsyncConnection,
    table: sa.Table,
    row_id: str,
    *,
    owner: str,
    error: str,
    now: datetime.datetime,
    attempts: int = ATTEMPTS,
) -> bool:
    """End the owner's lease after a failure: the next try comes later and later. True where the row is now set aside.

    Does nothing where the owner does not hold the row any more.
    """
    held = sa.and_(table.c.id == row_id, table.c.lease_owner == owner)
    before: int | None = (await connection.execute(sa.select(table.c.attempts).where(held))).scalar_one_or_none()
    if before is None:
        return False
    done = before + 1
    aside = done >= attempts
    await connection.execute(
        sa.update(table)
        .where(held)
        .values(
            **FREE,
            attempts=done,
            last_error=error,
            next_try_at=now + min(FIRST_DELAY * 2 ** (done - 1), LONGEST_DELAY),
            set_aside_at=now if aside else None,
        )
    )
    return aside


async def try_again(connection: AsyncConnection, table: sa.Table, *where: sa.ColumnElement[bool]) -> None:
    """Make rows that were set aside due, as if they had never failed."""
    await connection.execute(sa.update(table).where(table.c.set_aside_at.is_not(None), *where).values(**FRESH))


class Owner:
    """The name under which a process holds leases. A lock on a file shows that the process lives.

    After a crash the next process on this machine gives the leases of the dead one back at once, instead of waiting
    for them to run out.
    """

    def __init__(self, folder: Path) -> None:
        """Take a fresh name and lock its file in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"worker-{secrets.token_hex(8)}"
        self._path = folder / self.name
        # Under its name the file is locked from the start: a burial takes what is not locked for dead.
        unlocked = folder / f".{self.name}"
        self._file = unlocked.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unlocked.rename(self._path)

    async def bury_the_dead(self, connection: AsyncConnection, now: datetime.datetime) -> None:
        """Give back what owners hold whose process is gone. It counts as a failure: a row may be what killed them.

        Mails are not set aside by it: who sends them gives them up after some failures.
        """
        for path in self._path.parent.glob("worker-*"):
            if path == self._path:
                continue
            with path.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                for table in WORK:
                    tries = table.c.attempts + 1
                    values = {**FREE, "attempts": tries, "last_error": DIED}
                    if table is not outbox:
                        values["set_aside_at"] = sa.case((tries >= ATTEMPTS, now), else_=table.c.set_aside_at)
                    await connection.execute(sa.update(table).where(table.c.lease_owner == path.name).values(**values))
                path.unlink(missing_ok=True)

    async def give_back_all(self, connection: AsyncConnection) -> None:
        """Give back all leases under this name."""
        for table in WORK:
            await connection.execute(sa.update(table).where(table.c.lease_owner == self.name).values(**FREE))

    def close(self) -> None:
        """Give up the name."""
        self._path.unlink(missing_ok=True)
        self._file.close()


@asynccontextmanager
async def owning(database: Database, folder: Path) -> AsyncIterator[str]:
    """The name of a fresh owner. Begins with the burial of the dead, ends with giving back what it still holds."""
    owner = Owner(folder)
    try:
        async with database.writing() as connection:
            await owner.bury_the_dead(connection, database.clock())
        try:
            yield owner.name
        finally:
            async with database.writing() as connection:
                await owner.give_back_all(connection)
    finally:
        owner.close()

"""Work of the worker: a row is claimed, worked on under a renewed lease, and tried again later if that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa

from relay.log import failed
from relay.store import leases
from relay.store.database import Database


class ChangedMeanwhileError(Exception):
    """What was worked on changed meanwhile; the work is done again from the start."""


async def work_on_next(
    database: Database,
    table: sa.Table,
    *where: sa.ColumnElement[bool],
    owner: str,
    do: Callable[[str], Awaitable[None]],
) -> bool:
    """Claim the oldest of these rows and work on it. False where there is none.

    `do` gets the id of the row and moves it on. A row whose work fails is tried again later, and set aside after a
    few times; whatever goes wrong with one row does not stop the others.
    """
    async with database.writing() as connection:
        claimed = await leases.claim(
            connection, table, *where, owner=owner, now=database.clock(), order_by=table.c.created_at
        )
    if not claimed:
        return False
    row_id = claimed[0].id
    try:
        async with _renewed(database, table, row_id, owner):
            await do(row_id)
    except ChangedMeanwhileError:
        async with database.writing() as connection:
            await leases.give_back(connection, table, row_id, owner=owner)
    except Exception as error:  # noqa: BLE001 - said above
        failed(f"{table.name}_failed", error, record=row_id)
        async with database.writing() as connection:
            await leases.fail(connection, table, row_id, owner=owner, error=type(error).__name__, now=database.clock())
    return True


@asynccontextmanager
async def _renewed(database: Database, table: sa.Table, row_id: str, owner: str) -> AsyncIterator[None]:
    async def renew() -> None:
        while True:
            await asyncio.sleep(leases.LEASE.total_seconds() / 4)
            try:
                async with database.writing() as connection:
                    await leases.renew(connection, table, row_id, owner=owner, now=database.clock())
            except Exception as error:  # noqa: BLE001 - the next renewal may still come in time
                failed("renewal_failed", error, record=row_id)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)

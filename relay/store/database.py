"""Connections: readers that never wait, and one writer at a time."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Clock = Callable[[], datetime.datetime]

BUSY_SECONDS: Final = 30
"""How long a process waits for another one that is writing to the same SQLite file."""
READERS: Final = 8


def utc_now() -> datetime.datetime:
    """The time of day, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def new_id() -> str:
    """128 random bits in hexadecimal: the id of a row."""
    return secrets.token_hex(16)


class Database:
    """One database: SQLite with readers beside a single writer, or PostgreSQL."""

    def __init__(self, url: str, clock: Clock = utc_now) -> None:
        """Prepare the engines; nothing is opened before the first use."""
        self.clock = clock
        self._reader: AsyncEngine
        self._writer: AsyncEngine
        if url.startswith("sqlite"):
            self._reader = _sqlite(url, "BEGIN", READERS)
            # A transaction that reads first and writes then fails at once when another one wrote in between, whatever
            # the busy time-out: whoever may write takes the lock at the start.
            self._writer = _sqlite(url, "BEGIN IMMEDIATE", 1)
        else:
            self._writer = create_async_engine(url)
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with, in one transaction that sees one state of all rows."""
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end of the block, or undone by an exception."""
        async with self._writer.begin() as connection:
            yield connection

    async def forget(self) -> None:
        """Make what was deleted unreadable on the disk: SQLite keeps old pages in its log until it is cut off.

        Where another process reads at this moment, the log is cut off by the next call.
        """
        if self._writer.dialect.name == "sqlite":
            async with self._writer.connect() as connection:
                raw = await connection.get_raw_connection()
                assert raw.driver_connection is not None
                # A second of waiting for readers, not more: meanwhile nobody can write.
                for pragma in (
                    "busy_timeout=1000",
                    "wal_checkpoint(TRUNCATE)",
                    f"busy_timeout={BUSY_SECONDS * 1000}",
                ):
                    await (await raw.driver_connection.execute(f"PRAGMA {pragma}")).close()

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()


async def alone(connection: AsyncConnection, what: str) -> None:
    """Let no other transaction pass here with the same `what` before this one ends.

    SQLite has one writer anyway; PostgreSQL needs it where two transactions would both look, find nothing, and add.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))


def _sqlite(url: str, begin: str, connections: int) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=connections, max_overflow=0, pool_timeout=BUSY_SECONDS)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        del record
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_SECONDS * 1000}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine

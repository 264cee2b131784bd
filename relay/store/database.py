"""Connections: readers that never wait, and one writer at a time."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Clock = Callable[[], datetime.datetime]

BUSY_SECONDS: Final = 30
"""How long a process waits for another one that is writing to the same SQLite file."""
READERS: Final = 8


class BrokenReferencesError(Exception):
    """A migration would leave rows that refer to nothing."""


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
        self._url = sa.make_url(url)
        self._reader: AsyncEngine
        self._writer: AsyncEngine
        if url.startswith("sqlite"):
            self._reader = _sqlite(url, "BEGIN", READERS)
            # A transaction that reads first and writes then fails at once when another one wrote in between, whatever
            # the busy time-out: whoever may write takes the lock at the start.
            self._writer = _sqlite(url, "BEGIN IMMEDIATE", 1)
        else:
            self._writer = create_async_engine(url, pool_pre_ping=True, hide_parameters=True)
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")

    @property
    def file_missing(self) -> bool:
        """Whether this is a SQLite file that does not exist."""
        name = self._url.database
        return self._url.get_backend_name() == "sqlite" and name is not None and not Path(name).exists()

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
                try:
                    await _pragma(raw.driver_connection, "busy_timeout=1000")
                    await _pragma(raw.driver_connection, "wal_checkpoint(TRUNCATE)")
                finally:
                    await _pragma(raw.driver_connection, f"busy_timeout={BUSY_SECONDS * 1000}")

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may rebuild tables: SQLite then checks references at the end and not at each step.

        Raises BrokenReferencesError, and changes nothing, where a reference would lead nowhere.
        """
        if self._writer.dialect.name != "sqlite":
            async with self.writing() as connection:
                yield connection
            return
        async with self._writer.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await _pragma(raw.driver_connection, "foreign_keys=OFF")  # has no effect once a transaction began
            try:
                async with connection.begin():
                    yield connection
                    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
                    if broken:
                        raise BrokenReferencesError(f"{len(broken)} rows would refer to nothing")
            finally:
                await _pragma(raw.driver_connection, "foreign_keys=ON")

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()


async def _pragma(connection: Any, pragma: str) -> None:
    await (await connection.execute(f"PRAGMA {pragma}")).close()


async def alone(connection: AsyncConnection, what: str) -> None:
    """Let no other transaction pass here with the same `what` before this one ends.

    SQLite has one writer anyway; PostgreSQL needs it where two transactions would both look, find nothing, and add.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))


def _sqlite(url: str, begin: str, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=connections, max_overflow=0, pool_timeout=BUSY_SECONDS, hide_parameters=True
    )

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

    @sa.event.listens_for(engine.sync_engine, "invalidate")
    def undo(connection: Any, record: object, error: object) -> None:
        # Whoever was cancelled within a statement leaves its cursor behind, and with that the transaction stays open
        # after the connection is closed: nobody else could write.
        del record, error
        connection.rollback()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine

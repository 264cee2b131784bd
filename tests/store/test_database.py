"""Connections: one writer at a time, readers that do not wait, and what was deleted gone from the disk."""

from __future__ import annotations

import asyncio
import datetime
import secrets
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, StatementError

from relay.store.database import Database
from relay.store.hourly import count
from relay.store.sealed import Store
from relay.store.tables import hourly_counts, scans, sessions
from tests.fakes.clock import FakeClock
from tests.store.rows import add_row


async def test_reader_sees_one_state_while_writer_commits(store: Store) -> None:
    number = sa.select(sa.func.count()).select_from(scans)
    async with store.database.reading() as reader:
        assert (await reader.execute(number)).scalar_one() == 0
        async with store.database.writing() as writer:
            await add_row(writer, scans)
        assert (await reader.execute(number)).scalar_one() == 0
    async with store.database.reading() as reader:
        assert (await reader.execute(number)).scalar_one() == 1


async def test_writer_is_free_after_a_transaction_was_cancelled(store: Store) -> None:
    async def write() -> None:
        async with store.database.writing() as connection:
            for _ in range(3):
                await add_row(connection, scans)
                (await connection.execute(sa.select(scans.c.id))).all()

    for turns in range(0, 200, 2):
        writing = asyncio.create_task(write())
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        cancelled = await asyncio.gather(writing, return_exceptions=True)
        async with store.database.writing() as connection:
            await add_row(connection, scans)
        del cancelled  # what it left behind lives until here


async def test_foreign_keys_kept(store: Store) -> None:
    with pytest.raises(IntegrityError):
        async with store.database.writing() as connection:
            await add_row(connection, sessions, volunteer_id="nobody")


async def test_moment_with_its_zone_on_both_engines(store: Store, clock: FakeClock) -> None:
    elsewhere = clock().astimezone(datetime.timezone(datetime.timedelta(hours=10)))
    async with store.database.writing() as connection:
        await add_row(connection, scans, created_at=elsewhere)
        (found,) = (await connection.execute(sa.select(scans.c.created_at))).scalars()
        assert (found, found.tzinfo) == (clock(), datetime.UTC)
        with pytest.raises(StatementError, match="a time without its zone"):
            await add_row(connection, scans, created_at=elsewhere.replace(tzinfo=None))


async def test_hourly_count_by_many_at_once(store: Store, clock: FakeClock) -> None:
    async def once() -> int:
        async with store.database.writing() as connection:
            return await count(connection, "letters", clock())

    assert sorted(await asyncio.gather(*(once() for _ in range(20)))) == list(range(1, 21))
    clock.advance(minutes=29, seconds=44)
    async with store.database.writing() as connection:
        assert await count(connection, "letters", clock(), by=3) == 23
        assert await count(connection, "mails", clock()) == 1
        clock.advance(seconds=1)
        assert await count(connection, "letters", clock()) == 1
        assert len((await connection.execute(sa.select(hourly_counts))).all()) == 3


async def test_deleted_row_forgotten_by_file_and_log(sqlite_url: str, tmp_path: Path) -> None:
    database, secret = Database(sqlite_url), secrets.token_bytes(2000)
    async with database.writing() as connection:
        await connection.execute(sa.text("CREATE TABLE letter (body BLOB)"))
        await connection.execute(sa.text("INSERT INTO letter VALUES (:body)"), {"body": secret})

    def on_disk() -> list[str]:
        return [path.name for path in tmp_path.iterdir() if secret[:500] in path.read_bytes()]

    assert on_disk() == ["relay.sqlite-wal"]
    async with database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM letter"))
    assert on_disk() == ["relay.sqlite-wal"]
    await database.forget()
    assert on_disk() == []
    await database.close()

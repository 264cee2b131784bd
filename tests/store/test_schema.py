"""The migrations make the tables of the models, go down and up again, and stand two processes that start at once."""

from __future__ import annotations

import asyncio
import datetime
import sys
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from relay.store.database import Database
from relay.store.schema import MIGRATIONS, downgrade, migrate, upgrade
from relay.store.tables import batches, decisions, letters, metadata, outbox
from tests.store.rows import AT, add_row, dump

PROCESSES = 2
DAY = datetime.timedelta(days=1)


def differences(connection: sa.Connection) -> list[Any]:
    """What an automatic migration from this database to the models would do."""
    options = {"compare_type": True, "compare_server_default": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


def test_revisions_in_one_line() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


async def test_migrations_make_the_models(database: Database) -> None:
    async with database.writing() as connection:
        assert len(await connection.run_sync(differences)) >= len(metadata.tables)  # it can see a difference
        await connection.run_sync(upgrade)
        assert await connection.run_sync(differences) == []


async def test_migrations_down_and_up_with_data(database: Database) -> None:
    revisions = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    await migrate(database)
    async with database.writing() as connection:
        for table in metadata.sorted_tables:
            await add_row(connection, table)
        filled = await dump(connection)
        assert all(filled.values())
    await migrate(database)
    async with database.reading() as connection:
        assert await dump(connection) == filled
    for older in [*revisions[1:], "base"]:
        async with database.writing() as connection:
            await connection.run_sync(downgrade, older)
    async with database.reading() as connection:
        assert await connection.run_sync(lambda c: sa.inspect(c).get_table_names()) == ["alembic_version"]
    for newer in reversed(revisions):
        async with database.writing() as connection:
            await connection.run_sync(upgrade, newer)
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
        assert set(map(len, (await dump(connection)).values())) == {0}


async def test_migrations_keep_what_waits_in_the_review(database: Database) -> None:
    waiting = {"queued": "queued", "translating": "queued", "second_reading": "queued", "changes_requested": "queued"}
    waiting |= {"approved": "approved", "withdrawn": "withdrawn"}
    await migrate(database)
    async with database.writing() as connection:
        ids = {state: await add_row(connection, letters, state=state, due_at=AT + DAY) for state in waiting}
        mail = await add_row(connection, outbox, state="waiting", decision_id=await add_row(connection, decisions))
        await connection.run_sync(downgrade, "0001")
        await connection.run_sync(upgrade)
        rows = {row.id: row for row in await connection.execute(sa.select(letters))}
        assert {state: rows[row_id].state for state, row_id in ids.items()} == waiting
        assert {row.due_at for row in rows.values()} == {AT}  # when it was written
        (kept,) = await connection.execute(sa.select(outbox))
        assert (kept.id, kept.state, kept.decision_id) == (mail, "waiting", None)


async def test_covered_words_are_not_printed_once_a_migration_is_taken_back(database: Database) -> None:
    await migrate(database)
    async with database.writing() as connection:
        places = {"none": None} | {
            state: await add_row(connection, batches, state=state) for state in ("open", "rendered")
        }
        ids = {
            place: await add_row(connection, letters, state="approved", treatment=b"sealed", batch_id=batch)
            for place, batch in places.items()
        }
        await connection.run_sync(downgrade, "0001")
        found = await connection.execute(sa.text("SELECT id, state, batch_id FROM letters"))
        rows = {row.id: (row.state, row.batch_id) for row in found}
    assert {place: rows[letter_id] for place, letter_id in ids.items()} == {
        "none": ("queued", None),
        "open": ("queued", None),
        "rendered": ("approved", places["rendered"]),
    }


async def test_migrate_from_processes_that_start_together(database: Database, database_url: str) -> None:
    command = [sys.executable, "-m", "tests.store.process", "migrate", database_url]
    pipe = asyncio.subprocess.PIPE
    processes = [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []

"""The schema of the database, brought up to date by Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.database import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Run the migrations up to a revision."""
    command.upgrade(_config(connection), revision)


def downgrade(connection: sa.Connection, revision: str) -> None:
    """Take migrations back down to a revision."""
    command.downgrade(_config(connection), revision)


async def migrate(database: Database) -> None:
    """Bring the schema up to date; does nothing where it is. Safe while other processes start too."""
    async with database.writing() as connection:
        await _one_at_a_time(connection)
        await connection.run_sync(upgrade)


async def _one_at_a_time(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        # SQLite's writer holds the lock already; PostgreSQL needs one that does not depend on a table.
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7365)"))

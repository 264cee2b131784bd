"""The schema of the database, brought up to date by Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from relay.store.database import Database, alone

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


def revision_of(connection: sa.Connection) -> str | None:
    """The revision that the schema is at; None where there is no schema."""
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Whether there is a migration to this revision: there is none to what a newer version has made."""
    directory = ScriptDirectory(str(MIGRATIONS))
    return revision in {script.revision for script in directory.walk_revisions()}


async def migrate(database: Database) -> None:
    """Bring the schema up to date; does nothing where it is. Safe while other processes start too."""
    async with database.migrating() as connection:
        await alone(connection, "migrations")
        await connection.run_sync(upgrade)

"""The rows of all tables as text: read in one state of the database, and put into an empty one, of either engine."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.sealing import CHUNK
from relay.store.tables import metadata

ROWS: Final = 500
"""That are fetched at a time."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one table: a line with the names of the columns, then one line for each row."""

    table: str
    text: bytes
    rows: int


async def rows_of(connection: AsyncConnection) -> AsyncIterator[Part]:
    """All rows, so that none comes before those that it refers to."""
    for table in metadata.sorted_tables:
        lines = _Lines(table)
        query = sa.select(table).order_by(*table.primary_key.columns).execution_options(yield_per=ROWS)
        async with connection.stream(query) as found:
            async for row in found:
                lines.add(json.dumps(list(row), default=_as_json))
                if lines.size >= CHUNK:
                    yield lines.part()
        if lines.lines:
            yield lines.part()


async def put_rows(connection: AsyncConnection, text: bytes, table: sa.Table) -> int:
    """Put the rows of a part into a table. Returns how many. Raises ValueError where they are none of this table."""
    names, *rows = [json.loads(line, object_hook=_from_json) for line in text.split(b"\n")]
    if unknown := set(names) - set(table.c.keys()):
        raise ValueError(f"{table.name} has no {', '.join(sorted(unknown))}")
    await connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    return len(rows)


def tables_there(connection: sa.Connection) -> dict[str, sa.Table]:
    """The tables of the database as it is, which may be older than this version; for rows alone."""
    inspector = sa.inspect(connection)
    return {
        name: sa.Table(
            name, sa.MetaData(), *(sa.Column(column["name"], column["type"]) for column in inspector.get_columns(name))
        )
        for name in inspector.get_table_names()
    }


async def count_on(connection: AsyncConnection, tables: dict[str, sa.Table]) -> None:
    """Let PostgreSQL count on from the numbers that were put in; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        for table in tables.values():
            if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                await connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(table.c.id))))


@dataclass
class _Lines:
    """Lines that become a part once they are enough."""

    table: sa.Table
    lines: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line)

    def part(self) -> Part:
        names = json.dumps(self.table.c.keys())
        part = Part(self.table.name, "\n".join((names, *self.lines)).encode(), len(self.lines))
        self.lines, self.size = [], 0
        return part


def _as_json(value: object) -> dict[str, str]:
    match value:
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case datetime.datetime():
            return {"at": value.isoformat()}
        case _:
            raise TypeError(f"no column holds a {type(value).__name__}")


def _from_json(value: dict[str, Any]) -> Any:
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    return datetime.datetime.fromisoformat(value["at"])

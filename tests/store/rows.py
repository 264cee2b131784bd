"""Rows for the tests of the store: invented people, and records in any state without their history."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import Record, State
from relay.store import tables
from relay.store.database import new_id
from relay.store.transitions import TABLES

AT = datetime.datetime(2031, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)


async def add_row(connection: AsyncConnection, table: sa.Table, **values: Any) -> str:
    """Add a row with these values; what else it needs is made up, rows of other tables too. Returns its id."""
    row: dict[str, Any] = {}
    for column in table.c:
        if column.name in values:
            row[column.name] = values[column.name]
        elif column.nullable or column.server_default is not None or column.autoincrement is True:
            continue
        elif column.foreign_keys:
            (key,) = column.foreign_keys
            row[column.name] = await add_row(connection, key.column.table)
        else:
            row[column.name] = _some(column.type)
    added = await connection.execute(sa.insert(table).values(row).returning(*table.primary_key))
    row_id: str = added.one()[0]
    return row_id


def _some(kind: sa.types.TypeEngine[Any]) -> Any:
    if isinstance(kind, tables.Moment):
        return AT
    if isinstance(kind, sa.LargeBinary):
        return b"sealed"
    if isinstance(kind, sa.Boolean):
        return True
    if isinstance(kind, sa.Integer | sa.Float):
        return 1
    assert isinstance(kind, sa.String)
    return new_id()[: kind.length]


async def add_record(connection: AsyncConnection, record: Record, state: State, **values: Any) -> str:
    """Add a record in a state, without any event. Returns its id."""
    if record is Record.LETTER:
        values = {"wants": "full", "language": "de"} | values
    return await add_row(connection, TABLES[record], state=state, **values)


async def dump(connection: AsyncConnection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    found = {}
    for table in tables.metadata.sorted_tables:
        rows = await connection.execute(sa.select(table).order_by(*table.primary_key))
        found[table.name] = [tuple(row) for row in rows]
    return found

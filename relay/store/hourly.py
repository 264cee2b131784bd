"""Counts by the hour, for caps that hold over all processes."""

from __future__ import annotations

import datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store.tables import hourly_counts


async def count(connection: AsyncConnection, what: str, now: datetime.datetime, by: int = 1) -> int:
    """Count something and return how much of it there was in this hour, this included."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    upsert = (
        insert(hourly_counts)
        .values(what=what, hour=hour, count=by)
        .on_conflict_do_update(
            index_elements=[hourly_counts.c.what, hourly_counts.c.hour], set_={"count": hourly_counts.c.count + by}
        )
        .returning(hourly_counts.c.count)
    )
    total: int = (await connection.execute(upsert)).scalar_one()
    return total

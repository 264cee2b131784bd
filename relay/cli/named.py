"""Who and what the arguments of a command name."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.store import volunteers
from relay.store.tables import facilities

SHORT: Final = 8
"""Characters of an id that are shown, and that name a record where no other one's id begins with them."""


class NoSuchFacilityError(LookupError):
    """The directory has no facility with this slug."""


async def facility_named(connection: AsyncConnection, slug: str) -> str:
    """The id of the facility with this slug. Raises NoSuchFacilityError."""
    found: str | None = await connection.scalar(sa.select(facilities.c.id).where(facilities.c.slug == slug))
    if found is None:
        raise NoSuchFacilityError(f"there is no facility {slug}")
    return found


async def volunteer_named(connection: AsyncConnection, login: str) -> str:
    """The id of the volunteer with this login, who may work. Raises NoSuchVolunteerError."""
    found = await volunteers.find(connection, login)
    if found is None:
        raise volunteers.NoSuchVolunteerError(f"there is no volunteer {login}")
    if found.disabled:
        raise volunteers.NoSuchVolunteerError(f"{login} is shut out")
    return str(found.id)


async def record_named(
    connection: AsyncConnection, table: sa.Table, given: str, what: str, error: type[LookupError]
) -> str:
    """The id of the record of a table whose id begins as given; `what` says what it is. Raises `error`."""
    if len(given) < SHORT:
        raise error(f"a {what} is named by at least {SHORT} characters of its id")
    query = sa.select(table.c.id).where(table.c.id.startswith(given.lower(), autoescape=True)).limit(2)
    ids = (await connection.scalars(query)).all()
    if len(ids) != 1:
        raise error(f"{f'several {table.name} begin with' if ids else f'there is no {what}'} {given}")
    return str(ids[0])

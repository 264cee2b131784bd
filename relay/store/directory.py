"""The directory in the store: finding, adding and correcting prisoners and facilities."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import Entry, Facility, Prisoner, PrisonerState
from relay.domain.lives import Actor, BatchState, LetterState, Record
from relay.store.database import alone, new_id
from relay.store.tables import batches, facilities, letters, prisoners
from relay.store.transitions import move

FOUND_AT_MOST: Final = 20
"""Prisoners that a search shows; who finds more has to type more."""

_ENTRY: Final = sa.select(
    prisoners.c.id.label("prisoner_id"),
    prisoners.c.facility_id,
    *(prisoners.c[name].label(f"prisoner_{name}") for name in Prisoner.model_fields),
    *(facilities.c[name].label(f"facility_{name}") for name in Facility.model_fields),
).join(facilities, facilities.c.id == prisoners.c.facility_id)


@dataclass(frozen=True, slots=True)
class Known:
    """An entry of the directory with the ids of its rows."""

    prisoner_id: str
    facility_id: str
    prisoner: Prisoner
    facility: Facility


def _known(row: sa.RowMapping) -> Known:
    return Known(
        row["prisoner_id"],
        row["facility_id"],
        Prisoner.model_validate({name: row[f"prisoner_{name}"] for name in Prisoner.model_fields}),
        Facility.model_validate({name: row[f"facility_{name}"] for name in Facility.model_fields}),
    )


async def search(connection: AsyncConnection, text: str) -> list[Known]:
    """Prisoners who can be written to and whose name or facility has all words of the text; at most FOUND_AT_MOST."""
    query = _ENTRY.where(prisoners.c.state == PrisonerState.ACTIVE)
    # SQLite's lower() knows ASCII only, so case is folded here: a directory has thousands of rows, not millions.
    words = [word.casefold() for word in text.split()]
    rows = (await connection.execute(query.order_by(prisoners.c.name))).mappings()
    found = []
    for row in rows:
        name = f"{row['prisoner_name']} {row['facility_name']} {row['facility_address']}".casefold()
        if all(word in name for word in words):
            found.append(_known(row))
            if len(found) == FOUND_AT_MOST:
                break
    return found


async def everyone(connection: AsyncConnection) -> list[Known]:
    """The whole directory by facility and name."""
    rows = await connection.execute(_ENTRY.order_by(facilities.c.name, prisoners.c.name))
    return [_known(row) for row in rows.mappings()]


async def by_slug(connection: AsyncConnection, slug: str) -> Known | None:
    """One prisoner by slug, in any state."""
    row = (await connection.execute(_ENTRY.where(prisoners.c.slug == slug))).mappings().one_or_none()
    return _known(row) if row else None


async def by_id(connection: AsyncConnection, prisoner_id: str) -> Known:
    """One prisoner by id."""
    return _known((await connection.execute(_ENTRY.where(prisoners.c.id == prisoner_id))).mappings().one())


async def all_facilities(connection: AsyncConnection) -> list[Facility]:
    """All facilities by name."""
    rows = await connection.execute(sa.select(facilities).order_by(facilities.c.name))
    return [Facility.model_validate({name: row[name] for name in Facility.model_fields}) for row in rows.mappings()]


async def save_facility(connection: AsyncConnection, facility: Facility) -> str:
    """Add a facility, or correct the one with this slug. Returns its id."""
    return await _save(connection, facilities, facility.slug, facility.model_dump())


async def save(connection: AsyncConnection, entries: Iterable[Entry], *, by: Actor, at: datetime.datetime) -> None:
    """Add prisoners and facilities, or correct those with these slugs. What is not named stays as it is.

    Letters to somebody who cannot be written to any more are held, unless they are in a batch that is rendered; they
    go back to the review when the prisoner can be written to again.
    """
    await alone(connection, "directory")
    ids: dict[str, str] = {}
    for entry in entries:
        if entry.facility.slug not in ids:
            ids[entry.facility.slug] = await save_facility(connection, entry.facility)
        values = entry.prisoner.model_dump() | {"facility_id": ids[entry.facility.slug]}
        prisoner_id = await _save(connection, prisoners, entry.prisoner.slug, values)
        await _hold_letters(connection, prisoner_id, entry.prisoner.state, by, at)


async def _hold_letters(
    connection: AsyncConnection, prisoner_id: str, state: PrisonerState, by: Actor, at: datetime.datetime
) -> None:
    if state is PrisonerState.ACTIVE:
        target, waiting = LetterState.QUEUED, letters.c.state == LetterState.HELD
    else:
        not_rendered = sa.or_(letters.c.batch_id.is_(None), batches.c.state == BatchState.OPEN)
        waiting = sa.or_(
            letters.c.state == LetterState.QUEUED,
            sa.and_(letters.c.state == LetterState.APPROVED, not_rendered),
        )
        target = LetterState.HELD
    found = await connection.execute(
        sa.select(letters.c.id)
        .join(batches, batches.c.id == letters.c.batch_id, isouter=True)
        .where(letters.c.prisoner_id == prisoner_id, waiting)
    )
    for letter_id in found.scalars().all():
        await move(connection, Record.LETTER, letter_id, target, by=by, at=at, batch_id=None)


async def _save(connection: AsyncConnection, table: sa.Table, slug: str, values: dict[str, object]) -> str:
    known: str | None = (
        await connection.execute(sa.select(table.c.id).where(table.c.slug == slug))
    ).scalar_one_or_none()
    if known is not None:
        await connection.execute(sa.update(table).where(table.c.id == known).values(values))
        return known
    row_id = new_id()
    await connection.execute(sa.insert(table).values(id=row_id, **values))
    return row_id

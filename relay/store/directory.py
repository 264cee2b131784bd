"""The directory in the store: finding, adding and correcting prisoners and facilities."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import sqlalchemy as sa
import transliterate
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import Entry, Facility, Prisoner, PrisonerState
from relay.domain.lives import REVIEWED, Actor, BatchState, LetterState, Record
from relay.store.database import alone, new_id
from relay.store.tables import batches, facilities, letters, prisoners
from relay.store.transitions import forget_partly, move, read_anew

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
    """Prisoners who can be written to and whose name or facility has all words of the text; at most FOUND_AT_MOST.

    Cyrillic names are found by Latin letters too, and the other way round.
    """
    query = _ENTRY.where(prisoners.c.state == PrisonerState.ACTIVE)
    # SQLite's lower() knows ASCII only, so names are compared here: a directory has thousands of rows, not millions.
    words = [_findable(word) for word in text.split()]
    rows = (await connection.execute(query.order_by(prisoners.c.name))).mappings()
    found = []
    for row in rows:
        where = (row[f"facility_{part}"] for part in ("name", "address", "street", "town", "region", "postcode"))
        place = _findable(" ".join(where))
        name = f"{row['prisoner_slug']} {_findable(row['prisoner_name'])} {place}"
        if all(word in name for word in words):
            found.append(_known(row))
            if len(found) == FOUND_AT_MOST:
                break
    return found


@lru_cache(maxsize=50_000)
def _findable(text: str) -> str:
    """The text in small Latin letters without accents, whatever it was written in."""
    latin = transliterate.translit(text.casefold().replace("ё", "е"), "ru", reversed=True)
    return unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode().replace("'", "")


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
    return [_facility(row) for row in rows.mappings()]


def _facility(row: sa.RowMapping) -> Facility:
    return Facility.model_validate({name: row[name] for name in Facility.model_fields})


async def facilities_by_id(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, Facility]:
    """These facilities by their ids."""
    rows = await connection.execute(sa.select(facilities).where(facilities.c.id.in_(list(ids))))
    return {row["id"]: _facility(row) for row in rows.mappings()}


async def save_facility(connection: AsyncConnection, facility: Facility) -> str:
    """Add a facility, or correct the one with this slug. Returns its id."""
    return await _save(connection, facilities, facility)


async def save(connection: AsyncConnection, entries: Iterable[Entry], *, by: Actor, at: datetime.datetime) -> None:
    """Add prisoners and facilities, or correct those with these slugs. What is not named stays as it is.

    Letters to somebody who cannot be written to any more are held, unless they are in a batch that is rendered; they
    go back to the review when the prisoner can be written to again. So do those to somebody who was moved and that were
    read by the rules of the old facility.
    """
    await alone(connection, "directory")
    ids: dict[str, str] = {}
    for entry in entries:
        if entry.facility.slug not in ids:
            ids[entry.facility.slug] = await save_facility(connection, entry.facility)
        # Who arrives somewhere else has often lost all addresses.
        lives = (prisoners.c.slug == entry.prisoner.slug, prisoners.c.facility_id != ids[entry.facility.slug])
        moved = await connection.execute(sa.update(prisoners).where(*lives).values(tell_correspondents=True))
        prisoner_id = await _save(connection, prisoners, entry.prisoner, facility_id=ids[entry.facility.slug])
        await hold_or_queue(connection, prisoner_id, by=by, at=at, moved=moved.rowcount > 0)


async def lost(
    connection: AsyncConnection, prisoner_id: str, state: PrisonerState, *, by: Actor, at: datetime.datetime
) -> None:
    """Note that a prisoner cannot be written to at the known address; the letters that wait are held."""
    await alone(connection, "directory")
    await connection.execute(sa.update(prisoners).where(prisoners.c.id == prisoner_id).values(state=state))
    await hold_or_queue(connection, prisoner_id, by=by, at=at)


async def hold_or_queue(
    connection: AsyncConnection, prisoner_id: str, *, by: Actor, at: datetime.datetime, moved: bool = False
) -> None:
    """Hold the letters that wait for a prisoner who cannot be written to; queue those that are held for others.

    Of a prisoner who `moved`, those that somebody has read are queued too.
    """
    state = (await connection.execute(sa.select(prisoners.c.state).where(prisoners.c.id == prisoner_id))).scalar_one()
    active = state == PrisonerState.ACTIVE
    read = (LetterState.SECOND_READING, LetterState.APPROVED)
    waiting = [LetterState.HELD, *(read if moved else ())] if active else [*REVIEWED, LetterState.APPROVED]
    # First the letters, then their batches: who stores the pages of a batch holds its letters until they are stored.
    found = (
        await connection.execute(
            sa.select(letters.c.id, letters.c.batch_id)
            .where(letters.c.prisoner_id == prisoner_id, letters.c.state.in_(waiting))
            .order_by(letters.c.id)
            .with_for_update()
        )
    ).all()
    rendered = set(
        await connection.scalars(
            sa.select(batches.c.id).where(
                batches.c.id.in_({row.batch_id for row in found}), batches.c.state != BatchState.OPEN
            )
        )
    )
    target = LetterState.QUEUED if active else LetterState.HELD
    for row in found:
        if row.batch_id not in rendered:
            await move(connection, Record.LETTER, row.id, target, by=by, at=at, batch_id=None)
            await forget_partly(connection, row.id, at=at)
            if active:
                await read_anew(connection, row.id, by=by, at=at)


async def _save(connection: AsyncConnection, table: sa.Table, entry: Prisoner | Facility, **more: str) -> str:
    known: str | None = (
        await connection.execute(sa.select(table.c.id).where(table.c.slug == entry.slug))
    ).scalar_one_or_none()
    if known is not None:
        named = entry.model_dump(exclude_unset=True) | more
        await connection.execute(sa.update(table).where(table.c.id == known).values(named))
        return known
    row_id = new_id()
    await connection.execute(sa.insert(table).values(id=row_id, **entry.model_dump(), **more))
    return row_id

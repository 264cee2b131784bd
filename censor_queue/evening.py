"""What a volunteer decided this evening, and what of it can still be undone."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.review import Decision
from relay.store.tables import decisions, letters, prisoners

EVENING: Final = datetime.timedelta(hours=12)
"""What counts as one evening."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that its volunteer can still undo."""

    id: str
    prisoner: str
    decision: Decision
    at: datetime.datetime
    settles_at: datetime.datetime | None
    """None where the letter went on to somebody else."""


async def undoable(connection: AsyncConnection, volunteer_id: str, now: datetime.datetime) -> list[Decided]:
    """The decisions that this volunteer can undo, newest first."""
    rows = await connection.execute(
        sa.select(decisions, prisoners.c.name, letters.c.settles_at)
        .join(letters, letters.c.id == decisions.c.letter_id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(
            decisions.c.volunteer_id == volunteer_id,
            decisions.c.at > now - EVENING,
            decisions.c.void_at.is_(None),
            decisions.c.target == letters.c.state,
            sa.or_(
                letters.c.settles_at > now,
                sa.and_(
                    letters.c.settles_at.is_(None), sa.or_(letters.c.lease_until.is_(None), letters.c.lease_until < now)
                ),
            ),
        )
        .order_by(decisions.c.at.desc())
    )
    found: dict[str, Decided] = {}
    for row in rows:
        found.setdefault(row.letter_id, Decided(row.id, row.name, Decision(row.decision), row.at, row.settles_at))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Evening:
    """What a volunteer did in the last hours: letters decided, and the seconds they were on the screen."""

    letters: int
    seconds: int


async def my_evening(connection: AsyncConnection, volunteer_id: str, now: datetime.datetime) -> Evening:
    """How many letters this volunteer decided in the last hours, and how long that took."""
    row = (
        await connection.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(decisions.c.seconds), 0)).where(
                decisions.c.volunteer_id == volunteer_id,
                decisions.c.at > now - EVENING,
                decisions.c.target.is_not(None),
                decisions.c.void_at.is_(None),
            )
        )
    ).one()
    return Evening(*row)

"""How long the steps of letters took lately, from their events."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import LetterState, Record
from relay.domain.overdue import FROM_TO, LATELY, Step, Usual, late_after, usual
from relay.store.database import Database
from relay.store.tables import MILESTONE, batches, events, letters, prisoners

KEPT_FOR: Final = datetime.timedelta(hours=1)
"""What is usual changes within weeks, and is counted from some hundred thousand events."""
ELSEWHERE: Final = ""
"""The id of no facility: of those of which too little is known."""
_DAY: Final = 24 * 60 * 60
_BEGINS: Final = (LetterState.UNCONFIRMED, LetterState.CHANGES_REQUESTED, LetterState.HELD)
"""From where a letter comes to be read; between two readers, or after an undone decision, the same reading goes on."""


@dataclass(frozen=True, slots=True)
class UsualTimes:
    """What is usual for letters to each facility, and for letters to all of them together."""

    of_facility: dict[tuple[Step, str], Usual] = field(default_factory=dict)
    """By step and id of the facility; those with too few letters are not there."""
    of_all: dict[Step, Usual] = field(default_factory=dict)

    def of(self, step: Step, facility_id: str) -> Usual | None:
        """What is usual for a letter to this facility, as well as it is known."""
        return self.of_facility.get((step, facility_id)) or self.of_all.get(step)

    def late_after(self, step: Step, facility_id: str) -> datetime.timedelta:
        """After what time a letter to this facility is late."""
        return late_after(step, self.of(step, facility_id))


class Durations:
    """What is usual, counted again when it is older than KEPT_FOR."""

    def __init__(self, database: Database) -> None:
        """Nothing is counted before it is asked for."""
        self._database = database
        self._counting = asyncio.Lock()
        self._times = UsualTimes()
        self._counted_at: datetime.datetime | None = None

    async def usual(self) -> UsualTimes:
        """What is usual now. While somebody counts it anew, the others get what it was before."""
        if self._counted_at is not None and self._counting.locked():
            return self._times
        async with self._counting:
            now = self._database.clock()
            if self._counted_at is None or now - self._counted_at >= KEPT_FOR:
                async with self._database.reading() as connection:
                    self._times = await usual_times(connection, now)
                self._counted_at = now
        return self._times


async def usual_times(connection: AsyncConnection, now: datetime.datetime) -> UsualTimes:
    """Count what is usual from the steps that ended lately."""
    by_facility: defaultdict[tuple[Step, str], Counter[int]] = defaultdict(Counter)
    by_step: defaultdict[Step, Counter[int]] = defaultdict(Counter)
    steps = {target: step for step, (_, target) in FROM_TO.items()}
    for row in await connection.execute(_steps(now - LATELY)):
        step = steps[LetterState(row.target)]
        by_facility[step, row.facility_id][row.days] += row.letters
        by_step[step][row.days] += row.letters
    of_facility = {key: found for key, days in by_facility.items() if (found := usual(days)) is not None}
    return UsualTimes(of_facility, {key: found for key, days in by_step.items() if (found := usual(days)) is not None})


def destination() -> sa.ColumnElement[str]:
    """The facility to which a letter went or will go, also if its prisoner has moved since. Needs `with_place`."""
    return sa.func.coalesce(batches.c.facility_id, prisoners.c.facility_id)


def with_place() -> sa.Join:
    """Letters with what `destination` needs."""
    return letters.join(prisoners, prisoners.c.id == letters.c.prisoner_id).join(
        batches, batches.c.id == letters.c.batch_id, isouter=True
    )


def _steps(since: datetime.datetime) -> sa.Select[tuple[str, str, int, int]]:
    """How many letters to a facility took how many days for the step that ended in a state; days that began count."""
    end, begin = events, events.alias("begin")
    begins = sa.case(
        *((end.c.target == target, sa.literal(source, sa.String())) for source, target in FROM_TO.values())
    )
    began = (
        sa.select(sa.func.max(begin.c.at))
        .where(
            begin.c.record == Record.LETTER,
            begin.c.record_id == end.c.record_id,
            begin.c.number < end.c.number,
            begin.c.target == begins,
            begin.c.source != begin.c.target,
            sa.or_(begin.c.target != LetterState.QUEUED, begin.c.source.in_(_BEGINS)),
        )
        .scalar_subquery()
    )
    ended = (
        sa.select(
            destination().label("facility_id"),
            end.c.target,
            sa.cast(sa.extract("epoch", end.c.at), sa.BigInteger).label("end"),
            sa.cast(sa.extract("epoch", began), sa.BigInteger).label("began"),
        )
        .select_from(end.join(with_place(), letters.c.id == end.c.record_id))
        .where(MILESTONE, end.c.at >= since, end.c.source != end.c.target)
        .cte("ended")
        .prefix_with("MATERIALIZED")  # or the beginning is looked up for every use of it
    )
    days = (ended.c.end - ended.c.began) // _DAY + 1
    return (
        sa.select(ended.c.facility_id, ended.c.target, days.label("days"), sa.func.count().label("letters"))
        .where(ended.c.began.is_not(None))
        .group_by(ended.c.facility_id, ended.c.target, days)
    )

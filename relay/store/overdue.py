"""Letters whose step takes longer than usual. That is no state: it is asked of the times whenever somebody looks."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import PrisonerState
from relay.domain.lives import LetterState, MailKind
from relay.domain.overdue import LISTED_FOR, SENT_AGAIN, STATES, STEP_OF, Step, Usual
from relay.store.durations import ELSEWHERE, Durations, UsualTimes, destination, with_place
from relay.store.sealed import Store
from relay.store.tables import Moment, batches, facilities, letters, prisoners, reprints
from relay.store.transitions import add_mail

LOOKED_EVERY: Final = datetime.timedelta(minutes=10)
TOLD_AT_ONCE: Final = 100


def _copied_at() -> sa.ScalarSelect[datetime.datetime | None]:
    """When a copy of a letter was last ordered: from then on it is on its way anew."""
    copies = batches.alias("copies")
    return (
        sa.select(sa.func.max(copies.c.created_at))
        .join(reprints, reprints.c.batch_id == copies.c.id)
        .where(reprints.c.letter_id == letters.c.id)
        .scalar_subquery()
    )


def _in(states: Iterable[LetterState]) -> sa.ColumnElement[bool]:
    # As literals: an index over some states only could not be used for parameters.
    return letters.c.state.in_([sa.literal(state, sa.String(), literal_execute=True) for state in states])


def _late(step: Step, times: UsualTimes, now: datetime.datetime) -> sa.ColumnElement[bool]:
    """The condition that a letter is late in this step. Needs the joins of `with_place`."""

    known: defaultdict[datetime.timedelta, list[str]] = defaultdict(list)
    for of, facility_id in times.of_facility:
        if of is step:
            known[times.late_after(step, facility_id)].append(facility_id)
    usually = times.late_after(step, ELSEWHERE)
    before: sa.ColumnElement[datetime.datetime] = sa.literal(now - usually, Moment())
    if known:
        own = [(destination().in_(ids), sa.literal(now - after, Moment())) for after, ids in known.items()]
        before = sa.case(*own, else_=before)
    since = letters.c.state_since
    late = [_in(STEP_OF), _in(STATES[step]), since < now - min((usually, *known)), since < before]
    late += [letters.c.destroyed_at.is_(None), sa.func.coalesce(_copied_at() < before, sa.true())]
    if step is Step.ARRIVING:
        late.append(since >= now - LISTED_FOR)
    return sa.and_(*late)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a letter has been in its step, and what is usual there."""

    letter_id: str
    state: LetterState
    since: datetime.datetime
    """Since it came into its state, or since its last copy was ordered."""
    usual: Usual | None
    of_facility: bool
    """Whether that is usual for its facility; otherwise for all of them."""
    late: bool
    late_in_all: bool
    """Late if no copy counts."""
    facility_id: str
    """To which it went, or will go."""
    asked_again_at: datetime.datetime | None
    """When its sender asked for a copy that nobody has ordered yet."""
    active: bool
    """Whether its prisoner can be written to."""
    review_days: int
    """Within how many days a letter to its facility should be read."""

    @property
    def step(self) -> Step:
        """What it waits for."""
        return STEP_OF[self.state]

    @property
    def can_be_sent_again(self) -> bool:
        """Whether a copy of it can be asked for, or ordered."""
        return self.active and self.state in SENT_AGAIN and (self.late or self.asked_again_at is not None)


async def waiting(
    connection: AsyncConnection,
    of: sa.ColumnElement[bool],
    times: UsualTimes,
    now: datetime.datetime,
    shown: Mapping[str, tuple[LetterState, datetime.datetime]] = MappingProxyType({}),
) -> dict[str, Waiting]:
    """The letters on their way that this condition names, by their ids.

    Those in `shown` are taken to be in this state since this time: as long as a decision can be undone, the sender sees
    the one before it.
    """
    query = (
        sa.select(
            letters.c.id,
            letters.c.state,
            letters.c.state_since,
            letters.c.asked_again_at,
            _copied_at().label("copied_at"),
            destination().label("facility_id"),
            prisoners.c.state.label("prisoner_state"),
            facilities.c.review_days,
        )
        .select_from(with_place().join(facilities, facilities.c.id == prisoners.c.facility_id))
        .where(of, letters.c.destroyed_at.is_(None))
    )
    found = {}
    for row in await connection.execute(query):
        state, since = shown.get(row.id, (LetterState(row.state), row.state_since))
        if state in STEP_OF:
            found[row.id] = _waiting(row, state, since, times, now)
    return found


def _waiting(
    row: sa.Row[Any], state: LetterState, state_since: datetime.datetime, times: UsualTimes, now: datetime.datetime
) -> Waiting:
    step = STEP_OF[state]
    after = times.late_after(step, row.facility_id)
    since = max(state_since, row.copied_at or state_since)
    return Waiting(
        letter_id=row.id,
        state=state,
        since=since,
        usual=times.of(step, row.facility_id),
        of_facility=(step, row.facility_id) in times.of_facility,
        late=now - since > after,
        late_in_all=now - state_since > after,
        facility_id=row.facility_id,
        asked_again_at=row.asked_again_at,
        active=row.prisoner_state == PrisonerState.ACTIVE,
        review_days=row.review_days,
    )


async def count_late(
    connection: AsyncConnection, times: UsualTimes, now: datetime.datetime
) -> tuple[int, datetime.datetime | None]:
    """How many letters are late, and since when the first of them is in its state."""
    count, oldest = 0, None
    counted = sa.select(sa.func.count(), sa.func.min(letters.c.state_since)).select_from(with_place())
    for step in Step:
        number, first = (await connection.execute(counted.where(_late(step, times, now)))).one()
        count += number
        oldest = min(filter(None, (oldest, first)), default=None)
    return count, oldest


async def late_letters(
    connection: AsyncConnection, times: UsualTimes, now: datetime.datetime, limit: int
) -> list[Waiting]:
    """The letters that are late, those longest in their state first; of each step at most so many."""
    found: list[Waiting] = []
    for step in Step:
        query = sa.select(letters.c.id).select_from(with_place()).where(_late(step, times, now))
        ids = (await connection.scalars(query.order_by(letters.c.state_since, letters.c.id).limit(limit))).all()
        found += (await waiting(connection, letters.c.id.in_(ids), times, now)).values()
    return sorted(found, key=lambda letter: (letter.since, letter.letter_id))


def _asked() -> sa.ColumnElement[bool]:
    active = prisoners.c.state == PrisonerState.ACTIVE
    return sa.and_(letters.c.asked_again_at.is_not(None), letters.c.destroyed_at.is_(None), active, _in(SENT_AGAIN))


async def asked_again(connection: AsyncConnection, times: UsualTimes, now: datetime.datetime) -> list[Waiting]:
    """The letters of which a copy should be ordered because their senders ask for it; who asked first is first."""
    found = (await waiting(connection, _asked(), times, now)).values()
    return sorted(found, key=lambda letter: (letter.asked_again_at, letter.letter_id))


async def count_asked_again(connection: AsyncConnection) -> tuple[int, datetime.datetime | None]:
    """How many senders wait for a copy to be ordered, and since when the first of them does."""
    found = sa.select(sa.func.count(), sa.func.min(letters.c.asked_again_at)).select_from(with_place())
    number, first = (await connection.execute(found.where(_asked()))).one()
    return number, first


class Telling:
    """Tells senders that their letters are late: once before a letter is posted, and once after."""

    def __init__(self, store: Store, durations: Durations) -> None:
        """Look for late letters at the first call."""
        self._store, self._durations = store, durations
        self._looked_at: datetime.datetime | None = None

    async def tell_next(self) -> bool:
        """Tell the senders of some late letters; false where there was none, or it was looked for a while ago."""
        now = self._store.database.clock()
        if self._looked_at is not None and now - self._looked_at < LOOKED_EVERY:
            return False
        if await tell_overdue(self._store, await self._durations.usual()):
            return True
        self._looked_at = now
        return False


async def tell_overdue(store: Store, times: UsualTimes) -> int:
    """Tell the senders of some letters that these are late, who were not told so yet. Returns how many letters."""
    now = store.database.clock()
    told = letters.c.overdue_told_at
    posted = letters.c.state == LetterState.POSTED
    untold = sa.or_(told.is_(None), sa.and_(posted, told < letters.c.state_since))
    chosen: list[str] = []
    async with store.database.reading() as connection:
        for step in Step:
            query = sa.select(letters.c.id).select_from(with_place()).where(_late(step, times, now), untold)
            chosen += (await connection.scalars(query.limit(TOLD_AT_ONCE))).all()
    if not chosen:
        return 0
    async with store.database.writing() as connection:
        free = (
            sa.select(letters.c.id)
            .where(letters.c.id.in_(chosen), letters.c.state.in_(STEP_OF), untold)
            .order_by(letters.c.id)
        )
        ids = (await connection.scalars(free.with_for_update())).all()
        for letter_id in ids:
            await add_mail(connection, MailKind.OVERDUE, letter_id, at=now)
        await connection.execute(sa.update(letters).where(letters.c.id.in_(ids)).values(overdue_told_at=now))
    return len(ids)

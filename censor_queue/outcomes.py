"""What became of letters: how the review decided, what the facilities did, and how the rules of the screening did.

A rule is judged by what the facility did with a letter. That is counted once for each letter; what was sealed with the
letter says how, so that a correction takes the old counts back.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from censor_queue.decisions import save_treatment
from censor_queue.review import Review
from relay.domain.directory import Facility
from relay.domain.letters import Treatment
from relay.domain.lives import Actor, LetterState, Record, Who
from relay.domain.reasons import ReviewReason
from relay.domain.reply_code import ReplyCode
from relay.domain.review import Decision, Outcome
from relay.log import failed
from relay.sealing import PrivateKey, SealBrokenError
from relay.store.database import alone
from relay.store.letters import read_body, read_treatment
from relay.store.tables import (
    batches,
    decisions,
    facilities,
    letters,
    prisoners,
    reply_order_letters,
    rule_counts,
)
from relay.store.transitions import move

RULE_COUNTS: Final = "rule counts"
"""Whoever changes them does so alone, or two who count the same rules in another order would wait for each other."""


class NoSuchLetterError(LookupError):
    """There is no letter that was printed."""


class NotPossibleError(ValueError):
    """This cannot have become of a letter in this state."""


# --- the rules


class Verdict(StrEnum):
    """How a rule did with one letter."""

    HIT = "hit"
    """It found something, and the facility objected to it."""
    MISS = "miss"
    """It found nothing, and the facility objected to it."""
    FALSE_ALARM = "false_alarm"
    """It found something, and the facility let it pass."""
    SILENT = "silent"
    """It found nothing, and the facility did not object to it."""


def verdicts(treatment: Treatment, outcome: Outcome) -> dict[str, Verdict]:
    """How each rule did. A facility that names no rule objected to all that found something."""
    objected = outcome is not Outcome.PASSED
    named = treatment.named if objected else ()
    found: dict[str, Verdict] = {}
    for rule in treatment.fired:
        right = rule in named or (objected and not named)
        found[rule] = Verdict.HIT if right else Verdict.FALSE_ALARM
    for rule in (*treatment.silent, *named):
        found.setdefault(rule, Verdict.MISS if rule in named else Verdict.SILENT)
    return found


async def _count(
    connection: AsyncConnection, facility_id: str, before: dict[str, Verdict], after: dict[str, Verdict]
) -> None:
    change = Counter(after.items())
    change.subtract(before.items())
    more, less = (
        [{"rule": rule, "verdict": verdict} for (rule, verdict), by in change.items() if by == sign] for sign in (1, -1)
    )
    if more:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        upsert = insert(rule_counts).on_conflict_do_update(
            index_elements=[*rule_counts.primary_key.columns], set_={"count": rule_counts.c.count + 1}
        )
        await connection.execute(upsert, [{"facility_id": facility_id, "count": 1} | key for key in more])
    if less:
        update = sa.update(rule_counts).where(
            rule_counts.c.facility_id == facility_id,
            rule_counts.c.rule == sa.bindparam("of_rule"),
            rule_counts.c.verdict == sa.bindparam("of_verdict"),
            rule_counts.c.count > 0,
        )
        await connection.execute(
            update.values(count=rule_counts.c.count - 1),
            [{"of_rule": key["rule"], "of_verdict": key["verdict"]} for key in less],
        )


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """How often a rule was right and wrong."""

    rule: str
    hits: int
    misses: int
    false_alarms: int
    silent: int


async def rule_figures(connection: AsyncConnection, facility_id: str, rules: Sequence[str]) -> list[RuleFigures]:
    """How these rules did with the letters to a facility, and then those others that were counted once."""
    found: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
    rows = await connection.execute(
        sa.select(rule_counts).where(rule_counts.c.facility_id == facility_id).order_by(rule_counts.c.rule)
    )
    for row in rows.mappings():
        found.setdefault(row["rule"], Counter())[row["verdict"]] = row["count"]
    return [
        RuleFigures(rule, count[Verdict.HIT], count[Verdict.MISS], count[Verdict.FALSE_ALARM], count[Verdict.SILENT])
        for rule, count in found.items()
    ]


# --- what the facility did with a letter


@dataclass(frozen=True, slots=True)
class SentLetter:
    """A letter that was sent, without what it says."""

    id: str
    prisoner: str
    facility: Facility
    """For which it was printed."""
    written_at: datetime.datetime
    state: LetterState
    outcome: Outcome | None
    named: tuple[str, ...]
    """Rules that the facility named."""
    possible: tuple[Outcome, ...]
    """What can have become of it; empty where it was not posted yet."""


_OF_BATCH: Final = (
    sa.select(letters, batches.c.facility_id.label("printed_for"), prisoners.c.name.label("prisoner"))
    .join(batches, batches.c.id == letters.c.batch_id)
    .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
)


async def sent_letters(connection: AsyncConnection, office: PrivateKey, code: ReplyCode) -> list[SentLetter]:
    """The letters of a reply code that were printed, by the prisoner's name."""
    rows = await connection.execute(
        _OF_BATCH.join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(reply_order_letters.c.code == code)
        .order_by(prisoners.c.name)
    )
    found = []
    for row in rows.all():
        place = await connection.execute(sa.select(facilities).where(facilities.c.id == row.printed_for))
        values = place.mappings().one()
        treatment = await _treatment(connection, row.id, office)
        photos = await _photos_sent(connection, row.id, treatment, office)
        found.append(
            SentLetter(
                row.id,
                row.prisoner,
                Facility.model_validate({name: values[name] for name in Facility.model_fields}),
                row.created_at,
                LetterState(row.state),
                Outcome(row.outcome) if row.outcome else None,
                treatment.named,
                possible(LetterState(row.state), photos=photos),
            )
        )
    return found


def possible(state: LetterState, *, photos: bool) -> tuple[Outcome, ...]:
    """What can have become of a letter that was sent with or without photos.

    An answer proves that a letter was delivered; what came back was refused.
    """
    passed = [Outcome.PASSED, Outcome.BLACKED_OUT, *([Outcome.PHOTO_REFUSED] if photos else [])]
    known = {
        LetterState.POSTED: (*passed, Outcome.REFUSED),
        LetterState.DELIVERED: tuple(passed),
        LetterState.RETURNED: (Outcome.REFUSED,),
    }
    return known.get(state, ())


async def _treatment(connection: AsyncConnection, letter_id: str, office: PrivateKey) -> Treatment:
    """What the review did to a letter; nothing, where it does not open."""
    try:
        return await read_treatment(connection, letter_id, office)
    except SealBrokenError as error:
        failed("outcome_not_opened", error, record=letter_id)
        return Treatment()


async def _photos_sent(connection: AsyncConnection, letter_id: str, treatment: Treatment, office: PrivateKey) -> bool:
    if treatment.without_photos:
        return False
    try:
        return bool((await read_body(connection, letter_id, office)).photos)
    except SealBrokenError:
        return False


async def record_outcome(
    review: Review, letter_id: str, volunteer_id: str, outcome: Outcome, named: Collection[str] = ()
) -> None:
    """Record what the facility did, and which rules it named; what was recorded before is taken back.

    A posted letter that was refused has come back: its sender is told. Raises NoSuchLetterError and NotPossibleError.
    """
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        await alone(connection, RULE_COUNTS)
        mine = _OF_BATCH.where(letters.c.id == letter_id).with_for_update(of=letters)
        row = (await connection.execute(mine)).one_or_none()
        if row is None:
            raise NoSuchLetterError
        treatment = await _treatment(connection, letter_id, review.office)
        photos = await _photos_sent(connection, letter_id, treatment, review.office)
        if outcome not in possible(LetterState(row.state), photos=photos):
            raise NotPossibleError
        await record(connection, review.office, row, outcome, named)
        if outcome is Outcome.REFUSED and row.state == LetterState.POSTED:
            by, reason = Actor(Who.VOLUNTEER, volunteer_id), ReviewReason.FACILITY
            await move(connection, Record.LETTER, letter_id, LetterState.RETURNED, by=by, at=now, reason=reason)


async def record(
    connection: AsyncConnection, office: PrivateKey, row: sa.Row[Any], outcome: Outcome, named: Collection[str] = ()
) -> None:
    """Record an outcome and count its verdicts, alone under RULE_COUNTS. A letter that does not open is not counted."""
    await connection.execute(sa.update(letters).where(letters.c.id == row.id).values(outcome=outcome))
    treatment = await _treatment(connection, row.id, office)
    before = verdicts(treatment, Outcome(row.outcome)) if row.outcome else {}
    naming = () if outcome is Outcome.PASSED else tuple(sorted(set(named)))
    changed = treatment.model_copy(update={"named": naming})
    await _count(connection, row.printed_for, before, verdicts(changed, outcome))
    if changed != treatment:
        await save_treatment(connection, office, row.id, changed)


async def record_passed(connection: AsyncConnection, office: PrivateKey, since: datetime.datetime, limit: int) -> int:
    """Record some letters as passed that were delivered before this moment and nobody spoke about; how many."""
    await alone(connection, RULE_COUNTS)
    rows = await connection.execute(
        _OF_BATCH.where(*_silent(since)).limit(limit).with_for_update(of=letters, skip_locked=True)
    )
    found = rows.all()
    for row in found:
        await record(connection, office, row, Outcome.PASSED)
    return len(found)


async def any_passed(connection: AsyncConnection, since: datetime.datetime) -> bool:
    """Whether `record_passed` would find a letter."""
    return (await connection.execute(_OF_BATCH.where(*_silent(since)).limit(1))).first() is not None


def _silent(since: datetime.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    delivered = sa.literal(LetterState.DELIVERED, literal_execute=True)  # or its index could not be used
    return letters.c.state == delivered, letters.c.outcome.is_(None), letters.c.state_since <= since


# --- what the review decided


class Fate(StrEnum):
    """What became of letters, as the figures say it."""

    PASSED = "passed"
    PARTLY = "partly"
    CHANGES = "changes"
    REFUSED = "refused"
    RETURNED = "returned"


_FATES: Final = {
    Decision.APPROVE: Fate.PASSED,
    Decision.APPROVE_IN_PART: Fate.PARTLY,
    Decision.CHANGES: Fate.CHANGES,
    Decision.REFUSE: Fate.REFUSED,
}


@dataclass(slots=True)
class FacilityFigures:
    """What became of the letters to one facility, by fate and reason."""

    id: str
    facility: Facility
    fates: dict[Fate, Counter[ReviewReason | None]] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The longest bar."""
        return max((reasons.total() for reasons in self.fates.values()), default=0)


async def facility_figures(connection: AsyncConnection, since: datetime.datetime | None) -> list[FacilityFigures]:
    """What was decided and what came back since a moment, or ever, by the names of the facilities."""
    rows = await connection.execute(sa.select(facilities).order_by(facilities.c.name))
    found = {
        row["id"]: FacilityFigures(
            row["id"], Facility.model_validate({name: row[name] for name in Facility.model_fields})
        )
        for row in rows.mappings()
    }
    decided = (
        sa.select(prisoners.c.facility_id, decisions.c.decision, decisions.c.reason, sa.func.count().label("letters"))
        .join(letters, letters.c.id == decisions.c.letter_id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(
            decisions.c.decision.in_(_FATES),
            decisions.c.void_at.is_(None),
            *([] if since is None else [decisions.c.at >= since]),
        )
        .group_by(prisoners.c.facility_id, decisions.c.decision, decisions.c.reason)
    )
    for row in await connection.execute(decided):
        _add(found[row.facility_id], _FATES[Decision(row.decision)], row)
    returned = (
        sa.select(prisoners.c.facility_id, letters.c.reason, sa.func.count().label("letters"))
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(letters.c.state == LetterState.RETURNED, *([] if since is None else [letters.c.state_since >= since]))
        .group_by(prisoners.c.facility_id, letters.c.reason)
    )
    for row in await connection.execute(returned):
        _add(found[row.facility_id], Fate.RETURNED, row)
    return list(found.values())


def _add(figures: FacilityFigures, fate: Fate, row: sa.Row[Any]) -> None:
    reason = ReviewReason(row.reason) if row.reason else None
    figures.fates.setdefault(fate, Counter())[reason] += row.letters

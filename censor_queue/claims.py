"""Who reads which letter: claims on the letters that wait to be read or translated.

A volunteer holds the letter on the screen, and one more that is made ready meanwhile. Both are leases: the one ahead
ends by itself; the one on the screen is renewed while it is used, up to a hard end.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from censor_queue.closeness import acquaintance_tags, blocked_from, is_close
from censor_queue.review import Review
from relay.domain.letters import LetterBody, Photo, Treatment
from relay.domain.lives import READING, WORKER, LetterState, Record
from relay.domain.reasons import ReviewReason
from relay.domain.reply_code import ReplyCode
from relay.domain.review import Decision
from relay.log import failed
from relay.sealing import SealBrokenError
from relay.store import directory, leases
from relay.store.database import alone, new_id
from relay.store.directory import Known
from relay.store.leases import LeaseLostError
from relay.store.letters import code_of, letter_context, open_treatment, read_body
from relay.store.sealed import load_key
from relay.store.tables import acquaintances, decisions, letters, volunteer_languages
from relay.store.transitions import move

LEASE: Final = datetime.timedelta(minutes=15)
"""How long a volunteer may think about one letter without a sign of life."""
HARD_END: Final = datetime.timedelta(minutes=60)
"""After this nobody holds a letter any longer, however busy the screen is."""
UNOPENED_PAUSE: Final = datetime.timedelta(hours=3)
"""How long a letter that cannot be opened is left alone: a wrong key is put right, a damaged disk is replaced."""
COUNTED: Final = 1000
"""The screen says how many letters wait, up to this many: to count a million takes longer than to claim one."""
NOT_AGAIN: Final = (Decision.REFUSE, Decision.SECOND, Decision.SKIP)
"""After these a volunteer does not get the letter again."""


@dataclass(frozen=True, slots=True)
class LetterToReview:
    """What a volunteer of the review sees of a letter. The sender's address is not in it."""

    id: str
    state: LetterState
    code: ReplyCode
    sheets: int
    known: Known
    text: str
    printed_name: str
    photos: tuple[Photo, ...]
    treatment: Treatment
    translate_from: str | None
    language: str
    written_at: datetime.datetime
    waits_since: datetime.datetime
    due_at: datetime.datetime
    held_until: datetime.datetime
    hard_end: datetime.datetime | None
    """None while it is only made ready."""

    @property
    def comes_first(self) -> bool:
        """Whether its sender has changed it: then it waits before all others, and its deadline says nothing."""
        return self.due_at < self.written_at

    @property
    def version(self) -> str:
        """What a decision is about: another text, photo or treatment is another version."""
        seen = (self.text, self.printed_name, self.photos, self.treatment)
        return hashlib.sha256(repr(seen).encode()).hexdigest()

    @property
    def body(self) -> LetterBody:
        """What was written, without the sender's address."""
        return LetterBody(text=self.text, printed_name=self.printed_name, address=None, photos=self.photos)


async def claim_next(review: Review, volunteer_id: str) -> LetterToReview | None:
    """The letter that this volunteer has on the screen already, or the one made ready, or else the next free one.

    Letters come in the order of their deadlines, those that wait for a second reader first. A letter that cannot be
    opened is left alone for some hours. None where there is nothing for this volunteer.
    """
    return await _claim(review, volunteer_id, READING)


async def claim_ahead(review: Review, volunteer_id: str) -> LetterToReview | None:
    """One more letter, to be made ready while the volunteer reads. None where nothing is left."""
    return await _claim(review, volunteer_id, READING, ahead=True)


async def claim_again(review: Review, letter_id: str, volunteer_id: str) -> LetterToReview | None:
    """A letter that this volunteer had and lost, if it still waits and nobody else has it; otherwise None."""
    return await _claim(review, volunteer_id, READING, letters.c.id == letter_id)


async def claim_translation(review: Review, volunteer_id: str, letter_id: str | None = None) -> LetterToReview | None:
    """The next letter to be translated from a language that the volunteer has; otherwise like `claim_next`.

    Where no other one is on the screen, the letter of this id comes first, if it is free.
    """
    states = [LetterState.TRANSLATING]
    spoken = letters.c.translate_from.in_(
        sa.select(volunteer_languages.c.language).where(volunteer_languages.c.volunteer_id == volunteer_id)
    )
    if letter_id is not None:
        letter = await _claim(review, volunteer_id, states, spoken, letters.c.id == letter_id)
        if letter is not None:
            return letter
    return await _claim(review, volunteer_id, states, spoken)


async def held(review: Review, letter_id: str, volunteer_id: str) -> LetterToReview:
    """A letter that this volunteer holds. Raises LeaseLostError."""
    async with review.store.database.reading() as connection:
        mine = leases.held_by(letters, letter_id, volunteer_id, review.store.database.clock())
        row = (await connection.execute(sa.select(letters).where(mine))).one_or_none()
        if row is None:
            raise LeaseLostError("letters", letter_id)
        return (await _open(connection, review, row))[0]


async def _claim(
    review: Review,
    volunteer_id: str,
    states: Sequence[LetterState],
    *where: sa.ColumnElement[bool],
    ahead: bool = False,
) -> LetterToReview | None:
    left: list[str] = []
    while row := await _lease(review, volunteer_id, states, *where, letters.c.id.not_in(left), ahead=ahead):
        try:
            async with review.store.database.reading() as connection:
                letter, body = await _open(connection, review, row)
                close = await is_close(connection, review.office, volunteer_id, body, row.conversation_id)
                blocked = await blocked_from(connection, review.office, body, row.conversation_id)
        except SealBrokenError as error:
            failed("letter_not_opened", error, record=row.id)
            await _leave_alone(review, row.id, volunteer_id, type(error).__name__)
            continue
        if blocked is not None and blocked <= review.store.database.clock():
            with suppress(LeaseLostError):
                await _refuse_blocked(review, row, volunteer_id)
        elif close or blocked is not None:
            left.append(row.id)
            async with review.store.database.writing() as connection:
                await leases.give_back(connection, letters, row.id, owner=volunteer_id)
        else:
            return letter
    return None


async def _lease(
    review: Review, volunteer_id: str, states: Sequence[LetterState], *where: sa.ColumnElement[bool], ahead: bool
) -> sa.Row[Any] | None:
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        await alone(connection, f"review {volunteer_id}")  # two tabs at once get one letter, not one each
        mine = (letters.c.lease_owner == volunteer_id, letters.c.lease_until >= now, letters.c.state.in_(states))
        found = (await connection.execute(sa.select(letters).where(*mine, *where).order_by(letters.c.due_at))).all()
        # The newest first: who undid a decision wants that letter, not the one that came between.
        on_screen = sorted((row for row in found if row.lease_ends), key=lambda row: row.lease_ends, reverse=True)
        ready = [row for row in found if row.lease_ends is None]
        if ahead and ready:
            return ready[0]
        if not ahead and on_screen:
            return on_screen[0]
        if not ahead and ready:
            values = {"lease_until": now + LEASE, "lease_ends": now + HARD_END}
            show = sa.update(letters).where(letters.c.id == ready[0].id).values(**values).returning(*letters.c)
            return (await connection.execute(show)).one()
        gave_up = sa.exists().where(
            decisions.c.letter_id == letters.c.id,
            decisions.c.volunteer_id == volunteer_id,
            decisions.c.decision.in_(NOT_AGAIN),
            decisions.c.void_at.is_(None),
        )
        for state in reversed(states):
            claimed = await leases.claim(
                connection,
                letters,
                letters.c.state == state,
                ~gave_up,
                *where,
                owner=volunteer_id,
                now=now,
                order_by=letters.c.due_at,
                lease=LEASE,
                hard_end=None if ahead else HARD_END,
            )
            if claimed:
                return claimed[0]
    return None


async def _open(connection: AsyncConnection, review: Review, row: sa.Row[Any]) -> tuple[LetterToReview, LetterBody]:
    key = await load_key(connection, letter_context(row.id), review.office)
    body = LetterBody.model_validate_json(key.decrypt(row.body))
    code, sheets = await code_of(connection, row.id)
    letter = LetterToReview(
        id=row.id,
        state=LetterState(row.state),
        code=code,
        sheets=sheets,
        known=await directory.by_id(connection, row.prisoner_id),
        text=body.text,
        printed_name=body.printed_name,
        photos=body.photos,
        treatment=open_treatment(row.treatment, key),
        translate_from=row.translate_from,
        language=row.language,
        written_at=row.created_at,
        waits_since=row.state_since,
        due_at=row.due_at,
        held_until=row.lease_until,
        hard_end=row.lease_ends,
    )
    return letter, body


async def _leave_alone(review: Review, letter_id: str, volunteer_id: str, error: str) -> None:
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        await connection.execute(
            sa.update(letters)
            .where(leases.held_by(letters, letter_id, volunteer_id, now))
            .values(**leases.FREE, last_error=error, next_try_at=now + UNOPENED_PAUSE)
        )


async def _refuse_blocked(review: Review, row: sa.Row[Any], volunteer_id: str) -> None:
    now = review.store.database.clock()
    decision_id, reason = new_id(), ReviewReason.BLOCKED
    async with review.store.database.writing() as connection:
        await leases.check(connection, letters, row.id, volunteer_id, now)
        await connection.execute(
            sa.insert(decisions).values(
                id=decision_id,
                letter_id=row.id,
                at=now,
                decision=Decision.REFUSE,
                source=row.state,
                target=LetterState.REFUSED,
                reason=reason,
            )
        )
        target = LetterState.REFUSED
        await move(connection, Record.LETTER, row.id, target, by=WORKER, at=now, reason=reason, decision_id=decision_id)


async def skip(review: Review, letter_id: str, volunteer_id: str) -> None:
    """Leave a letter to the others. Raises LeaseLostError."""
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, now)
        await connection.execute(
            sa.insert(decisions).values(
                id=new_id(), letter_id=letter_id, volunteer_id=volunteer_id, at=now, decision=Decision.SKIP
            )
        )
        await leases.give_back(connection, letters, letter_id, owner=volunteer_id)


async def knows(review: Review, letter_id: str, volunteer_id: str) -> None:
    """Leave a letter to the others, and all later ones of its two people. Raises LeaseLostError."""
    async with review.store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, review.store.database.clock())
        tags = await _tags(connection, review, letter_id, volunteer_id)
        await connection.execute(sa.delete(acquaintances).where(acquaintances.c.tag.in_(tags)))  # perhaps said before
        await connection.execute(sa.insert(acquaintances), [{"tag": tag} for tag in tags])
        await leases.give_back(connection, letters, letter_id, owner=volunteer_id)


async def knows_not(review: Review, letter_id: str, volunteer_id: str) -> None:
    """Take `knows` back."""
    async with review.store.database.writing() as connection:
        tags = await _tags(connection, review, letter_id, volunteer_id)
        await connection.execute(sa.delete(acquaintances).where(acquaintances.c.tag.in_(tags)))


async def _tags(connection: AsyncConnection, review: Review, letter_id: str, volunteer_id: str) -> list[str]:
    query = sa.select(letters.c.conversation_id).where(letters.c.id == letter_id)
    conversation_id = (await connection.execute(query)).scalar_one()
    body = await read_body(connection, letter_id, review.office)
    return await acquaintance_tags(connection, review.office, volunteer_id, body, conversation_id)


async def take_back_skipped(review: Review, volunteer_id: str) -> None:
    """Let the volunteer get the letters again that were only skipped."""
    async with review.store.database.writing() as connection:
        await connection.execute(
            sa.update(decisions)
            .where(
                decisions.c.volunteer_id == volunteer_id,
                decisions.c.decision == Decision.SKIP,
                decisions.c.void_at.is_(None),
            )
            .values(void_at=review.store.database.clock())
        )


async def is_free(connection: AsyncConnection, letter_id: str, volunteer_id: str, now: datetime.datetime) -> bool:
    """Whether a letter waits to be read, and nobody else holds it."""
    free = sa.or_(letters.c.lease_until.is_(None), letters.c.lease_until < now, letters.c.lease_owner == volunteer_id)
    query = sa.select(letters.c.id).where(letters.c.id == letter_id, letters.c.state.in_(READING), free)
    return (await connection.execute(query)).first() is not None


async def renew(review: Review, letter_id: str, volunteer_id: str) -> LetterToReview:
    """Prolong the lease of a letter that is being read, up to its hard end. Raises LeaseLostError.

    The lease of one that is only made ready stays as it is.
    """
    letter = await held(review, letter_id, volunteer_id)
    if letter.hard_end is None:
        return letter
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        await leases.renew(connection, letters, letter_id, owner=volunteer_id, now=now, lease=LEASE)
    return await held(review, letter_id, volunteer_id)


async def stop(review: Review, volunteer_id: str) -> None:
    """Give back all letters that this volunteer holds."""
    async with review.store.database.writing() as connection:
        await connection.execute(sa.update(letters).where(letters.c.lease_owner == volunteer_id).values(**leases.FREE))


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many letters wait in a state, at most COUNTED + 1, how many of them are overdue, and since when."""

    letters: int
    overdue: int
    oldest: datetime.datetime | None


async def waiting(connection: AsyncConnection, states: Sequence[LetterState], now: datetime.datetime) -> Waiting:
    """What waits in these states."""
    # Each state by itself, in the order of the index: one query for all would sort every waiting letter.
    of_each = (
        sa.select(letters.c.state_since, letters.c.due_at, letters.c.created_at)
        .where(letters.c.state == state)
        .order_by(letters.c.due_at)
        .limit(COUNTED + 1)
        .subquery()
        for state in states
    )
    first = sa.union_all(*(sa.select(each) for each in of_each)).limit(COUNTED + 1).subquery()
    row = (
        await connection.execute(
            sa.select(
                sa.func.count(),
                sa.func.count().filter(first.c.due_at < now, first.c.due_at >= first.c.created_at),
                sa.func.min(first.c.state_since, type_=letters.c.state_since.type),
            )
        )
    ).one()
    return Waiting(*row)


async def skipped(connection: AsyncConnection, volunteer_id: str, states: Sequence[LetterState] = READING) -> int:
    """How many letters that wait in these states this volunteer skipped."""
    count: int = (
        await connection.execute(
            sa.select(sa.func.count(sa.distinct(letters.c.id)))
            .join(decisions, decisions.c.letter_id == letters.c.id)
            .where(
                decisions.c.volunteer_id == volunteer_id,
                decisions.c.decision == Decision.SKIP,
                decisions.c.void_at.is_(None),
                letters.c.state.in_(states),
            )
        )
    ).scalar_one()
    return count

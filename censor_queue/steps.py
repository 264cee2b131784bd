"""What a reviewer does that changes something: claim the next letter, approve, refuse."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from relay.domain.letters import LetterBody
from relay.domain.lives import Actor, LetterState, Record, Who
from relay.domain.reasons import Refusal
from relay.domain.reply_code import ReplyCode
from relay.log import failed
from relay.sealing import PrivateKey, SealBrokenError
from relay.store import directory, leases
from relay.store.database import alone
from relay.store.directory import Known
from relay.store.letters import code_of, read_body
from relay.store.sealed import Store
from relay.store.tables import letters
from relay.store.transitions import move

REVIEW_LEASE = datetime.timedelta(minutes=15)
"""How long a reviewer may think about one letter."""
UNOPENED_PAUSE = datetime.timedelta(hours=3)
"""How long a letter that cannot be opened is left alone: a wrong key is put right, a damaged disk is replaced."""


@dataclass(frozen=True, slots=True)
class LetterToReview:
    """What a reviewer sees of a letter. The sender's address is not in it."""

    id: str
    code: ReplyCode
    known: Known
    text: str
    printed_name: str
    language: str
    queued_at: datetime.datetime
    held_until: datetime.datetime


async def claim_next(store: Store, office: PrivateKey, volunteer_id: str) -> LetterToReview | None:
    """The letter that this volunteer holds already, or else the oldest free one. None where the queue is empty.

    A letter that cannot be opened is left alone for some hours.
    """
    while (row := await _claim(store, volunteer_id)) is not None:
        try:
            return await _open(store, office, row)
        except SealBrokenError as error:
            failed("letter_not_opened", error, record=row.id)
            now = store.database.clock()
            async with store.database.writing() as connection:
                await connection.execute(
                    sa.update(letters)
                    .where(leases.held_by(letters, row.id, volunteer_id, now))
                    .values(**leases.FREE, last_error=type(error).__name__, next_try_at=now + UNOPENED_PAUSE)
                )
    return None


async def _claim(store: Store, volunteer_id: str) -> sa.Row[Any] | None:
    now = store.database.clock()
    async with store.database.writing() as connection:
        await alone(connection, f"review {volunteer_id}")  # two tabs at once get one letter, not one each
        row = (
            await connection.execute(
                sa.select(letters).where(
                    letters.c.state == LetterState.QUEUED,
                    letters.c.lease_owner == volunteer_id,
                    letters.c.lease_until >= now,
                )
            )
        ).first()
        if row is None:
            claimed = await leases.claim(
                connection,
                letters,
                letters.c.state == LetterState.QUEUED,
                owner=volunteer_id,
                now=now,
                order_by=letters.c.created_at,
                lease=REVIEW_LEASE,
            )
            row = claimed[0] if claimed else None
        return row


async def _open(store: Store, office: PrivateKey, row: sa.Row[Any]) -> LetterToReview:
    async with store.database.reading() as connection:
        body: LetterBody = await read_body(connection, row.id, office)
        code, _ = await code_of(connection, row.id)
        return LetterToReview(
            id=row.id,
            code=code,
            known=await directory.by_id(connection, row.prisoner_id),
            text=body.text,
            printed_name=body.printed_name,
            language=row.language,
            queued_at=row.state_since,
            held_until=row.lease_until,
        )


async def approve(store: Store, letter_id: str, volunteer_id: str) -> None:
    """Accept a letter for printing. Raises LeaseLostError."""
    async with store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, store.database.clock())
        by = Actor(Who.VOLUNTEER, volunteer_id)
        await move(connection, Record.LETTER, letter_id, LetterState.APPROVED, by=by, at=store.database.clock())


async def refuse(store: Store, letter_id: str, volunteer_id: str, reason: Refusal) -> None:
    """Refuse a letter; the sender is told the reason. Raises LeaseLostError."""
    async with store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, store.database.clock())
        await move(
            connection,
            Record.LETTER,
            letter_id,
            LetterState.REFUSED,
            by=Actor(Who.VOLUNTEER, volunteer_id),
            at=store.database.clock(),
            reason=reason,
        )

"""Letters that the post brings back: found by their code, and where the reason leads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import PrisonerState
from relay.domain.lives import Actor, LetterState, Record, Who
from relay.domain.reasons import ReturnReason
from relay.domain.reply_code import LENGTH, MATRIX_PREFIX, NotAReplyCodeError, ReplyCode, read_code, read_matrix
from relay.domain.review import Outcome
from relay.store import directory
from relay.store.database import alone
from relay.store.directory import Known
from relay.store.letters import is_rendered
from relay.store.sealed import Store
from relay.store.tables import batches, enclosures, envelopes, letters, reply_order_letters
from relay.store.transitions import move

UNDERWAY: Final = (LetterState.PRINTED, LetterState.POSTED)
"""States from which a letter can come back."""
LEADS_TO: Final = {
    ReturnReason.MOVED: PrisonerState.MOVED,
    ReturnReason.NOT_FOUND: PrisonerState.MOVED,
    ReturnReason.RELEASED: PrisonerState.RELEASED,
}
"""What a reason says about the prisoner: nobody writes to that address any more until somebody has looked into it."""
LOOKED_INTO: Final = (ReturnReason.MOVED, ReturnReason.NOT_FOUND)
"""Reasons with which a letter waits for a better address, and then is read and printed again."""


class UnknownCodeError(LookupError):
    """No printed letter has this code; the message is an English msgid."""


def _(sentence: str) -> str:
    return sentence


@dataclass(frozen=True, slots=True)
class InEnvelope:
    """The letters that went in one envelope with the one of a code."""

    known: Known
    to_known_place: bool
    """Whether it went where the prisoner is now, as far as we know."""
    code: ReplyCode
    letter_ids: tuple[str, ...]
    states: tuple[LetterState, ...]
    tracking: str | None

    @property
    def underway(self) -> bool:
        """Whether one of them can still come back."""
        return any(state in UNDERWAY for state in self.states)


def typed_code(text: str) -> ReplyCode:
    """The code in what a person typed, or a reader of matrix codes did. Raises UnknownCodeError.

    Nothing is repaired here: a person can look again.
    """
    try:
        if text.strip().upper().startswith(MATRIX_PREFIX) and len(text.strip()) > len(MATRIX_PREFIX) + LENGTH:
            return read_matrix(text.strip().upper()).code
        read = read_code(text)
    except NotAReplyCodeError:
        raise UnknownCodeError(
            _("This is not one of our codes. Compare it with the paper, symbol by symbol.")
        ) from None
    if read.repaired:
        raise UnknownCodeError(_("A symbol of this code is wrong. Compare it with the paper, symbol by symbol."))
    return read.code


async def find(connection: AsyncConnection, code: ReplyCode) -> InEnvelope:
    """What went in the envelope with the letter of a code when it was last printed. Raises UnknownCodeError."""
    went_in = batches.alias()
    found = (
        await connection.execute(
            sa.select(
                letters.c.id,
                letters.c.prisoner_id,
                envelopes.c.id.label("envelope_id"),
                envelopes.c.tracking,
                went_in.c.facility_id,
            )
            .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
            .outerjoin(enclosures, enclosures.c.letter_id == letters.c.id)
            .outerjoin(envelopes, envelopes.c.id == enclosures.c.envelope_id)
            .outerjoin(went_in, went_in.c.id == sa.func.coalesce(envelopes.c.batch_id, letters.c.batch_id))
            .where(reply_order_letters.c.code == code, sa.or_(is_rendered(), enclosures.c.envelope_id.is_not(None)))
            .order_by(envelopes.c.created_at.desc().nulls_last(), letters.c.id)
            .limit(1)
        )
    ).one_or_none()
    if found is None:
        raise UnknownCodeError(_("No printed letter has this code."))
    with_it = sa.or_(
        letters.c.id == found.id,
        letters.c.id.in_(sa.select(enclosures.c.letter_id).where(enclosures.c.envelope_id == found.envelope_id)),
    )
    rows = (
        await connection.execute(sa.select(letters.c.id, letters.c.state).where(with_it).order_by(letters.c.id))
    ).all()
    known = await directory.by_id(connection, found.prisoner_id)
    return InEnvelope(
        known,
        found.facility_id == known.facility_id,
        code,
        tuple(row.id for row in rows),
        tuple(LetterState(row.state) for row in rows),
        found.tracking,
    )


async def come_back(store: Store, code: ReplyCode, reason: ReturnReason, volunteer_id: str) -> InEnvelope:
    """Note that the post brought an envelope back. Its letters, the prisoner and what waits go where the reason leads.

    Moved, or not found: the letters wait for a better address, and are read and printed again when it is known.
    Released, or refused: they end here. The senders are told in each case. Raises UnknownCodeError.
    """
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.writing() as connection:
        await alone(connection, "directory")  # before the letters, as whoever changes the directory does
        found = await find(connection, code)
        underway = sa.select(letters.c.id).where(letters.c.id.in_(found.letter_ids), letters.c.state.in_(UNDERWAY))
        back = (await connection.scalars(underway.order_by(letters.c.id).with_for_update())).all()
        if not back:
            return found
        for letter_id in back:
            outcome = Outcome.REFUSED if reason is ReturnReason.REFUSED else None
            await move(
                connection,
                Record.LETTER,
                letter_id,
                LetterState.RETURNED,
                by=by,
                at=now,
                reason=reason,
                outcome=outcome,
            )
            if reason in LOOKED_INTO:
                # Out of its batch: what is held there was printed, and would stay held.
                await move(
                    connection, Record.LETTER, letter_id, LetterState.HELD, by=by, at=now, reason=reason, batch_id=None
                )
        state = LEADS_TO.get(reason)
        prisoner = found.known.prisoner
        if state is not None and found.to_known_place and prisoner.state is PrisonerState.ACTIVE:
            await directory.lost(connection, found.known.prisoner_id, state, by=by, at=now)
        elif reason in LOOKED_INTO:  # where the new address is known, its letters need not wait
            await directory.hold_or_queue(connection, found.known.prisoner_id, by=by, at=now)
    return found

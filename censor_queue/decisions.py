"""What a volunteer decides about a letter, and how a decision is undone.

A decision takes effect at once for the volunteers. Its mail and the letter's place in a batch wait until it has
settled, so that an undo comes before anything has left.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from censor_queue import closeness
from censor_queue.claims import HARD_END, LEASE, LetterToReview, held
from censor_queue.review import Review
from relay.domain.directory import PrisonerState
from relay.domain.letters import Treatment, printed_text, whole_text, words_of
from relay.domain.lives import DECIDED, WORKER, Actor, LetterState, MailKind, MailState, Record, Who
from relay.domain.printing import sheets_of
from relay.domain.reasons import ReviewReason
from relay.domain.review import UNDONE, Decision, Draft, Finding
from relay.mail.outbox import drop_mail_of, send_mail_of
from relay.sealing import ContentKey, PrivateKey
from relay.store import leases
from relay.store.database import new_id
from relay.store.leases import LeaseLostError
from relay.store.letters import letter_context, open_treatment, read_body, read_treatment
from relay.store.sealed import load_key
from relay.store.tables import decisions, letters, outbox, prisoners
from relay.store.transitions import add_mail, move

NOTE_MAX: Final = 2000
"""Characters of a note to the sender."""


class TooLateToUndoError(Exception):
    """The decision has settled, is not this volunteer's, or somebody works on the letter already."""


class ReasonMissingError(ValueError):
    """A part of a letter is left out, and the sender has to be told why."""


async def findings(review: Review, letter: LetterToReview, language: str) -> list[Finding]:
    """What the rules of the facility say about a letter; places are those of `whole_text`."""
    return await _screened(review, letter, whole_text(letter.body, letter.treatment), letter.treatment, language)


async def _screened(
    review: Review, letter: LetterToReview, text: str, treatment: Treatment, language: str = "en"
) -> list[Finding]:
    photos = () if treatment.without_photos else letter.photos
    draft = Draft(text, review.page_count(letter.known, printed_text(letter.body, treatment)), letter.sheets, photos)
    # In a thread: an installation's own patterns may take up to their time limit.
    return await asyncio.to_thread(review.screening.findings, draft, letter.known.facility, language)


async def approve(
    review: Review,
    letter_id: str,
    volunteer_id: str,
    *,
    without_photos: bool = False,
    reason: ReviewReason | None = None,
    note: str = "",
) -> None:
    """Accept a letter for printing; where the facility wants two readers, pass the first one's on to the second.

    What is left out (photos, covered words) is told to the sender with the reason; the second reader need not repeat
    it. Raises LeaseLostError and ReasonMissingError.
    """
    letter = await held(review, letter_id, volunteer_id)
    before = letter.treatment
    first = letter.state is LetterState.QUEUED and review.screening.rules_of(letter.known.facility).second_reader
    without_photos = before.without_photos or (without_photos and bool(letter.photos))
    in_part = without_photos or bool(before.covered)
    why = (reason or before.reason, note.strip() or before.note) if in_part else (None, "")
    if in_part and why[0] is None:
        raise ReasonMissingError
    treatment = before.model_copy(update={"without_photos": without_photos, "reason": why[0], "note": why[1]})
    text = printed_text(letter.body, treatment)
    found = await _screened(review, letter, text, treatment)
    fired = tuple(dict.fromkeys(finding.rule for finding in found))
    silent = tuple(rule for rule in review.screening.rule_ids(letter.known.facility) if rule not in fired)
    treatment = treatment.model_copy(update={"fired": fired, "silent": silent})
    if first:
        decision, target = Decision.SECOND, LetterState.SECOND_READING
    else:
        decision, target = Decision.APPROVE_IN_PART if in_part else Decision.APPROVE, LetterState.APPROVED
    photos = 0 if treatment.without_photos else len(letter.photos)
    rules = review.screening.rules_of(letter.known.facility).printing
    pages = review.page_count(letter.known, text)
    await decide(
        review,
        letter_id,
        volunteer_id,
        decision,
        target,
        *why,
        sheets=sheets_of(pages, photos, letter.sheets, rules),
        treatment=treatment,
        before=before,
        mail=MailKind.PARTLY if decision is Decision.APPROVE_IN_PART else None,
    )


async def ask_for_changes(
    review: Review, letter_id: str, volunteer_id: str, reason: ReviewReason, note: str = ""
) -> None:
    """Give a letter back to its sender, who can edit it. Raises LeaseLostError."""
    await decide(review, letter_id, volunteer_id, Decision.CHANGES, LetterState.CHANGES_REQUESTED, reason, note)


async def refuse(
    review: Review, letter_id: str, volunteer_id: str, reason: ReviewReason, note: str = "", *, block: bool = False
) -> None:
    """Refuse a letter; the sender is told the reason. With `block` no letter of this sender comes again.

    Raises LeaseLostError.
    """
    target = LetterState.REFUSED
    await decide(review, letter_id, volunteer_id, Decision.REFUSE, target, reason, note, block=block)


async def second_reader(review: Review, letter_id: str, volunteer_id: str) -> None:
    """Pass a letter on to somebody else, who decides. Raises LeaseLostError."""
    await decide(review, letter_id, volunteer_id, Decision.SECOND, LetterState.SECOND_READING)


async def to_be_translated(review: Review, letter_id: str, volunteer_id: str, language: str) -> None:
    """Pass a letter on to those who have its language, an ISO 639 code. Raises LeaseLostError."""
    target = LetterState.TRANSLATING
    await decide(review, letter_id, volunteer_id, Decision.TRANSLATE, target, translate_from=language)


async def cover(review: Review, letter_id: str, volunteer_id: str, words: Sequence[int]) -> None:
    """Cover these words of a letter, counted from 0 in what is printed; the others are shown. Raises LeaseLostError."""
    letter = await held(review, letter_id, volunteer_id)
    async with review.store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, review.store.database.clock())
        # Only now that no other window can change it.
        treatment = await read_treatment(connection, letter_id, review.office)
        spans = words_of(whole_text(letter.body, treatment))
        covered = tuple(spans[word] for word in sorted(set(words)) if 0 <= word < len(spans))
        await save_treatment(connection, review.office, letter_id, treatment.model_copy(update={"covered": covered}))


async def save_treatment(connection: AsyncConnection, office: PrivateKey, letter_id: str, treatment: Treatment) -> None:
    """Seal what the review did to a letter. Raises SealBrokenError."""
    key = await load_key(connection, letter_context(letter_id), office)
    await connection.execute(
        sa.update(letters).where(letters.c.id == letter_id).values(treatment=_sealed(key, treatment))
    )


def _sealed(key: ContentKey, treatment: Treatment) -> bytes:
    return key.encrypt(treatment.model_dump_json().encode())


async def decide(
    review: Review,
    letter_id: str,
    volunteer_id: str,
    decision: Decision,
    target: LetterState,
    reason: str | None = None,
    note: str = "",
    *,
    treatment: Treatment | None = None,
    before: Treatment | None = None,
    mail: MailKind | None = None,
    block: bool = False,
    **values: Any,
) -> None:
    """Put a letter where a decision leads, and note who decided what. Raises LeaseLostError.

    With `treatment` comes the one `before` that it was made from: where another window has changed that meanwhile, has
    covered words perhaps, the lease counts as lost. `mail` goes to the sender beside what the transition sends;
    `values` are columns of the letter.
    """
    now = review.store.database.clock()
    decision_id, note = new_id(), note.strip()[:NOTE_MAX]
    settles_at = now + review.undo if target in DECIDED else None
    async with review.store.database.writing() as connection:
        await leases.check(connection, letters, letter_id, volunteer_id, now)
        row = (await connection.execute(sa.select(letters).where(letters.c.id == letter_id))).one()
        if row.lease_ends is None:  # made ready, and never shown: an old window speaks of what it was before
            raise LeaseLostError(letters.name, letter_id)
        key = await load_key(connection, letter_context(letter_id), review.office)
        if treatment is not None and before != open_treatment(row.treatment, key):
            raise LeaseLostError(letters.name, letter_id)
        await connection.execute(
            sa.insert(decisions).values(
                id=decision_id,
                letter_id=letter_id,
                volunteer_id=volunteer_id,
                at=now,
                decision=decision,
                source=row.state,
                target=target,
                reason=reason,
                note=key.encrypt(note.encode()) if note else None,
                treatment_before=None if treatment is None else row.treatment or _sealed(key, Treatment()),
                seconds=round((now - (row.lease_ends - HARD_END)).total_seconds()),
            )
        )
        if treatment is not None:
            values["treatment"] = _sealed(key, treatment)
        await move(
            connection,
            Record.LETTER,
            letter_id,
            target,
            by=Actor(Who.VOLUNTEER, volunteer_id),
            at=now,
            reason=reason,
            settles_at=settles_at,
            decision_id=decision_id,
            **values,
        )
        if mail is not None:
            await add_mail(connection, mail, letter_id, at=now, decision_id=decision_id, not_before=settles_at)
        if block:
            body = await read_body(connection, letter_id, review.office)
            await closeness.block(connection, review.office, body, row.conversation_id, decision_id)


async def undo(review: Review, decision_id: str, volunteer_id: str) -> LetterState:
    """Take a decision back: its mail is dropped, and the letter is on the volunteer's screen again, as it was before.

    Returns the state in which it is again; held where the prisoner has left meanwhile. What the volunteer is reading
    comes after it. Raises TooLateToUndoError.
    """
    async with review.store.database.writing() as connection:
        row = await _mine(connection, decision_id, volunteer_id)
        # Only now that nobody else can touch the letter: while this waited, it may have settled.
        now = review.store.database.clock()
        waits = row.settles_at is not None and row.settles_at > now
        passed_on = row.settles_at is None and (row.lease_until is None or row.lease_until < now)
        if (
            row.state != row.target
            or not (waits or passed_on)
            or row.batch_id is not None
            or await _later(connection, row)
            or await _mail_is_going(connection, decision_id, now)
        ):
            raise TooLateToUndoError
        source = LetterState(row.source)
        by = Actor(Who.VOLUNTEER, volunteer_id)
        await move(connection, Record.LETTER, row.letter_id, source, by=by, at=now, reason=UNDONE)
        changed: dict[str, Any] = {"reason": None, "sheets": None}
        if await _can_be_written_to(connection, row.prisoner_id):
            changed |= {"lease_owner": volunteer_id, "lease_until": now + LEASE, "lease_ends": now + HARD_END}
        else:
            # Letters that were refused or asked to be changed were not looked at when the directory was corrected.
            source = LetterState.HELD
            await move(connection, Record.LETTER, row.letter_id, source, by=WORKER, at=now)
        if row.target == LetterState.TRANSLATING:
            changed["translate_from"] = None
        if row.treatment_before is not None:
            changed["treatment"] = await _treatment_again(connection, review, row)
        await connection.execute(sa.update(letters).where(letters.c.id == row.letter_id).values(**changed))
        await connection.execute(sa.update(decisions).where(decisions.c.id == decision_id).values(void_at=now))
        await drop_mail_of(connection, decision_id, now)
        await closeness.unblock(connection, decision_id)
    return source


async def _can_be_written_to(connection: AsyncConnection, prisoner_id: str) -> bool:
    """Whether a prisoner is where the directory says; that stays so up to the end of the transaction."""
    query = sa.select(prisoners.c.state).where(prisoners.c.id == prisoner_id).with_for_update(read=True)
    state: str = (await connection.execute(query)).scalar_one()
    return state == PrisonerState.ACTIVE


async def _treatment_again(connection: AsyncConnection, review: Review, row: sa.Row[*tuple[Any, ...]]) -> bytes:
    """The treatment as it was before a decision, sealed. A finished translation is a draft again: it was typed."""
    key = await load_key(connection, letter_context(row.letter_id), review.office)
    before = open_treatment(row.treatment_before, key)
    translation = (await read_treatment(connection, row.letter_id, review.office)).translation
    if translation is not None and translation != before.translation:
        before = before.model_copy(update={"draft": translation.text})
    return _sealed(key, before)


async def release(review: Review, decision_ids: Sequence[str], volunteer_id: str) -> None:
    """Let decisions take effect without waiting longer. Does nothing where they have, or were undone."""
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        for decision_id in decision_ids:
            try:
                row = await _mine(connection, decision_id, volunteer_id)
            except TooLateToUndoError:
                continue
            if row.state == row.target and row.settles_at is not None and row.settles_at > now:
                await connection.execute(sa.update(letters).where(letters.c.id == row.letter_id).values(settles_at=now))
                await send_mail_of(connection, decision_id)


async def _mine(connection: AsyncConnection, decision_id: str, volunteer_id: str) -> sa.Row[*tuple[Any, ...]]:
    row = (
        await connection.execute(
            sa.select(
                decisions.c.letter_id,
                decisions.c.at,
                decisions.c.source,
                decisions.c.target,
                decisions.c.treatment_before,
                letters.c.state,
                letters.c.settles_at,
                letters.c.prisoner_id,
                letters.c.batch_id,
                letters.c.lease_until,
            )
            .join(letters, letters.c.id == decisions.c.letter_id)
            .where(
                decisions.c.id == decision_id,
                decisions.c.volunteer_id == volunteer_id,
                decisions.c.target.is_not(None),
                decisions.c.void_at.is_(None),
            )
            .with_for_update(of=letters)
        )
    ).one_or_none()
    if row is None:
        raise TooLateToUndoError
    return row


async def _later(connection: AsyncConnection, row: sa.Row[*tuple[Any, ...]]) -> bool:
    """Whether somebody decided about the letter since."""
    later = sa.select(decisions.c.id).where(
        decisions.c.letter_id == row.letter_id,
        decisions.c.at > row.at,
        decisions.c.target.is_not(None),
        decisions.c.void_at.is_(None),
    )
    return (await connection.execute(later)).first() is not None


async def _mail_is_going(connection: AsyncConnection, decision_id: str, now: datetime.datetime) -> bool:
    """Whether the mail about a decision was sent, or is being sent. Who sends mails leaves it alone from now on."""
    mails = await connection.execute(
        sa.select(outbox.c.state, outbox.c.lease_until).where(outbox.c.decision_id == decision_id).with_for_update()
    )
    return any(
        mail.state == MailState.SENT or (mail.lease_until is not None and mail.lease_until >= now)
        for mail in mails.all()
    )

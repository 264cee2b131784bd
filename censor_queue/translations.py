"""The translation step: who has the language of a letter puts it into one that the facility takes."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from censor_queue.claims import LEASE, LetterToReview, held
from censor_queue.decisions import decide, save_treatment
from censor_queue.review import Review
from censor_queue.spoken import spoken_languages
from relay.domain.letter_pages import Unprintable
from relay.domain.letters import Translation, Treatment, normal_text, whole_text
from relay.domain.lives import LetterState
from relay.domain.review import Decision
from relay.store import leases
from relay.store.leases import LeaseLostError
from relay.store.letters import read_treatment
from relay.store.tables import letters

_OFFERED: Final = (
    "af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga he hi hr hu hy id is it ja ka kk ko ku ky lt lv "
    "mk mn nb nl no pl ps pt ro ru sk sl sq sr sv sw ta th tr uk ur uz vi zh"
)
"""Languages in which letters are written now and then, as ISO 639-1 codes."""


class DraftChangedError(Exception):
    """Another window of the same volunteer has kept another draft meanwhile: `other`."""

    def __init__(self, other: str) -> None:
        """Take the draft that was kept."""
        super().__init__("the draft was changed meanwhile")
        self.other = other


class CannotPrintError(ValueError):
    """A translation cannot be printed as it is; it is kept as the draft."""

    def __init__(self, *, unprintable: tuple[Unprintable, ...] = (), pages: int = 0) -> None:
        """Take what cannot be printed, or how many pages it would fill; neither for an empty one."""
        super().__init__("this translation cannot be printed")
        self.unprintable = unprintable
        self.pages = pages


@dataclass(frozen=True, slots=True)
class Draft:
    """What a volunteer typed, and what stood there when they began."""

    text: str
    begun_with: str
    """See `mark`."""


def mark(text: str) -> str:
    """By which the draft that a screen began with is recognised."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def draft_of(treatment: Treatment) -> str:
    """The translation as far as there is one; where a finished one came back to be done again, that."""
    return treatment.draft or (treatment.translation.text if treatment.translation else "")


async def save_draft(review: Review, letter_id: str, volunteer_id: str, draft: Draft) -> datetime.datetime:
    """Keep the translation as far as it was typed, sealed; the lease is renewed. Returns until when it lasts.

    Raises LeaseLostError and DraftChangedError.
    """
    now = review.store.database.clock()
    async with review.store.database.writing() as connection:
        if not await leases.renew(connection, letters, letter_id, owner=volunteer_id, now=now, lease=LEASE):
            raise LeaseLostError(letters.name, letter_id)
        row = (await connection.execute(sa.select(letters).where(letters.c.id == letter_id))).one()
        if row.state != LetterState.TRANSLATING:  # finished; the volunteer reads it by now
            raise LeaseLostError(letters.name, letter_id)
        treatment = await read_treatment(connection, letter_id, review.office)
        _check(treatment, draft)
        if draft.text != draft_of(treatment):
            changed = _untranslated(treatment).model_copy(update={"draft": draft.text})
            await save_treatment(connection, review.office, letter_id, changed)
        moment: datetime.datetime = row.lease_until
        return moment


def _untranslated(treatment: Treatment) -> Treatment:
    # Places of covered words were those of the text with its translation.
    return treatment.model_copy(update={"translation": None, "covered": ()}) if treatment.translation else treatment


async def _held(review: Review, letter_id: str, volunteer_id: str) -> LetterToReview:
    """A letter that this volunteer holds to translate it. Raises LeaseLostError."""
    letter = await held(review, letter_id, volunteer_id)
    if letter.state is not LetterState.TRANSLATING:
        raise LeaseLostError(letters.name, letter_id)
    return letter


def _check(treatment: Treatment, draft: Draft) -> None:
    kept = draft_of(treatment)
    if mark(kept) != draft.begun_with and kept != draft.text:
        raise DraftChangedError(kept)


async def finish(review: Review, letter_id: str, volunteer_id: str, draft: Draft, max_pages: int) -> None:
    """Take the translation; the letter goes on to be read.

    The original is printed behind it where the profile says so and both fit on `max_pages`. Raises LeaseLostError,
    DraftChangedError, and CannotPrintError where it is empty, too long, or has characters that cannot be printed; then
    it is kept as the draft.
    """
    letter = await _held(review, letter_id, volunteer_id)
    _check(letter.treatment, draft)
    text = normal_text(draft.text)
    try:
        _check_pages(review, letter, text, max_pages)
    except CannotPrintError:
        await save_draft(review, letter_id, volunteer_id, draft)
        raise
    # Places of covered words were those of another text.
    changed = {"translation": Translation(text=text, with_original=True), "draft": "", "covered": ()}
    treatment = letter.treatment.model_copy(update=changed)
    behind = review.screening.rules_of(letter.known.facility).print_original
    if not behind or review.page_count(letter.known, whole_text(letter.body, treatment)) > max_pages:
        treatment = treatment.model_copy(update={"translation": Translation(text=text, with_original=False)})
    await _done(review, letter, volunteer_id, treatment)


async def _done(review: Review, letter: LetterToReview, volunteer_id: str, treatment: Treatment) -> None:
    decision, target = Decision.TRANSLATED, LetterState.QUEUED
    await decide(review, letter.id, volunteer_id, decision, target, treatment=treatment, before=letter.treatment)


def _check_pages(review: Review, letter: LetterToReview, text: str, max_pages: int) -> None:
    if not text.strip():
        raise CannotPrintError
    if unprintable := review.pages.unprintable(text):
        raise CannotPrintError(unprintable=tuple(unprintable))
    if (pages := review.page_count(letter.known, text)) > max_pages:
        raise CannotPrintError(pages=pages)


async def not_needed(review: Review, letter_id: str, volunteer_id: str) -> None:
    """Send a letter on to be read as it is: its language passes. Raises LeaseLostError."""
    letter = await _held(review, letter_id, volunteer_id)
    await _done(review, letter, volunteer_id, _untranslated(letter.treatment).model_copy(update={"draft": ""}))


async def waiting_languages(connection: AsyncConnection) -> dict[str, int]:
    """How many letters wait to be translated, by their language, most first."""
    count = sa.func.count().label("letters")
    rows = await connection.execute(
        sa.select(letters.c.translate_from, count)
        .where(letters.c.state == LetterState.TRANSLATING, letters.c.translate_from.is_not(None))
        .group_by(letters.c.translate_from)
        .order_by(count.desc(), letters.c.translate_from)
    )
    return {row.translate_from: row.letters for row in rows}


async def languages_to_choose(connection: AsyncConnection, mine: Collection[str], language: str) -> dict[str, str]:
    """Languages that a volunteer may have, by their names in this language; first those of letters that wait.

    Those that the volunteer has are always among them.
    """
    names = spoken_languages(language)
    waiting = [code for code in await waiting_languages(connection) if code in names]
    others = [code for code in names if code in mine or code in _OFFERED.split()]
    return {code: names[code] for code in dict.fromkeys([*waiting, *others])}

"""What the holder of an inbox's secret sees."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.marks import Piece, marked
from relay.desk.steps import NotToBeChangedError, to_be_changed
from relay.domain.events import REPRINTED, SET_ASIDE
from relay.domain.letters import COVER, LetterBody, Span, Transcript, whole_text
from relay.domain.lives import SENTENCES, WITHDRAWABLE, BatchState, LetterState, Record, ReplyState
from relay.domain.photos import photo_part
from relay.domain.reasons import LETTER_REASONS
from relay.domain.reply_parts import reply_untouched_part
from relay.domain.review import UNDONE
from relay.sealing import ContentKey, Context, InboxSecret, SealBrokenError
from relay.store import directory
from relay.store.directory import Known
from relay.store.letters import code_of, letter_context, open_treatment, read_body, read_photos
from relay.store.sealed import Store, find_blobs, load_key, open_part
from relay.store.tables import (
    batches,
    conversations,
    decisions,
    events,
    facilities,
    inboxes,
    letters,
    prisoners,
    replies,
    reply_order_letters,
    reply_orders,
)


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


_OTHER_RULES: Final = _("The prisoner was moved, and another prison has other rules. A volunteer will read it again.")
AGAIN: Final = {
    LetterState.TRANSLATING: _("Back from the translator. A volunteer will read it before it is printed."),
    LetterState.CHANGES_REQUESTED: _("Changed by you. A volunteer will read it next, before all others."),
    LetterState.HELD: _("The prisoner can be written to again. A volunteer will read it before it is printed."),
    LetterState.SECOND_READING: _OTHER_RULES,
    LetterState.APPROVED: _OTHER_RULES,
}
"""What the sender reads about a letter that is queued once more, by where it comes from."""
PRINTED_AGAIN: Final = _("Printed once more, as a copy.")
ACCEPTED: Final = (
    LetterState.APPROVED,
    LetterState.PRINTED,
    LetterState.POSTED,
    LetterState.DELIVERED,
    LetterState.RETURNED,
)
"""States in which the letter is what the review made of it."""


class NoSuchInboxError(LookupError):
    """The secret opens no inbox, or the inbox has no such reply or letter."""


def secret_in(link: str) -> InboxSecret:
    """The secret in the address of an inbox. Raises NoSuchInboxError."""
    try:
        return InboxSecret.from_link(link)
    except ValueError:
        raise NoSuchInboxError from None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a letter's history, as the sender reads it."""

    at: datetime.datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a sender wrote, and what the review made of it once it has accepted the letter."""

    body: LetterBody
    text: tuple[Piece, ...]
    """What the sender wrote; marked are the words that are covered."""
    translation: tuple[Piece, ...]
    """Empty where there is none."""
    covered: int
    """How many words are covered."""
    without_photos: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in an inbox. As long as a decision of the review can be undone, the letter stands as it was before."""

    id: str
    prisoner: str
    facility: str
    state: LetterState
    content: Content | None
    """None where it was destroyed."""
    history: tuple[Step, ...]
    reason: str | None
    note: str
    """What a volunteer wrote to the sender about it."""
    can_withdraw: bool
    replies: tuple[tuple[str, datetime.datetime], ...]
    """Ids and times of release."""
    card: bool
    """Whether it may stand on a card with the greetings of others."""
    reply_sheets: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A released reply."""

    id: str
    prisoner: str
    transcript: Transcript
    untouched: frozenset[int]
    """The pages that are there as they were scanned, too, counted from 1."""

    @property
    def covered(self) -> frozenset[int]:
        """The pages on which a volunteer covered words."""
        pages = enumerate(self.transcript.pages, start=1)
        return frozenset(
            number for number, lines in pages if any(word.text == COVER for line in lines for word in line)
        )


async def read_inbox(connection: AsyncConnection, secret: InboxSecret, now: datetime.datetime) -> list[Letter]:
    """All letters of an inbox, newest first. Raises NoSuchInboxError."""
    rows = (
        await connection.execute(
            sa.select(
                letters.c.id,
                letters.c.body,
                letters.c.treatment,
                letters.c.settles_at,
                letters.c.card,
                reply_orders.c.sheets.label("reply_sheets"),
                prisoners.c.name.label("prisoner"),
                facilities.c.name.label("facility"),
                batches.c.state.label("batch_state"),
            )
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .join(facilities, facilities.c.id == prisoners.c.facility_id)
            .join(batches, batches.c.id == letters.c.batch_id, isouter=True)
            .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
            .join(reply_orders, reply_orders.c.code == reply_order_letters.c.code)
            .where(inboxes.c.lookup_hash == secret.lookup_hash)
            .order_by(letters.c.created_at.desc())
        )
    ).all()
    if not rows:
        raise NoSuchInboxError
    key = secret.key
    found = []
    for row in rows:
        past = await _past(connection, row.id, unsettled=row.settles_at is not None and row.settles_at > now)
        state = LetterState(past[-1].target)
        try:
            content_key = await load_key(connection, letter_context(row.id), key)
            content = _content(row, content_key, state)
            reason, note = await _why(connection, row.id, state, past[-1].reason, content_key)
        except SealBrokenError:
            content, reason, note = None, None, ""
        answered = await connection.execute(
            sa.select(replies.c.id, replies.c.state_since)
            .where(replies.c.letter_id == row.id, replies.c.state == ReplyState.RELEASED)
            .order_by(replies.c.state_since)
        )
        found.append(
            Letter(
                id=row.id,
                prisoner=row.prisoner,
                facility=row.facility,
                state=state,
                content=content,
                history=tuple(Step(step.at, _sentence(step)) for step in past),
                reason=reason,
                note=note,
                can_withdraw=state in WITHDRAWABLE
                and state != LetterState.REFUSED
                and row.batch_state in {None, BatchState.OPEN},
                replies=tuple((reply.id, reply.state_since) for reply in answered),
                card=row.card,
                reply_sheets=row.reply_sheets,
            )
        )
    return found


async def _past(connection: AsyncConnection, letter_id: str, *, unsettled: bool) -> list[sa.Row[*tuple[Any, ...]]]:
    """The events of a letter that its sender sees: not those that were undone, or still can be."""
    shown: list[sa.Row[*tuple[Any, ...]]] = []
    for event in await connection.execute(
        sa.select(events.c.at, events.c.source, events.c.target, events.c.reason)
        .where(events.c.record == Record.LETTER, events.c.record_id == letter_id)
        .order_by(events.c.number)
    ):
        if event.reason == UNDONE:
            shown.pop()
        elif event.reason != SET_ASIDE:
            shown.append(event)
    return shown[:-1] if unsettled else shown


def _sentence(step: sa.Row[*tuple[Any, ...]]) -> str:
    if step.reason == REPRINTED:
        return PRINTED_AGAIN
    if step.target == LetterState.QUEUED and step.source in AGAIN:
        return AGAIN[step.source]
    return SENTENCES[LetterState(step.target)]


def _content(row: sa.Row[*tuple[Any, ...]], key: ContentKey, state: LetterState) -> Content:
    """What can be shown of a letter: what the review is still at work on is nobody else's business."""
    body = LetterBody.model_validate_json(key.decrypt(row.body))
    treatment = open_treatment(row.treatment, key)
    if state is LetterState.TRANSLATING:
        treatment = treatment.model_copy(update={"translation": None})
    covered = treatment.covered if state in ACCEPTED else ()
    translation, whole = treatment.translation, whole_text(body, treatment)
    # The original stands alone, behind its translation, or nowhere.
    begins = len(whole) - (len(body.text) if translation is None or translation.with_original else 0)
    of_original = [Span(start=s.start - begins, end=s.end - begins) for s in covered if s.start >= begins]
    return Content(
        body=body,
        text=tuple(marked(body.text, of_original)),
        translation=tuple(marked(translation.text, covered)) if translation else (),
        covered=len(covered),
        without_photos=treatment.without_photos and state in ACCEPTED,
    )


async def _why(
    connection: AsyncConnection, letter_id: str, state: LetterState, given: str | None, key: ContentKey
) -> tuple[str | None, str]:
    """Why the letter, or a part of it, was not accepted, and what the volunteer wrote about it."""
    if state in {LetterState.RETURNED, LetterState.HELD} and given and given in LETTER_REASONS:
        return LETTER_REASONS[given], ""
    row = (
        await connection.execute(
            sa.select(decisions.c.reason, decisions.c.note)
            .where(
                decisions.c.letter_id == letter_id,
                decisions.c.target == (LetterState.APPROVED if state in ACCEPTED else state),
                decisions.c.void_at.is_(None),
            )
            .order_by(decisions.c.at.desc())
            .limit(1)
        )
    ).one_or_none()
    if row is None and state is LetterState.REFUSED and given and given in LETTER_REASONS:  # before decisions were kept
        return LETTER_REASONS[given], ""
    if row is None or row.reason is None:
        return None, ""
    return LETTER_REASONS[row.reason], key.decrypt(row.note).decode() if row.note else ""


@dataclass(frozen=True, slots=True)
class ToBeChanged:
    """A letter that its sender is asked to change."""

    known: Known
    body: LetterBody
    photos: tuple[bytes, ...]
    reply_sheets: int
    card: bool
    written_on: datetime.date
    reason: str | None
    note: str


async def addressee(connection: AsyncConnection, secret: InboxSecret, letter_id: str) -> Known:
    """To whom a letter of the inbox goes. Raises NoSuchInboxError."""
    await check_owner(connection, secret, letter_id)
    prisoner = sa.select(letters.c.prisoner_id).where(letters.c.id == letter_id)
    return await directory.by_id(connection, (await connection.execute(prisoner)).scalar_one())


async def to_change(store: Store, secret: InboxSecret, letter_id: str) -> ToBeChanged:
    """A letter of the inbox that its sender is asked to change.

    Raises NoSuchInboxError, NotToBeChangedError, SealBrokenError and BlobMissingError.
    """
    now = store.database.clock()
    async with store.database.reading() as connection:
        known = await addressee(connection, secret, letter_id)
        asked = sa.select(letters.c.created_at, letters.c.card).where(letters.c.id == letter_id, to_be_changed(now))
        row = (await connection.execute(asked)).one_or_none()
        if row is None:
            raise NotToBeChangedError
        body = await read_body(connection, letter_id, secret.key)
        __, sheets = await code_of(connection, letter_id)
        content_key = await load_key(connection, letter_context(letter_id), secret.key)
        reason, note = await _why(connection, letter_id, LetterState.CHANGES_REQUESTED, None, content_key)
    photos = await read_photos(store, letter_id, body, secret.key)
    return ToBeChanged(known, body, photos, sheets, row.card, row.created_at.date(), reason, note)


async def letter_photo(store: Store, secret: InboxSecret, letter_id: str, number: int) -> bytes:
    """A photo that went with a letter of the inbox, as JPEG. Raises NoSuchInboxError, SealBrokenError and
    BlobMissingError.
    """
    async with store.database.reading() as connection:
        await check_owner(connection, secret, letter_id)
    return await open_part(store, letter_context(letter_id), photo_part(number), secret.key)


async def check_owner(connection: AsyncConnection, secret: InboxSecret, letter_id: str) -> None:
    """Raises NoSuchInboxError where the letter does not belong to the inbox."""
    query = (
        sa.select(letters.c.id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash, letters.c.id == letter_id)
    )
    if (await connection.execute(query)).one_or_none() is None:
        raise NoSuchInboxError


async def read_reply(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> Reply:
    """A released reply of the inbox. Raises NoSuchInboxError."""
    row = await _released(connection, secret, reply_id)
    context = Context(Record.REPLY, reply_id)
    content_key = await load_key(connection, context, secret.key)
    transcript = Transcript.model_validate_json(content_key.decrypt(row.transcript))
    parts = await find_blobs(connection, context)
    pages = range(1, len(transcript.pages) + 1)
    return Reply(
        id=reply_id,
        prisoner=row.prisoner,
        transcript=transcript,
        untouched=frozenset(number for number in pages if reply_untouched_part(number) in parts),
    )


async def reply_part(store: Store, secret: InboxSecret, reply_id: str, part: str) -> bytes:
    """The PDF of a released reply, or one of its pictures. Raises NoSuchInboxError and BlobMissingError."""
    async with store.database.reading() as connection:
        await _released(connection, secret, reply_id)
    return await open_part(store, Context(Record.REPLY, reply_id), part, secret.key)


async def _released(connection: AsyncConnection, secret: InboxSecret, reply_id: str) -> sa.Row[*tuple[Any, ...]]:
    row = (
        await connection.execute(
            sa.select(replies.c.state_since, replies.c.transcript, prisoners.c.name.label("prisoner"))
            .join(letters, letters.c.id == replies.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
            .where(
                inboxes.c.lookup_hash == secret.lookup_hash,
                replies.c.id == reply_id,
                replies.c.state == ReplyState.RELEASED,
            )
        )
    ).one_or_none()
    if row is None:
        raise NoSuchInboxError
    return row

"""What the holder of an inbox's secret sees."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.history import Step, Way, history_of, pasts_of, way_of
from relay.desk.marks import Piece, marked
from relay.desk.steps import NotToBeChangedError, to_be_changed
from relay.domain.directory import PrisonerState
from relay.domain.letters import LetterBody, Span, whole_text
from relay.domain.lives import CONFIRMED, WITHDRAWABLE, BatchState, LetterState, ReplyState
from relay.domain.photos import photo_part
from relay.domain.reasons import LETTER_REASONS
from relay.sealing import ContentKey, InboxSecret, SealBrokenError
from relay.store import directory
from relay.store.directory import Known
from relay.store.letters import code_of, letter_context, open_treatment, read_body, read_photos
from relay.store.sealed import Store, load_key, open_part
from relay.store.tables import (
    batches,
    conversations,
    decisions,
    facilities,
    inboxes,
    letters,
    prisoners,
    replies,
    reply_order_letters,
    reply_orders,
)

ACCEPTED: Final = (
    LetterState.APPROVED,
    LetterState.PRINTED,
    LetterState.POSTED,
    LetterState.DELIVERED,
    LetterState.RETURNED,
)
"""States in which the letter is what the review made of it."""
SENDERS_TURN: Final = (LetterState.UNCONFIRMED, LetterState.CHANGES_REQUESTED)
"""States in which nothing happens before the sender has done something."""
UNFOLDED: Final = 2
"""Newest letters of a conversation, which are shown whole."""
ALL: Final = "all"
"""Asked for in the place of a letter's id: every letter whole."""


class NoSuchInboxError(LookupError):
    """The secret opens no inbox, or the inbox has no such reply or letter."""


def secret_in(link: str) -> InboxSecret:
    """The secret in the address of an inbox. Raises NoSuchInboxError."""
    try:
        return InboxSecret.from_link(link)
    except ValueError:
        raise NoSuchInboxError from None


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

    is_reply: ClassVar[bool] = False
    id: str
    at: datetime.datetime
    """When it was written."""
    state: LetterState
    unsettled: bool
    """Whether the review has decided, and can undo it."""
    folded: bool
    """Only `state`, `way` and `history` are known."""
    content: Content | None
    """None where it was destroyed, or is folded."""
    way: Way
    history: tuple[Step, ...]
    reason: str | None
    note: str
    """What a volunteer wrote to the sender about it."""
    can_withdraw: bool
    card: bool
    """Whether it may stand on a card with the greetings of others."""
    reply_sheets: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A released reply, as the inbox lists it."""

    is_reply: ClassVar[bool] = True
    id: str
    at: datetime.datetime
    """When it was released."""
    letter_at: datetime.datetime | None
    """When the letter was written that it answers; None where it answers none of this sender's."""
    forwarded: bool
    """It answers another correspondent."""
    destroyed: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """All letters and replies between the sender and one prisoner."""

    id: str
    prisoner: str
    facility: str
    prisoner_state: PrisonerState
    entries: tuple[Letter | Answer, ...]
    """Newest first."""

    @property
    def letters(self) -> list[Letter]:
        """Its letters, newest first."""
        return [entry for entry in self.entries if isinstance(entry, Letter)]

    @property
    def folded(self) -> bool:
        """Whether a letter of it is not shown whole."""
        return any(letter.folded for letter in self.letters)


@dataclass(frozen=True, slots=True)
class Inbox:
    """What a secret opens."""

    id: str
    conversations: tuple[Conversation, ...]
    """The one with the newest entry first."""
    confirmed: bool
    """Whether its sender may write without confirming anything: a letter was confirmed, or the prisoner began."""

    @property
    def letters(self) -> list[Letter]:
        """All its letters, conversation by conversation."""
        return [letter for conversation in self.conversations for letter in conversation.letters]


async def read_inbox(
    connection: AsyncConnection, secret: InboxSecret, now: datetime.datetime, whole: str = ""
) -> Inbox:
    """All letters and replies of an inbox. `whole` is the id of a letter that is not folded, or ALL.

    Raises NoSuchInboxError.
    """
    rows = (
        await connection.execute(
            sa.select(
                letters.c.id,
                letters.c.conversation_id,
                letters.c.created_at,
                letters.c.body,
                letters.c.treatment,
                letters.c.settles_at,
                letters.c.destroyed_at,
                letters.c.card,
                conversations.c.inbox_id,
                sa.func.coalesce(reply_orders.c.sheets, 0).label("reply_sheets"),
                prisoners.c.name.label("prisoner"),
                prisoners.c.state.label("prisoner_state"),
                facilities.c.name.label("facility"),
                batches.c.state.label("batch_state"),
            )
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
            .join(prisoners, prisoners.c.id == conversations.c.prisoner_id)
            .join(facilities, facilities.c.id == prisoners.c.facility_id)
            .join(batches, batches.c.id == letters.c.batch_id, isouter=True)
            .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id, isouter=True)
            .join(reply_orders, reply_orders.c.code == reply_order_letters.c.code, isouter=True)
            .where(inboxes.c.lookup_hash == secret.lookup_hash)
            .order_by(letters.c.created_at.desc(), letters.c.id)
        )
    ).all()
    if not rows:
        raise NoSuchInboxError
    deciding = {row.id for row in rows if row.settles_at is not None and row.settles_at > now}
    pasts = await pasts_of(connection, {row.id: row.id in deciding for row in rows})
    answers = await _answers(connection, secret)
    by_conversation: defaultdict[str, list[sa.Row[*tuple[Any, ...]]]] = defaultdict(list)
    for row in rows:
        by_conversation[row.conversation_id].append(row)
    found = []
    for conversation_id, own in by_conversation.items():
        shown: list[Letter | Answer] = list(answers.get(conversation_id, ()))
        for place, row in enumerate(own):
            unfolded = place < UNFOLDED or whole in {row.id, ALL}
            unsettled = row.id in deciding
            shown.append(await _letter(connection, secret, row, pasts[row.id], unfolded=unfolded, unsettled=unsettled))
        shown.sort(key=lambda entry: (entry.at, entry.is_reply), reverse=True)
        about = own[0]
        state = PrisonerState(about.prisoner_state)
        found.append(Conversation(conversation_id, about.prisoner, about.facility, state, tuple(shown)))
    found.sort(key=lambda conversation: conversation.entries[0].at, reverse=True)
    confirmed = any(step.target in CONFIRMED for past in pasts.values() for step in past)
    return Inbox(rows[0].inbox_id, tuple(found), confirmed)


async def _letter(
    connection: AsyncConnection,
    secret: InboxSecret,
    row: sa.Row[*tuple[Any, ...]],
    past: Sequence[sa.Row[*tuple[Any, ...]]],
    *,
    unfolded: bool,
    unsettled: bool,
) -> Letter:
    state = LetterState(past[-1].target)
    content, reason, note = None, None, ""
    if unfolded := unfolded or state in SENDERS_TURN:
        try:
            content_key = await load_key(connection, letter_context(row.id), secret.key)
            content = None if row.destroyed_at else _content(row, content_key, state)
            reason, note = await _why(connection, row.id, state, past[-1].reason, content_key)
        except SealBrokenError:
            pass
    return Letter(
        id=row.id,
        at=row.created_at,
        state=state,
        unsettled=unsettled,
        folded=not unfolded,
        content=content,
        way=way_of(past),
        history=history_of(past),
        reason=reason,
        note=note,
        can_withdraw=state in WITHDRAWABLE
        and state != LetterState.REFUSED
        and row.batch_state in {None, BatchState.OPEN},
        card=row.card,
        reply_sheets=row.reply_sheets,
    )


async def _answers(connection: AsyncConnection, secret: InboxSecret) -> Mapping[str, list[Answer]]:
    """The released replies of an inbox, by conversation."""
    found: defaultdict[str, list[Answer]] = defaultdict(list)
    for row in await connection.execute(
        sa.select(
            replies.c.id,
            replies.c.state_since,
            replies.c.forwarded,
            replies.c.destroyed_at,
            letters.c.conversation_id,
            letters.c.created_at,
            letters.c.state,
        )
        .join(letters, letters.c.id == replies.c.letter_id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash, replies.c.state == ReplyState.RELEASED)
    ):
        of_another = row.forwarded or row.state == LetterState.BEGUN
        letter_at = None if of_another else row.created_at
        destroyed = row.destroyed_at is not None
        found[row.conversation_id].append(Answer(row.id, row.state_since, letter_at, row.forwarded, destroyed))
    return found


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

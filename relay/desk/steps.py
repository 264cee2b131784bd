"""What a sender does that changes something: send, confirm, change, withdraw."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import PrisonerState
from relay.domain.letters import LetterBody, Wants
from relay.domain.lives import SENDER, WITHDRAWABLE, WORKER, BatchState, LetterState, MailKind, Record
from relay.domain.photos import photo_part
from relay.domain.reply_code import new_reply_code
from relay.domain.review import Decision
from relay.mail.compose import Confirmation
from relay.mail.outbox import drop_mails
from relay.sealing import ContentKey, Context, InboxSecret, PublicKey, token_hash
from relay.store.database import alone, new_id
from relay.store.hourly import count
from relay.store.letters import inbox_context, letter_context, settled
from relay.store.sealed import Store, find_blobs, load_key, name_blob, save_key
from relay.store.tables import (
    batches,
    blobs,
    conversations,
    decisions,
    facilities,
    inboxes,
    letters,
    prisoners,
    reply_order_letters,
    reply_orders,
)
from relay.store.transitions import add_mail, begin, move, to_translators

CONFIRMED_WITHOUT_MAIL: Final = "confirmed_without_mail"
FRONT: Final = datetime.timedelta(days=3650)
"""How long a changed letter counts as due already: longer than any letter waits, so it is read before all others."""
ABOUT_THE_TEXT: Final = (Decision.SECOND, Decision.SKIP, Decision.TRANSLATE, Decision.TRANSLATED)
"""Decisions that say nothing any more once the text is another one."""


class NothingToConfirmError(LookupError):
    """There is no letter waiting for this confirmation."""


class TooManyThisHourError(Exception):
    """The cap on letters confirmed without a mail address is reached for this hour."""


class TooLateToWithdrawError(Exception):
    """The letter is being printed already, or went further."""


class NotToBeChangedError(Exception):
    """Nobody waits for the sender to change this letter, or not any more."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A letter as a sender sent it. `nonce` names the form, so that the same form sent twice is one letter."""

    nonce: str
    phrase: str
    prisoner_id: str
    language: str
    wants: Wants
    body: LetterBody
    reply_sheets: int = 1
    card: bool = False
    """Whether it is a short greeting that may stand on a card with others."""
    photos: tuple[bytes, ...] = ()
    """As JPEG, in the order of the body's photos."""
    translate_from: str | None = None
    """The language of the text, where the facility does not take it."""


async def submit(store: Store, desk: PublicKey, submission: Submission) -> str:
    """Store a letter, sealed to the office and to the sender's inbox, unconfirmed. Returns its id.

    Where the sender gave an address, the mail with the confirmation goes into the outbox, sealed to the desk.
    """
    secret = InboxSecret.from_phrase(submission.phrase)
    inbox_key = secret.key.public
    letter_id = new_id()
    content_key = ContentKey.new(letter_context(letter_id))
    token = secrets.token_urlsafe(24)
    # Who goes back and corrects something sends the same form with another content: that is another letter.
    sent = (submission.nonce, submission.phrase, submission.prisoner_id, submission.body.model_dump_json())
    printed = (str(submission.reply_sheets), "card" if submission.card else "letter")
    pictures = (hashlib.sha256(photo).hexdigest() for photo in submission.photos)
    submission_hash = token_hash("\x1f".join((*sent, *printed, *pictures)))
    now = store.database.clock()
    photos = [await store.blobs.put_bytes(photo, content_key) for photo in submission.photos]
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(photos):
        await alone(connection, submission_hash)
        known: str | None = (
            await connection.execute(sa.select(letters.c.id).where(letters.c.submission_hash == submission_hash))
        ).scalar_one_or_none()
        if known is not None:
            for blob_id in photos:
                await store.blobs.delete(blob_id)
            return known
        conversation_id = await _conversation(connection, store, secret, submission.prisoner_id)
        await begin(
            connection,
            Record.LETTER,
            LetterState.UNCONFIRMED,
            by=SENDER,
            at=now,
            id=letter_id,
            conversation_id=conversation_id,
            prisoner_id=submission.prisoner_id,
            created_at=now,
            language=submission.language,
            wants=submission.wants,
            body=content_key.encrypt(submission.body.model_dump_json().encode()),
            submission_hash=submission_hash,
            confirmation_hash=token_hash(token) if submission.body.address else None,
            translate_from=submission.translate_from,
            card=submission.card,
        )
        for number, blob_id in enumerate(photos, start=1):
            await name_blob(connection, content_key.context, photo_part(number), blob_id)
        await save_key(connection, content_key, [store.office, inbox_key])
        code = new_reply_code()
        await connection.execute(sa.insert(reply_orders).values(code=code, sheets=submission.reply_sheets))
        await connection.execute(sa.insert(reply_order_letters).values(code=code, letter_id=letter_id))
        if submission.body.address:
            mail_id = new_id()
            mail_key = ContentKey.new(Context("mail", mail_id))
            confirmation = Confirmation(address=submission.body.address, token=token, language=submission.language)
            sealed = mail_key.encrypt(confirmation.model_dump_json().encode())
            await save_key(connection, mail_key, [desk])
            await add_mail(connection, MailKind.CONFIRM, letter_id, at=now, body=sealed, mail_id=mail_id)
    return letter_id


async def _conversation(connection: AsyncConnection, store: Store, secret: InboxSecret, prisoner_id: str) -> str:
    await alone(connection, secret.lookup_hash)
    inbox_id: str | None = (
        await connection.execute(sa.select(inboxes.c.id).where(inboxes.c.lookup_hash == secret.lookup_hash))
    ).scalar_one_or_none()
    if inbox_id is None:
        inbox_id = new_id()
        key = ContentKey.new(inbox_context(inbox_id))
        await connection.execute(
            sa.insert(inboxes).values(
                id=inbox_id,
                lookup_hash=secret.lookup_hash,
                public_key=secret.key.public.data,
                secret=key.encrypt(secret.secret),
            )
        )
        await save_key(connection, key, [store.office])
    conversation_id: str | None = (
        await connection.execute(
            sa.select(conversations.c.id).where(
                conversations.c.inbox_id == inbox_id, conversations.c.prisoner_id == prisoner_id
            )
        )
    ).scalar_one_or_none()
    if conversation_id is None:
        conversation_id = new_id()
        await connection.execute(
            sa.insert(conversations).values(id=conversation_id, inbox_id=inbox_id, prisoner_id=prisoner_id)
        )
    return conversation_id


async def waiting_for_token(connection: AsyncConnection, token: str) -> LetterState:
    """The state of the letter that a confirmation link is about. Raises NothingToConfirmError."""
    state = (
        await connection.execute(sa.select(letters.c.state).where(letters.c.confirmation_hash == token_hash(token)))
    ).scalar_one_or_none()
    if state is None:
        raise NothingToConfirmError
    return LetterState(state)


async def confirm(store: Store, token: str) -> None:
    """Queue the letter of a confirmation link. Does nothing where it is confirmed already.

    Raises NothingToConfirmError where there is no such letter, or it expired or was withdrawn.
    """
    async with store.database.writing() as connection:
        row = (
            await connection.execute(
                sa.select(letters.c.id, letters.c.state)
                .where(letters.c.confirmation_hash == token_hash(token))
                .with_for_update()
            )
        ).one_or_none()
        if row is None or row.state in {LetterState.EXPIRED, LetterState.WITHDRAWN}:
            raise NothingToConfirmError
        if row.state == LetterState.UNCONFIRMED:
            await _queue(connection, store, row.id)


async def confirm_by_phrase(store: Store, phrase: str, per_hour: int) -> InboxSecret:
    """Queue the letters without a mail address that wait in the inbox of a phrase. Returns the inbox's secret.

    Does nothing where they are confirmed already. Raises NothingToConfirmError where the phrase opens no inbox, and
    TooManyThisHourError: nothing else keeps machines from filling the queue with letters that cost them no address.
    """
    secret = InboxSecret.from_phrase(phrase)
    now = store.database.clock()
    async with store.database.writing() as connection:
        rows = (
            await connection.execute(
                sa.select(letters.c.id, letters.c.state)
                .join(conversations, conversations.c.id == letters.c.conversation_id)
                .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
                .where(inboxes.c.lookup_hash == secret.lookup_hash, letters.c.wants == Wants.NOTHING)
                .order_by(letters.c.id)
                .with_for_update(of=letters)
            )
        ).all()
        if not rows:
            raise NothingToConfirmError
        waiting = [row.id for row in rows if row.state == LetterState.UNCONFIRMED]
        if waiting and await count(connection, CONFIRMED_WITHOUT_MAIL, now, len(waiting)) > per_hour:
            raise TooManyThisHourError
        for letter_id in waiting:
            await _queue(connection, store, letter_id)
    return secret


async def _queue(
    connection: AsyncConnection, store: Store, letter_id: str, due_at: datetime.datetime | None = None
) -> None:
    now = store.database.clock()
    row = (
        await connection.execute(
            sa.select(prisoners.c.state, facilities.c.review_days)
            .join(letters, letters.c.prisoner_id == prisoners.c.id)
            .join(facilities, facilities.c.id == prisoners.c.facility_id)
            .where(letters.c.id == letter_id)
            .with_for_update(read=True, of=prisoners)
        )
    ).one()
    due_at = due_at or now + datetime.timedelta(days=row.review_days)
    await move(connection, Record.LETTER, letter_id, LetterState.QUEUED, by=SENDER, at=now, due_at=due_at)
    # What asked the sender to do this is not needed any more.
    await drop_mails(connection, letter_id, [MailKind.CONFIRM, MailKind.CHANGES], now)
    # Since the letter was written, the prisoner may have been moved or released.
    if row.state != PrisonerState.ACTIVE:
        await move(connection, Record.LETTER, letter_id, LetterState.HELD, by=WORKER, at=now)
    else:
        await to_translators(connection, letter_id, by=WORKER, at=now)


def to_be_changed(now: datetime.datetime) -> sa.ColumnElement[bool]:
    """The condition that the sender is asked to change a letter, and has been told so."""
    return sa.and_(letters.c.state == LetterState.CHANGES_REQUESTED, settled(now))


@dataclass(frozen=True, slots=True)
class Changed:
    """A letter as its sender changed it; see `Submission`."""

    body: LetterBody
    photos: tuple[bytes, ...]
    reply_sheets: int
    card: bool
    translate_from: str | None


async def edit(store: Store, secret: InboxSecret, letter_id: str, changed: Changed) -> None:
    """Put what the sender changed in the place of the letter; it goes to the front of the queue.

    The address stays what it was. Does nothing where exactly this is the letter already. Raises NotToBeChangedError
    where no change is asked for, and SealBrokenError where the letter is not one of this inbox.
    """
    now, context = store.database.clock(), letter_context(letter_id)
    async with store.database.reading() as connection:
        content_key = await load_key(connection, context, secret.key)
    stored = [await store.blobs.put_bytes(photo, content_key) for photo in changed.photos]
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(stored):
        row = (
            await connection.execute(
                sa.select(letters.c.body, letters.c.state, to_be_changed(now).label("to_be_changed"))
                .where(letters.c.id == letter_id)
                .with_for_update()
            )
        ).one()
        before = LetterBody.model_validate_json(content_key.decrypt(row.body))
        body = changed.body.model_copy(update={"address": before.address})
        if row.to_be_changed:
            await connection.execute(
                sa.update(decisions)
                .where(
                    decisions.c.letter_id == letter_id,
                    decisions.c.decision.in_(ABOUT_THE_TEXT),
                    decisions.c.void_at.is_(None),
                )
                .values(void_at=now)
            )
            replaced = await _replace(connection, content_key, letter_id, before, replace(changed, body=body), stored)
            await _queue(connection, store, letter_id, due_at=now - FRONT)
        elif body == before and row.state != LetterState.WITHDRAWN:  # the form was sent twice
            replaced = stored
        else:
            raise NotToBeChangedError
    for blob_id in replaced:
        await store.blobs.delete(blob_id)


async def _replace(
    connection: AsyncConnection,
    content_key: ContentKey,
    letter_id: str,
    before: LetterBody,
    changed: Changed,
    stored: Sequence[str],
) -> list[str]:
    """Put another content into a letter. Returns the ids of the blobs that no row names any more."""
    context = content_key.context
    old = {photo_part(number) for number in range(1, len(before.photos) + 1)}
    replaced = [blob_id for part, blob_id in (await find_blobs(connection, context)).items() if part in old]
    await connection.execute(sa.delete(blobs).where(blobs.c.id.in_(replaced)))
    for number, blob_id in enumerate(stored, start=1):
        await name_blob(connection, context, photo_part(number), blob_id)
    await connection.execute(
        sa.update(letters)
        .where(letters.c.id == letter_id)
        .values(
            body=content_key.encrypt(changed.body.model_dump_json().encode()),
            treatment=None,
            reason=None,
            translate_from=changed.translate_from,
            card=changed.card,
        )
    )
    await _order(connection, letter_id, changed.reply_sheets)
    return replaced


async def _order(connection: AsyncConnection, letter_id: str, sheets: int) -> None:
    """Order another number of reply sheets; not fewer where the code is also that of others' greetings on a card."""
    of = reply_order_letters.c
    code = sa.select(of.code).where(of.letter_id == letter_id).scalar_subquery()
    shared = sa.exists().where(of.code == reply_orders.c.code, of.letter_id != letter_id)
    await connection.execute(
        sa.update(reply_orders)
        .where(reply_orders.c.code == code, sa.or_(~shared, reply_orders.c.sheets < sheets))
        .values(sheets=sheets)
    )


async def withdraw(store: Store, letter_id: str) -> None:
    """Take a letter back. Raises TooLateToWithdrawError once its batch is rendered, or it is refused for good.

    The caller has checked that the letter belongs to the sender.
    """
    now = store.database.clock()
    async with store.database.writing() as connection:
        # First the letter, then its batch: who stores the pages of the batch holds the letter until they are stored.
        letter = (
            await connection.execute(
                sa.select(letters.c.state, letters.c.batch_id, settled(now).label("settled"))
                .where(letters.c.id == letter_id)
                .with_for_update()
            )
        ).one()
        if letter.state == LetterState.WITHDRAWN:
            return
        batch_state = (
            await connection.execute(sa.select(batches.c.state).where(batches.c.id == letter.batch_id))
        ).scalar_one_or_none()
        printing = batch_state not in {None, BatchState.OPEN}
        refused = letter.state == LetterState.REFUSED and letter.settled
        if letter.state not in WITHDRAWABLE or printing or refused:
            raise TooLateToWithdrawError
        await move(
            connection,
            Record.LETTER,
            letter_id,
            LetterState.WITHDRAWN,
            by=SENDER,
            at=now,
            batch_id=None,
            submission_hash=token_hash(letter_id),  # the same form sent again is a letter again
        )
        about_it = [MailKind.CONFIRM, MailKind.PARTLY, MailKind.CHANGES, MailKind.REFUSED]
        await drop_mails(connection, letter_id, about_it, now)

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
from relay.domain.lives import REVIEWED, SENDER, WITHDRAWABLE, WORKER, BatchState, LetterState, MailKind, Record
from relay.domain.photos import photo_part
from relay.domain.reasons import ReviewReason
from relay.domain.reply_code import new_reply_code
from relay.domain.review import Decision
from relay.mail.compose import Confirmation
from relay.mail.outbox import drop_mails
from relay.sealing import ContentKey, Context, InboxSecret, PublicKey, token_hash
from relay.store.database import alone, new_id
from relay.store.hourly import count
from relay.store.inboxes import conversation_of
from relay.store.letters import letter_context, settled
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
from relay.store.transitions import NotThereError, add_mail, begin, move, to_translators

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
    """Empty for the next letter of an inbox: see `write_back`."""
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
    content_key = ContentKey.new(letter_context(new_id()))
    token = secrets.token_urlsafe(24)
    photos = [await store.blobs.put_bytes(photo, content_key) for photo in submission.photos]
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(photos):
        letter_id, known = await _begin_letter(connection, store, secret, submission, content_key, photos)
        if submission.body.address and not known:
            await connection.execute(
                sa.update(letters).where(letters.c.id == letter_id).values(confirmation_hash=token_hash(token))
            )
            now = store.database.clock()
            mail_id = new_id()
            mail_key = ContentKey.new(Context("mail", mail_id))
            confirmation = Confirmation(address=submission.body.address, token=token, language=submission.language)
            sealed = mail_key.encrypt(confirmation.model_dump_json().encode())
            await save_key(connection, mail_key, [desk])
            await add_mail(connection, MailKind.CONFIRM, letter_id, at=now, body=sealed, mail_id=mail_id)
    if known:
        await _drop_blobs(store, photos)
    return letter_id


async def write_back(
    store: Store,
    secret: InboxSecret,
    submission: Submission,
    refused: ReviewReason | None = None,
    *,
    per_hour: int | None = None,
) -> str:
    """Store the next letter of an inbox and queue it: who holds the secret of the inbox need not confirm anything.

    With `refused` the sender is asked to change it at once. Returns its id; the same submission again is the same
    letter. The caller has checked that a letter of this inbox was confirmed before. With `per_hour` it counts as one
    without a mail address, see `confirm_by_phrase`; raises TooManyThisHourError. Raises NotThereError where the
    conversation was erased meanwhile, or its inbox got another secret: neither may come into being again.
    """
    content_key = ContentKey.new(letter_context(new_id()))
    photos = [await store.blobs.put_bytes(photo, content_key) for photo in submission.photos]
    now = store.database.clock()
    async with store.database.writing() as connection, store.blobs.dropped_on_failure(photos):
        await _check_conversation(connection, secret, submission.prisoner_id)
        letter_id, known = await _begin_letter(connection, store, secret, submission, content_key, photos)
        if not known and per_hour is not None and await count(connection, CONFIRMED_WITHOUT_MAIL, now) > per_hour:
            raise TooManyThisHourError
        if not known:
            await _queue(connection, store, letter_id)
        if refused and not known:
            decision_id = new_id()
            await connection.execute(
                sa.insert(decisions).values(
                    id=decision_id,
                    letter_id=letter_id,
                    at=now,
                    decision=Decision.CHANGES,
                    source=LetterState.QUEUED,
                    target=LetterState.CHANGES_REQUESTED,
                    reason=refused,
                )
            )
            changes = LetterState.CHANGES_REQUESTED
            state = (await connection.execute(sa.select(letters.c.state).where(letters.c.id == letter_id))).scalar_one()
            if state in REVIEWED:
                await move(
                    connection,
                    Record.LETTER,
                    letter_id,
                    changes,
                    by=WORKER,
                    at=now,
                    reason=refused,
                    decision_id=decision_id,
                )
    if known:
        await _drop_blobs(store, photos)
    return letter_id


async def _check_conversation(connection: AsyncConnection, secret: InboxSecret, prisoner_id: str) -> None:
    # Who erases the conversation, or gives the inbox another secret, waits from here on, or is waited for.
    await alone(connection, secret.lookup_hash)
    this = (inboxes.c.lookup_hash == secret.lookup_hash, conversations.c.prisoner_id == prisoner_id)
    query = sa.select(conversations.c.id).join(inboxes, inboxes.c.id == conversations.c.inbox_id).where(*this)
    if (await connection.execute(query)).first() is None:
        raise NotThereError("the conversation was erased, or its inbox got another secret")


async def _drop_blobs(store: Store, blob_ids: Sequence[str]) -> None:
    for blob_id in blob_ids:
        await store.blobs.delete(blob_id)


async def _begin_letter(
    connection: AsyncConnection,
    store: Store,
    secret: InboxSecret,
    submission: Submission,
    content_key: ContentKey,
    photos: Sequence[str],
) -> tuple[str, bool]:
    """Make the row of an unconfirmed letter and all that belongs to it. Its id, and whether it was there before."""
    # Who goes back and corrects something sends the same form with another content: that is another letter.
    sent = (submission.nonce, submission.phrase, submission.prisoner_id, submission.body.model_dump_json())
    printed = (str(submission.reply_sheets), "card" if submission.card else "letter")
    pictures = (hashlib.sha256(photo).hexdigest() for photo in submission.photos)
    submission_hash = token_hash("\x1f".join((*sent, *printed, *pictures)))
    now, letter_id = store.database.clock(), content_key.context.id
    await alone(connection, submission_hash)
    known: str | None = (
        await connection.execute(sa.select(letters.c.id).where(letters.c.submission_hash == submission_hash))
    ).scalar_one_or_none()
    if known is not None:
        return known, True
    conversation_id = await conversation_of(connection, store, secret, submission.prisoner_id)
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
        translate_from=submission.translate_from,
        card=submission.card,
    )
    for number, blob_id in enumerate(photos, start=1):
        await name_blob(connection, content_key.context, photo_part(number), blob_id)
    await save_key(connection, content_key, [store.office, secret.key.public])
    code = new_reply_code()
    await connection.execute(sa.insert(reply_orders).values(code=code, sheets=submission.reply_sheets))
    await connection.execute(sa.insert(reply_order_letters).values(code=code, letter_id=letter_id))
    return letter_id, False


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
    # This one may name an address where none was named before: the office looks, see `relay.mail.suppression`.
    inbox = (
        sa.select(conversations.c.inbox_id)
        .join(letters, letters.c.conversation_id == conversations.c.id)
        .where(letters.c.id == letter_id)
    )
    nameless = (inboxes.c.id == inbox.scalar_subquery(), inboxes.c.address_tag == "")
    await connection.execute(sa.update(inboxes).where(*nameless).values(address_tag=None))
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

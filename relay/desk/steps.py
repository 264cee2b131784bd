"""What a sender does that changes something: send, confirm, withdraw."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.directory import PrisonerState
from relay.domain.letters import LetterBody, Wants
from relay.domain.lives import SENDER, WITHDRAWABLE, WORKER, BatchState, LetterState, MailKind, Record
from relay.domain.reply_code import new_reply_code
from relay.mail.compose import Confirmation
from relay.mail.outbox import drop_confirmations
from relay.sealing import ContentKey, Context, InboxSecret, PublicKey, token_hash
from relay.store.database import alone, new_id
from relay.store.hourly import count
from relay.store.letters import inbox_context, letter_context
from relay.store.sealed import Store, save_key
from relay.store.tables import (
    batches,
    conversations,
    inboxes,
    letters,
    prisoners,
    reply_order_letters,
    reply_orders,
)
from relay.store.transitions import add_mail, begin, move

CONFIRMED_WITHOUT_MAIL: Final = "confirmed_without_mail"


class NothingToConfirmError(LookupError):
    """There is no letter waiting for this confirmation."""


class TooManyThisHourError(Exception):
    """The cap on letters confirmed without a mail address is reached for this hour."""


class TooLateToWithdrawError(Exception):
    """The letter is being printed already, or went further."""


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
    submission_hash = token_hash("\x1f".join(sent))
    now = store.database.clock()
    async with store.database.writing() as connection:
        await alone(connection, submission_hash)
        known: str | None = (
            await connection.execute(sa.select(letters.c.id).where(letters.c.submission_hash == submission_hash))
        ).scalar_one_or_none()
        if known is not None:
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
        )
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


async def _queue(connection: AsyncConnection, store: Store, letter_id: str) -> None:
    now = store.database.clock()
    await move(connection, Record.LETTER, letter_id, LetterState.QUEUED, by=SENDER, at=now)
    await drop_confirmations(connection, letter_id, now)
    # Since the letter was written, the prisoner may have been moved or released.
    state = (
        await connection.execute(
            sa.select(prisoners.c.state)
            .join(letters, letters.c.prisoner_id == prisoners.c.id)
            .where(letters.c.id == letter_id)
            .with_for_update(read=True, of=prisoners)
        )
    ).scalar_one()
    if state != PrisonerState.ACTIVE:
        await move(connection, Record.LETTER, letter_id, LetterState.HELD, by=WORKER, at=now)


async def withdraw(store: Store, letter_id: str) -> None:
    """Take a letter back. Raises TooLateToWithdrawError once its batch is rendered.

    The caller has checked that the letter belongs to the sender.
    """
    async with store.database.writing() as connection:
        # First the letter, then its batch: who stores the pages of the batch holds the letter until they are stored.
        letter = (
            await connection.execute(
                sa.select(letters.c.state, letters.c.batch_id).where(letters.c.id == letter_id).with_for_update()
            )
        ).one()
        if letter.state == LetterState.WITHDRAWN:
            return
        batch_state = (
            await connection.execute(sa.select(batches.c.state).where(batches.c.id == letter.batch_id))
        ).scalar_one_or_none()
        if letter.state not in WITHDRAWABLE or batch_state not in {None, BatchState.OPEN}:
            raise TooLateToWithdrawError
        now = store.database.clock()
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
        await drop_confirmations(connection, letter_id, now)

"""Addresses to which no more mails go, because they came back. They are known by a keyed hash only."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import mailbox_of
from relay.domain.lives import ANSWERS, LetterState, MailKind, MailState
from relay.mail.bounces import Bounce
from relay.mail.outbox import finish
from relay.sealing import PrivateKey, SealBrokenError
from relay.store import leases
from relay.store.database import alone
from relay.store.letters import read_body, was_confirmed
from relay.store.sealed import Store
from relay.store.tables import conversations, inboxes, letters, outbox, prisoners, suppressions

SUPPRESSED: Final = "suppressed"
"""What stands as the error of a mail that was not sent because its address is suppressed."""
REPEATED: Final = 3
"""So many mails of one address have to come back within `WITHIN` until it is taken for a dead one ..."""
WITHIN: Final = datetime.timedelta(days=30)
"""... where none of them says that the address itself is bad."""
INDEXED_AT_ONCE: Final = 50

_NOT_AGAIN: Final = (*ANSWERS, MailKind.CONFIRM)
"""What these mails say was erased when they ended."""
_ENDED_UNCONFIRMED: Final = (LetterState.EXPIRED, LetterState.WITHDRAWN)


class Class(StrEnum):
    """What came back for a mail, as `outbox.bounce` begins; a status may follow it."""

    PERMANENT = "permanent"
    TEMPORARY = "temporary"
    DELAYED = "delayed"
    """Not yet given up by the other side."""
    REFUSED = "refused"
    """For good, but about us or the mail, not about the address."""
    COMPLAINT = "complaint"
    UNKNOWN = "unknown"
    """Something came back, and it does not say what for."""


class Reason(StrEnum):
    """Why an address is suppressed."""

    PERMANENT = "permanent"
    REPEATED = "repeated"
    COMPLAINT = "complaint"
    LAST = "last"
    """It is not: only the last mail did not arrive."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Mails to an address come back, or are not wanted there."""

    since: datetime.datetime
    reason: Reason
    status: str | None
    """Enhanced status code (RFC 3463), where the bounce named one."""


def address_tag(office: PrivateKey, address: str) -> str:
    """The keyed hash of a sender's address, as in `inboxes.address_tag` and `suppressions.tag`."""
    return office.tag("address", mailbox_of(address))


def class_of(bounce: Bounce) -> Class:
    """How a bounce is kept with the mail that it is about."""
    if bounce.complaint:
        return Class.COMPLAINT
    if bounce.delayed:
        return Class.DELAYED
    if bounce.permanent is None:
        return Class.UNKNOWN
    if not bounce.permanent:
        return Class.TEMPORARY
    return Class.REFUSED if bounce.refused else Class.PERMANENT


async def note_bounce(store: Store, office: PrivateKey, message_id: str, bounce: Bounce, at: datetime.datetime) -> bool:
    """Note what came back for a mail of ours, and send no more to an address that is dead. False for no mail of ours.

    The address is that of the letter which the mail is about. What a bounce itself names as its address counts for
    nothing: anybody can write a bounce, and only a Message-ID of ours is known to nobody but who got the mail.
    """
    async with store.database.reading() as connection:
        mail = (
            await connection.execute(
                sa.select(outbox.c.id, outbox.c.letter_id, outbox.c.bounce, conversations.c.inbox_id)
                .join(letters, letters.c.id == outbox.c.letter_id)
                .join(conversations, conversations.c.id == letters.c.conversation_id)
                .where(outbox.c.message_id == message_id.lower())
            )
        ).one_or_none()
        if mail is None:
            return False
        tag = await _tag_of(connection, office, mail.letter_id)
    found = class_of(bounce)
    values: dict[str, Any] = {}
    # A warning that comes after the refusal, out of order, is old; and what says nothing takes nothing back.
    if found not in {Class.DELAYED, Class.UNKNOWN} or mail.bounce is None:
        values["bounce"] = f"{found} {bounce.status or ''}".strip()
    async with store.database.writing() as connection:
        if tag:
            await alone(connection, tag)
        if values:
            await connection.execute(sa.update(outbox).where(outbox.c.id == mail.id).values(**values))
        if found in {Class.PERMANENT, Class.REFUSED}:
            ended = (outbox.c.id == mail.id, outbox.c.state.not_in([MailState.DROPPED, MailState.BOUNCED]))
            if (await connection.execute(sa.select(outbox.c.id).where(*ended).with_for_update())).first():
                await finish(connection, mail.id, MailState.BOUNCED, at)
        if tag:
            await _index(connection, mail.inbox_id, tag)
            if reason := await _why_dead(connection, tag, bounce, at):
                await _suppress(connection, tag, Trouble(at, reason, bounce.status))
    return True


async def _tag_of(connection: AsyncConnection, office: PrivateKey, letter_id: str) -> str:
    """The tag of the address in a letter; empty where it has none, or its content was destroyed."""
    try:
        address = (await read_body(connection, letter_id, office)).address
    except (SealBrokenError, ValueError):
        return ""
    return address_tag(office, address) if address else ""


async def _why_dead(connection: AsyncConnection, tag: str, bounce: Bounce, at: datetime.datetime) -> Reason | None:
    found = class_of(bounce)
    if found is Class.COMPLAINT:
        return Reason.COMPLAINT
    if bounce.dead:
        return Reason.PERMANENT
    if found not in {Class.PERMANENT, Class.TEMPORARY}:
        return None
    came_back = sa.or_(outbox.c.bounce.like(f"{Class.TEMPORARY}%"), outbox.c.bounce.like(f"{Class.PERMANENT}%"))
    failed = sa.select(sa.func.count()).where(
        outbox.c.id.in_(_mails_to(tag)), came_back, outbox.c.state_since > at - WITHIN
    )
    return Reason.REPEATED if (await connection.execute(failed)).scalar_one() >= REPEATED else None


def _mails_to(tag: str) -> sa.Select[Any]:
    return (
        sa.select(outbox.c.id)
        .join(letters, letters.c.id == outbox.c.letter_id)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .where(inboxes.c.address_tag == tag)
    )


async def _suppress(connection: AsyncConnection, tag: str, trouble: Trouble) -> None:
    """Send no more mails to an address. Who is suppressed already stays so since then."""
    if (await connection.execute(sa.select(suppressions.c.tag).where(suppressions.c.tag == tag))).first():
        return
    await connection.execute(
        sa.insert(suppressions).values(tag=tag, since=trouble.since, reason=trouble.reason, status=trouble.status)
    )
    waiting = sa.select(outbox.c.id).where(
        outbox.c.id.in_(_mails_to(tag)), outbox.c.state == MailState.WAITING, outbox.c.kind != MailKind.CONFIRM
    )
    for mail_id in (await connection.execute(waiting)).scalars().all():
        await finish(connection, mail_id, MailState.DROPPED, trouble.since, SUPPRESSED)


async def is_suppressed(connection: AsyncConnection, office: PrivateKey, address: str) -> bool:
    """Whether no mails go to an address."""
    tag = address_tag(office, address)
    return (
        await connection.execute(sa.select(suppressions.c.tag).where(suppressions.c.tag == tag))
    ).first() is not None


async def lift(connection: AsyncConnection, tag: str, at: datetime.datetime) -> None:
    """Let mails go to an address again: first those that came back, and those that were not sent meanwhile.

    Mails whose own words were erased are not among them: they answered what their sender did then.
    """
    await connection.execute(sa.delete(suppressions).where(suppressions.c.tag == tag))
    unsent = sa.and_(outbox.c.state == MailState.DROPPED, outbox.c.last_error == SUPPRESSED)
    await connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.id.in_(_mails_to(tag)),
            sa.or_(outbox.c.state == MailState.BOUNCED, unsent),
            outbox.c.kind.not_in(_NOT_AGAIN),
        )
        .values(state=MailState.WAITING, state_since=at, bounce=None, **leases.FRESH)
    )
    # Of what stays, nothing counts against the address any more.
    counted = (outbox.c.id.in_(_mails_to(tag)), outbox.c.bounce.is_not(None))
    await connection.execute(sa.update(outbox).where(*counted).values(bounce=None))


async def trouble(connection: AsyncConnection, inbox_id: str) -> Trouble | None:
    """Whether no mails go to the address of an inbox, or the last one did not arrive; for a note in it."""
    row = (
        await connection.execute(
            sa.select(suppressions.c.since, suppressions.c.reason, suppressions.c.status)
            .join(inboxes, inboxes.c.address_tag == suppressions.c.tag)
            .where(inboxes.c.id == inbox_id)
        )
    ).one_or_none()
    if row is not None:
        return Trouble(row.since, Reason(row.reason), row.status)
    last = (
        await connection.execute(
            sa.select(outbox.c.state, outbox.c.state_since)
            .join(letters, letters.c.id == outbox.c.letter_id)
            .join(conversations, conversations.c.id == letters.c.conversation_id)
            .where(
                conversations.c.inbox_id == inbox_id,
                outbox.c.state.in_([MailState.SENT, MailState.BOUNCED, MailState.GAVE_UP]),
            )
            .order_by(outbox.c.state_since.desc(), outbox.c.id)
            .limit(1)
        )
    ).one_or_none()
    if last is None or last.state == MailState.SENT:
        return None
    return Trouble(last.state_since, Reason.LAST, None)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address to which no mails go, as the office sees it: without the address."""

    tag: str
    trouble: Trouble
    prisoners: tuple[str, ...]
    """The names of those to whom letters were written from it."""
    letters: int
    held_back: int
    """Mails that came back or were not sent."""


async def suppressed(connection: AsyncConnection, limit: int) -> list[Suppressed]:
    """The addresses to which no mails go, the newest first."""
    rows = (await connection.execute(sa.select(suppressions).order_by(suppressions.c.since.desc()).limit(limit))).all()
    by_tag = (
        sa.select(inboxes.c.address_tag.label("tag"), letters.c.id.label("letter_id"), prisoners.c.name)
        .join(conversations, conversations.c.inbox_id == inboxes.c.id)
        .join(letters, letters.c.conversation_id == conversations.c.id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(inboxes.c.address_tag.in_([row.tag for row in rows]), was_confirmed())
    )
    names: dict[str, set[str]] = {row.tag: set() for row in rows}
    counts = dict.fromkeys(names, 0)
    for one in await connection.execute(by_tag):
        names[one.tag].add(one.name)
        counts[one.tag] += 1
    kept = sa.or_(outbox.c.state == MailState.BOUNCED, outbox.c.last_error == SUPPRESSED)
    held = by_tag.with_only_columns(inboxes.c.address_tag, sa.func.count().label("mails"))
    held = held.join(outbox, outbox.c.letter_id == letters.c.id).where(kept).group_by(inboxes.c.address_tag)
    held_back = {row.address_tag: row.mails for row in await connection.execute(held)}
    return [
        Suppressed(
            row.tag,
            Trouble(row.since, Reason(row.reason), row.status),
            tuple(sorted(names[row.tag])),
            counts[row.tag],
            held_back.get(row.tag, 0),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class CameBack:
    """Mails that came back in one way, to addresses to which others still go."""

    bounce: str
    status: str | None
    count: int
    oldest: datetime.datetime

    @property
    def refused(self) -> bool:
        """Whether we, or what was written, were not wanted: something to put right on our side."""
        return self.bounce.startswith(Class.REFUSED)


_CAME_BACK: Final = sa.and_(
    outbox.c.state == MailState.BOUNCED,
    outbox.c.kind.not_in(_NOT_AGAIN),
    ~sa.exists().where(
        letters.c.id == outbox.c.letter_id,
        conversations.c.id == letters.c.conversation_id,
        inboxes.c.id == conversations.c.inbox_id,
        suppressions.c.tag == inboxes.c.address_tag,
    ),
)


async def came_back(connection: AsyncConnection) -> list[CameBack]:
    """The mails that came back, but for those to suppressed addresses, by what was said about them."""
    oldest = sa.func.min(outbox.c.state_since)
    rows = await connection.execute(
        sa.select(outbox.c.bounce, sa.func.count().label("mails"), oldest.label("oldest"))
        .where(_CAME_BACK)
        .group_by(outbox.c.bounce)
        .order_by(oldest)
    )
    return [CameBack(row.bounce, row.bounce.partition(" ")[2] or None, row.mails, row.oldest) for row in rows]


async def send_again(connection: AsyncConnection, bounce: str, at: datetime.datetime) -> None:
    """Let the mails wait again that came back in this way."""
    await connection.execute(
        sa.update(outbox)
        .where(_CAME_BACK, outbox.c.bounce == bounce)
        .values(state=MailState.WAITING, state_since=at, bounce=None, **leases.FRESH)
    )


async def index_addresses_next(store: Store, office: PrivateKey) -> bool:
    """Note by which address some inboxes are known that are not indexed yet. False where there is none.

    Who confirmed a letter through a mail that came after the address was suppressed has shown that it works.
    """
    one = sa.exists().where(conversations.c.inbox_id == inboxes.c.id, letters.c.conversation_id == conversations.c.id)
    new = (
        sa.select(inboxes.c.id)
        .where(
            inboxes.c.address_tag.is_(None),
            # Where none will be confirmed there is nothing to know; such inboxes would be looked through for ever.
            sa.or_(one.where(was_confirmed()), ~one.where(letters.c.state.not_in(_ENDED_UNCONFIRMED))),
        )
        .limit(INDEXED_AT_ONCE)
    )
    async with store.database.reading() as connection:
        found: dict[str, Any] = {}
        for inbox_id in (await connection.execute(new)).scalars().all():
            newest = (
                sa.select(letters.c.id, letters.c.created_at, letters.c.confirmation_hash)
                .join(conversations, conversations.c.id == letters.c.conversation_id)
                .where(conversations.c.inbox_id == inbox_id, was_confirmed())
                .order_by(letters.c.created_at.desc(), letters.c.id)
                .limit(1)
            )
            found[inbox_id] = (await connection.execute(newest)).one_or_none()
        tags = {
            inbox_id: await _tag_of(connection, office, letter.id) if letter else ""
            for inbox_id, letter in found.items()
        }
    if not tags:
        return False
    now = store.database.clock()
    async with store.database.writing() as connection:
        for inbox_id, tag in tags.items():
            await _index(connection, inbox_id, tag)
            letter = found[inbox_id]
            if not tag or not letter.confirmation_hash:
                continue
            older = (suppressions.c.tag == tag, suppressions.c.since < letter.created_at)
            if (await connection.execute(sa.select(suppressions.c.tag).where(*older))).first():
                await lift(connection, tag, now)
    return True


async def _index(connection: AsyncConnection, inbox_id: str, tag: str) -> None:
    not_yet = (inboxes.c.id == inbox_id, inboxes.c.address_tag.is_(None))
    await connection.execute(sa.update(inboxes).where(*not_yet).values(address_tag=tag))

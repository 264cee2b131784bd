"""The outbox: mails that wait, are sent, tried again, or given up."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import MailKind, MailState
from relay.mail.compose import Own
from relay.sealing import ContentKey, Context
from relay.store import leases
from relay.store.database import new_id
from relay.store.sealed import Store, save_key, shred
from relay.store.tables import content_keys, outbox
from relay.store.transitions import add_mail


async def add_own_mail(
    connection: AsyncConnection, store: Store, kind: MailKind, letter_id: str, own: Own, at: datetime.datetime
) -> None:
    """Add a mail that says something of its own to the sender of a letter; the office sends it.

    Adds nothing where that sender wants no mail, see `relay.domain.lives.ANSWERS`.
    """
    mail_id = new_id()
    key = ContentKey.new(Context("mail", mail_id))
    body = key.encrypt(own.model_dump_json().encode())
    if await add_mail(connection, kind, letter_id, at=at, body=body, mail_id=mail_id):
        await save_key(connection, key, [store.office])


async def drop_mails(
    connection: AsyncConnection, letter_id: str, kinds: Sequence[MailKind], at: datetime.datetime
) -> None:
    """Drop mails of a letter that were not sent yet and are not needed any more."""
    await _drop(connection, at, outbox.c.letter_id == letter_id, outbox.c.kind.in_(kinds))


async def drop_mail_of(connection: AsyncConnection, decision_id: str, at: datetime.datetime) -> None:
    """Drop the mail about a decision of the review that was undone."""
    await _drop(connection, at, outbox.c.decision_id == decision_id)


async def send_mail_of(connection: AsyncConnection, decision_id: str) -> None:
    """Let the mail about a decision of the review go now."""
    waiting = (outbox.c.decision_id == decision_id, outbox.c.state == MailState.WAITING, outbox.c.attempts == 0)
    await connection.execute(sa.update(outbox).where(*waiting).values(next_try_at=None))


async def _drop(connection: AsyncConnection, at: datetime.datetime, *where: sa.ColumnElement[bool]) -> None:
    waiting = sa.select(outbox.c.id).where(*where, outbox.c.state == MailState.WAITING)
    for mail_id in (await connection.execute(waiting)).scalars().all():
        await finish(connection, mail_id, MailState.DROPPED, at)


@dataclass(frozen=True, slots=True)
class Failing:
    """Mails that wait, or were given up, for the same reason."""

    error: str | None
    """What went wrong with the last try; None before the first."""
    count: int
    oldest: datetime.datetime


# What a confirmation says was erased when it was given up.
_CAN_GO_AGAIN: Final = sa.and_(outbox.c.state == MailState.GAVE_UP, outbox.c.kind != MailKind.CONFIRM)


async def waiting(connection: AsyncConnection) -> list[Failing]:
    """The mails that wait, by what went wrong."""
    return await _by_error(connection, outbox.c.state == MailState.WAITING)


async def given_up(connection: AsyncConnection) -> list[Failing]:
    """The mails that were given up and can be tried again, by what went wrong."""
    return await _by_error(connection, _CAN_GO_AGAIN)


async def _by_error(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> list[Failing]:
    oldest = sa.func.min(outbox.c.state_since)
    rows = await connection.execute(
        sa.select(outbox.c.last_error, sa.func.count().label("mails"), oldest.label("oldest"))
        .where(which)
        .group_by(outbox.c.last_error)
        .order_by(oldest)
    )
    return [Failing(row.last_error, row.mails, row.oldest) for row in rows]


async def try_again(connection: AsyncConnection, error: str, at: datetime.datetime) -> None:
    """Let the mails wait again that were given up with this error."""
    await connection.execute(
        sa.update(outbox)
        .where(_CAN_GO_AGAIN, outbox.c.last_error == error)
        .values(state=MailState.WAITING, state_since=at, **leases.FRESH)
    )


async def finish(
    connection: AsyncConnection, mail_id: str, state: MailState, at: datetime.datetime, last_error: str | None = None
) -> None:
    """End the way of a mail, and erase what only it says."""
    await connection.execute(
        sa.update(outbox)
        .where(outbox.c.id == mail_id)
        .values(
            state=state,
            state_since=at,
            body=None,
            last_error=last_error,
            **leases.FREE,
        )
    )
    await shred(connection, Context("mail", mail_id))


async def finish_sent(connection: AsyncConnection, mail_ids: Sequence[str], at: datetime.datetime) -> None:
    """End the way of mails that the server took; what came back already, stays so."""
    taken = (outbox.c.id.in_(mail_ids), outbox.c.state.in_([MailState.WAITING, MailState.DROPPED]))
    done = {"state": MailState.SENT, "state_since": at, "body": None, "last_error": None, **leases.FREE}
    await connection.execute(sa.update(outbox).where(*taken).values(done))
    await connection.execute(
        sa.delete(content_keys).where(content_keys.c.record == "mail", content_keys.c.record_id.in_(mail_ids))
    )


async def put_off(
    connection: AsyncConnection,
    mail_ids: Sequence[str],
    until: datetime.datetime | None,
    *,
    owner: str,
    error: str | None = None,
) -> None:
    """Give mails back that nobody tried to send; they go again at the time given."""
    said = {} if error is None else {"last_error": error}
    held = (outbox.c.id.in_(mail_ids), outbox.c.lease_owner == owner)
    await connection.execute(sa.update(outbox).where(*held).values(next_try_at=until, **said, **leases.FREE))

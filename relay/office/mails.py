"""The mails, as the office sees them: what waits, what was given up, what came back, and what nobody could take.

No address of a sender stands on the lists.
"""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.mail import incoming as mail_in
from relay.mail.explaining import Kind, explain, recipients_of
from relay.mail.incoming import DOUBTS, RAW, Doubt, IncomingState, incoming_context
from relay.mail.outbox import given_up, try_again, waiting
from relay.mail.parsing import header, parsed, readable_text
from relay.mail.suppression import Reason, came_back, lift, send_again, suppressed
from relay.sealing import SealBrokenError
from relay.store.blobs import BlobMissingError
from relay.store.sealed import open_part
from relay.store.tables import conversations, incoming, prisoners, suppressions
from relay.web.keys import OFFICE_KEY, SETTINGS, STORE
from relay.web.site import fields_of, path_to, render

ROUTES: Final = web.RouteTableDef()
LISTED: Final = 100
"""Rows of one kind that are listed."""
SHOWN: Final = 20_000
"""Characters of a mail that are shown; the file has all."""


def _(sentence: str) -> str:
    return sentence


REASONS: Final[dict[Reason, str]] = {
    Reason.PERMANENT: _("There is no such address."),
    Reason.REPEATED: _("Several mails came back within a month."),
    Reason.COMPLAINT: _("Its owner called our mail spam."),
}
"""Why no mails go to an address."""


@dataclass(frozen=True, slots=True)
class Untaken:
    """A mail that came in and that nobody could take."""

    id: str
    came_at: datetime.datetime
    why: str
    """A sentence to be translated."""
    prisoner: str | None
    """To whom the conversation is to which it was addressed."""


async def _untaken(connection: AsyncConnection, *where: sa.ColumnElement[bool]) -> list[Untaken]:
    rows = await connection.execute(
        sa.select(incoming.c.id, incoming.c.created_at, incoming.c.reason, prisoners.c.name)
        .outerjoin(conversations, conversations.c.id == incoming.c.conversation_id)
        .outerjoin(prisoners, prisoners.c.id == conversations.c.prisoner_id)
        .where(incoming.c.state == IncomingState.UNKNOWN, *where)
        .order_by(incoming.c.created_at.desc(), incoming.c.id)
        .limit(LISTED)
    )
    return [Untaken(row.id, row.created_at, _why(row.reason), row.name) for row in rows]


def _why(reason: str | None) -> str:
    return DOUBTS[Doubt(reason)] if reason in set(Doubt) else _("Nobody knows what it is.")


@ROUTES.get("/{language}/mails", name="mails")
async def show(request: web.Request) -> web.Response:
    """All that is not as it should be."""
    async with request.config_dict[STORE].database.reading() as connection:
        waits = await waiting(connection)
        count = sa.select(sa.func.count()).select_from(suppressions)
        return render(
            request,
            "office/mails.html",
            waiting=waits,
            most=max((one.count for one in waits), default=1),
            given_up=await given_up(connection),
            came_back=await came_back(connection),
            dead=await suppressed(connection, LISTED),
            dead_count=(await connection.execute(count)).scalar_one(),
            untaken=await _untaken(connection),
            reasons=REASONS,
            status_words=status_words,
        )


def status_words(status: str | None) -> str:
    """What the second and third number of an enhanced status code mean (RFC 3463), to be translated."""
    detail = (status or "").partition(".")[2]
    return _DETAILS.get(detail) or _SUBJECTS.get(detail.partition(".")[0], "")


_SUBJECTS: Final = {
    "1": _("something is wrong with the address"),
    "2": _("something is wrong with the mailbox"),
    "3": _("the other server has a fault"),
    "4": _("the other server could not be reached"),
    "5": _("the servers did not understand each other"),
    "6": _("the mail could not be handed on as it was"),
    "7": _("the other server does not want our mails"),
}
_DETAILS: Final = {
    "1.1": _("there is no such mailbox"),
    "1.2": _("there is no such domain"),
    "1.10": _("the domain takes no mails"),
    "2.1": _("the mailbox is closed"),
    "2.2": _("the mailbox is full"),
    "2.3": _("the mail is too large"),
    "3.4": _("the mail is too large"),
    "4.4": _("there is no such domain"),
    "4.7": _("it was tried for too long"),
}


@ROUTES.post("/{language}/mails", name="mails")
async def act(request: web.Request) -> web.Response:
    """Let mails be tried again: all that failed for one reason, or all to one address."""
    store = request.config_dict[STORE]
    fields = await fields_of(request)
    now = store.database.clock()
    async with store.database.writing() as connection:
        if tag := fields.get("tag"):
            await lift(connection, tag, now)
        elif bounce := fields.get("bounce"):
            await send_again(connection, bounce, now)
        elif error := fields.get("error"):
            await try_again(connection, error, now)
    raise web.HTTPSeeOther(path_to(request, "mails"))


@ROUTES.get("/{language}/mails/{mail}", name="mail")
async def show_mail(request: web.Request) -> web.Response:
    """A mail that nobody could take."""
    found, raw = await _opened(request)
    shown = await asyncio.to_thread(_shown, raw, request.config_dict[SETTINGS].incoming.address)
    return render(request, "office/mail.html", found=found, shown=shown)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a mail says; `text` is empty where it could not be read."""

    subject: str
    text: str
    shortened: bool
    kind: Kind


def _shown(raw: bytes, mailbox: str) -> _Shown:
    message = parsed(raw)
    if message is None:
        return _Shown("", "", shortened=False, kind=Kind.UNKNOWN)
    text = readable_text(message, SHOWN + 1)
    kind = explain(raw, mailbox, recipients_of(raw)).kind
    return _Shown(header(message, "Subject")[:300], text[:SHOWN], len(text) > SHOWN, kind)


@ROUTES.post("/{language}/mails/{mail}", name="mail")
async def put_away(request: web.Request) -> web.Response:
    """Somebody has looked at it, and nothing more comes of it."""
    database = request.config_dict[STORE].database
    ours = (incoming.c.id == request.match_info["mail"], incoming.c.state == IncomingState.UNKNOWN)
    async with database.writing() as connection:
        row = (await connection.execute(sa.select(incoming.c.reason).where(*ours).with_for_update())).one_or_none()
        if row is not None:
            reason = Doubt(row.reason) if row.reason in set(Doubt) else None
            settled = IncomingState.SETTLED
            await mail_in.put(connection, request.match_info["mail"], settled, database.clock(), reason=reason)
    raise web.HTTPSeeOther(path_to(request, "mails"))


@ROUTES.get("/{language}/mails/{mail}/file", name="mail_file")
async def mail_file(request: web.Request) -> web.Response:
    """The mail as it came."""
    found, raw = await _opened(request)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.eml"', "Cache-Control": "no-store"}
    return web.Response(body=raw, content_type="application/octet-stream", headers=headers)


async def _opened(request: web.Request) -> tuple[Untaken, bytes]:
    store = request.config_dict[STORE]
    async with store.database.reading() as connection:
        found = await _untaken(connection, incoming.c.id == request.match_info["mail"])
    if not found:
        raise web.HTTPNotFound
    try:
        raw = await open_part(store, incoming_context(found[0].id), RAW, request.config_dict[OFFICE_KEY])
    except (SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None
    return found[0], raw

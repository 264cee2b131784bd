"""What is late, by facility, and the copies that senders ask for."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import COPY_ORDERED
from relay.domain.lives import Actor, LetterState, Record, Who
from relay.domain.overdue import SENT_AGAIN
from relay.domain.ports import NotPrintedError, Reprinting
from relay.store import directory
from relay.store.durations import UsualTimes
from relay.store.letters import on_card_with
from relay.store.overdue import Waiting, asked_again, count_late, late_letters, waiting
from relay.store.sealed import Store
from relay.store.tables import letters, prisoners, reply_order_letters
from relay.store.transitions import note
from relay.web.keys import DURATIONS, REPRINTING, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render

ROUTES: Final = web.RouteTableDef()
LISTED: Final = 200
"""Late letters of one step that are listed: the oldest."""
WIDTH: Final = 160.0
"""Of the drawing of the oldest letter, in the units of the drawing."""
_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Drawn:
    """How long a letter waits, and what is usual, to be drawn."""

    days: int
    waits: float
    usual: tuple[float, float] | None
    """From where to where."""


@dataclass(frozen=True, slots=True)
class Late:
    """A letter that is late, or of which its sender wants a copy."""

    waiting: Waiting
    prisoner: str
    facility: str
    code: str
    drawn: Drawn


@dataclass(frozen=True, slots=True)
class Overdue:
    """All that is late."""

    asked: Sequence[Late]
    """Of which senders want a copy; who asked first is first."""
    facilities: Sequence[tuple[str, Sequence[Late]]]
    """The others by the names of the facilities: that of the oldest letter first."""
    more: int
    """How many late letters are not listed."""


class NotToBeSentAgainError(Exception):
    """Nobody asks for a copy any more, the letter is not late, or its prisoner cannot be written to."""


async def overdue(connection: AsyncConnection, times: UsualTimes, now: datetime.datetime) -> Overdue:
    """What is late."""
    asked = await asked_again(connection, times, now)
    late = await late_letters(connection, times, now, LISTED)
    count, _ = await count_late(connection, times, now)
    known = {letter.letter_id for letter in asked}
    rows = await _described(connection, [*asked, *(one for one in late if one.letter_id not in known)], now)
    by_facility: defaultdict[str, list[Late]] = defaultdict(list)
    for row in rows[len(asked) :]:
        by_facility[row.facility].append(row)
    return Overdue(rows[: len(asked)], list(by_facility.items()), count - len(late))


async def _described(connection: AsyncConnection, found: Sequence[Waiting], now: datetime.datetime) -> list[Late]:
    facilities = await directory.facilities_by_id(connection, {one.facility_id for one in found})
    rows = await connection.execute(
        sa.select(letters.c.id, prisoners.c.name, reply_order_letters.c.code)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .join(reply_order_letters, reply_order_letters.c.letter_id == letters.c.id)
        .where(letters.c.id.in_([one.letter_id for one in found]))
    )
    about = {row.id: row for row in rows}
    scale = WIDTH / max(((now - one.since) / _DAY for one in found), default=1)
    return [
        Late(one, about[one.letter_id].name, facilities[one.facility_id].name, about[one.letter_id].code, drawn)
        for one in found
        if one.letter_id in about and (drawn := _drawn(one, now, scale))
    ]


def _drawn(one: Waiting, now: datetime.datetime, scale: float) -> Drawn:
    days = (now - one.since) / _DAY
    usual = (min(WIDTH, (one.usual.low - 1) * scale), min(WIDTH, one.usual.high * scale)) if one.usual else None
    return Drawn(int(days), days * scale, usual)


async def order_copy(
    store: Store, reprinting: Reprinting, letter_id: str, volunteer_id: str, times: UsualTimes
) -> None:
    """Order a copy of a late letter, with what stands on one card with it. Raises NotToBeSentAgainError."""
    now, by = store.database.clock(), Actor(Who.VOLUNTEER, volunteer_id)
    async with store.database.reading() as connection:
        found = (await waiting(connection, letters.c.id == letter_id, times, now)).get(letter_id)
    if found is None or not found.can_be_sent_again:
        raise NotToBeSentAgainError
    # Before the wish is crossed out: where the process ends in between, the same copy is ordered once more.
    try:
        await reprinting.reprint(letter_id, volunteer_id)
    except NotPrintedError:
        raise NotToBeSentAgainError from None
    async with store.database.writing() as connection:
        card = [letter_id, *await on_card_with(connection, letter_id, None)]
        printed = (letters.c.id.in_(card), letters.c.state.in_((*SENT_AGAIN, LetterState.DELIVERED)))
        copied = (await connection.scalars(sa.select(letters.c.id).where(*printed).order_by(letters.c.id))).all()
        for each in copied:
            await note(connection, Record.LETTER, each, by=by, at=now, reason=COPY_ORDERED)
        await connection.execute(sa.update(letters).where(letters.c.id.in_(copied)).values(asked_again_at=None))


@ROUTES.get("/{language}/overdue", name="overdue")
async def show_overdue(request: web.Request) -> web.Response:
    """What is late."""
    return await _overdue(request)


async def _overdue(request: web.Request, status: int = 200, *, too_late: bool = False) -> web.Response:
    database, times = request.config_dict[STORE].database, await request.config_dict[DURATIONS].usual()
    async with database.reading() as connection:
        found = await overdue(connection, times, database.clock())
    ordered = "ordered" in request.query
    return render(request, "office/overdue.html", status, found=found, ordered=ordered, too_late=too_late, width=WIDTH)


@ROUTES.post("/{language}/overdue", name="overdue")
async def send_again(request: web.Request) -> web.Response:
    """Order a copy of a letter."""
    letter_id = (await fields_of(request)).get("letter", "")
    place, times = request.config_dict, await request.config_dict[DURATIONS].usual()
    try:
        await order_copy(place[STORE], place[REPRINTING], letter_id, request[VOLUNTEER].id, times)
    except NotToBeSentAgainError:
        return await _overdue(request, 409, too_late=True)
    raise web.HTTPSeeOther(f"{path_to(request, 'overdue')}?ordered")

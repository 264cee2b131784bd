"""An envelope in the hand, found by its code: what is known about it, and that the post brought it back."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from print import queue, returns, steps
from print.mailings import PRINTED_ONCE
from print.printing import PRINTING
from print.returns import InEnvelope
from print.screens.measures import show
from print.screens.overview import path_of
from relay.domain.lives import Actor, LetterState, Who
from relay.domain.reasons import ReturnReason
from relay.domain.reply_code import MATRIX_LENGTH, ReplyCode
from relay.store.tables import letters
from relay.web.keys import LANGUAGE, VOLUNTEER
from relay.web.site import fields_of, words

ROUTES: Final = web.RouteTableDef()
TYPED_MAX: Final = 100


def _(sentence: str) -> str:
    return sentence


_REASON_MISSING: Final = _("Please choose why it came back.")
_NOT_UNDERWAY: Final = _("This was recorded already, or the letter is not on its way. Nothing was changed.")


@dataclass(frozen=True, slots=True)
class Found:
    """What is known about the envelope of a code."""

    inside: InEnvelope
    batch: str | None
    """In which it was printed last."""
    posted_at: datetime.datetime | None

    @property
    def can_be_handed_over(self) -> bool:
        """Whether a letter in it is on its way."""
        return LetterState.POSTED in self.inside.states

    @property
    def can_be_printed_again(self) -> bool:
        """Whether a letter in it was printed and is not looked into."""
        return any(state in PRINTED_ONCE for state in self.inside.states)


@ROUTES.get("/{language}/print/code", name="print_code")
async def ask(request: web.Request) -> web.Response:
    """Whose envelope has the code; with ?done= also what was recorded last."""
    return await _screen(request, request.query.get("code", ""))


@ROUTES.post("/{language}/print/code", name="print_code")
async def record(request: web.Request) -> web.Response:
    """Record that an envelope came back or was handed over, or print it again."""
    store, volunteer = request.config_dict[PRINTING].store, request[VOLUNTEER].id
    data = await fields_of(request)
    typed, do = data.get("code", ""), data.get("do", "")
    try:
        code = returns.typed_code(typed)
        async with store.database.reading() as connection:
            found = await returns.find(connection, code)
    except returns.UnknownCodeError:
        return await _screen(request, typed)
    inside = letters.c.id.in_(found.letter_ids)
    match do:
        case "copy":
            try:
                made = await steps.reprint(store, inside, Actor(Who.VOLUNTEER, volunteer))
            except steps.NothingToPrintError:
                return await _screen(request, typed, 409, _NOT_UNDERWAY)
            raise web.HTTPSeeOther(path_of(request, made))
        case "handed_over":
            await steps.hand_over(store, inside, volunteer)
        case _ if not found.underway:
            return await _screen(request, typed, 409, _NOT_UNDERWAY)
        case _ if data.get("reason") not in tuple(ReturnReason):
            return await _screen(request, typed, 422, _REASON_MISSING)
        case _:
            await returns.come_back(store, code, ReturnReason(data["reason"]), volunteer)
    resource = request.app.router["print_code"]
    raise web.HTTPSeeOther(str(resource.url_for(language=request[LANGUAGE]).with_query(done=code)))


async def _screen(request: web.Request, typed: str, status: int = 200, complaint: str | None = None) -> web.Response:
    typed = typed[:TYPED_MAX].strip()
    found = done = unknown = None
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        if typed:
            try:
                found = await _found(connection, returns.typed_code(typed))
            except returns.UnknownCodeError as error:
                unknown, status = str(error), 404
        if "done" in request.query:
            try:
                done = await _found(connection, returns.typed_code(request.query["done"]))
            except returns.UnknownCodeError:
                raise web.HTTPNotFound from None
    _ = words(request)
    # The next scan of a matrix code would be added to the last one.
    kept = typed if unknown and len(typed) != MATRIX_LENGTH else ""
    return show(
        request,
        "code.html",
        status,
        typed=kept,
        unknown=unknown and _(unknown),
        complaint=complaint and _(complaint),
        found=found,
        done=done,
        reasons=list(ReturnReason),
    )


async def _found(connection: AsyncConnection, code: ReplyCode) -> Found:
    inside = await returns.find(connection, code)
    return Found(
        inside,
        await queue.last_batch_of(connection, inside.letter_ids),
        await queue.posted_at(connection, inside.letter_ids),
    )

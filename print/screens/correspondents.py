"""The sheet "who wrote to me" of a prisoner."""

from __future__ import annotations

from functools import partial
from typing import Final

from aiohttp import web

from print import queue, steps
from print.mailings import correspondents
from print.printing import PRINTING
from print.rendering import correspondents_pdf
from print.screens.measures import show
from print.screens.papers import as_pdf
from relay.store import directory
from relay.store.directory import Known
from relay.web.site import fields_of, path_to

ROUTES: Final = web.RouteTableDef()
TYPED_MAX: Final = 200


@ROUTES.get("/{language}/print/who-wrote", name="who_wrote")
async def ask(request: web.Request) -> web.Response:
    """The prisoners whose name or facility has these words; the sheet of the one, where it is one."""
    typed = request.query.get("who", "")[:TYPED_MAX].strip()
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        named = await directory.by_slug(connection, typed) if typed else None
        found = [named] if named else await directory.search(connection, typed) if typed else []
    if len(found) == 1:
        raise web.HTTPSeeOther(path_to(request, "who_wrote_to", prisoner=found[0].prisoner.slug))
    return show(request, "who_wrote.html", 404 if typed and not found else 200, typed=typed, found=found)


@ROUTES.get("/{language}/print/who-wrote/{prisoner}.pdf", name="who_wrote_pdf")
async def pdf(request: web.Request) -> web.Response:
    """The sheet for the printer."""
    printing, known = request.config_dict[PRINTING], await _known(request)
    sheet = await correspondents(printing, known)
    if not sheet.correspondents:
        raise web.HTTPNotFound
    return await as_pdf(request, partial(correspondents_pdf, sheet), f"who-wrote-{known.prisoner.slug}")


@ROUTES.get("/{language}/print/who-wrote/{prisoner}", name="who_wrote_to")
async def one(request: web.Request) -> web.Response:
    """How many wrote to a prisoner, and what can be done with their sheet."""
    printing, known = request.config_dict[PRINTING], await _known(request)
    sheet = await correspondents(printing, known)
    async with printing.store.database.reading() as connection:
        goes_along = await queue.tells_correspondents(connection, known.prisoner_id)
    return show(request, "who_wrote_to.html", known=known, sheet=sheet, goes_along=goes_along)


@ROUTES.post("/{language}/print/who-wrote/{prisoner}", name="who_wrote_to")
async def put_into_next(request: web.Request) -> web.Response:
    """Put the sheet into the next envelope to the prisoner, or rather not."""
    known, do = await _known(request), (await fields_of(request)).get("do")
    if do not in {"put", "leave"}:
        raise web.HTTPNotFound
    await steps.tell_correspondents(request.config_dict[PRINTING].store, known.prisoner_id, tell=do == "put")
    raise web.HTTPSeeOther(path_to(request, "who_wrote_to", prisoner=known.prisoner.slug))


async def _known(request: web.Request) -> Known:
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        known = await directory.by_slug(connection, request.match_info["prisoner"])
    if known is None:
        raise web.HTTPNotFound
    return known

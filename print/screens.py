"""The screens of the printing."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from aiohttp import web

from print import steps
from relay.domain.lives import Actor, BatchState, ForbiddenTransitionError, Who
from relay.store import leases
from relay.store.tables import batches
from relay.store.transitions import NotThereError
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/print", name="print")
async def overview(request: web.Request) -> web.Response:
    """What waits, by facility, and the batches."""
    database = request.config_dict[STORE].database
    async with database.reading() as connection:
        waiting = await steps.waiting(connection, database.clock())
        made = await steps.all_batches(connection)
    return render(request, "print/print.html", waiting=waiting, batches=made)


@ROUTES.post("/{language}/print", name="print")
async def make_batch(request: web.Request) -> web.Response:
    """Make a batch of what waits for one facility."""
    facility = (await fields_of(request)).get("facility", "")
    with suppress(steps.NothingToPrintError):  # Somebody else was quicker; the screen shows their batch.
        await steps.make_batch(request.config_dict[STORE], facility, Actor(Who.VOLUNTEER, request[VOLUNTEER].id))
    raise web.HTTPSeeOther(path_to(request, "print"))


@ROUTES.get("/{language}/print/{batch}.pdf", name="batch_pdf")
async def pdf(request: web.Request) -> web.Response:
    """The pages of a batch."""
    batch = request.match_info["batch"]
    try:
        data = await steps.batch_pdf(request.config_dict[STORE], batch, request.config_dict[OFFICE_KEY])
    except steps.NotRenderedError:
        raise web.HTTPNotFound from None
    headers = {"Content-Disposition": f'inline; filename="batch-{batch[:8]}.pdf"'}
    return web.Response(body=data, content_type="application/pdf", headers=headers)


@ROUTES.post("/{language}/print/{batch}", name="mark_batch")
async def mark(request: web.Request) -> web.Response:
    """Note that a batch was printed or posted."""
    state = (await fields_of(request)).get("state", "")
    if state not in {BatchState.PRINTED, BatchState.POSTED}:
        raise web.HTTPNotFound
    try:
        await steps.mark(
            request.config_dict[STORE], request.match_info["batch"], BatchState(state), request[VOLUNTEER].id
        )
    except NotThereError:
        raise web.HTTPNotFound from None
    except ForbiddenTransitionError:
        pass  # The button was pressed twice; the screen shows the state.
    raise web.HTTPSeeOther(path_to(request, "print"))


@ROUTES.post("/{language}/print/{batch}/again", name="batch_again")
async def try_again(request: web.Request) -> web.Response:
    """Let a batch be rendered again that was set aside."""
    async with request.config_dict[STORE].database.writing() as connection:
        await leases.try_again(connection, batches, batches.c.id == request.match_info["batch"])
    raise web.HTTPSeeOther(path_to(request, "print"))

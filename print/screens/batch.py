"""One batch: what is in it, and its way to the post."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from aiohttp import web

from print import queue, steps
from print.envelopes import LABELS
from print.mailings import letters_in
from print.print_jobs import OPEN, PRINT_JOB_STATES, jobs_of
from print.printing import PRINTING
from print.queue import Batch
from print.screens.measures import show
from print.screens.overview import path_of, watched
from relay.domain.lives import Actor, BatchState, ForbiddenTransitionError, LetterState, Who
from relay.domain.printing import PrintRules
from relay.store import directory, leases
from relay.store.tables import batches, enclosures, envelopes, letters
from relay.web.keys import VOLUNTEER
from relay.web.site import fields_of, path_to

ROUTES: Final = web.RouteTableDef()
TRACKING_FIELD: Final = "tracking."
"""Before the id of the envelope in the name of each field: a name stands in a form once."""
NEXT: Final = {
    "printed": (BatchState.PRINTED,),
    "posted": (BatchState.POSTED,),
    "put_away": (BatchState.PRINTED, BatchState.POSTED),
}
"""What the buttons of a batch do; one without letters has nothing to wait for."""
HANDED_OVER: Final = "handed_over"


async def batch_of(request: web.Request) -> Batch:
    """The batch that the address names. Raises HTTPNotFound."""
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        batch = await queue.one_batch(connection, request.match_info["batch"])
    if batch is None:
        raise web.HTTPNotFound
    return batch


async def rules_of(request: web.Request, batch: Batch) -> PrintRules:
    """How the facility of a batch wants its letters."""
    printing = request.config_dict[PRINTING]
    async with printing.store.database.reading() as connection:
        known = await directory.facilities_by_id(connection, [batch.facility_id])
    return printing.screening.rules_of(known[batch.facility_id]).printing


@ROUTES.get("/{language}/print/{batch}", name="batch")
async def one(request: web.Request) -> web.Response:
    """A batch: how far its rendering is, or its pages, its envelopes and what comes next."""
    batch = await batch_of(request)
    if batch.state is BatchState.OPEN:
        return watched(request, [batch])
    printing = request.config_dict[PRINTING]
    async with printing.store.database.reading() as connection:
        inside = await queue.envelopes_of(connection, batch.id)
        jobs = await jobs_of(connection, [batch.id])
    return show(
        request,
        "batch.html",
        batch=batch,
        envelopes=inside,
        rules=await rules_of(request, batch),
        on_their_way=sum(state is LetterState.POSTED for envelope in inside for state in envelope.states),
        field=TRACKING_FIELD,
        tracking_max=steps.TRACKING_MAX,
        labels=LABELS,
        stored="stored" in request.query,
        jobs=jobs,
        job_states=PRINT_JOB_STATES,
        printers=[] if any(job.state in OPEN for job in jobs) else printing.settings.print.printers,
    )


@ROUTES.post("/{language}/print/{batch}", name="batch")
async def mark(request: web.Request) -> web.Response:
    """Note that a batch was printed, posted, or handed over."""
    store, volunteer = request.config_dict[PRINTING].store, request[VOLUNTEER].id
    do, batch = (await fields_of(request)).get("state", ""), await batch_of(request)
    if do == HANDED_OVER:
        await steps.hand_over(store, letters_in(batch.id), volunteer)
    elif do in NEXT and (do != "put_away" or batch.is_empty):
        with suppress(ForbiddenTransitionError):  # The button was pressed twice; the screen shows the state.
            for state in NEXT[do]:
                await steps.mark(store, batch.id, state, volunteer)
    else:
        raise web.HTTPNotFound
    raise web.HTTPSeeOther(path_to(request, "batch", batch=batch.id))


@ROUTES.post("/{language}/print/{batch}/tracking", name="batch_tracking")
async def track(request: web.Request) -> web.Response:
    """Note the tracking numbers of the envelopes of a batch."""
    batch, data = await batch_of(request), await fields_of(request)
    store = request.config_dict[PRINTING].store
    async with store.database.reading() as connection:
        names = {
            envelope.id: TRACKING_FIELD + envelope.id for envelope in await queue.envelopes_of(connection, batch.id)
        }
    await steps.track(store, [(envelope, data[name]) for envelope, name in names.items() if name in data])
    raise web.HTTPSeeOther(f"{path_to(request, 'batch', batch=batch.id)}?stored#tracking")


@ROUTES.post("/{language}/print/{batch}/copies", name="batch_copies")
async def copies(request: web.Request) -> web.Response:
    """Print a batch, or one envelope of it, once more."""
    batch, envelope = await batch_of(request), (await fields_of(request)).get("envelope")
    of = letters_in(batch.id)
    if envelope:
        inside = sa.select(enclosures.c.letter_id).join(envelopes, envelopes.c.id == enclosures.c.envelope_id)
        of = letters.c.id.in_(inside.where(envelopes.c.id == envelope, envelopes.c.batch_id == batch.id))
    try:
        made = await steps.reprint(request.config_dict[PRINTING].store, of, Actor(Who.VOLUNTEER, request[VOLUNTEER].id))
    except steps.NothingToPrintError:
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(path_of(request, made))


@ROUTES.post("/{language}/print/{batch}/again", name="batch_again")
async def try_again(request: web.Request) -> web.Response:
    """Let a batch be rendered again that was set aside."""
    batch = await batch_of(request)
    async with request.config_dict[PRINTING].store.database.writing() as connection:
        await leases.try_again(connection, batches, batches.c.id == batch.id)
    raise web.HTTPSeeOther(path_to(request, "batch", batch=batch.id))

"""What waits to be printed, and the batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from print import print_jobs, printers, queue, steps
from print.print_jobs import PRINT_JOB_STATES, PrintJob
from print.printers import PRINTER_STATES, PrinterStatus
from print.printing import PRINTING, Printing
from print.queue import Batch
from print.screens.measures import show
from relay.config import Printer
from relay.domain.letter_pages import Unprintable
from relay.domain.letters import printed_text
from relay.domain.lives import Actor, BatchState, Who
from relay.sealing import SealBrokenError
from relay.store.letters import read_body, read_treatment
from relay.web.keys import VOLUNTEER
from relay.web.site import fields_of, path_to

ROUTES: Final = web.RouteTableDef()
SECONDS: Final = 2
"""After which a browser looks again how far something is; it needs no script for that."""
PLACES_SHOWN: Final = 3
OPENED_AT_MOST: Final = 50
"""Letters set aside that are opened to name these places: after a fault it may be all of them."""
PATIENCE: Final = 2
"""Seconds that the overview waits for the answers of printers."""


@ROUTES.get("/{language}/print", name="print")
async def overview(request: web.Request) -> web.Response:
    """What waits, by facility, what could not be printed, and the batches."""
    printing = request.config_dict[PRINTING]
    database = printing.store.database
    async with database.reading() as connection:
        waiting = await queue.waiting(connection, printing.screening, database.clock())
        set_aside = await queue.set_aside(connection)
        places = {letter.id: await _places(connection, printing, letter.id) for letter in set_aside[:OPENED_AT_MOST]}
        batches = await queue.all_batches(connection)
        jobs = await _newest_jobs(connection, batches)
    return show(
        request,
        "print.html",
        waiting=waiting,
        set_aside=set_aside,
        places=places,
        batches=batches,
        jobs=jobs,
        job_states=PRINT_JOB_STATES,
        printers=await _asked(printing.settings.print.printers),
        printer_states=PRINTER_STATES,
    )


async def _places(connection: AsyncConnection, printing: Printing, letter_id: str) -> list[Unprintable]:
    """The first characters of a letter that cannot be printed, as far as it can be opened."""
    try:
        body = await read_body(connection, letter_id, printing.office)
        treatment = await read_treatment(connection, letter_id, printing.office)
    except SealBrokenError:
        return []
    return printing.pages.unprintable(printed_text(body, treatment))[:PLACES_SHOWN]


async def _newest_jobs(connection: AsyncConnection, batches: Sequence[Batch]) -> dict[str, PrintJob]:
    """The last job of each batch that is not posted, by its id."""
    unposted = [batch.id for batch in batches if batch.state is not BatchState.POSTED]
    newest_first = await print_jobs.jobs_of(connection, unposted)
    return {job.batch_id: job for job in reversed(newest_first)}


async def _asked(known: Sequence[Printer]) -> list[tuple[Printer, PrinterStatus | None]]:
    """How these printers are, or None where one needs longer to say so."""

    async def ask(printer: Printer) -> PrinterStatus | None:
        try:
            return await asyncio.wait_for(printers.status(printer), PATIENCE)
        except TimeoutError:
            return None

    return list(zip(known, await asyncio.gather(*map(ask, known)), strict=True))


@ROUTES.post("/{language}/print", name="print")
async def make(request: web.Request) -> web.Response:
    """Make batches of what waits, for one facility or for all."""
    facility = (await fields_of(request)).get("facility")
    by = Actor(Who.VOLUNTEER, request[VOLUNTEER].id)
    try:
        made = await steps.make_batches(request.config_dict[PRINTING].store, by, facility)
    except steps.NothingToPrintError:  # Somebody else was quicker; the screen shows their batch.
        raise web.HTTPSeeOther(path_to(request, "print")) from None
    raise web.HTTPSeeOther(path_of(request, made))


def path_of(request: web.Request, made: list[str]) -> str:
    """Where new batches are shown: one by itself, several together."""
    return path_to(request, "batch", batch=made[0]) if len(made) == 1 else path_to(request, "print_progress")


@ROUTES.get("/{language}/print/progress", name="print_progress")
async def progress(request: web.Request) -> web.Response:
    """How far the rendering is; once nothing is rendered any more, the way leads back to the overview."""
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        batches = await queue.all_batches(connection)
    underway = [batch for batch in batches if is_rendering(batch)]
    if not underway:
        raise web.HTTPSeeOther(path_to(request, "print"))
    return watched(request, batches)


def is_rendering(batch: Batch) -> bool:
    """Whether a worker renders a batch, or soon will."""
    return batch.state is BatchState.OPEN and not batch.set_aside


def watched(request: web.Request, batches: list[Batch]) -> web.Response:
    """The screen of what is being rendered, which looks again by itself unless the reader wants it to be still."""
    still = "still" in request.query
    underway = [batch for batch in batches if is_rendering(batch)]
    response = show(request, "progress.html", batches=batches, underway=underway, still=still, jobs={})
    if underway and not still:
        response.headers["Refresh"] = str(SECONDS)
    return response


@ROUTES.post("/{language}/print/letter/{letter}/review", name="letter_back")
async def letter_back(request: web.Request) -> web.Response:
    """Give a letter that was set aside back to the review."""
    store, letter = request.config_dict[PRINTING].store, request.match_info["letter"]
    await steps.back_to_review(store, letter, request[VOLUNTEER].id)
    raise web.HTTPSeeOther(path_to(request, "print"))


@ROUTES.post("/{language}/print/letter/{letter}/again", name="letter_again")
async def letter_again(request: web.Request) -> web.Response:
    """Let a letter that was set aside wait for the next batch."""
    await steps.try_again(request.config_dict[PRINTING].store, request.match_info["letter"])
    raise web.HTTPSeeOther(path_to(request, "print"))

"""A batch on its way through a printer."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from aiohttp import web

from print import print_jobs
from print.print_jobs import PRINT_JOB_STATES, PrintJobState
from print.printers import PrinterError
from print.printing import PRINTING
from print.screens.batch import batch_of
from print.screens.measures import show
from print.screens.overview import SECONDS
from print.steps import NotRenderedError
from relay.web.site import fields_of, path_to, words

ROUTES: Final = web.RouteTableDef()
MOVING: Final = (PrintJobState.SENDING, PrintJobState.PRINTING)
SETTLED: Final = {"done": PrintJobState.DONE, "failed": PrintJobState.FAILED}
"""What a person says who has looked at the printer."""


@ROUTES.get("/{language}/print/{batch}/printer", name="batch_printer")
async def show_jobs(request: web.Request) -> web.Response:
    """How far a batch is in a printer; the screen looks again by itself while something may come out."""
    return await _screen(request)


@ROUTES.post("/{language}/print/{batch}/printer", name="batch_printer")
async def send(request: web.Request) -> web.Response:
    """Send a batch to a printer."""
    batch, printing = await batch_of(request), request.config_dict[PRINTING]
    name = (await fields_of(request)).get("printer", "")
    try:
        with suppress(print_jobs.AlreadyPrintingError):  # The button was pressed twice; the screen shows the job.
            await print_jobs.send_batch(printing.store, printing.settings, batch.id, name)
    except (print_jobs.NoSuchPrinterError, NotRenderedError):
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(path_to(request, "batch_printer", batch=batch.id))


@ROUTES.post("/{language}/print/{batch}/printer/{job}", name="print_job")
async def end(request: web.Request) -> web.Response:
    """Cancel a job, or say what became of it."""
    batch, printing = await batch_of(request), request.config_dict[PRINTING]
    do, job = (await fields_of(request)).get("do", ""), request.match_info["job"]
    try:
        with suppress(print_jobs.NotOpenError):  # It has ended meanwhile; the screen shows how.
            if do == "cancel":
                await print_jobs.cancel_job(printing.store, printing.settings, job)
            elif do in SETTLED:
                await print_jobs.settle_job(printing.store, job, SETTLED[do])
            else:
                raise web.HTTPNotFound
    except print_jobs.NoSuchPrinterError:
        return await _screen(request, 409, print_jobs.NO_SUCH_PRINTER)
    except PrinterError as error:
        return await _screen(request, 409, error.sentence)
    raise web.HTTPSeeOther(path_to(request, "batch_printer", batch=batch.id))


async def _screen(request: web.Request, status: int = 200, complaint: str = "") -> web.Response:
    _ = words(request)
    batch = await batch_of(request)
    async with request.config_dict[PRINTING].store.database.reading() as connection:
        jobs = await print_jobs.jobs_of(connection, [batch.id])
    if not jobs:
        raise web.HTTPSeeOther(path_to(request, "batch", batch=batch.id))
    underway = any(job.state in MOVING and not job.set_aside for job in jobs)
    still = "still" in request.query or bool(complaint)
    response = show(
        request,
        "printer.html",
        status,
        batch=batch,
        jobs=jobs,
        job_states=PRINT_JOB_STATES,
        underway=underway,
        still=still,
        complaint=complaint and _(complaint),
    )
    if underway and not still:
        response.headers["Refresh"] = str(SECONDS)
    return response

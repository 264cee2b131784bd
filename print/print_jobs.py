"""The way of a batch to a printer, and what became of it there.

The row comes first, then an empty job at the printer, then its number in the row, then the pages, once. Without a
number nothing was printed, and a worker may begin anew. With one the pages are never sent again by themselves: what
became of them is asked of the printer, and where it does not know, of a person. A letter that comes twice costs
postage, and lies where strangers see it.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from print import printers
from print.printers import JobState, JobStatus, PrinterError
from print.printing import Printing
from print.steps import NotRenderedError, batch_chunks
from relay.config import Printer, Settings
from relay.domain.lives import BatchState
from relay.opened import private_folder
from relay.store import leases
from relay.store.database import new_id
from relay.store.leases import FREE, FRESH, LeaseLostError
from relay.store.sealed import Store
from relay.store.tables import batches, print_jobs
from relay.store.work import work_on_next

LOOK_EVERY: Final = datetime.timedelta(seconds=3)
"""Between two looks at a job in the printer, or two tries to give a job to a busy one."""


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class PrintJobState(StrEnum):
    """How far the pages of a batch are on their way through a printer."""

    SENDING = "sending"
    """A worker will give them to the printer, or does so."""
    PRINTING = "printing"
    """The printer has them, or part of them."""
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    """The printer does not know of them any more: a person has to look."""


PRINT_JOB_STATES: Final = {
    PrintJobState.SENDING: _("on its way to the printer"),
    PrintJobState.PRINTING: _("printing"),
    PrintJobState.DONE: _("printed"),
    PrintJobState.FAILED: _("not printed, or not all of it"),
    PrintJobState.CANCELED: _("canceled"),
    PrintJobState.UNKNOWN: _("perhaps printed: please look"),
}
OPEN: Final = (PrintJobState.SENDING, PrintJobState.PRINTING, PrintJobState.UNKNOWN)
"""Nobody can say yet that the pages lie there or do not."""
ENDS: Final = {
    JobState.COMPLETED: PrintJobState.DONE,
    JobState.CANCELED: PrintJobState.CANCELED,
    JobState.ABORTED: PrintJobState.FAILED,
}

INTERRUPTED: Final = _("The sending was interrupted. Look what came out before you print again.")
NO_SUCH_PRINTER: Final = _("This printer is not in the settings any more.")
NO_PAGES: Final = _("The batch has no pages any more.")


class NoSuchPrinterError(LookupError):
    """No printer of this name stands in the settings."""


class AlreadyPrintingError(Exception):
    """The batch is on its way through a printer, or may be: first that has to end."""


class NotOpenError(LookupError):
    """There is no such job, or it has ended."""


@dataclass(frozen=True, slots=True)
class PrintJob:
    """A batch on its way through a printer."""

    id: str
    batch_id: str
    printer: str
    printer_job: int | None
    state: PrintJobState
    problems: tuple[str, ...]
    """Sentences to be translated where they are shown, or words of the printer."""
    pages_done: int
    set_aside: bool
    """Whether the relay itself failed again and again; a person ends it by canceling or settling it."""
    created_at: datetime.datetime
    state_since: datetime.datetime

    @property
    def name(self) -> str:
        """What the printer calls it; names nobody, and is never that of another job."""
        return f"{self.batch_id[:8]}-{self.id[:8]}"


async def send_batch(store: Store, settings: Settings, batch_id: str, printer_name: str) -> str:
    """Let a worker send a rendered batch to a printer. Returns the id of the new job.

    Raises NoSuchPrinterError, NotRenderedError, AlreadyPrintingError.
    """
    if settings.print.printer(printer_name) is None:
        raise NoSuchPrinterError(printer_name)
    now, job_id = store.database.clock(), new_id()
    async with store.database.writing() as connection:
        batch = sa.select(batches.c.state).where(batches.c.id == batch_id).with_for_update()
        if await connection.scalar(batch) in {None, BatchState.OPEN}:
            raise NotRenderedError
        open_jobs = sa.select(print_jobs.c.id).where(print_jobs.c.batch_id == batch_id, print_jobs.c.state.in_(OPEN))
        if (await connection.execute(open_jobs)).first() is not None:
            raise AlreadyPrintingError
        await connection.execute(
            sa.insert(print_jobs).values(
                id=job_id,
                batch_id=batch_id,
                printer=printer_name,
                state=PrintJobState.SENDING,
                created_at=now,
                state_since=now,
            )
        )
    return job_id


async def jobs_of(connection: AsyncConnection, batch_ids: Sequence[str]) -> list[PrintJob]:
    """The jobs of these batches, the newest first."""
    rows = await connection.execute(
        sa.select(print_jobs).where(print_jobs.c.batch_id.in_(batch_ids)).order_by(print_jobs.c.created_at.desc())
    )
    return [_job(row) for row in rows]


async def cancel_job(store: Store, settings: Settings, job_id: str) -> None:
    """Cancel a job; what is printed is printed. Its state follows with the next look at the printer.

    Raises NotOpenError, NoSuchPrinterError and PrinterError.
    """
    job = await _read(store, job_id)
    if job.printer_job is None:
        # No worker has got further, and none will: it writes the number down before it sends a page.
        await _end(store, job, PrintJobState.CANCELED)
        return
    printer = _printer(settings, job)
    await printers.job(printer, job.printer_job, name=job.name)  # the number may be somebody else's by now
    await printers.cancel(printer, job.printer_job)


async def settle_job(store: Store, job_id: str, state: PrintJobState) -> None:
    """Note what a person saw of a job of which the printer does not tell: DONE or FAILED. Raises NotOpenError."""
    job = await _read(store, job_id)
    if job.state is PrintJobState.SENDING and not job.set_aside:
        raise NotOpenError(job_id)
    await _end(store, job, state)


async def send_next(printing: Printing, owner: str) -> bool:
    """Send the oldest batch that waits for it. False where there is none.

    Several may run at a time, one for each printer: one that takes no more pages keeps no other waiting.
    """

    async def send(job_id: str) -> None:
        await _send(printing, owner, job_id)

    other = print_jobs.alias()
    taking = (other.c.state == PrintJobState.SENDING, other.c.printer_job.is_not(None), other.c.set_aside_at.is_(None))
    free = print_jobs.c.printer.not_in(sa.select(other.c.printer).where(*taking))
    waiting = (print_jobs.c.state == PrintJobState.SENDING, sa.or_(print_jobs.c.printer_job.is_not(None), free))
    return await work_on_next(printing.store.database, print_jobs, *waiting, owner=owner, do=send)


async def look_at_jobs(store: Store, settings: Settings, owner: str) -> bool:
    """Ask after the oldest job in a printer whose last look is LOOK_EVERY ago. False where there is none."""

    async def look(job_id: str) -> None:
        await _look(store, settings, job_id)

    printing = print_jobs.c.state == PrintJobState.PRINTING
    return await work_on_next(store.database, print_jobs, printing, owner=owner, do=look)


async def _send(printing: Printing, owner: str, job_id: str) -> None:
    store, settings = printing.store, printing.settings
    job = await _read(store, job_id)
    if job.printer_job is not None:
        # Who sent it is gone. Only the printer can say how far that was.
        await _change(store, job, PrintJobState.PRINTING, problems=(INTERRUPTED,))
        return
    try:
        printer = _printer(settings, job)
        with private_folder() as folder:
            pdf = folder / "pages.pdf"
            with pdf.open("wb") as file:
                async for chunk in batch_chunks(store, job.batch_id, printing.office):
                    file.write(chunk)
            number = await printers.create(printer, name=job.name)
            try:
                await _note_number(store, job_id, number, owner)
            except LeaseLostError:
                with suppress(PrinterError):  # an empty job may keep the printer busy for a while
                    await printers.cancel(printer, number)
                raise
            problems = await _watched(store, job, printer, number, pdf)
    except NoSuchPrinterError:
        await _change(store, job, PrintJobState.FAILED, problems=(NO_SUCH_PRINTER,))
    except NotRenderedError:
        await _change(store, job, PrintJobState.FAILED, problems=(NO_PAGES,))
    except printers.PrinterBusyError as error:
        await _change(store, job, PrintJobState.SENDING, problems=printers.told(error))
    except PrinterError as error:
        await _change(store, job, PrintJobState.FAILED, problems=printers.told(error))
    else:
        await _change(store, job, PrintJobState.PRINTING, problems=problems)


async def _note_number(store: Store, job_id: str, number: int, owner: str) -> None:
    """Write down that pages go into this job of the printer. Raises LeaseLostError where somebody else did."""
    async with store.database.writing() as connection:
        noted = await connection.execute(
            sa.update(print_jobs)
            .where(
                leases.held_by(print_jobs, job_id, owner, store.database.clock()),
                print_jobs.c.state == PrintJobState.SENDING,
                print_jobs.c.printer_job.is_(None),
            )
            .values(printer_job=number)
        )
        if noted.rowcount != 1:
            raise LeaseLostError(print_jobs.name, job_id)


async def _watched(store: Store, job: PrintJob, printer: Printer, number: int, pdf: Path) -> tuple[str, ...]:
    """Send the pages, and note meanwhile how the printer does. Returns what went wrong; the next look clears it up."""
    sending = asyncio.create_task(printers.send(printer, number, pdf))
    try:
        while not (await asyncio.wait([sending], timeout=LOOK_EVERY.total_seconds()))[0]:
            with suppress(PrinterError):  # some take no second connection
                await _note(store, job, await printers.job(printer, number, name=job.name))
        await sending
    except PrinterError as error:
        return printers.told(error)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return ()


async def _look(store: Store, settings: Settings, job_id: str) -> None:
    job = await _read(store, job_id)
    assert job.printer_job is not None
    try:
        printer = _printer(settings, job)
        status = await printers.job(printer, job.printer_job, name=job.name)
        if status.incomplete:
            # Nobody is sending the rest of it.
            with suppress(PrinterError):
                await printers.cancel(printer, job.printer_job)
            problems = dict.fromkeys((INTERRUPTED, *job.problems))
            await _change(store, job, PrintJobState.FAILED, problems=tuple(problems))
            return
    except printers.JobGoneError as error:
        await _change(store, job, PrintJobState.UNKNOWN, problems=printers.told(error))
    except NoSuchPrinterError:
        await _change(store, job, PrintJobState.UNKNOWN, problems=(NO_SUCH_PRINTER,))
    except PrinterError as error:
        # It may come back, and still have the pages.
        await _change(store, job, PrintJobState.PRINTING, problems=printers.told(error))
    else:
        await _note(store, job, status)


async def _note(store: Store, job: PrintJob, status: JobStatus) -> None:
    state = ENDS.get(status.state, job.state)
    pages = max(job.pages_done, status.pages_done)
    if job.state is PrintJobState.SENDING:
        # Its worker still holds the row, and ends that by itself.
        await _update(store, job, detail=_detail(status.problems), pages_done=pages)
    else:
        await _change(store, job, state, problems=status.problems, pages_done=pages)


async def _change(
    store: Store, job: PrintJob, state: PrintJobState, *, problems: tuple[str, ...], **values: Any
) -> None:
    """The next state of a job that a worker holds, where nobody has settled it meanwhile; gives it back."""
    now = store.database.clock()
    if state is not job.state:
        values["state_since"] = now
    if state in OPEN:
        values["next_try_at"] = now + LOOK_EVERY
    await _update(store, job, **FRESH | FREE | {"state": state, "detail": _detail(problems)} | values)


async def _update(store: Store, job: PrintJob, **values: Any) -> None:
    async with store.database.writing() as connection:
        await connection.execute(
            sa.update(print_jobs).where(print_jobs.c.id == job.id, print_jobs.c.state == job.state).values(**values)
        )


async def _end(store: Store, job: PrintJob, state: PrintJobState) -> None:
    """End a job by a person's word, unless it has got further meanwhile. Raises NotOpenError."""
    values = FRESH | FREE | {"state": state, "state_since": store.database.clock(), "detail": None}
    async with store.database.writing() as connection:
        ended = await connection.execute(
            sa.update(print_jobs)
            .where(
                print_jobs.c.id == job.id,
                print_jobs.c.state == job.state,
                print_jobs.c.printer_job.is_not_distinct_from(job.printer_job),
            )
            .values(**values)
        )
        if ended.rowcount != 1:
            raise NotOpenError(job.id)


async def _read(store: Store, job_id: str) -> PrintJob:
    async with store.database.reading() as connection:
        row = (await connection.execute(sa.select(print_jobs).where(print_jobs.c.id == job_id))).one_or_none()
    if row is None or row.state not in OPEN:
        raise NotOpenError(job_id)
    return _job(row)


def _printer(settings: Settings, job: PrintJob) -> Printer:
    printer = settings.print.printer(job.printer)
    if printer is None:
        raise NoSuchPrinterError(job.printer)
    return printer


def _detail(problems: tuple[str, ...]) -> str | None:
    return "\n".join(problems) or None


def _job(row: sa.Row[Any]) -> PrintJob:
    problems = tuple(row.detail.splitlines()) if row.detail else ()
    return PrintJob(
        row.id,
        row.batch_id,
        row.printer,
        row.printer_job,
        PrintJobState(row.state),
        problems,
        row.pages_done,
        row.set_aside_at is not None,
        row.created_at,
        row.state_since,
    )

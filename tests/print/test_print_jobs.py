"""A batch on its way through a printer: told as it is, and never sent twice by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from print import print_jobs, printers, steps
from print.print_jobs import PrintJob, PrintJobState
from print.printer_reasons import REASONS
from print.printing import Printing
from relay.config import Printer, PrintSettings, Settings
from relay.desk.steps import withdraw
from relay.store import leases, tables
from tests.print.software_printer import BREAKS, OUT_OF_PAPER, SoftwarePrinter, message_bus, software
from tests.workplaces import WORKER_NAME, House, both_engines

__all__ = ["message_bus", "software"]

OTHER_WORKER = "worker-other"
UNREACHABLE = (printers.PrinterUnreachableError.sentence,)


@dataclass
class Desk:
    """A rendered batch beside a printer."""

    house: House
    printer: Printer
    batch: str

    @property
    def settings(self) -> Settings:
        return self.house.settings.model_copy(update={"print": PrintSettings(printers=(self.printer,))})

    @property
    def printing(self) -> Printing:
        return dataclasses.replace(self.house.printing, settings=self.settings)

    async def press(self) -> str:
        """What the button does."""
        return await print_jobs.send_batch(self.house.store, self.settings, self.batch, self.printer.name)

    async def send(self, owner: str = WORKER_NAME) -> bool:
        return await print_jobs.send_next(self.printing, owner)

    async def look(self) -> bool:
        self.house.clock.advance(seconds=print_jobs.LOOK_EVERY.total_seconds())
        return await print_jobs.look_at_jobs(self.house.store, self.settings, WORKER_NAME)

    async def job(self) -> PrintJob:
        """The newest job."""
        async with self.house.store.database.reading() as connection:
            return (await print_jobs.jobs_of(connection, [self.batch]))[0]

    async def told(self) -> tuple[PrintJobState, tuple[str, ...]]:
        job = await self.job()
        return job.state, job.problems

    async def until(self, right: Callable[[PrintJob], bool]) -> PrintJob:
        """The job once a look shows that it is right."""
        async with asyncio.timeout(10):
            while not right(job := await self.job()):
                await self.look()
                await asyncio.sleep(0.05)
        return job

    async def ended(self) -> tuple[PrintJobState, tuple[str, ...]]:
        await self.until(lambda job: job.state not in print_jobs.OPEN)
        return await self.told()


async def beside(house: House, printer: Printer) -> Desk:
    await house.approved()
    return Desk(house, printer, await house.rendered())


async def pdf(desk: Desk) -> bytes:
    return await steps.batch_pdf(desk.house.store, desk.batch, desk.house.office_key)


@both_engines
async def test_batch_is_printed_as_it_is(
    house: House, software: SoftwarePrinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.opened.MEMORY_FOLDER", tmp_path)
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    assert (await desk.job()).state is PrintJobState.SENDING
    assert [await desk.send(), await desk.send()] == [True, False]
    assert await desk.ended() == (PrintJobState.DONE, ())
    assert software.printed() == [await pdf(desk)]
    row = await house.row(tables.print_jobs)
    assert (row.lease_owner, row.attempts, row.last_error) == (None, 0, None)
    assert not await desk.look()
    assert list(tmp_path.glob("relay-opened-*")) == []


async def test_printer_is_asked_again_only_after_a_while(house: House, software: SoftwarePrinter) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    assert await desk.send()
    now = [await print_jobs.look_at_jobs(house.store, desk.settings, WORKER_NAME) for _ in range(2)]
    assert [*now, await desk.look(), await desk.look()] == [False, False, True, True]


async def test_printer_out_of_paper_is_told_until_there_is_some(house: House, software: SoftwarePrinter) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    await desk.send()
    job = await desk.until(lambda job: job.pages_done == 1)
    assert (job.state, job.problems) == (PrintJobState.PRINTING, ("It is out of paper.",))
    software.bring_paper()
    assert await desk.ended() == (PrintJobState.DONE, ())
    assert (await desk.job()).pages_done == 4


async def test_job_that_the_printer_gives_up_has_failed(house: House, software: SoftwarePrinter) -> None:
    software.script = BREAKS
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    await desk.send()
    assert await desk.ended() == (PrintJobState.FAILED, ("The printer gave up.",))


@both_engines
async def test_batch_is_on_one_printer_at_a_time(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    with pytest.raises(print_jobs.AlreadyPrintingError):
        await desk.press()
    await desk.send()
    with pytest.raises(print_jobs.AlreadyPrintingError):
        await desk.press()
    await desk.ended()
    house.clock.advance(seconds=1)
    await desk.press()
    assert (await desk.job()).state is PrintJobState.SENDING


async def test_person_ends_a_job_whose_worker_died_too_often_while_it_sent(
    house: House, software: SoftwarePrinter
) -> None:
    desk = await beside(house, software.printer)
    await desk.press()
    job = await desk.job()
    with pytest.raises(print_jobs.NotOpenError):
        await print_jobs.settle_job(house.store, job.id, PrintJobState.FAILED)
    async with house.store.database.writing() as connection:
        dead = {"printer_job": 1, "attempts": 5, "set_aside_at": house.clock()}
        await connection.execute(sa.update(tables.print_jobs).values(dead))
    await print_jobs.settle_job(house.store, job.id, PrintJobState.FAILED)
    assert (await desk.job()).state is PrintJobState.FAILED


async def test_printer_that_is_off_gets_nothing_later(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    software.switch_off()
    await desk.press()
    await desk.send()
    assert await desk.told() == (PrintJobState.FAILED, UNREACHABLE)
    software.start()
    house.clock.advance(hours=1)
    assert [await desk.send(), await desk.look()] == [False, False]
    assert software.printed() == []


async def test_unfit_printer_is_told_why(house: House, software: SoftwarePrinter) -> None:
    software.options = ()
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    await desk.send()
    assert await desk.told() == (PrintJobState.FAILED, (printers.OneSidedPrinterError.sentence,))


async def test_batch_without_pages_and_unknown_printer_are_refused(house: House, software: SoftwarePrinter) -> None:
    await house.approved()
    desk = Desk(house, Printer(name="Office", uri="ipp://localhost/ipp/print"), await house.batch())
    with pytest.raises(steps.NotRenderedError):
        await desk.press()
    await house.render()
    with pytest.raises(print_jobs.NoSuchPrinterError):
        await print_jobs.send_batch(house.store, desk.settings, desk.batch, "Cellar")
    assert await house.rows(tables.print_jobs) == []


async def test_batch_whose_letters_were_taken_back_is_not_sent(house: House, software: SoftwarePrinter) -> None:
    software.start()
    sent = await house.approved()
    batch = await house.batch()
    await withdraw(house.store, sent.id)
    await house.render()
    desk = Desk(house, software.printer, batch)
    await desk.press()
    await desk.send()
    assert await desk.told() == (PrintJobState.FAILED, (print_jobs.NO_PAGES,))


async def test_printer_taken_from_the_settings_is_told(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    desk.printer = Printer(name="Cellar", uri=software.printer.uri)
    await desk.send()
    assert await desk.told() == (PrintJobState.FAILED, (print_jobs.NO_SUCH_PRINTER,))


# --- a worker ends at a bad moment


async def test_worker_that_died_before_it_had_a_number_is_replaced(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    async with house.store.database.writing() as connection:
        order = tables.print_jobs.c.created_at
        await leases.claim(connection, tables.print_jobs, owner="worker-dead", now=house.clock(), order_by=order)
    of_the_dead = await printers.create(software.printer, name="of-the-dead")
    assert not await desk.send()
    house.clock.advance(seconds=leases.LEASE.total_seconds() + 1)
    assert await desk.send()
    assert await desk.told() == (PrintJobState.SENDING, (printers.PrinterBusyError.sentence,))
    await printers.cancel(software.printer, of_the_dead)  # as the printer does by itself after a minute
    assert not await desk.send()
    house.clock.advance(seconds=print_jobs.LOOK_EVERY.total_seconds())
    assert await desk.send()
    assert (await desk.ended(), (await desk.job()).id) == ((PrintJobState.DONE, ()), job_id)
    assert software.printed() == [await pdf(desk)]


async def test_worker_that_died_while_it_sent_is_not_followed_by_another(
    house: House, software: SoftwarePrinter
) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    number = await printers.create(software.printer, name=(await desk.job()).name)
    async with house.store.database.writing() as connection:
        await connection.execute(tables.print_jobs.update().values(printer_job=number))
    assert await desk.send()
    assert await desk.told() == (PrintJobState.PRINTING, (print_jobs.INTERRUPTED,))
    assert await desk.ended() == (PrintJobState.FAILED, (print_jobs.INTERRUPTED,))
    at_printer = await printers.job(software.printer, number, name=(await desk.job()).name)
    assert at_printer.state is printers.JobState.CANCELED
    assert software.printed() == []


async def test_worker_that_died_after_it_had_sent_is_not_followed_by_another(
    house: House, software: SoftwarePrinter, tmp_path: Path
) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    number = await printers.create(software.printer, name=(await desk.job()).name)
    pages = tmp_path / "pages.pdf"
    pages.write_bytes(await pdf(desk))
    await printers.send(software.printer, number, pages)
    async with house.store.database.writing() as connection:
        await connection.execute(tables.print_jobs.update().values(printer_job=number))
    assert await desk.send()
    assert await desk.ended() == (PrintJobState.DONE, ())
    assert software.printed() == [await pdf(desk)]


@both_engines
async def test_worker_that_slept_too_long_sends_nothing(
    house: House, software: SoftwarePrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    create = printers.create
    slept = False

    async def sleeps_first(printer: Printer, *, name: str) -> int:
        nonlocal slept
        number = await create(printer, name=name)
        if not slept:
            slept = True
            house.clock.advance(seconds=leases.LEASE.total_seconds() + 1)
            assert await desk.send(OTHER_WORKER)
        return number

    monkeypatch.setattr(printers, "create", sleeps_first)
    assert await desk.send()
    house.clock.advance(seconds=print_jobs.LOOK_EVERY.total_seconds())
    assert await desk.send(OTHER_WORKER)
    assert await desk.ended() == (PrintJobState.DONE, ())
    assert software.printed() == [await pdf(desk)]


# --- the printer, or the way to it, ends at a bad moment


async def test_printer_that_loses_power_is_told_and_then_a_person_decides(
    house: House, software: SoftwarePrinter
) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    await desk.send()
    software.switch_off()
    await desk.look()
    assert await desk.told() == (PrintJobState.PRINTING, UNREACHABLE)
    software.start()
    await desk.look()
    assert await desk.told() == (PrintJobState.UNKNOWN, (printers.JobGoneError.sentence,))
    assert not await desk.look()
    with pytest.raises(print_jobs.AlreadyPrintingError):
        await desk.press()
    await print_jobs.settle_job(house.store, job_id, PrintJobState.FAILED)
    assert await desk.told() == (PrintJobState.FAILED, ())
    house.clock.advance(seconds=1)
    await desk.press()
    with pytest.raises(print_jobs.NotOpenError):
        await print_jobs.settle_job(house.store, job_id, PrintJobState.DONE)


@dataclass
class Cable:
    """The way to a printer. What holds a PDF goes no further while it is `blocked`, and ends it where it is `bad`."""

    port: int
    bad: bool = False
    blocked: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once pages came this far."""
    documents: int = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_printer = await asyncio.open_connection("127.0.0.1", self.port)
        back = asyncio.create_task(self._pass_on(to_printer[0], writer))
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if b"%PDF" in data:
                    self.documents += 1
                    self.reached.set()
                    if self.bad:
                        break
                    await self.blocked.wait()
                to_printer[1].write(data)
                await to_printer[1].drain()
        to_printer[1].close()
        writer.close()
        await asyncio.gather(back, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def cable(software: SoftwarePrinter, *, bad: bool = False) -> AsyncIterator[tuple[Printer, Cable]]:
    """A printer at the other end of a cable."""
    way = Cable(software.port, bad=bad)
    server = await asyncio.start_server(way.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Printer(name="Office", uri=f"ipp://127.0.0.1:{port}/ipp/print"), way


async def test_connection_that_breaks_while_it_sends_is_told_and_nothing_sent_again(
    house: House, software: SoftwarePrinter
) -> None:
    software.start()
    async with cable(software, bad=True) as (printer, way):
        desk = await beside(house, printer)
        await desk.press()
        await desk.send()
        assert await desk.told() == (PrintJobState.PRINTING, UNREACHABLE)
        state, _ = await desk.ended()
        assert [await desk.send(), await desk.look()] == [False, False]
    assert (state, way.documents) == (PrintJobState.FAILED, 1)


async def test_trouble_of_the_printer_is_told_while_it_takes_the_pages(
    house: House, software: SoftwarePrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    software.start()
    monkeypatch.setattr(print_jobs, "LOOK_EVERY", datetime.timedelta(seconds=0.1))
    async with cable(software) as (printer, way):
        desk = await beside(house, printer)
        await desk.press()
        sending = asyncio.create_task(desk.send())
        await way.reached.wait()
        await asyncio.to_thread(software.empty_the_tray)
        async with asyncio.timeout(10):
            while (await desk.told())[1] == ():  # noqa: ASYNC110 - the printer rings no bell
                await asyncio.sleep(0.05)
        assert await desk.told() == (
            PrintJobState.SENDING,
            tuple(REASONS[reason] for reason in ("media-empty", "media-needed")),
        )
        way.blocked.set()
        assert await sending
    assert ((await desk.job()).state, software.printed()) == (PrintJobState.PRINTING, [await pdf(desk)])


# --- a person changes their mind


async def test_job_cancelled_before_it_was_sent_is_not_sent(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    await print_jobs.cancel_job(house.store, desk.settings, job_id)
    assert await desk.told() == (PrintJobState.CANCELED, ())
    assert not await desk.send()
    with pytest.raises(print_jobs.NotOpenError):
        await print_jobs.cancel_job(house.store, desk.settings, job_id)


async def test_job_cancelled_between_its_number_and_its_pages_is_not_sent(
    house: House, software: SoftwarePrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    create = printers.create

    async def cancelled_meanwhile(printer: Printer, *, name: str) -> int:
        number = await create(printer, name=name)
        await print_jobs.cancel_job(house.store, desk.settings, job_id)
        return number

    monkeypatch.setattr(printers, "create", cancelled_meanwhile)
    await desk.send()
    assert (await desk.told(), software.printed()) == ((PrintJobState.CANCELED, ()), [])


async def test_job_cancelled_in_the_printer_ends(house: House, software: SoftwarePrinter) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    await desk.send()
    await desk.until(lambda job: job.pages_done == 1)
    await print_jobs.cancel_job(house.store, desk.settings, job_id)
    software.bring_paper()
    assert await desk.ended() == (PrintJobState.CANCELED, ("The job was canceled.",))


async def test_job_of_somebody_else_is_not_cancelled(house: House, software: SoftwarePrinter) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    await desk.send()
    software.switch_off()
    software.start()
    number = (await desk.job()).printer_job
    assert await printers.create(software.printer, name="of-somebody-else") == number
    with pytest.raises(printers.JobGoneError):
        await print_jobs.cancel_job(house.store, desk.settings, job_id)
    assert number is not None
    others = await printers.job(software.printer, number, name="of-somebody-else")
    assert others.state is printers.JobState.HELD


async def test_job_that_is_being_sent_cannot_be_settled(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    job_id = await desk.press()
    with pytest.raises(print_jobs.NotOpenError):
        await print_jobs.settle_job(house.store, job_id, PrintJobState.FAILED)


async def test_job_names_nobody(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, software.printer)
    await desk.press()
    await desk.send()
    job = await desk.job()
    assert job.name == f"{desk.batch[:8]}-{job.id[:8]}"
    assert [path.name for path in software.spool.glob("*.pdf")] == [f"1-{job.name}.pdf"]


@both_engines
async def test_printer_that_takes_no_more_pages_keeps_no_other_waiting(house: House, software: SoftwarePrinter) -> None:
    software.start()
    desk = await beside(house, Printer(name="Stuck", uri="ipp://127.0.0.1:9/ipp/print"))
    stuck = await desk.press()
    async with house.store.database.writing() as connection:
        taking = {"printer_job": 7, "lease_owner": OTHER_WORKER, "lease_until": house.clock() + leases.LEASE}
        await connection.execute(sa.update(tables.print_jobs).values(**taking))
    batches = []
    for _ in range(2):
        await house.approved()
        batches.append(await house.rendered())
    settings = desk.settings.model_copy(update={"print": PrintSettings(printers=(desk.printer, software.printer))})
    behind = await print_jobs.send_batch(house.store, settings, batches[0], desk.printer.name)
    free = await print_jobs.send_batch(house.store, settings, batches[1], software.printer.name)
    printing = dataclasses.replace(house.printing, settings=settings)
    assert [await print_jobs.send_next(printing, WORKER_NAME) for _ in range(2)] == [True, False]
    async with house.store.database.reading() as connection:
        rows = await connection.execute(sa.select(tables.print_jobs.c.id, tables.print_jobs.c.state))
        states = {row.id: row.state for row in rows}
    assert (states[stuck], states[behind], states[free]) == ("sending", "sending", "printing")

"""A batch on its way through a printer, and whether printers are well."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from print import print_jobs
from print.print_jobs import PrintJobState
from relay.store import tables
from tests.print.software_printer import OUT_OF_PAPER, SoftwarePrinter, running_bus
from tests.workplaces import WORKER_NAME, Client, House, get, post

SILENT = "The printer does not answer. Is it switched on and connected?"
PATIENCE = 30
"""Seconds for what takes a fraction of one."""


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with running_bus() as address:
        yield address


@pytest.fixture
def software(bus: str, tmp_path: Path) -> Iterator[SoftwarePrinter]:
    """A printer that is not switched on yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        printer = SoftwarePrinter(bus, tmp_path / "spool", port=free.getsockname()[1])
    printer.spool.mkdir()
    yield printer
    printer.switch_off()


@pytest.fixture
def config(config: str, software: SoftwarePrinter) -> str:
    return f'{config}[[print.printers]]\nname = "Office"\nuri = "{software.printer.uri}"\n'


@pytest.fixture
async def batch(house: House) -> str:
    await house.approved()
    return await house.rendered()


async def job(house: House, batch: str, state: PrintJobState, **values: object) -> str:
    """A job of the batch in this state, whatever its printer does."""
    job_id = await print_jobs.send_batch(house.store, house.settings, batch, "Office")
    async with house.store.database.writing() as connection:
        row = tables.print_jobs.c.id == job_id
        await connection.execute(sa.update(tables.print_jobs).where(row).values(state=state, **values))
    return job_id


async def look(house: House) -> None:
    """What a worker does for jobs in printers, a while later."""
    house.clock.advance(seconds=3)
    await print_jobs.look_at_jobs(house.store, house.settings, WORKER_NAME)
    await asyncio.sleep(0.05)


async def test_batch_goes_straight_to_a_printer(
    house: House, office_client: Client, batch: str, software: SoftwarePrinter
) -> None:
    software.start()
    assert "Send to Office" in (await get(office_client, f"/en/print/{batch}")).screen.text
    place = f"/en/print/{batch}/printer"
    answer = await post(office_client, place, {"printer": "Office"})
    assert (answer.status, answer.location) == (303, place)
    waiting = await get(office_client, place)
    assert (waiting.headers["Refresh"], "Office: on its way to the printer" in waiting.screen.text) == ("2", True)
    assert "Refresh" not in (await get(office_client, f"{place}?still")).headers
    assert await print_jobs.send_next(house.printing, WORKER_NAME)
    async with asyncio.timeout(PATIENCE):
        while (await house.row(tables.print_jobs)).state == "printing":
            await look(house)
    done = await get(office_client, place)
    assert ("Refresh" in done.headers, "Office: printed" in done.screen.text) == (False, True)
    assert 'value="printed"' in done.screen.html
    assert software.printed() == [(await get(office_client, f"/en/print/{batch}.pdf")).body]


async def test_button_pressed_three_times_prints_once(house: House, office_client: Client, batch: str) -> None:
    form, place = {"printer": "Office"}, f"/en/print/{batch}/printer"
    answers = await asyncio.gather(*(post(office_client, place, form) for _ in range(3)))
    assert [answer.location for answer in answers] == [place] * 3
    assert len(await house.rows(tables.print_jobs)) == 1
    assert "Send to Office" not in (await get(office_client, f"/en/print/{batch}")).screen.text


@pytest.mark.parametrize("printer", ["", "Elsewhere"])
async def test_printer_that_does_not_exist(house: House, office_client: Client, batch: str, printer: str) -> None:
    assert (await post(office_client, f"/en/print/{batch}/printer", {"printer": printer})).status == 404
    assert await house.rows(tables.print_jobs) == []


async def test_batch_that_is_not_rendered_is_not_sent(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.batch()
    assert (await post(office_client, f"/en/print/{batch}/printer", {"printer": "Office"})).status == 404


async def test_batch_without_jobs_leads_back(office_client: Client, batch: str) -> None:
    assert (await get(office_client, f"/en/print/{batch}/printer")).location == f"/en/print/{batch}"


async def test_job_that_waits_is_cancelled(house: House, office_client: Client, batch: str) -> None:
    job_id = await job(house, batch, PrintJobState.SENDING)
    for _ in range(2):
        answer = await post(office_client, f"/en/print/{batch}/printer/{job_id}", {"do": "cancel"})
        assert (answer.status, answer.location) == (303, f"/en/print/{batch}/printer")
    assert (await house.row(tables.print_jobs)).state == "canceled"
    assert "Send to Office" in (await get(office_client, f"/en/print/{batch}")).screen.text


async def test_cancelling_where_the_printer_is_silent_says_so(house: House, office_client: Client, batch: str) -> None:
    job_id = await job(house, batch, PrintJobState.PRINTING, printer_job=7)
    answer = await post(office_client, f"/en/print/{batch}/printer/{job_id}", {"do": "cancel"})
    assert (answer.status, answer.screen.wrong, "Refresh" in answer.headers) == (409, [SILENT], False)
    assert (await house.row(tables.print_jobs)).state == "printing"


@pytest.mark.parametrize(("do", "state"), [("done", "done"), ("failed", "failed")])
async def test_person_says_what_became_of_pages(
    house: House, office_client: Client, batch: str, do: str, state: str
) -> None:
    job_id = await job(house, batch, PrintJobState.UNKNOWN, detail="The printer does not know these pages any more.")
    screen = (await get(office_client, f"/en/print/{batch}")).screen
    assert "Office: perhaps printed: please look" in screen.text
    assert screen.wrong == ["The printer does not know these pages any more."]
    assert (await post(office_client, f"/en/print/{batch}/printer/{job_id}", {"do": do})).status == 303
    assert (await house.row(tables.print_jobs)).state == state


@pytest.mark.parametrize("do", ["", "burn"])
async def test_job_knows_no_other_button(house: House, office_client: Client, batch: str, do: str) -> None:
    job_id = await job(house, batch, PrintJobState.PRINTING)
    assert (await post(office_client, f"/en/print/{batch}/printer/{job_id}", {"do": do})).status == 404


async def test_words_of_a_printer_are_shown_as_they_are(house: House, office_client: Client, batch: str) -> None:
    words = '<b onclick="x">%(100)s & 5 %</b>'
    await job(house, batch, PrintJobState.FAILED, pages_done=17, detail=f"It is out of paper.\n{words}")
    screen = (await get(office_client, f"/en/print/{batch}/printer")).screen
    assert "Office: not printed, or not all of it, 17 pages for 1 minute It is out of paper." in screen.text
    for place in (f"/en/print/{batch}", f"/en/print/{batch}/printer"):
        assert (await get(office_client, place)).screen.wrong == ["It is out of paper.", words]
    assert (await get(office_client, "/en/print")).screen.wrong[0] == "It is out of paper."


async def test_overview_says_how_printers_are(office_client: Client, software: SoftwarePrinter) -> None:
    assert (await get(office_client, "/en/print")).screen.wrong == [SILENT]
    software.start()
    screen = (await get(office_client, "/en/print")).screen
    assert ("Printers Office: ready" in screen.text, screen.wrong) == (True, [])


async def test_printer_that_stops_says_why(
    house: House, office_client: Client, batch: str, software: SoftwarePrinter
) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    await post(office_client, f"/en/print/{batch}/printer", {"printer": "Office"})
    sending = asyncio.create_task(print_jobs.send_next(house.printing, WORKER_NAME))
    async with asyncio.timeout(PATIENCE):
        while not (screen := (await get(office_client, f"/en/print/{batch}/printer")).screen).wrong:
            await look(house)
    assert screen.wrong == ["It is out of paper."]
    software.bring_paper()
    await sending

"""Printers over IPP: a real one in software, and what answers as no printer should."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from print import ipp, printers
from print.ipp import Operation, Tag
from print.printer_reasons import MOST_PROBLEMS
from print.printers import JobState, JobStatus, PrinterState, PrinterStatus
from relay.config import Printer
from tests.print.software_printer import BREAKS, OUT_OF_PAPER, SEES_OPTIONS, SoftwarePrinter, message_bus, software

__all__ = ["message_bus", "software"]

NAME = "0011aabb-ccdd2233"
STOPPED = "It is out of paper."


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "pages.pdf"
    canvas = Canvas(str(path))
    for number in range(4):
        canvas.drawString(100, 100, f"page {number}")
        canvas.showPage()
    canvas.save()
    return path


async def printed(printer: Printer, pdf: Path) -> int:
    """The number of a job that got its pages."""
    number = await printers.create(printer, name=NAME)
    await printers.send(printer, number, pdf)
    return number


async def until(printer: Printer, number: int, right: Callable[[JobStatus], bool]) -> JobStatus:
    """The state of a job once it is right."""
    async with asyncio.timeout(10):
        while not right(status := await printers.job(printer, number, name=NAME)):  # noqa: ASYNC110 - the printer rings no bell
            await asyncio.sleep(0.05)
    return status


def ended(status: JobStatus) -> bool:
    return status.state in printers.ENDED


# --- the real one


@pytest.mark.parametrize("encrypted", [False, True])
async def test_pages_arrive_as_they_are(software: SoftwarePrinter, pdf: Path, *, encrypted: bool) -> None:
    software.start()
    printer = software.encrypted if encrypted else software.printer
    status = await until(printer, await printed(printer, pdf), ended)
    assert (status.state, status.problems) == (JobState.COMPLETED, ())
    assert software.printed() == [pdf.read_bytes()]


async def test_pages_larger_than_what_is_sent_at_once_arrive(software: SoftwarePrinter, pdf: Path) -> None:
    with pdf.open("ab") as file:
        file.write(b"%" * 20 * printers.CHUNK)
    software.start()
    await until(software.printer, await printed(software.printer, pdf), ended)
    assert software.printed() == [pdf.read_bytes()]


async def test_printer_is_told_how_to_print_and_nothing_about_us(software: SoftwarePrinter, pdf: Path) -> None:
    software.script = SEES_OPTIONS
    software.start()
    await until(software.printer, await printed(software.printer, pdf), ended)
    options = dict(line.split("=", 1) for line in (software.spool / "options").read_text().splitlines())
    ours = ("SIDES", "MEDIA", "COPIES", "JOB_NAME", "JOB_ORIGINATING_USER_NAME", "DOCUMENT_FORMAT_SUPPLIED")
    assert {name: options.get(f"IPP_{name}") for name in ours} == {
        "SIDES": "two-sided-long-edge",
        "MEDIA": "iso_a4_210x297mm",
        "COPIES": "1",
        "JOB_NAME": NAME,
        "JOB_ORIGINATING_USER_NAME": "office",
        "DOCUMENT_FORMAT_SUPPLIED": "application/pdf",
    }


async def test_printer_out_of_paper_says_so_and_goes_on(software: SoftwarePrinter, pdf: Path) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    number = await printed(software.printer, pdf)
    waits = await until(software.printer, number, lambda status: status.pages_done == 1)
    assert waits == JobStatus(JobState.PROCESSING, 1, (STOPPED,))
    assert (await printers.status(software.printer)).problems == (STOPPED,)
    software.bring_paper()
    assert await until(software.printer, number, ended) == JobStatus(JobState.COMPLETED, 4)


async def test_job_that_the_printer_gives_up_is_aborted(software: SoftwarePrinter, pdf: Path) -> None:
    software.script = BREAKS
    software.start()
    status = await until(software.printer, await printed(software.printer, pdf), ended)
    assert (status.state, status.problems) == (JobState.ABORTED, ("The printer gave up.",))


async def test_job_without_its_pages_is_incomplete(software: SoftwarePrinter) -> None:
    software.start()
    number = await printers.create(software.printer, name=NAME)
    status = await printers.job(software.printer, number, name=NAME)
    assert (status.incomplete, status.problems) == (True, ())


async def test_cancelled_job_ends(software: SoftwarePrinter, pdf: Path) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    number = await printed(software.printer, pdf)
    await until(software.printer, number, lambda status: status.pages_done == 1)
    await printers.cancel(software.printer, number)
    software.bring_paper()
    assert (await until(software.printer, number, ended)).state is JobState.CANCELED
    with pytest.raises(printers.PrinterRefusedError) as refused:
        await printers.cancel(software.printer, number)
    assert refused.value.code == 0x0404


async def test_printer_that_loses_power_while_printing_is_unreachable_then_knows_nothing(
    software: SoftwarePrinter, pdf: Path
) -> None:
    software.script = OUT_OF_PAPER
    software.start()
    number = await printed(software.printer, pdf)
    software.switch_off()
    with pytest.raises(printers.PrinterUnreachableError):
        await printers.job(software.printer, number, name=NAME)
    software.start()
    with pytest.raises(printers.JobGoneError):
        await printers.job(software.printer, number, name=NAME)
    assert await printers.create(software.printer, name="of-somebody-else") == number
    with pytest.raises(printers.JobGoneError):
        await printers.job(software.printer, number, name=NAME)


async def test_printer_that_is_ready_is_fit(software: SoftwarePrinter) -> None:
    software.start()
    assert await printers.status(software.printer) == PrinterStatus(
        reachable=True, state=PrinterState.IDLE, model="Example Printer", pdf=True, two_sided=True
    )


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"formats": "image/pwg-raster"}, printers.NoPdfPrinterError),
        ({"options": ()}, printers.OneSidedPrinterError),
    ],
)
async def test_unfit_printer_is_named_and_gets_nothing(
    software: SoftwarePrinter, change: dict[str, Any], refusal: type[printers.UnfitPrinterError]
) -> None:
    for name, value in change.items():
        setattr(software, name, value)
    software.start()
    assert (await printers.status(software.printer)).unfit == refusal.sentence
    with pytest.raises(refusal):
        await printers.create(software.printer, name=NAME)
    with pytest.raises(printers.JobGoneError):
        await printers.job(software.printer, 1, name=NAME)


async def test_address_of_no_printer_at_a_printer_is_refused(software: SoftwarePrinter) -> None:
    software.start()
    astray = Printer(name="Office", uri=software.printer.uri.replace("/ipp/print", "/ipp/wrong"))
    status = await printers.status(astray)
    assert (status.reachable, status.problems) == (
        False,
        ("The printer refused.", f"printer-uri {astray.uri} not found. (0x0406)"),
    )


# --- others


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[Printer]:
    """A server that answers every request with this."""
    site = web.Application()
    site.router.add_route("*", "/ipp/print", handler)
    runner = web.AppRunner(site, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Printer(name="Office", uri=f"ipp://127.0.0.1:{runner.addresses[0][1]}/ipp/print")
    finally:
        await runner.cleanup()


def message(*attributes: bytes, status: int = 0, group: int = 4) -> bytes:
    """An answer with these encoded attributes in one group."""
    return struct.pack(">HHiB", 0x0101, status, 1, group) + b"".join(attributes) + b"\x03"


def attribute(tag: int, name: str, value: bytes) -> bytes:
    return bytes([tag]) + struct.pack(">H", len(name)) + name.encode() + struct.pack(">H", len(value)) + value


def said(body: bytes, **options: Any) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(**{"body": body, "content_type": ipp.MEDIA_TYPE} | options)

    return answer


async def breaks_off(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": ipp.MEDIA_TYPE, "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(message()[:6])
    assert request.transport is not None
    request.transport.close()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": ipp.MEDIA_TYPE})
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 16))


LONG_NUMBER = attribute(Tag.INTEGER, "printer-state-reasons", b"\x01" * 5000)
"""A number that is not to be written out."""
BACKWARDS = message()[:-1] + b"\x44\x00\x00\xff\xfb\x03"
"""A length that read with its sign leads back to where it stands."""


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (said(b"<html>", content_type="text/html"), printers.NotAPrinterError),
        (said(bytes(range(256)) * 50), printers.NotAPrinterError),
        (said(b""), printers.NotAPrinterError),
        (said(BACKWARDS), printers.NotAPrinterError),
        (said(message()[:-1]), printers.NotAPrinterError),
        (said(b"", status=302, headers={"Location": "http://192.0.2.1/"}), printers.NotAPrinterError),
        (said(b"", status=500), printers.NotAPrinterError),
        (said(b"", status=401), printers.PasswordWantedError),
        (said(message(status=0x0402)), printers.PasswordWantedError),
        (said(b"", status=426), printers.EncryptionWantedError),
        (said(message(status=0x0507)), printers.PrinterBusyError),
        (said(message(status=0x0501)), printers.PrinterRefusedError),
        (said(message(attribute(Tag.ENUM, "job-id", b""))), printers.NotAPrinterError),
        (
            said(message(attribute(Tag.ENUM, "job-state", b"\x63"), attribute(Tag.ENUM, "printer-state", b"\x63"))),
            printers.NotAPrinterError,
        ),
        (said(message(LONG_NUMBER)), printers.NotAPrinterError),
        (endless, printers.NotAPrinterError),
        (half, printers.PrinterUnreachableError),
        (breaks_off, printers.PrinterUnreachableError),
    ],
)
async def test_bad_answer_is_told_as_a_sentence(handler: Handler, error: type[printers.PrinterError]) -> None:
    async with answering(handler) as printer:
        with pytest.raises(printers.PrinterError) as raised:
            await printers.job(printer, 1, name=NAME)
        assert type(raised.value) is error
        status = await printers.status(printer)
        assert (status.reachable, status.problems[0]) == (False, error.sentence)


async def test_server_of_something_else_is_no_printer() -> None:
    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-example\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greets, "127.0.0.1", 0)
    async with server:
        printer = Printer(name="Office", uri=f"ipp://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert (await printers.status(printer)).problems == (printers.NotAPrinterError.sentence,)


async def test_silent_printer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printers, "ANSWER_SECONDS", 0.2)

    enough = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await enough.wait()
        return web.Response()

    async with answering(silent) as printer:
        with pytest.raises(printers.PrinterUnreachableError):
            await printers.create(printer, name=NAME)
        enough.set()


async def test_pages_are_sent_once_where_the_connection_breaks(pdf: Path) -> None:
    asked = 0

    async def breaks_later(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await request.read()
        return await breaks_off(request)

    async with answering(breaks_later) as printer:
        with pytest.raises(printers.PrinterUnreachableError):
            await printers.send(printer, 1, pdf)
    assert asked == 1


async def test_printer_without_a4_or_without_empty_jobs_is_unfit() -> None:
    has = [
        attribute(Tag.ENUM, "printer-state", struct.pack(">i", 5)),
        attribute(Tag.MIME_TYPE, "document-format-supported", b"application/pdf"),
        attribute(Tag.KEYWORD, "sides-supported", b"two-sided-long-edge"),
    ]
    async with answering(said(message(*has))) as printer:
        status = await printers.status(printer)
        assert (status.state, status.unfit) == (PrinterState.STOPPED, printers.NoA4PrinterError.sentence)
    has.append(attribute(Tag.KEYWORD, "media-supported", b"iso_a4_210x297mm"))
    async with answering(said(message(*has))) as printer:
        assert (await printers.status(printer)).unfit == printers.OldPrinterError.sentence


async def test_printer_that_can_leave_the_scale_alone_is_asked_to() -> None:
    asked: list[dict[str, list[ipp.Value]]] = []
    can = message(
        attribute(Tag.MIME_TYPE, "document-format-supported", b"application/pdf"),
        attribute(Tag.KEYWORD, "sides-supported", b"two-sided-long-edge"),
        attribute(Tag.KEYWORD, "media-supported", b"iso_a4_210x297mm"),
        attribute(Tag.ENUM, "operations-supported", struct.pack(">i", Operation.CREATE_JOB)),
        attribute(Tag.ENUM, "", struct.pack(">i", Operation.SEND_DOCUMENT)),
        attribute(Tag.KEYWORD, "print-scaling-supported", b"none"),
        attribute(Tag.INTEGER, "job-id", struct.pack(">i", 7)),
    )

    async def remembers(request: web.Request) -> web.StreamResponse:
        asked.append(ipp.answer(await request.read()).attributes)  # requests are built as answers are
        return web.Response(body=can, content_type=ipp.MEDIA_TYPE)

    async with answering(remembers) as printer:
        assert await printers.create(printer, name=NAME) == 7
    assert asked[1]["print-scaling"] == ["none"]


async def test_unknown_reason_is_shown_as_it_is() -> None:
    reasons = b"".join(
        attribute(Tag.KEYWORD, "printer-state-reasons" if number == 0 else "", reason)
        for number, reason in enumerate((b"media-jam-error", b"com.example-cheese-low", b"door-open", b"cover-open"))
    )
    state = attribute(Tag.ENUM, "printer-state", struct.pack(">i", 5))
    async with answering(said(message(state, reasons))) as printer:
        assert (await printers.status(printer)).problems == (
            "Paper is jammed.",
            "com.example-cheese-low",
            "A door or cover is open.",
        )


async def test_what_a_printer_says_is_kept_short_and_plain() -> None:
    many = [b"", b"nul\0and\nnewline", *(b"x-%d" % number for number in range(99)), b"long" * 999]
    reasons = b"".join(
        attribute(Tag.KEYWORD, "" if number else "printer-state-reasons", reason) for number, reason in enumerate(many)
    )
    state = attribute(Tag.ENUM, "printer-state", struct.pack(">i", 5))
    async with answering(said(message(state, reasons))) as printer:
        problems = (await printers.status(printer)).problems
    assert problems == ("nulandnewline", *(f"x-{number}" for number in range(MOST_PROBLEMS - 1)))


async def test_number_that_no_job_has_is_not_taken() -> None:
    fit = (("document-format-supported", b"application/pdf"), ("sides-supported", b"two-sided-long-edge"))
    can = [attribute(Tag.KEYWORD, *one) for one in (*fit, ("media-supported", b"iso_a4_210x297mm"))]
    can += [attribute(Tag.ENUM, "operations-supported" if of == 5 else "", struct.pack(">i", of)) for of in (5, 6)]
    async with answering(said(message(*can, attribute(Tag.INTEGER, "job-id", struct.pack(">i", -7))))) as printer:
        with pytest.raises(printers.NotAPrinterError):
            await printers.create(printer, name=NAME)


# --- messages


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(raw: bytes) -> None:
    try:
        ipp.answer(raw)
    except ipp.BadMessageError:
        return
    assert b"\x03" in raw[8:]


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_any_fields_are_a_message_or_refused(fields: list[bytes]) -> None:
    body = b"".join(b"\x44" + struct.pack(">H", len(one)) + one for one in fields)
    try:
        ipp.answer(message()[:-1] + body + b"\x03")
    except ipp.BadMessageError:
        return


def test_collections_and_what_was_not_understood_are_left_out() -> None:
    collection = (
        attribute(Tag.COLLECTION, "media-col-default", b"")
        + attribute(0x4A, "", b"media-type")
        + attribute(Tag.KEYWORD, "", b"stationery")
        + attribute(Tag.COLLECTION_END, "", b"")
    )
    rest = attribute(Tag.KEYWORD, "sides-supported", b"one-sided") + attribute(0x13, "printer-location", b"")
    unsupported = b"\x05" + attribute(Tag.KEYWORD, "sides", b"two-sided-long-edge")
    answer = ipp.answer(message(collection, rest, unsupported))
    assert answer.attributes == {"media-col-default": [], "sides-supported": ["one-sided"], "printer-location": []}


def test_text_with_its_language_is_read() -> None:
    text = struct.pack(">H2sH5s", 2, b"sv", 5, b"Stopp")
    answer = ipp.answer(message(attribute(Tag.TEXT_WITH_LANGUAGE, "printer-info", text)))
    assert answer.attributes == {"printer-info": ["Stopp"]}


def test_request_is_what_the_standard_shows() -> None:
    """RFC 8010, appendix A.1, gives this order of attributes and this form of several values."""
    raw = ipp.request(
        Operation.GET_PRINTER_ATTRIBUTES,
        "ipp://printer.example/ipp/print",
        None,
        "office",
        [(Tag.KEYWORD, "requested-attributes", "sides-supported", "printer-state")],
        [],
    )
    assert raw == (
        b"\x01\x01\x00\x0b\x00\x00\x00\x01\x01"
        b"\x47\x00\x12attributes-charset\x00\x05utf-8"
        b"\x48\x00\x1battributes-natural-language\x00\x02en"
        b"\x45\x00\x0bprinter-uri\x00\x1fipp://printer.example/ipp/print"
        b"\x42\x00\x14requesting-user-name\x00\x06office"
        b"\x44\x00\x14requested-attributes\x00\x0fsides-supported"
        b"\x44\x00\x00\x00\x0dprinter-state"
        b"\x03"
    )

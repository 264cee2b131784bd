"""Printers that are reached over IPP, through `ipptool` of CUPS.

ipptool builds the request, speaks HTTP and TLS, streams the file and takes the answer apart, in a process of its own
that a printer may confuse or keep waiting; we read its XML. It needs no CUPS server, which would keep a copy of the
pages on its disk. See docs/decisions/printers.md.

A job is made empty (Create-Job) and gets its pages in a second step (Send-Document). Whoever writes the number down
between the two can always ask what became of the pages, and never has to send them twice. RFC 8011 for operations and
attributes, PWG 5100.9 and 5100.13 for reasons and scaling.
"""

from __future__ import annotations

import asyncio
import plistlib
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from relay.config import Printer

PDF: Final = "application/pdf"
A4: Final = "iso_a4_210x297mm"
"""PWG 5101.1."""
BOTH_SIDES: Final = "two-sided-long-edge"
UNSCALED: Final = "none"
NEEDED_OPERATIONS: Final = frozenset({5, 6})
"""Create-Job and Send-Document."""
USER: Final = "office"
"""Who prints, as the printer shows it: it names nobody."""

ANSWER_SECONDS: Final = 8
"""How long a printer may be silent, or take for its whole answer. A sleeping one needs some seconds."""
SENDING_SECONDS: Final = 3600
"""How long a printer may take no more of the pages: with little memory it takes them as it prints, and somebody may
have to bring paper first."""
LONGEST_ANSWER: Final = 1 << 20
"""Bytes of XML; the usual answers have a few thousand."""


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class PrinterError(Exception):
    """A printer cannot do what it is asked. As a text it is a sentence for a person, to be translated where shown."""

    sentence = ""

    def __init__(self) -> None:
        """Take the sentence."""
        super().__init__(self.sentence)


class PrinterUnreachableError(PrinterError):
    """Nothing answers, or not in time."""

    sentence = _("The printer does not answer. Is it switched on and connected?")


class NotAPrinterError(PrinterError):
    """What answers does not speak IPP, or no IPP that can be understood."""

    sentence = _("What answers at this address does not speak as a printer does. Check the address in the settings.")


class PasswordWantedError(PrinterError):
    """The printer wants to know who prints."""

    sentence = _("The printer wants a password, which it cannot be given. Let it print for the office without one.")


class PrinterRefusedError(PrinterError):
    """The printer refused."""

    sentence = _("The printer refused.")

    def __init__(self, status: str) -> None:
        """Take the status of the answer: a keyword of RFC 8011, section 4.1.6, such as server-error-busy."""
        super().__init__()
        self.status = status


class JobGoneError(PrinterError):
    """The printer has no such job."""

    sentence = _("The printer does not know these pages any more. Look whether they lie there.")


class UnfitPrinterError(PrinterError):
    """The printer cannot print our pages as they have to be; nothing was sent."""


class NoPdfPrinterError(UnfitPrinterError):
    """The printer does not take PDF."""

    sentence = _("This printer does not take PDF. Download the pages and print them from a computer that knows it.")


class OneSidedPrinterError(UnfitPrinterError):
    """The printer does not turn the paper over, and backs would come out as sheets of their own."""

    sentence = _(
        "This printer does not print on both sides. Download the pages, print the odd ones, put the stack back and "
        "print the even ones."
    )


class NoA4PrinterError(UnfitPrinterError):
    """The printer takes no A4."""

    sentence = _("This printer takes no paper of the size A4.")


class OldPrinterError(UnfitPrinterError):
    """The printer has not the operations by which pages can never be sent twice."""

    sentence = _("This printer is too old to be used from here. Download the pages and print them from a computer.")


class JobState(IntEnum):
    """States of a job; RFC 8011, section 5.3.7."""

    PENDING = 3
    HELD = 4
    PROCESSING = 5
    STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


ENDED: Final = (JobState.CANCELED, JobState.ABORTED, JobState.COMPLETED)


class PrinterState(IntEnum):
    """States of a printer; RFC 8011, section 5.4.11."""

    IDLE = 3
    PRINTING = 4
    STOPPED = 5


PRINTER_STATES: Final = {
    PrinterState.IDLE: _("ready"),
    PrinterState.PRINTING: _("printing"),
    PrinterState.STOPPED: _("stopped"),
}

QUIET: Final = frozenset(
    {
        "none",
        "job-completed-successfully",
        "job-incoming",
        "job-data-insufficient",
        "job-interpreting",
        "job-outgoing",
        "job-printing",
        "job-queued",
        "job-queued-for-marker",
        "job-spooling",
        "job-streaming",
        "job-transforming",
        "job-fetchable",
    }
)
"""Reasons of states that are no trouble."""
INCOMPLETE: Final = frozenset({"job-incoming", "job-data-insufficient"})
"""The printer has not got all pages of a job."""

_OUT_OF_PAPER: Final = _("It is out of paper.")
_OUT_OF_TONER: Final = _("It is out of toner or ink.")
_LITTLE_TONER: Final = _("Toner or ink is running low.")
_OPEN: Final = _("A door or cover is open.")
_PAUSED: Final = _("It is paused: press the button at the printer, or resume it in its own settings.")
_STOPPED: Final = _("It is stopped.")
_OFFLINE: Final = _("It is offline.")
_WASTE: Final = _("The container for used toner or ink is full.")
_OUTPUT_FULL: Final = _("The output tray is full.")
_UNREADABLE: Final = _("It cannot read the file.")
_CANCELED: Final = _("It was canceled.")
_GAVE_UP: Final = _("The printer gave up.")
_HELD: Final = _("It is held back at the printer.")
_CHECK: Final = _("The printer reports faults: look through all the pages.")

REASONS: Final = {
    "media-empty": _OUT_OF_PAPER,
    "media-needed": _("It waits for paper: put A4 into the tray, and confirm at the printer if it asks."),
    "media-low": _("Paper is running low."),
    "media-jam": _("Paper is jammed."),
    "input-tray-missing": _("A paper tray is missing or open."),
    "output-tray-missing": _("The output tray is missing."),
    "output-area-full": _OUTPUT_FULL,
    "output-area-almost-full": _("The output tray is nearly full."),
    "door-open": _OPEN,
    "cover-open": _OPEN,
    "interlock-open": _OPEN,
    "toner-empty": _OUT_OF_TONER,
    "marker-supply-empty": _OUT_OF_TONER,
    "toner-low": _LITTLE_TONER,
    "marker-supply-low": _LITTLE_TONER,
    "marker-supply-missing": _("A cartridge is missing."),
    "marker-waste-full": _WASTE,
    "marker-waste-almost-full": _("The container for used toner or ink is nearly full."),
    "paused": _PAUSED,
    "moving-to-paused": _PAUSED,
    "stopped-partly": _STOPPED,
    "stopping": _STOPPED,
    "printer-stopped": _STOPPED,
    "printer-stopped-partly": _STOPPED,
    "shutdown": _OFFLINE,
    "offline": _OFFLINE,
    "connecting-to-device": _OFFLINE,
    "timed-out": _OFFLINE,
    "spool-area-full": _("Its memory is full."),
    "fuser-over-temp": _("It has to cool down."),
    "fuser-under-temp": _("It warms up."),
    "resources-are-not-ready": _("It waits for paper of another size or kind, or for a cartridge."),
    "job-canceled-by-user": _CANCELED,
    "job-canceled-by-operator": _CANCELED,
    "job-canceled-at-device": _CANCELED,
    "canceled-at-device": _CANCELED,
    "processing-to-stop-point": _CANCELED,
    "aborted-by-system": _GAVE_UP,
    "job-completed-with-warnings": _CHECK,
    "job-completed-with-errors": _CHECK,
    "job-hold-until-specified": _HELD,
    "job-password-wait": _HELD,
    "job-release-wait": _HELD,
    "unsupported-document-format": _UNREADABLE,
    "document-format-error": _UNREADABLE,
    "document-unprintable-error": _UNREADABLE,
    "unsupported-compression": _UNREADABLE,
    "compression-error": _UNREADABLE,
}
"""What reasons of jobs and printers mean, without their severity. The others are shown as they are."""
SEVERITIES: Final = ("-error", "-warning", "-report")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is."""

    state: JobState
    pages_done: int
    """Printed sides, or sheets of a printer that counts no sides."""
    problems: tuple[str, ...] = ()
    """Sentences to be translated where they are shown, or words of the printer."""
    incomplete: bool = False
    """Whether the printer still waits for pages."""


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """How a printer is."""

    reachable: bool
    state: PrinterState | None = None
    model: str = ""
    problems: tuple[str, ...] = ()
    """As those of a job; where the printer cannot be reached or understood, why."""
    pdf: bool = False
    two_sided: bool = False
    unfit: str | None = None
    """The sentence of the UnfitPrinterError that `create` would raise."""


async def status(printer: Printer) -> PrinterStatus:
    """How a printer is; raises nothing."""
    try:
        attributes = await _describe(printer)
    except PrinterError as error:
        return PrinterStatus(reachable=False, problems=told(error))
    unfit = _unfit(attributes)
    return PrinterStatus(
        reachable=True,
        state=_state(attributes),
        model=str(attributes.get("printer-make-and-model", "")),
        problems=_problems(_values(attributes, "printer-state-reasons")),
        pdf=PDF in _values(attributes, "document-format-supported"),
        two_sided=BOTH_SIDES in _values(attributes, "sides-supported"),
        unfit=str(unfit) if unfit else None,
    )


async def create(printer: Printer, *, name: str, copies: int = 1) -> int:
    """Make an empty job and return its number; `name` (letters, digits, hyphens) shows at the printer.

    The printer drops it where no pages follow. Raises UnfitPrinterError and other kinds of PrinterError.
    """
    attributes = await _describe(printer)
    if unfit := _unfit(attributes):
        raise unfit
    wanted = [f"ATTR keyword sides {BOTH_SIDES}", f"ATTR keyword media {A4}", f"ATTR integer copies {copies}"]
    # The PDF itself asks for it too. A printer that does not know the attribute might refuse the job for it.
    if UNSCALED in _values(attributes, "print-scaling-supported"):
        wanted.append(f"ATTR keyword print-scaling {UNSCALED}")
    request = _request("Create-Job", f'ATTR name job-name "{name}"', "GROUP job-attributes-tag", *wanted)
    (made,) = await _ask(printer, request)
    number = made.get("job-id")
    if not isinstance(number, int):
        raise NotAPrinterError
    return number


async def send(printer: Printer, job_id: int, pdf: Path) -> None:
    """Give a job its pages; returns when the printer has them all, which may be when most of them are printed.

    Cancelled, or where it raises PrinterError, part of the pages may be there: ask with `job`.
    """
    pages = (f"ATTR mimeMediaType document-format {PDF}", "ATTR boolean last-document true", "FILE $filename")
    await _ask(printer, _request("Send-Document", *pages, job=job_id), file=pdf)


async def job(printer: Printer, job_id: int, *, name: str) -> JobStatus:
    """How far a job is. Raises JobGoneError where the number is not, or no more, that of a job of this name."""
    asked = "job-name,job-state,job-state-reasons,job-impressions-completed,job-media-sheets-completed"
    found, of_printer = await _ask(
        printer,
        _request("Get-Job-Attributes", f"ATTR keyword requested-attributes {asked}", job=job_id),
        _request("Get-Printer-Attributes", "ATTR keyword requested-attributes printer-state,printer-state-reasons"),
        of_job=True,
    )
    # A printer that was switched off may count from 1 again. One that hides the names of jobs gives none.
    if found.get("job-name", name) != name:
        raise JobGoneError
    try:
        state = JobState(found["job-state"])
    except (KeyError, ValueError):
        raise NotAPrinterError from None
    reasons = _values(found, "job-state-reasons")
    done = [found.get(count) for count in ("job-impressions-completed", "job-media-sheets-completed")]
    if state not in ENDED:
        reasons += _values(of_printer, "printer-state-reasons")
    return JobStatus(
        state,
        next((count for count in done if isinstance(count, int) and count > 0), 0),
        _problems(reasons),
        incomplete=state not in ENDED and not INCOMPLETE.isdisjoint(reasons),
    )


async def cancel(printer: Printer, job_id: int) -> None:
    """Cancel a job; what is printed is printed. Raises JobGoneError and PrinterRefusedError, as for one that ended."""
    await _ask(printer, _request("Cancel-Job", job=job_id), of_job=True)


def told(error: PrinterError) -> tuple[str, ...]:
    """What an error says, in the form of `JobStatus.problems`."""
    return (str(error), error.status) if isinstance(error, PrinterRefusedError) else (str(error),)


async def _describe(printer: Printer) -> dict[str, Any]:
    asked = (
        "printer-state,printer-state-reasons,printer-make-and-model,document-format-supported,sides-supported,"
        "media-supported,print-scaling-supported,operations-supported"
    )
    (found,) = await _ask(printer, _request("Get-Printer-Attributes", f"ATTR keyword requested-attributes {asked}"))
    return found


def _unfit(attributes: dict[str, Any]) -> UnfitPrinterError | None:
    if PDF not in _values(attributes, "document-format-supported"):
        return NoPdfPrinterError()
    if BOTH_SIDES not in _values(attributes, "sides-supported"):
        return OneSidedPrinterError()
    if A4 not in _values(attributes, "media-supported"):
        return NoA4PrinterError()
    if not NEEDED_OPERATIONS <= set(_values(attributes, "operations-supported")):
        return OldPrinterError()
    return None


def _state(attributes: dict[str, Any]) -> PrinterState | None:
    try:
        return PrinterState(attributes["printer-state"])
    except (KeyError, ValueError):
        return None


def _values(attributes: dict[str, Any], name: str) -> list[Any]:
    """The values of an attribute; a single one does not come as a list."""
    value = attributes.get(name, [])
    return value if isinstance(value, list) else [value]


def _problems(reasons: Iterable[object]) -> tuple[str, ...]:
    def sentences() -> Iterator[str]:
        for reason in map(str, reasons):
            if reason in QUIET:
                continue
            plain = reason
            for severity in SEVERITIES:
                plain = plain.removesuffix(severity)
            yield REASONS.get(reason) or REASONS.get(plain) or reason

    return tuple(dict.fromkeys(sentences()))


def _request(operation: str, *lines: str, job: int | None = None) -> str:
    """A request as ipptool reads it; `$uri` is the printer's."""
    return "\n".join(
        (
            "{",
            f"OPERATION {operation}",
            "GROUP operation-attributes-tag",
            "ATTR charset attributes-charset utf-8",
            "ATTR language attributes-natural-language en",
            "ATTR uri printer-uri $uri",
            *([] if job is None else [f"ATTR integer job-id {job}"]),
            f"ATTR name requesting-user-name {USER}",
            *lines,
            "}\n",
        )
    )


async def _ask(
    printer: Printer, *requests: str, file: Path | None = None, of_job: bool = False
) -> tuple[dict[str, Any], ...]:
    """The attributes of each answer, all groups in one. The requests go out as one, until one is refused."""
    silence = SENDING_SECONDS if file else ANSWER_SECONDS
    process = await asyncio.create_subprocess_exec(
        *("ipptool", "-X", "-T", str(silence), *(("-f", str(file)) if file else ()), printer.uri, "/dev/stdin"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,  # no terminal on which it could ask for a password, and no Ctrl-C from there
    )
    try:
        async with asyncio.timeout(None if file else ANSWER_SECONDS):
            report = await _communicate(process, "".join(requests).encode())
    except TimeoutError:
        raise PrinterUnreachableError from None
    finally:
        if process.returncode is None:
            process.kill()  # it takes a SIGTERM only between two requests
            await process.wait()
    return tuple(_attributes(answer, of_job=of_job) for answer in _answers(report))


async def _communicate(process: asyncio.subprocess.Process, requests: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(requests)
    process.stdin.close()
    report = b""
    while chunk := await process.stdout.read(LONGEST_ANSWER):
        report += chunk
        if len(report) > LONGEST_ANSWER:
            raise NotAPrinterError
    await process.wait()
    return report


def _answers(report: bytes) -> list[dict[str, Any]]:
    end = b"</plist>"
    try:
        # After several requests a summary follows.
        read = plistlib.loads(report[: report.index(end) + len(end)], fmt=plistlib.FMT_XML)
    except (ValueError, ExpatError, plistlib.InvalidFileException):
        raise NotAPrinterError from None
    if not read.get("Tests"):
        raise PrinterUnreachableError
    answers: list[dict[str, Any]] = read["Tests"]
    return answers


def _attributes(answer: dict[str, Any], *, of_job: bool) -> dict[str, Any]:
    # Whether the answer keeps every rule, which ipptool checks as well, matters to nobody here.
    status_code: str = answer["StatusCode"]
    attributes = {name: value for group in answer["ResponseAttributes"] for name, value in group.items()}
    if status_code in {"client-error-not-authenticated", "client-error-not-authorized", "client-error-forbidden"}:
        raise PasswordWantedError
    if not attributes:
        # It was silent, where ipptool has no complaint, or it answered, but not with a message of IPP.
        raise PrinterUnreachableError if status_code.startswith("successful") else NotAPrinterError
    if of_job and status_code in {"client-error-not-found", "client-error-gone"}:
        raise JobGoneError
    if not status_code.startswith("successful"):
        raise PrinterRefusedError(status_code)
    return attributes

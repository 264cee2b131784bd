"""Printers that are reached over IPP: their state, and jobs with our pages.

A job is made empty (Create-Job) and gets its pages in a second step (Send-Document). Whoever writes the number down
between the two can always ask what became of the pages, and never has to send them twice. RFC 8011 for operations and
attributes, PWG 5100.9 and 5100.13 for reasons and scaling; docs/decisions/printers.md for why no library does this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from print import ipp
from print.ipp import Attribute, Operation, Tag
from print.printer_reasons import problems_of
from relay.config import Printer

PDF: Final = "application/pdf"
A4: Final = "iso_a4_210x297mm"
"""PWG 5101.1."""
BOTH_SIDES: Final = "two-sided-long-edge"
UNSCALED: Final = "none"
NEEDED_OPERATIONS: Final = frozenset({Operation.CREATE_JOB, Operation.SEND_DOCUMENT})
USER: Final = "office"
"""Who prints, as the printer shows it: it names nobody."""

PORT: Final = 631
ANSWER_SECONDS: Final = 8
"""How long an answer may take. A printer that sleeps needs some seconds."""
SENDING_SECONDS: Final = 6 * 3600
"""How long a printer may take to receive all pages: with little memory it takes them as it prints, and somebody may
have to bring paper first."""
LONGEST_ANSWER: Final = 1 << 18
"""Bytes; usual answers to what we ask have some hundreds."""
CHUNK: Final = 1 << 16

UNAUTHENTICATED: Final = 0x0402
BUSY: Final = 0x0507
NOT_THERE: Final = frozenset({0x0406, 0x0407})
"""Not found, and gone."""
SUCCESSFUL: Final = range(0x0100)


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
    """What answers does not speak IPP."""

    sentence = _("What answers at this address does not speak as a printer does. Check the address in the settings.")


class PasswordWantedError(PrinterError):
    """The printer wants to know who prints."""

    sentence = _("The printer wants a password, which it cannot be given. Let it print for the office without one.")


class EncryptionWantedError(PrinterError):
    """The printer takes no plain connection."""

    sentence = _("The printer wants an encrypted connection: in the settings, its address has to begin with ipps.")


class PrinterRefusedError(PrinterError):
    """The printer refused."""

    sentence = _("The printer refused.")

    def __init__(self, code: int, message: str) -> None:
        """Take the status of the answer (RFC 8011, appendix B) and what the printer says about it."""
        super().__init__()
        self.code = code
        self.said = f"{message} (0x{code:04x})".strip()


class PrinterBusyError(PrinterError):
    """The printer takes one job at a time, and has one."""

    sentence = _("The printer is busy. It gets the pages when it is free.")


class JobGoneError(PrinterError):
    """The printer has no such job."""

    sentence = _("The printer does not know these pages any more. Check whether they came out.")


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


COUNTS: Final = ("job-impressions-completed", "job-media-sheets-completed")
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

INCOMPLETE: Final = frozenset({"job-incoming", "job-data-insufficient"})
"""The printer has not got all pages of a job."""


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
        found = await _describe(printer)
        state = found.state("printer-state", PrinterState)
    except PrinterError as error:
        return PrinterStatus(reachable=False, problems=told(error))
    unfit = _unfit(found)
    return PrinterStatus(
        reachable=True,
        state=state,
        model=found.text("printer-make-and-model"),
        problems=problems_of(found.all("printer-state-reasons")),
        pdf=PDF in found.all("document-format-supported"),
        two_sided=BOTH_SIDES in found.all("sides-supported"),
        unfit=str(unfit) if unfit else None,
    )


async def create(printer: Printer, *, name: str) -> int:
    """Make an empty job and return its number; its name shows at the printer.

    The printer drops it where no pages follow. Raises UnfitPrinterError and other kinds of PrinterError.
    """
    describes = await _describe(printer)
    if unfit := _unfit(describes):
        raise unfit
    wanted: list[Attribute] = [
        (Tag.KEYWORD, "sides", BOTH_SIDES),
        (Tag.KEYWORD, "media", A4),
        (Tag.INTEGER, "copies", 1),  # whatever its panel says
    ]
    # The PDF itself asks for it too. A printer that does not know the attribute might refuse the job for it.
    if UNSCALED in describes.all("print-scaling-supported"):
        wanted.append((Tag.KEYWORD, "print-scaling", UNSCALED))
    made = await _ask(printer, Operation.CREATE_JOB, (Tag.NAME, "job-name", name), job=wanted)
    return made.number("job-id")


async def send(printer: Printer, job_id: int, pdf: Path) -> None:
    """Give a job its pages; returns when the printer has them all, which may be when most of them are printed.

    Where it is cancelled or raises PrinterError, part of the pages may be there: ask with `job`.
    """
    await _ask(
        printer,
        Operation.SEND_DOCUMENT,
        (Tag.MIME_TYPE, "document-format", PDF),
        (Tag.BOOLEAN, "last-document", True),
        job_id=job_id,
        pdf=pdf,
    )


async def job(printer: Printer, job_id: int, *, name: str) -> JobStatus:
    """How far a job is. Raises JobGoneError where the number is not, or no more, that of a job of this name."""
    asked = ("job-name", "job-state", "job-state-reasons", *COUNTS)
    found = await _ask_job(printer, Operation.GET_JOB_ATTRIBUTES, job_id, (Tag.KEYWORD, "requested-attributes", *asked))
    # A printer that was switched off may count from 1 again. One that hides the names of jobs gives none.
    if found.all("job-name") not in ([], [name]):
        raise JobGoneError
    state = found.state("job-state", JobState)
    reasons = found.all("job-state-reasons")
    incomplete = state not in ENDED and not INCOMPLETE.isdisjoint(reasons)
    if state not in ENDED:
        reasons += (await _describe(printer)).all("printer-state-reasons")
    done = [count for name in COUNTS for count in found.all(name) if isinstance(count, int) and count > 0]
    return JobStatus(state, done[0] if done else 0, problems_of(reasons), incomplete)


async def cancel(printer: Printer, job_id: int) -> None:
    """Cancel a job; what is printed is printed. Raises JobGoneError and PrinterRefusedError, as for one that ended."""
    await _ask_job(printer, Operation.CANCEL_JOB, job_id)


def told(error: PrinterError) -> tuple[str, ...]:
    """What an error says, in the form of `JobStatus.problems`."""
    return (str(error), error.said) if isinstance(error, PrinterRefusedError) else (str(error),)


_State = TypeVar("_State", JobState, PrinterState)


@dataclass(frozen=True, slots=True)
class _Found:
    """The attributes of an answer."""

    attributes: dict[str, list[ipp.Value]]

    def all(self, name: str) -> list[ipp.Value]:
        return list(self.attributes.get(name, ()))

    def number(self, name: str) -> int:
        """The one value of an attribute that every printer has. Raises NotAPrinterError."""
        match self.attributes.get(name):
            case [int(number)] if number > 0:
                return number
        raise NotAPrinterError

    def state(self, name: str, kind: type[_State]) -> _State:
        """The same as a state. Raises NotAPrinterError."""
        try:
            return kind(self.number(name))
        except ValueError:
            raise NotAPrinterError from None

    def text(self, name: str) -> str:
        return " ".join(map(str, self.all(name)))


async def _describe(printer: Printer) -> _Found:
    asked = (
        "printer-state",
        "printer-state-reasons",
        "printer-make-and-model",
        "document-format-supported",
        "sides-supported",
        "media-supported",
        "print-scaling-supported",
        "operations-supported",
    )
    return await _ask(printer, Operation.GET_PRINTER_ATTRIBUTES, (Tag.KEYWORD, "requested-attributes", *asked))


def _unfit(found: _Found) -> UnfitPrinterError | None:
    if PDF not in found.all("document-format-supported"):
        return NoPdfPrinterError()
    if BOTH_SIDES not in found.all("sides-supported"):
        return OneSidedPrinterError()
    if A4 not in found.all("media-supported"):
        return NoA4PrinterError()
    if not NEEDED_OPERATIONS.issubset(found.all("operations-supported")):
        return OldPrinterError()
    return None


async def _ask_job(printer: Printer, operation: Operation, job_id: int, *about: Attribute) -> _Found:
    try:
        return await _ask(printer, operation, *about, job_id=job_id)
    except PrinterRefusedError as error:
        if error.code in NOT_THERE:
            raise JobGoneError from None
        raise


async def _ask(
    printer: Printer,
    operation: Operation,
    *about: Attribute,
    job_id: int | None = None,
    job: Iterable[Attribute] = (),
    pdf: Path | None = None,
) -> _Found:
    message = ipp.request(operation, printer.uri, job_id, USER, about, job)
    try:
        answer = ipp.answer(await _post(printer, message, pdf))
    except ipp.BadMessageError:
        raise NotAPrinterError from None
    if answer.status == UNAUTHENTICATED:
        raise PasswordWantedError
    if answer.status == BUSY:
        raise PrinterBusyError
    if answer.status not in SUCCESSFUL:
        raise PrinterRefusedError(answer.status, " ".join(map(str, answer.attributes.get("status-message", ()))))
    return _Found(answer.attributes)


async def _post(printer: Printer, message: bytes, pdf: Path | None) -> bytes:
    """The message of the answer to this one. It is sent once: a POST is not repeated."""
    address = URL(printer.uri)
    url = address.with_scheme("https" if address.scheme == "ipps" else "http").with_port(address.port or PORT)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SENDING_SECONDS if pdf else ANSWER_SECONDS)) as session,
            session.post(
                url,
                data=_with_pages(message, pdf) if pdf else message,
                headers={"Content-Type": ipp.MEDIA_TYPE},
                allow_redirects=False,  # not to whom the printer names
                ssl=False,  # printers sign their certificates themselves
            ) as response,
        ):
            match response.status, response.content_type:
                case 200, ipp.MEDIA_TYPE:
                    pass
                case 401, _:
                    raise PasswordWantedError
                case 426, _:
                    raise EncryptionWantedError
                case _:
                    raise NotAPrinterError
            found = b""
            async for chunk in response.content.iter_any():
                found += chunk
                if len(found) > LONGEST_ANSWER:
                    raise NotAPrinterError
            return found
    except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
        raise PrinterUnreachableError from None
    except aiohttp.ClientError:
        raise NotAPrinterError from None


async def _with_pages(message: bytes, pdf: Path) -> AsyncIterator[bytes]:
    yield message
    with pdf.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk

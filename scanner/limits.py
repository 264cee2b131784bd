"""What is taken in at most, and the ways in which a file is refused as a scan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one received file. They are checked before, or hold while, its bytes are decoded."""

    megabytes: int = 200
    """Size of the file, in units of 10^6 bytes."""
    pages: int = 1000
    megapixels: int = 120
    """Pixels of one picture before it is decoded, in units of 10^6. A4 at 600 dpi has 35."""
    seconds: int = 3600
    """Processor time of the child for the whole file, and time that it may be waited for. As many pages as are allowed,
    on each of which a code is looked for in vain, take about 1000."""
    seconds_per_page: int = 60
    """How long one page may be waited for."""
    memory_megabytes: int = 3000
    """Address space of the child. Below 1000 numpy and OpenCV do not load; the largest picture needs about 1600."""


class Reason(StrEnum):
    """Reason codes of a refused file."""

    NOT_A_SCAN = "not_a_scan"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MANY_PIXELS = "too_many_pixels"
    PASSWORD = "password"  # noqa: S105 - a reason, not a secret
    DAMAGED = "damaged"
    TOOK_TOO_LONG = "took_too_long"
    RAN_OUT_OF_MEMORY = "ran_out_of_memory"
    NO_ATTACHMENT = "no_attachment"
    TOO_MANY_PARTS = "too_many_parts"


REASONS: Final[dict[Reason, str]] = {
    Reason.NOT_A_SCAN: _("This is not a scan: PDF, TIFF, JPEG, PNG, WebP and HEIC are taken."),
    Reason.TOO_LARGE: _("This file is larger than {limit} MB. Scan fewer pages at once."),
    Reason.TOO_MANY_PAGES: _("This file has more than {limit} pages. Scan fewer pages at once."),
    Reason.TOO_MANY_PIXELS: _("A page of this file has more than {limit} million pixels. Scan with 300 dpi."),
    Reason.PASSWORD: _("This file is locked with a password. Save it without one."),
    Reason.DAMAGED: _("This file is damaged. Scan the pages again."),
    Reason.TOOK_TOO_LONG: _("Reading this file took too long. Scan the pages again, as JPEG if that is possible."),
    Reason.RAN_OUT_OF_MEMORY: _("Reading this file needed too much memory. Scan with 300 dpi."),
    Reason.NO_ATTACHMENT: _("This mail has no scan attached. Send scans as PDF, TIFF or JPEG."),
    Reason.TOO_MANY_PARTS: _("This mail is made of too many parts. Send fewer scans in one mail."),
}
"""The sentence for each reason; those of limits name it as {limit}."""
GOES_AGAIN: Final = (Reason.TOOK_TOO_LONG, Reason.RAN_OUT_OF_MEMORY)
"""Reasons that may lie in what the machine did meanwhile: a person may let such a file be read again."""


class ScanRefusedError(Exception):
    """A file was refused as a scan; `reason` says why, the message is its sentence in English."""

    reason: ClassVar[Reason]

    def __init__(self, limits: Limits) -> None:
        super().__init__(REASONS[self.reason].format(limit=limit_of(self.reason, limits)))


class NotAScanError(ScanRefusedError):
    """The bytes are none of the kinds that are taken."""

    reason = Reason.NOT_A_SCAN


class TooLargeError(ScanRefusedError):
    """The file has too many bytes; nothing of it was read."""

    reason = Reason.TOO_LARGE


class TooManyPagesError(ScanRefusedError):
    """The file has too many pages; none was decoded."""

    reason = Reason.TOO_MANY_PAGES


class TooManyPixelsError(ScanRefusedError):
    """A picture has too many pixels; it was not decoded."""

    reason = Reason.TOO_MANY_PIXELS


class PasswordError(ScanRefusedError):
    """The PDF cannot be opened without a password."""

    reason = Reason.PASSWORD


class DamagedError(ScanRefusedError):
    """The file could not be decoded to its end, or the child that read it died or gave nonsense."""

    reason = Reason.DAMAGED


class TookTooLongError(ScanRefusedError):
    """The child used up its time."""

    reason = Reason.TOOK_TOO_LONG


class RanOutOfMemoryError(ScanRefusedError):
    """The child used up its memory."""

    reason = Reason.RAN_OUT_OF_MEMORY


class NoAttachmentError(ScanRefusedError):
    """The mail has nothing attached that could be a scan."""

    reason = Reason.NO_ATTACHMENT


class TooManyPartsError(ScanRefusedError):
    """The mail has so many parts, or lines, that it was not taken apart."""

    reason = Reason.TOO_MANY_PARTS


REFUSALS: Final[dict[Reason, type[ScanRefusedError]]] = {
    error.reason: error
    for error in (
        NotAScanError,
        TooLargeError,
        TooManyPagesError,
        TooManyPixelsError,
        PasswordError,
        DamagedError,
        TookTooLongError,
        RanOutOfMemoryError,
        NoAttachmentError,
        TooManyPartsError,
    )
}


def limit_of(reason: Reason, limits: Limits) -> int | None:
    """The limit that the sentence of this reason names, or None."""
    match reason:
        case Reason.TOO_LARGE:
            return limits.megabytes
        case Reason.TOO_MANY_PAGES:
            return limits.pages
        case Reason.TOO_MANY_PIXELS:
            return limits.megapixels
        case _:
            return None

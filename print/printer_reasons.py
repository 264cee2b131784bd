"""What printers give as reasons of their states and of their jobs' states, and what that means for a person.

The reasons are those of RFC 8011, sections 5.3.8 and 5.4.12, and PWG 5100.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

MOST_PROBLEMS: Final = 20
"""Sentences that are kept of what a printer says."""


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


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
_CANCELED: Final = _("The job was canceled.")
_GAVE_UP: Final = _("The printer gave up.")
_HELD: Final = _("The job is held back at the printer.")
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


def problems_of(reasons: Iterable[object]) -> tuple[str, ...]:
    """What the reasons mean, each sentence once, as msgids; what is no trouble is left out."""

    def sentences() -> Iterator[str]:
        for reason in map(str, reasons):
            if not reason or reason in QUIET:
                continue
            plain = reason
            for severity in SEVERITIES:
                plain = plain.removesuffix(severity)
            yield REASONS.get(reason) or REASONS.get(plain) or reason

    return tuple(islice(dict.fromkeys(sentences()), MOST_PROBLEMS))

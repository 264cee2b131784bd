"""What is needed to put letters on paper, and what can be wrong with their text."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from relay.domain.printing import USUAL_RULES, EnvelopeFormat, Layout, PrintRules
from relay.domain.reply_code import ReplyCode


@dataclass(frozen=True, slots=True)
class Greeting:
    """One message on a group card."""

    printed_name: str
    text: str


@dataclass(frozen=True, slots=True)
class LetterToPrint:
    """One letter with its reply sheets, as the printer needs it. Nothing in it names the relay."""

    code: ReplyCode
    prisoner_name: str
    sheet_language: str
    """ru, en, de or sv: the language of the reply sheet, which is the prisoner's."""
    printed_name: str
    """The name that the sender gave to be printed."""
    text: str
    written_on: datetime.date
    return_address: tuple[str, ...] = ()
    """Postal address, line by line, to which the reply sheet goes back."""
    reply_sheets: int = 1
    photos: tuple[bytes, ...] = ()
    """JPEG pictures without metadata."""
    greetings: tuple[Greeting, ...] = ()
    """The messages of a group card; its text and its printed name are then empty."""
    layout: Layout = Layout.NORMAL
    rules: PrintRules = USUAL_RULES
    address: tuple[str, ...] = ()
    """The prisoner's postal address, line by line, for an envelope with a window."""
    copy: bool = False
    """Whether it was printed before, and says so."""


@dataclass(frozen=True, slots=True)
class Correspondent:
    """Somebody who wrote to a prisoner: the printed name, and the code under which an answer reaches them."""

    printed_name: str
    code: ReplyCode
    last_wrote: datetime.date


@dataclass(frozen=True, slots=True)
class CorrespondentsSheet:
    """The sheet "who wrote to me": all correspondents of a prisoner, the last first."""

    prisoner_name: str
    language: str
    correspondents: tuple[Correspondent, ...]
    return_address: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mailing:
    """What goes into one envelope, in the order in which it is printed."""

    letters: tuple[LetterToPrint, ...]
    correspondents: CorrespondentsSheet | None = None
    recipient: tuple[str, ...] = ()
    """The postal address of the envelope, line by line."""
    sender: tuple[str, ...] = ()
    """The postal address of the sender line and of the envelope for the answer; it does not name the relay."""


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One envelope on a manifest."""

    number: int
    prisoner_name: str
    codes: tuple[ReplyCode, ...]
    letters: int
    sheets: int
    grams: float
    postage: float | None
    """The class of postage as the grams up to which it goes; None where the envelope is too heavy for all."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first page of a batch: what is in it, for whoever folds and posts it. It never leaves the group."""

    batch: str
    """The first characters of its id."""
    facility: str
    language: str
    made_on: datetime.date
    copy: bool
    lines: tuple[ManifestLine, ...]
    set_aside: int
    """Letters that could not be rendered."""
    checkpoint: str
    """The head of the newest checkpoint of the events, in hexadecimal; empty where there is none yet."""
    return_envelope: EnvelopeFormat | None = None
    """The envelope for the answer that goes into each."""


@dataclass(frozen=True, slots=True)
class Unprintable:
    """A character of a text that no font of the relay has, and where it stands, counted from 1."""

    character: str
    name: str
    """Its Unicode name, or its number where it has none."""
    line: int
    column: int

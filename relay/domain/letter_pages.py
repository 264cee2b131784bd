"""What is needed to put one letter on paper, and what can be wrong with its text."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from relay.domain.reply_code import ReplyCode


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
    """JPEG pictures without metadata, each printed on a page of its own."""


@dataclass(frozen=True, slots=True)
class Unprintable:
    """A character of a text that no font of the relay has, and where it stands, counted from 1."""

    character: str
    name: str
    """Its Unicode name, or its number where it has none."""
    line: int
    column: int

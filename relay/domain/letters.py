"""What a sender writes, what a reply says, and the checks on both."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, ConfigDict

PRINTED_NAME_MAX: Final = 60
"""Characters: what fits on a line of the letter and of the reply sheet."""
GREETING_CHARACTERS: Final = 600
"""Of a greeting on a card, so that about ten stand on a page."""
GREETING_LINES: Final = 12
"""Of a greeting on a card, as its sender breaks them."""


class Wants(StrEnum):
    """What a sender wants by mail."""

    FULL = "full"
    NOTICE = "notice"
    NOTHING = "nothing"
    """No address was given: the inbox is the only way."""


class Photo(BaseModel):
    """A photo that goes with a letter; its bytes are a blob, see `relay.domain.photos`."""

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
    """Pixels, as they are kept."""
    size: int
    """Bytes of what is kept."""


class LetterBody(BaseModel):
    """The sealed part of a letter: what the sender wrote."""

    model_config = ConfigDict(frozen=True)

    text: str
    printed_name: str
    address: str | None
    """The sender's mail address, normalised."""
    photos: tuple[Photo, ...] = ()


class Translation(BaseModel):
    """A letter in a language that the facility takes."""

    model_config = ConfigDict(frozen=True)

    text: str
    with_original: bool
    """Whether the original is printed behind it."""


class Span(BaseModel):
    """A range of characters, from `start` up to `end`."""

    model_config = ConfigDict(frozen=True)

    start: int
    end: int


class Treatment(BaseModel):
    """What the review did to a letter, sealed beside what the sender wrote."""

    model_config = ConfigDict(frozen=True)

    translation: Translation | None = None
    draft: str = ""
    """The translation as far as it was typed."""
    covered: tuple[Span, ...] = ()
    """Words that are not printed, as places in `whole_text`."""
    without_photos: bool = False
    reason: str | None = None
    """Why a part is left out: a `relay.domain.reasons.ReviewReason`."""
    note: str = ""
    """What the sender is told about it."""
    fired: tuple[str, ...] = ()
    """The rules of the screening that found something when the letter was approved."""
    silent: tuple[str, ...] = ()
    """The rules that found nothing then."""
    named: tuple[str, ...] = ()
    """The rules that the facility named when it did not let the letter pass as it was."""


COVER: Final = "\N{FULL BLOCK}" * 6
"""What is printed for one covered word, however long it was."""
ORIGINAL_RULE: Final = "* * *"
"""Stands between a translation and its original."""


def whole_text(body: LetterBody, treatment: Treatment) -> str:
    """What is printed before words are covered: the text, or its translation with or without it."""
    if treatment.translation is None:
        return body.text
    if not treatment.translation.with_original:
        return treatment.translation.text
    return f"{treatment.translation.text}\n\n{ORIGINAL_RULE}\n\n{body.text}"


def words_of(text: str) -> list[Span]:
    """The words of a text: what stands between white space."""
    return [Span(start=found.start(), end=found.end()) for found in re.finditer(r"\S+", text)]


def printed_text(body: LetterBody, treatment: Treatment) -> str:
    """What is printed; of a covered word nothing is left in it."""
    text = whole_text(body, treatment)
    pieces: list[str] = []
    at = 0
    for span in sorted(treatment.covered, key=lambda span: span.start):
        pieces += [text[at : max(at, span.start)], COVER]
        at = max(at, span.end)
    return "".join([*pieces, text[at:]])


class Word(BaseModel):
    """One word of a transcript."""

    model_config = ConfigDict(frozen=True)

    text: str
    doubtful: bool
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and lower edge, as shares of the width and height of the picture of its page."""


class Transcript(BaseModel):
    """What was read from a reply: pages of lines of words. An empty page could not be read."""

    model_config = ConfigDict(frozen=True)

    pages: tuple[tuple[tuple[Word, ...], ...], ...]
    by_person: tuple[int, ...] = ()
    """The pages that a volunteer has read, counted from 1."""
    missing: tuple[tuple[int, str], ...] = ()
    """Sheet and side of the pages that should be there too."""
    ticks: tuple[str, ...] = ()
    """What was ticked on the sheets: `relay.domain.sheet.Tick`."""
    forwarded: bool = False
    """Whether it answers another correspondent, and the prisoner wants this sender to have it too."""

    def text(self, doubt: str = "{}?") -> str:
        """The transcript as plain text; doubtful words stand in `doubt`."""
        return "\n\n".join(
            "\n".join(
                " ".join(doubt.format(word.text) if word.doubtful else word.text for word in line) for line in page
            )
            for page in self.pages
        )


class AddressRefusedError(ValueError):
    """A mail address that cannot be; the message is the library's, in English."""


def normal_address(text: str) -> str:
    """A mail address in its normal form. The domain is not looked up. Raises AddressRefusedError."""
    try:
        address = validate_email(text.strip(), check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise AddressRefusedError(str(error)) from None
    if "=?" in address:
        raise AddressRefusedError("mail programs would take this for an encoded word")
    return address


def mailbox_of(address: str) -> str:
    """The mailbox behind an address, under which equal ones are recognised.

    What follows a plus sign is one person's own way to sort mail; a name that begins with it is a phone number.
    """
    name, _, domain = address.casefold().rpartition("@")
    return f"{name[:1]}{name[1:].partition('+')[0]}@{domain}"


_BREAKS: Final = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def empty_lines_before(text: str) -> int:
    """How many lines `normal_text` takes away at the beginning."""
    return next((number for number, line in enumerate(_BREAKS.sub("\n", text).split("\n")) if line.rstrip()), 0)


def normal_text(text: str) -> str:
    """The text with one kind of line break, without spaces at the ends of lines and empty lines around it."""
    return "\n".join(line.rstrip() for line in _BREAKS.sub("\n", text).split("\n")).strip("\n")

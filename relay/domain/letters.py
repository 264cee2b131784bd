"""What a sender writes, what a reply says, and the checks on both."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, ConfigDict

PRINTED_NAME_MAX: Final = 60
"""Characters: what fits on a line of the letter and of the reply sheet."""


class Wants(StrEnum):
    """What a sender wants by mail."""

    FULL = "full"
    NOTICE = "notice"
    NOTHING = "nothing"
    """No address was given: the inbox is the only way."""


class LetterBody(BaseModel):
    """The sealed part of a letter."""

    model_config = ConfigDict(frozen=True)

    text: str
    printed_name: str
    address: str | None
    """The sender's mail address, normalised."""


class Word(BaseModel):
    """One word of a transcript."""

    model_config = ConfigDict(frozen=True)

    text: str
    doubtful: bool


class Transcript(BaseModel):
    """What was read from a reply: pages of lines of words. An empty page could not be read."""

    model_config = ConfigDict(frozen=True)

    pages: tuple[tuple[tuple[Word, ...], ...], ...]

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


_BREAKS: Final = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def normal_text(text: str) -> str:
    """The text with one kind of line break, without spaces at the ends of lines and empty lines around it."""
    return "\n".join(line.rstrip() for line in _BREAKS.sub("\n", text).split("\n")).strip("\n")

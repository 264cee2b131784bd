"""Why a letter is refused, and why a page waits for a person: codes for the tables, sentences for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class Refusal(StrEnum):
    """Reason codes of a refused letter."""

    FORBIDDEN_CONTENT = "forbidden_content"
    CASE_DETAILS = "case_details"
    LANGUAGE = "language"
    UNREADABLE = "unreadable"
    THREAT = "threat"
    SPAM = "spam"


REFUSALS: Final[dict[Refusal, str]] = {
    Refusal.FORBIDDEN_CONTENT: _("The facility does not let such content through, and the whole letter would be lost."),
    Refusal.CASE_DETAILS: _("It speaks about details of the criminal case, which can harm the prisoner."),
    Refusal.LANGUAGE: _("It is in a language that the facility does not accept."),
    Refusal.UNREADABLE: _("It could not be understood as a letter."),
    Refusal.THREAT: _("It threatens or insults."),
    Refusal.SPAM: _("It is advertising, or the same text many times."),
}


class PageDoubt(StrEnum):
    """Why a page was not given to a letter by itself."""

    NO_CODE = "no_code"
    FOREIGN_CODE = "foreign_code"
    UNKNOWN_CODE = "unknown_code"
    CONTRADICTION = "contradiction"
    DUPLICATE = "duplicate"
    UNCERTAIN = "uncertain"
    LETTER_NOT_SENT = "letter_not_sent"


PAGE_DOUBTS: Final[dict[PageDoubt, str]] = {
    PageDoubt.NO_CODE: _("No code was found on this page."),
    PageDoubt.FOREIGN_CODE: _("The code on this page is not ours."),
    PageDoubt.UNKNOWN_CODE: _("The code on this page belongs to no letter."),
    PageDoubt.CONTRADICTION: _("This page carries codes that contradict each other."),
    PageDoubt.DUPLICATE: _("This side of this sheet has been received before."),
    PageDoubt.UNCERTAIN: _("The code could only be guessed; a person has to compare."),
    PageDoubt.LETTER_NOT_SENT: _("The letter of this code has not been printed, so this cannot be its answer."),
}

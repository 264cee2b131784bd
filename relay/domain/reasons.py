"""Why a letter or a part of it is not accepted, and why a page waits for a person.

Codes for the tables, sentences for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class ReviewReason(StrEnum):
    """Reason codes of what the review decides about a letter, or about a part of it."""

    FORBIDDEN_CONTENT = "forbidden_content"
    CASE_DETAILS = "case_details"
    OTHER_PEOPLE = "other_people"
    LANGUAGE = "language"
    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"
    PHOTO = "photo"
    THREAT = "threat"
    SPAM = "spam"
    BLOCKED = "blocked"
    FACILITY = "facility"


REVIEW_REASONS: Final[dict[ReviewReason, str]] = {
    ReviewReason.FORBIDDEN_CONTENT: _(
        "The facility does not let such content through, and the whole letter would be lost."
    ),
    ReviewReason.CASE_DETAILS: _("It speaks about details of the criminal case, which can harm the prisoner."),
    ReviewReason.OTHER_PEOPLE: _("It names or describes other people in a way that can harm them."),
    ReviewReason.LANGUAGE: _("It is in a language that the facility does not accept."),
    ReviewReason.TOO_LONG: _("It is longer or heavier than the facility accepts."),
    ReviewReason.UNREADABLE: _("It could not be understood as a letter."),
    ReviewReason.PHOTO: _("The facility does not let such a photo through."),
    ReviewReason.THREAT: _("It threatens or insults."),
    ReviewReason.SPAM: _("It is advertising, or the same text many times."),
    ReviewReason.BLOCKED: _("We take no more letters from this sender."),
    ReviewReason.FACILITY: _("The facility refused it."),
}
ABUSE: Final = (ReviewReason.THREAT, ReviewReason.SPAM)
"""For these a volunteer may block the sender."""
FOR_CHANGES: Final = (
    ReviewReason.FORBIDDEN_CONTENT,
    ReviewReason.CASE_DETAILS,
    ReviewReason.OTHER_PEOPLE,
    ReviewReason.LANGUAGE,
    ReviewReason.TOO_LONG,
    ReviewReason.UNREADABLE,
    ReviewReason.PHOTO,
)
"""What a sender can mend."""
FOR_REFUSAL: Final = (*(reason for reason in FOR_CHANGES if reason is not ReviewReason.PHOTO), *ABUSE)
FOR_PARTS: Final = (
    ReviewReason.PHOTO,
    ReviewReason.FORBIDDEN_CONTENT,
    ReviewReason.CASE_DETAILS,
    ReviewReason.OTHER_PEOPLE,
)
"""Why a photo is left out or words are covered."""


class ReturnReason(StrEnum):
    """Why the post brought a letter back."""

    MOVED = "moved"
    RELEASED = "released"
    NOT_FOUND = "not_found"
    REFUSED = "not_accepted"


RETURN_REASONS: Final[dict[ReturnReason, str]] = {
    ReturnReason.MOVED: _("The prisoner was moved to another place. We look for the new address and send it there."),
    ReturnReason.RELEASED: _("The prisoner was released."),
    ReturnReason.NOT_FOUND: _("The prisoner was not found at this address. We check the address."),
    ReturnReason.REFUSED: _("The facility or the prisoner did not accept it."),
}


LETTER_REASONS: Final[Mapping[str, str]] = {
    str(code): said for reasons in (REVIEW_REASONS, RETURN_REASONS) for code, said in reasons.items()
}
"""What a sender is told about a letter that stops, by the reason code."""


class PageDoubt(StrEnum):
    """Why a page was not given to a letter by itself."""

    NO_CODE = "no_code"
    FOREIGN_CODE = "foreign_code"
    UNKNOWN_CODE = "unknown_code"
    CONTRADICTION = "contradiction"
    DUPLICATE = "duplicate"
    UNCERTAIN = "uncertain"
    LETTER_NOT_SENT = "letter_not_sent"
    OTHER_FACILITY = "other_facility"
    BLANK = "blank"
    TAKEN_OUT = "taken_out"
    ERASED = "erased"


PAGE_DOUBTS: Final[dict[PageDoubt, str]] = {
    PageDoubt.NO_CODE: _("No code was found on this page."),
    PageDoubt.FOREIGN_CODE: _("The code on this page is not ours."),
    PageDoubt.UNKNOWN_CODE: _("The code on this page belongs to no letter."),
    PageDoubt.CONTRADICTION: _("This page carries codes that contradict each other."),
    PageDoubt.DUPLICATE: _("This side of this sheet has been received before."),
    PageDoubt.UNCERTAIN: _("The code could only be guessed; a person has to compare."),
    PageDoubt.LETTER_NOT_SENT: _("The letter of this code has not been printed, so this cannot be its answer."),
    PageDoubt.OTHER_FACILITY: _("The pile is from one facility, and this page belongs to a prisoner of another."),
    PageDoubt.BLANK: _("Nothing is written on this page."),
    PageDoubt.TAKEN_OUT: _("A volunteer took this page out of a reply."),
    PageDoubt.ERASED: _("Its sender has erased the conversation. The page is destroyed after some days."),
}


class ReplyDoubt(StrEnum):
    """Why a reply is looked at by a person before its sender gets it."""

    PROFILE = "profile"
    METHOD = "method"
    BY_HAND = "by_hand"
    MISSING = "missing"
    TICK = "tick"


REPLY_DOUBTS: Final[dict[ReplyDoubt, str]] = {
    ReplyDoubt.BY_HAND: _("A volunteer gave a page to it by hand."),
    ReplyDoubt.METHOD: _("A code was not read in the surest way."),
    ReplyDoubt.MISSING: _("Pages seem to be missing."),
    ReplyDoubt.TICK: _("It is not clear which boxes are ticked."),
    ReplyDoubt.PROFILE: _("Replies from this facility are always looked at."),
}
"""The sentence for each; the weightiest first."""

"""What one workplace needs of another: the composition hands the implementation in."""

from __future__ import annotations

from typing import Protocol

from relay.domain.directory import Facility
from relay.domain.letter_pages import LetterToPrint, Unprintable
from relay.domain.photos import KeptPhoto
from relay.domain.printing import USUAL_RULES, Layout, PrintRules
from relay.domain.review import Draft, FacilityRules, Finding


class LetterPages(Protocol):
    """The printer's ability to show a letter before it is printed."""

    def unprintable(self, text: str) -> list[Unprintable]:
        """The characters of the text that cannot be printed, in their order."""

    def page_count(self, text: str, layout: Layout = Layout.NORMAL, rules: PrintRules = USUAL_RULES) -> int:
        """How many letter pages the text fills, without photos and reply sheets; also of one that cannot be printed.

        Where the rules have a window, its address takes room from the first page.
        """

    async def preview(self, letter: LetterToPrint) -> list[bytes]:
        """The pages of the letter and its reply sheets as PNG pictures."""


class Screening(Protocol):
    """The review's ability to say what a facility would not let through."""

    def findings(self, draft: Draft, facility: Facility, language: str) -> list[Finding]:
        """What the rules of the facility find, by place in the text; sentences in this language."""

    def rules_of(self, facility: Facility) -> FacilityRules:
        """What the profile of the facility says beside its rules."""

    def rule_ids(self, facility: Facility) -> tuple[str, ...]:
        """The rules that are applied to letters to the facility, in the order of its profile."""

    def rule_titles(self, facility: Facility, language: str) -> dict[str, str]:
        """What the rules of the facility are called, by their id, also those that are switched off."""

    def language_of(self, text: str) -> str | None:
        """The language of a text as ISO 639-1 code; None where it cannot be told."""


class Photos(Protocol):
    """The scanner's ability to decode a picture of unknown origin where it can do no harm."""

    async def keep(self, untrusted: bytes) -> KeptPhoto:
        """The picture upright, small enough to print, without metadata. Raises PhotoRefusedError."""


class Reprinting(Protocol):
    """The printer's ability to print a letter again."""

    async def reprint(self, letter_id: str, volunteer_id: str) -> None:
        """Order a copy of a letter that was printed, with what stood on one card with it. Raises NotPrintedError."""


class NotPrintedError(LookupError):
    """The letter was never printed, so there is nothing to print again."""

"""What one workplace needs of another: the composition hands the implementation in."""

from __future__ import annotations

from typing import Protocol

from relay.domain.letter_pages import LetterToPrint, Unprintable


class LetterPages(Protocol):
    """The printer's ability to show a letter before it is printed."""

    def unprintable(self, text: str) -> list[Unprintable]:
        """The characters of the text that cannot be printed, in their order."""

    def page_count(self, text: str) -> int:
        """How many letter pages the text fills, without the reply sheets."""

    async def preview(self, letter: LetterToPrint) -> list[bytes]:
        """The pages of the letter and its reply sheets as PNG pictures."""

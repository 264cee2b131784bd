"""How a page of a letter is set in each layout, and the frame that all of them share. All in mm, sizes in points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from print.fonts import SANS, SERIF, Typeface
from relay.domain.printing import Layout
from relay.domain.sheet import PAGE

HEADER_BASELINE: Final = 24.0
HEADER_RULE: Final = 27.5
FIRST_BASELINE: Final = 38.0
FOOTER_BASELINE: Final = PAGE.height - 20.0
FOOTER_ROOM: Final = 11.0
"""From the last baseline of what stands on a page to the baseline of its foot."""
DATE_LINES: Final = 2
"""Lines that the date takes from the first page."""
SENDER_LINES: Final = 2
"""Lines that are kept free on every page for the printed name, which stays below the last line of the letter."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a layout means on paper."""

    typeface: Typeface
    size: float
    """Points."""
    leading: float
    """From line to line."""
    small: float
    """Points, of the head, the foot and the sender's name."""
    margin: float
    """Left and right of the text."""
    hyphenate: bool
    ruled: bool
    """Whether a line stands under the head."""
    card_columns: int
    """In how many columns the messages of a group card stand."""

    @property
    def width(self) -> float:
        """Of the text."""
        return PAGE.width - 2 * self.margin

    @property
    def right(self) -> float:
        """The right edge of the text."""
        return PAGE.width - self.margin

    def rows(self, first_baseline: float) -> int:
        """How many lines a page has below this baseline, with it."""
        return int((FOOTER_BASELINE - FOOTER_ROOM - first_baseline) / self.leading) + 1


SETTINGS: Final = {
    # 17 points from line to line for eyes that tire; room for holes, and less than 85 characters a line.
    Layout.NORMAL: Setting(
        SERIF, size=12, leading=6, small=10.5, margin=25, hyphenate=True, ruled=True, card_columns=2
    ),
    # 18 points, no serifs, whole words, a fourth to a half more than the size between lines: what the guidelines for
    # large print of the American Printing House for the Blind and the clear print of the RNIB ask for.
    Layout.LARGE: Setting(SANS, size=18, leading=9, small=16, margin=20, hyphenate=False, ruled=True, card_columns=1),
    # 14 points, no serifs, whole words, one and a half lines apart: as easy-to-read texts are set (Inclusion Europe).
    Layout.PLAIN: Setting(SANS, size=14, leading=8, small=12, margin=25, hyphenate=False, ruled=False, card_columns=1),
}

"""What the small papers beside the letters share: margins, head, and words one below the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import BOLD, SANS, Typeface, as_printed
from print.paragraphs import set_text
from relay.domain.sheet import PAGE
from relay.locale import catalogue

# Distances in mm, sizes in points.
MARGIN: Final = 20.0
WIDTH: Final = PAGE.width - 2 * MARGIN
RIGHT: Final = PAGE.width - MARGIN
BOTTOM: Final = PAGE.height - MARGIN
"""Nothing stands below."""
HEADER_BASELINE: Final = 20.0
HEADER_RULE: Final = 23.0
HEADER_SIZE: Final = 12.0
TOP: Final = 30.0
"""Where the words begin."""
LEADING: Final = 1.35
"""From line to line, in em."""
ASCENT: Final = 0.75
"""Of capitals with their accents, over the baseline, in em."""
GAP: Final = 5.0
"""Between what stands in the head."""
RULE_WIDTH: Final = 0.5


def draw_head(canvas: Canvas, language: str, title: str, page: int, pages: int, *, copy: bool = False) -> None:
    """Draw the head of a page: of what or of whom it is, and "page N of M". Raises NoGlyphError."""
    _ = catalogue(language).gettext
    right = RIGHT
    for typeface, words in (
        (SANS, _("page {page} of {pages}").format(page=page, pages=pages)),
        (BOLD, _("COPY") if copy else ""),
    ):
        typeface.draw(canvas, words, right, HEADER_BASELINE, HEADER_SIZE, right=True)
        right -= typeface.width(words, HEADER_SIZE) / mm + GAP
    BOLD.draw(canvas, as_printed(title), MARGIN, HEADER_BASELINE, HEADER_SIZE, width=right - MARGIN)
    draw_rule(canvas, MARGIN, RIGHT, HEADER_RULE)


def draw_rule(canvas: Canvas, left: float, right: float, y: float) -> None:
    """Draw a thin line across; all in mm from the upper left corner of the page."""
    canvas.setLineWidth(RULE_WIDTH)
    canvas.line(left * mm, (PAGE.height - y) * mm, right * mm, (PAGE.height - y) * mm)


def draw_box(canvas: Canvas, x: float, baseline: float, edge: float) -> None:
    """Draw an empty square to tick, which stands on the baseline; all in mm from the upper left corner of the page."""
    canvas.setLineWidth(2 * RULE_WIDTH)
    canvas.rect(x * mm, (PAGE.height - baseline) * mm, edge * mm, edge * mm)


@dataclass
class Words:
    """Words that are written one below the other."""

    canvas: Canvas
    language: str
    y: float = TOP
    """How far down the page they reach, in mm."""

    def say(self, text: str, size: float, *, typeface: Typeface = SANS, x: float = MARGIN) -> None:
        """Write a text in as many lines as it takes between `x` (mm) and the right margin; `size` is in points.

        Raises NoGlyphError.
        """
        for line in set_text(
            text, typeface=typeface, size=size, width=RIGHT - x, language=self.language, hyphenate=False
        ):
            line.draw(self.canvas, x, self.y + ASCENT * size / mm)
            self.y += LEADING * size / mm

    def line(self, text: str, size: float, *, typeface: Typeface = SANS, x: float = MARGIN) -> None:
        """Write a text as one line, smaller where it would not fit. Raises NoGlyphError."""
        typeface.draw(self.canvas, as_printed(text), x, self.y + ASCENT * size / mm, size, width=RIGHT - x)
        self.y += LEADING * size / mm

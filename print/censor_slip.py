"""The slip for the facility's censor: asks to forward a letter, or to say why it is not handed over.

It says nothing of what the letters say, nor who carries them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import BOLD, MONO, SANS
from print.papers import ASCENT, MARGIN, RIGHT, Words, draw_box, draw_rule
from relay.domain.reply_code import ReplyCode, grouped
from relay.locale import catalogue

# Sizes in points, distances in mm.
TITLE_SIZE: Final = 18.0
TEXT_SIZE: Final = 13.0
SPACE: Final = 4.0
"""Between paragraphs."""
BOX: Final = 4.0
"""Edge of a tick box."""
BOX_WORDS: Final = 3.0
"""From a tick box to its words."""
REASON: Final = 9.0
"""From one reason to the next."""


def draw_censor_slip(
    canvas: Canvas, prisoner_name: str, language: str, codes: Sequence[ReplyCode], return_address: Sequence[str]
) -> None:
    """Draw the slip, one page; the caller ends it. `codes` are those of the letters. Raises NoGlyphError."""
    _ = catalogue(language).gettext
    words = Words(canvas, language)
    words.say(_("A request to the staff who check the mail"), TITLE_SIZE, typeface=BOLD)
    words.y += SPACE
    words.say(_("Addressee:"), TEXT_SIZE)
    words.line(prisoner_name, TEXT_SIZE, typeface=BOLD)
    words.y += SPACE / 2
    words.say(_("Reply code"), TEXT_SIZE)
    whole = (grouped(code).replace(" ", "\N{NO-BREAK SPACE}") for code in dict.fromkeys(codes))
    words.say("   ".join(whole), TEXT_SIZE, typeface=MONO)
    words.y += SPACE
    words.say(_("Please hand over the enclosed mail to the person named above."), TEXT_SIZE)
    words.y += SPACE / 2
    words.say(_("If the person was moved, please forward the mail to the new place."), TEXT_SIZE)
    words.y += SPACE / 2
    words.say(_("If it is not handed over, please tick the reason and send it back with this page."), TEXT_SIZE)
    words.y += SPACE
    for reason, to_be_filled in (
        (_("moved to another place, which is:"), True),
        (_("released"), False),
        (_("no such person here"), False),
        (_("the mail was not accepted"), False),
        (_("another reason:"), True),
    ):
        baseline = words.y + ASCENT * TEXT_SIZE / mm
        draw_box(canvas, MARGIN, baseline, BOX)
        left = MARGIN + BOX + BOX_WORDS
        SANS.draw(canvas, reason, left, baseline, TEXT_SIZE)
        if to_be_filled:
            draw_rule(canvas, left + SANS.width(reason, TEXT_SIZE) / mm + BOX_WORDS, RIGHT, baseline + 1)
        words.y += REASON
    words.y += SPACE / 2
    words.say(_("Thank you for your work."), TEXT_SIZE)
    if return_address:
        words.y += SPACE
        words.say(_("Return address:"), TEXT_SIZE)
        for line in return_address:
            words.line(line, TEXT_SIZE, typeface=BOLD)

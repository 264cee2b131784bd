"""The sheet "who wrote to me": for a prisoner who was moved and no longer has an address of anybody.

Every correspondent is named with the code that brings an answer to them, on whatever paper it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.dates import written_out
from print.fonts import BOLD, MONO, MONO_CAP_HEIGHT, SANS, as_printed
from print.papers import ASCENT, BOTTOM, HEADER_RULE, MARGIN, RIGHT, WIDTH, Words, draw_head, draw_rule
from relay.domain.letter_pages import Correspondent, CorrespondentsSheet
from relay.domain.reply_code import grouped
from relay.domain.sheet import CODE_HEIGHT
from relay.locale import catalogue

# Sizes in points, distances in mm.
TITLE_SIZE: Final = 24.0
TEXT_SIZE: Final = 15.0
NAME_SIZE: Final = 15.0
DATE_SIZE: Final = 12.0
CODE_SIZE: Final = CODE_HEIGHT * mm / MONO_CAP_HEIGHT
CODE_SPACING: Final = 0.6
NUMBER_INDENT: Final = 8.0
SPACE: Final = 3.0
"""Between paragraphs."""
ROW: Final = 18.0
"""The height of one correspondent's row."""
CODE_BASELINE: Final = 15.0
"""Below the upper edge of the row."""
FOOT: Final = 14.0
"""Kept free for what is repeated at the foot of each later page."""


def draw_correspondents(canvas: Canvas, sheet: CorrespondentsSheet) -> Iterator[None]:
    """Draw the sheet page by page; the caller ends each page. Raises NoGlyphError."""
    _ = catalogue(sheet.language).gettext
    first = Words(canvas, sheet.language)
    _explain(first, sheet)
    pages = _pages(sheet.correspondents, first.y)
    for number, rows in enumerate(pages, start=1):
        draw_head(canvas, sheet.language, sheet.prisoner_name, number, len(pages))
        y = first.y if number == 1 else HEADER_RULE
        for row in rows:
            _draw_row(canvas, sheet.language, row, y)
            y += ROW
        if number > 1:
            _draw_foot(canvas, sheet)
        yield


def _pages(correspondents: Sequence[Correspondent], first_top: float) -> list[Sequence[Correspondent]]:
    """The rows of each page, at least one page; the first page has room for them below `first_top`."""
    first, rest = (max(0, int(room / ROW)) for room in (BOTTOM - first_top, BOTTOM - FOOT - HEADER_RULE))
    later = range(first, len(correspondents), rest)
    return [correspondents[:first], *(correspondents[start : start + rest] for start in later)]


def _explain(words: Words, sheet: CorrespondentsSheet) -> None:
    """Write how the sheet is used."""
    _ = catalogue(sheet.language).gettext
    words.say(_("Who wrote to me"), TITLE_SIZE, typeface=BOLD)
    words.y += SPACE
    if not sheet.correspondents:
        words.say(_("No letter to you has been sent from here so far."), TEXT_SIZE)
        return
    words.say(_("These people wrote to you. This is how you answer them, on any paper:"), TEXT_SIZE)
    words.y += SPACE
    steps = [
        _("Use a separate sheet for each person."),
        _("Write the code of the person at the top of the sheet, large and clear."),
        _("Write your letter below it. Write separate letters, not joined, with dark ink."),
    ]
    if sheet.return_address:
        steps.append(_("Send it to this address:"))
    for number, step in enumerate(steps, start=1):
        BOLD.draw(words.canvas, f"{number}.", MARGIN, words.y + ASCENT * TEXT_SIZE / mm, TEXT_SIZE)
        words.say(step, TEXT_SIZE, x=MARGIN + NUMBER_INDENT)
        words.y += SPACE / 2
    for line in sheet.return_address:
        words.line(line, TEXT_SIZE, typeface=BOLD, x=MARGIN + NUMBER_INDENT)
    words.y += SPACE
    words.say(_("The code is all that is needed: it brings your letter to the right person."), TEXT_SIZE)
    words.y += SPACE


def _draw_row(canvas: Canvas, language: str, correspondent: Correspondent, y: float) -> None:
    _ = catalogue(language).gettext
    draw_rule(canvas, MARGIN, RIGHT, y)
    BOLD.draw(canvas, as_printed(correspondent.printed_name), MARGIN, y + 6.5, NAME_SIZE, width=WIDTH)
    wrote = _("last letter: {date}").format(date=written_out(correspondent.last_wrote, language))
    SANS.draw(canvas, wrote, MARGIN, y + CODE_BASELINE, DATE_SIZE)
    code = grouped(correspondent.code)
    reach = MONO.width(code, CODE_SIZE) / mm + (len(code) - 1) * CODE_SPACING
    MONO.draw(canvas, code, RIGHT - reach, y + CODE_BASELINE, CODE_SIZE, spacing=CODE_SPACING)


def _draw_foot(canvas: Canvas, sheet: CorrespondentsSheet) -> None:
    """On a page that was parted from the first one, what is needed to use it."""
    _ = catalogue(sheet.language).gettext
    said = _("Write the code at the top of a sheet of paper.")
    if sheet.return_address:
        said = _("Write the code at the top of a sheet of paper, and send it to this address:")
    draw_rule(canvas, MARGIN, RIGHT, BOTTOM - FOOT + 2)
    SANS.draw(canvas, said, MARGIN, BOTTOM - FOOT + 7.5, DATE_SIZE, width=WIDTH)
    address = as_printed(", ".join(sheet.return_address))
    BOLD.draw(canvas, address, MARGIN, BOTTOM - FOOT + 13, DATE_SIZE, width=WIDTH)

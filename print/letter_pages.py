"""A letter on A4 paper: the sender's text, line for line, then the photos, framed by what lets loose pages find each
other again. A group card has the messages of several senders in the place of the text.

Every page names the prisoner, says which page of how many it is and carries the reply code. The first one shows where
it is folded and, for an envelope with a window, the address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.address_block import draw_address
from print.cards import COLUMN_GAP, ROWS_FREE, column_width, note, pages_of_card
from print.columns import Row, columns, rows_of_text
from print.dates import written_out
from print.fonts import BOLD, MONO, SANS, as_printed, unprintable
from print.layouts import (
    DATE_LINES,
    FIRST_BASELINE,
    FOOTER_BASELINE,
    HEADER_BASELINE,
    HEADER_RULE,
    SENDER_LINES,
    SETTINGS,
    Setting,
)
from print.paragraphs import SetLine
from print.photos import draw_photos, photo_pages
from relay.domain.envelopes import address_area, fold_marks, play, seen, sender_line
from relay.domain.letter_pages import LetterToPrint
from relay.domain.printing import USUAL_RULES, Layout, PrintRules
from relay.domain.reply_code import grouped
from relay.domain.sheet import PAGE
from relay.locale import SOURCE, catalogue

# All in mm, unless they say otherwise.
RULE_WIDTH: Final = 0.5
"""Points."""
HEADER_GAP: Final = 6.0
"""Between what stands in the head."""
BELOW_WINDOW: Final = 8.0
"""From the lowest that a window can show to the first baseline below it."""
ADDRESS_SIZE: Final = 11.0
"""Points."""
ASCENT: Final = 0.75
"""Of capitals with their accents, over the baseline, in em."""
DESCENT: Final = 0.25
"""Below the baseline, in em."""
SENDER_LINE_SIZE: Final = 7.0
"""Points, of the line over the address."""
FOLD_MARK: Final = (5.0, 9.0)
"""From the left edge: what printers reach, and far from every text."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What the senders' words fill of a page."""

    columns: Sequence[Sequence[Row]]
    baseline: float
    """Of the first row, in mm."""


def page_count_of(text: str, *, layout: Layout = Layout.NORMAL, rules: PrintRules = USUAL_RULES) -> int:
    """How many pages a text takes, with a block in the place of each character that cannot be printed.

    Its words are divided as the text itself tells, since the language of its letter is not known.
    """
    printed = as_printed(text)
    while found := {each.character for each in unprintable(printed)}:  # a mark may be left on the block
        for character in found:
            printed = printed.replace(character, "\N{FULL BLOCK}")
    setting = SETTINGS[layout]
    room = _room(setting, _first_baseline(rules) + DATE_LINES * setting.leading, SENDER_LINES)
    return len(columns(rows_of_text(printed, setting, setting.width, SOURCE), room))


def page_count(letter: LetterToPrint) -> int:
    """How many pages the letter takes with its photos, without its reply sheets. Raises NoGlyphError."""
    return len(_pages_of(letter)) + len(photo_pages(letter.photos, letter.rules))


def draw_letter(canvas: Canvas, letter: LetterToPrint) -> Iterator[None]:
    """Draw the letter page by page onto the canvas; the caller ends each page.

    Raises NoGlyphError, and NoSuchWindowError where the facility's envelope is not made with its window.
    """
    setting = SETTINGS[letter.layout]
    pages, photos = _pages_of(letter), photo_pages(letter.photos, letter.rules)
    count = len(pages) + len(photos)
    for number, page in enumerate(pages, start=1):
        _draw_frame(canvas, letter, setting, number, count)
        if number == 1:
            _draw_beginning(canvas, letter, setting)
        end = _draw_page(canvas, page, setting)
        if number == len(pages) and not letter.greetings:
            _draw_sender(canvas, letter, setting, end)
        yield
    for number, some in enumerate(photos, start=len(pages) + 1):
        _draw_frame(canvas, letter, setting, number, count)
        draw_photos(canvas, some, letter.rules)
        yield


def _pages_of(letter: LetterToPrint) -> list[_Page]:
    setting = SETTINGS[letter.layout]
    first = _first_baseline(letter.rules) if letter.address else FIRST_BASELINE
    if letter.greetings:
        first += max(DATE_LINES, len(_note(letter, setting)) + 1) * setting.leading
        pages = pages_of_card(letter, setting, _room(setting, first, ROWS_FREE))
    else:
        first += DATE_LINES * setting.leading
        rows = rows_of_text(letter.text, setting, setting.width, letter.sheet_language)
        pages = [[rows[each]] for each in columns(rows, _room(setting, first, SENDER_LINES))]
    return [_Page(page, FIRST_BASELINE if place else first) for place, page in enumerate(pages)]


def _room(setting: Setting, first_baseline: float, kept_free: int) -> Callable[[int], int]:
    """How many rows each page has, counted from 0."""
    first, rest = (setting.rows(baseline) - kept_free for baseline in (first_baseline, FIRST_BASELINE))
    return lambda page: rest if page else first


def _first_baseline(rules: PrintRules) -> float:
    """Of what the first page says below the head, or below the window."""
    if rules.window is None:
        return FIRST_BASELINE
    return seen(rules.envelope, rules.window, *play(rules.envelope, rules.window)).bottom + BELOW_WINDOW


def _note(letter: LetterToPrint, setting: Setting) -> list[SetLine]:
    """What a card says about answers; it stands beside the date."""
    date = setting.typeface.width(written_out(letter.written_on, letter.sheet_language), setting.size) / mm
    return note(letter, setting, setting.width - date - HEADER_GAP)


def _draw_frame(canvas: Canvas, letter: LetterToPrint, setting: Setting, number: int, count: int) -> None:
    _ = catalogue(letter.sheet_language).gettext
    copy = _("COPY") if letter.copy else ""
    size, room = setting.small, setting.right
    for typeface, words in ((SANS, _("page {page} of {pages}").format(page=number, pages=count)), (BOLD, copy)):
        typeface.draw(canvas, words, room, HEADER_BASELINE, size, right=True)
        room -= typeface.width(words, size) / mm + HEADER_GAP
    name = as_printed(letter.prisoner_name)
    BOLD.draw(canvas, name, setting.margin, HEADER_BASELINE, size, width=room - setting.margin)
    if setting.ruled:
        _draw_rule(canvas, setting.margin, setting.right, HEADER_RULE)
    SANS.draw(canvas, _("Reply code"), setting.margin, FOOTER_BASELINE, size)
    MONO.draw(canvas, grouped(letter.code), setting.right, FOOTER_BASELINE, size, right=True)


def _draw_beginning(canvas: Canvas, letter: LetterToPrint, setting: Setting) -> None:
    """What only the first page has."""
    for fold in fold_marks(letter.rules.envelope, letter.rules.window):
        _draw_rule(canvas, *FOLD_MARK, fold)
    _draw_address(canvas, letter)
    baseline = _first_baseline(letter.rules) if letter.address else FIRST_BASELINE
    setting.typeface.draw(
        canvas, written_out(letter.written_on, letter.sheet_language), setting.right, baseline, setting.size, right=True
    )
    if letter.greetings:
        for place, line in enumerate(_note(letter, setting)):
            line.draw(canvas, setting.margin, baseline + place * setting.leading)


def _draw_address(canvas: Canvas, letter: LetterToPrint) -> None:
    """Draw the address where a window shows it, and over it in small print to whom the post brings it back."""
    rules = letter.rules
    if rules.window is None or not letter.address:
        return
    area, over = (place(rules.envelope, rules.window) for place in (address_area, sender_line))
    draw_address(canvas, letter.address, area, ADDRESS_SIZE)
    sender = as_printed(" · ".join(letter.return_address))
    SANS.draw(canvas, sender, over.x, over.y + ASCENT * SENDER_LINE_SIZE / mm, SENDER_LINE_SIZE, width=over.width)


def _draw_page(canvas: Canvas, page: _Page, setting: Setting) -> float:
    """Draw the rows of a page and return the last baseline, in mm."""
    width, end = column_width(setting, len(page.columns)), page.baseline
    for number, column in enumerate(page.columns):
        x, baseline = setting.margin + number * (width + COLUMN_GAP), page.baseline
        for place, row in enumerate(column):
            baseline = page.baseline + place * setting.leading
            if row.line is not None:
                row.line.draw(canvas, x, baseline)
            elif place + 1 < len(column):
                _draw_rule(canvas, x, x + width, baseline - DESCENT * setting.size / mm)
        end = max(end, baseline)
    return end


def _draw_sender(canvas: Canvas, letter: LetterToPrint, setting: Setting, end: float) -> None:
    _ = catalogue(letter.sheet_language).gettext
    sender = _("Letter from {name}").format(name=as_printed(letter.printed_name))
    baseline = end + SENDER_LINES * setting.leading
    SANS.draw(canvas, sender, setting.margin, baseline, setting.small, width=setting.width)


def _draw_rule(canvas: Canvas, left: float, right: float, y: float) -> None:
    canvas.setLineWidth(RULE_WIDTH)
    canvas.line(left * mm, (PAGE.height - y) * mm, right * mm, (PAGE.height - y) * mm)

"""Group cards: short messages of several senders, one after the other, each with the name of who wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from print.columns import RULE, Row, columns, even_columns, rows_of_text, together
from print.fonts import BOLD, SANS
from print.layouts import FIRST_BASELINE, Setting
from print.paragraphs import SetLine, set_text
from relay.domain.letter_pages import Greeting, LetterToPrint
from relay.locale import catalogue

COLUMN_GAP: Final = 10.0
"""Between columns, in mm."""
ROWS_FREE: Final = 1
"""At the foot of a page."""


def note(letter: LetterToPrint, setting: Setting, width: float) -> list[SetLine]:
    """What is said on the card about answers, in a column of this width (mm). Nothing where no sheet goes along."""
    if not letter.reply_sheets:
        return []
    _ = catalogue(letter.sheet_language).gettext
    said = _("An answer on the reply sheet goes to all who wrote on this card.")
    language = letter.sheet_language
    return set_text(said, typeface=SANS, size=setting.small, width=width, language=language, hyphenate=False)


def pages_of_card(letter: LetterToPrint, setting: Setting, room: Callable[[int], int]) -> list[list[list[Row]]]:
    """The columns of each page of a card: one column where all fits on a page, or as many as the setting has.

    `room` says how many rows a page has, counted from 0. Raises NoGlyphError.
    """
    in_one = _pages_in_columns(letter, setting, room, 1)
    return in_one if len(in_one) == 1 else _pages_in_columns(letter, setting, room, setting.card_columns)


def column_width(setting: Setting, count: int) -> float:
    """Of one of so many columns, in mm."""
    return (setting.width - (count - 1) * COLUMN_GAP) / count


def _pages_in_columns(
    letter: LetterToPrint, setting: Setting, room: Callable[[int], int], count: int
) -> list[list[list[Row]]]:
    rows: list[Row] = []
    for greeting in letter.greetings:
        rows += [RULE, *_message(greeting, setting, column_width(setting, count), letter.sheet_language)]
    found = columns(rows, lambda place: room(place // count))
    last = (len(found) - 1) // count * count
    pages = [[rows[each] for each in found[start : start + count]] for start in range(0, last, count)]
    rest = rows[found[last].start :]
    even = [rest[each] for each in even_columns(rest, count)]
    return [*pages, even + [[]] * (count - len(even))]


def _message(greeting: Greeting, setting: Setting, width: float, language: str) -> list[Row]:
    """A message and its sender, in one piece where that fits into a column."""
    name = set_text(
        greeting.printed_name, typeface=BOLD, size=setting.small, width=width, language=language, hyphenate=False
    )
    rows = rows_of_text(greeting.text, setting, width, language) + [Row(line, may_begin=False) for line in name]
    return together(rows) if len(rows) <= setting.rows(FIRST_BASELINE) - ROWS_FREE else rows

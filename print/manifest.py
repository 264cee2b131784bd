"""The first pages of a batch: what is in it, for whoever folds, weighs and posts it. They never leave the group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from babel.numbers import format_decimal
from reportlab.pdfgen.canvas import Canvas

from print.dates import written_out
from print.fonts import BOLD, MONO, SANS, Typeface, as_printed
from print.papers import BOTTOM, MARGIN, RIGHT, TOP, WIDTH, Words, draw_box, draw_head, draw_rule
from relay.domain.letter_pages import Manifest, ManifestLine
from relay.domain.reply_code import ReplyCode, grouped
from relay.locale import catalogue

# Sizes in points, distances in mm.
TITLE_SIZE: Final = 20.0
TEXT_SIZE: Final = 12.0
CELL_SIZE: Final = 10.5
CODE_SIZE: Final = 9.5
SMALL: Final = 9.0
SPACE: Final = 3.0
ROW: Final = 6.5
"""The height of one row: an envelope, or a further code of it."""
HEADINGS: Final = 7.0
"""The height of the row of headings."""
BOX: Final = 4.0
"""Edge of the box that is ticked while folding."""
FOOT: Final = 6.0
"""Kept free at the foot of each page."""
DIGITS: Final = 4
"""Symbols of the checkpoint that stand together."""


@dataclass(frozen=True, slots=True)
class _Column:
    end: float
    """The edge at which its words stand: the right one of a number, the left one of other words."""
    width: float
    right: bool = False


_TICK: Final = _Column(MARGIN, 8)
_NUMBER: Final = _Column(36, 8, right=True)
_PRISONER: Final = _Column(39, 54)
_CODES: Final = _Column(96, 28.5)
_LETTERS: Final = _Column(137, 13, right=True)
_SHEETS: Final = _Column(150, 13, right=True)
_GRAMS: Final = _Column(167, 16, right=True)
_POSTAGE: Final = _Column(RIGHT, 22, right=True)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table: an envelope and its first code, or a further code of the one above."""

    line: ManifestLine | None
    code: ReplyCode | None


def draw_manifest(canvas: Canvas, manifest: Manifest) -> Iterator[None]:
    """Draw the manifest page by page; the caller ends each page. Raises NoGlyphError."""
    _ = catalogue(manifest.language).gettext
    first = Words(canvas, manifest.language)
    _sum_up(first, manifest)
    pages = _pages(manifest.lines, first.y)
    title = _("{facility}, batch {batch}").format(facility=manifest.facility, batch=manifest.batch)
    for number, rows in enumerate(pages, start=1):
        draw_head(canvas, manifest.language, title, number, len(pages), copy=manifest.copy)
        _draw_table(canvas, manifest.language, rows, first.y if number == 1 else TOP - SPACE)
        stays = _("This page stays with the group. It does not go into an envelope.")
        BOLD.draw(canvas, stays, MARGIN, BOTTOM, CELL_SIZE, width=WIDTH)
        yield


def _pages(lines: Sequence[ManifestLine], first_top: float) -> list[list[_Row]]:
    """The rows of each page, at least one page; the first page has room for them below `first_top`."""
    full = _room(TOP - SPACE)
    pages: list[list[_Row]] = [[]]
    room = _room(first_top)
    for line in lines:
        rows = [_Row(line, line.codes[0] if line.codes else None), *(_Row(None, code) for code in line.codes[1:])]
        # An envelope stays on one page if it can.
        if room < len(rows) <= full:
            room = 0
        for row in rows:
            if room == 0:
                pages.append([])
                room = full
            pages[-1].append(row)
            room -= 1
    return pages


def _room(top: float) -> int:
    return int((BOTTOM - FOOT - top - HEADINGS) / ROW)


def _sum_up(words: Words, manifest: Manifest) -> None:
    """Write what is in the batch."""
    _ = catalogue(manifest.language).gettext
    lines = manifest.lines
    words.line(manifest.facility, TITLE_SIZE, typeface=BOLD)
    day = written_out(manifest.made_on, manifest.language)
    words.say(_("Batch {batch}, {date}").format(batch=manifest.batch, date=day), TEXT_SIZE)
    words.y += SPACE
    counts = (
        (_("Envelopes"), str(len(lines))),
        (_("Letters"), str(sum(line.letters for line in lines))),
        (_("Sheets of paper"), str(sum(line.sheets for line in lines))),
        (_("Weight"), _grams(sum(line.grams for line in lines), manifest.language)),
    )
    words.say("   ".join(f"{what}: {count}" for what, count in counts), TEXT_SIZE, typeface=BOLD)
    by_class = Counter(line.postage for line in lines)
    for postage in sorted(by_class, key=lambda postage: (postage is None, postage)):
        if postage is None:
            what, typeface = _("Envelopes too heavy for all classes of postage"), BOLD
        else:
            what = _("Envelopes up to {weight}").format(weight=_grams(postage, manifest.language))
            typeface = SANS
        words.say(f"{what}: {by_class[postage]}", TEXT_SIZE, typeface=typeface)
    if manifest.return_envelope is not None:
        along = _("Into each goes a stamped, addressed envelope for the answer: {format}")
        words.say(along.format(format=manifest.return_envelope), TEXT_SIZE)
    if manifest.set_aside:
        aside = _("Letters set aside, because they could not be printed")
        words.say(f"{aside}: {manifest.set_aside}", TEXT_SIZE, typeface=BOLD)
    words.y += SPACE
    if manifest.checkpoint:
        words.say(
            _("Checkpoint of the journal. Whoever keeps this page can prove later that the journal was not rewritten:"),
            SMALL,
        )
        digits = manifest.checkpoint
        groups = (digits[start : start + DIGITS] for start in range(0, len(digits), DIGITS))
        words.say(" ".join(groups), SMALL, typeface=MONO)
        words.y += SPACE


def _draw_table(canvas: Canvas, language: str, rows: Sequence[_Row], top: float) -> None:
    _ = catalogue(language).gettext
    baseline = top + HEADINGS - 2
    for column, heading in (
        (_TICK, _("done")),
        (_NUMBER, _("No.")),
        (_PRISONER, _("Prisoner")),
        (_CODES, _("Reply codes")),
        (_LETTERS, _("Letters")),
        (_SHEETS, _("Sheets")),
        (_GRAMS, _("Weight")),
        (_POSTAGE, _("Postage up to")),
    ):
        _put(canvas, heading, column, baseline, size=SMALL)
    y = top + HEADINGS
    for row in rows:
        baseline = y + ROW - 2
        if row.line is not None:
            draw_rule(canvas, MARGIN, RIGHT, y)
            _draw_envelope(canvas, language, row.line, baseline)
        if row.code is not None:
            _put(canvas, grouped(row.code), _CODES, baseline, typeface=MONO, size=CODE_SIZE)
        y += ROW
    draw_rule(canvas, MARGIN, RIGHT, y)


def _draw_envelope(canvas: Canvas, language: str, line: ManifestLine, baseline: float) -> None:
    _ = catalogue(language).gettext
    draw_box(canvas, _TICK.end, baseline + 0.75, BOX)
    _put(canvas, str(line.number), _NUMBER, baseline)
    _put(canvas, as_printed(line.prisoner_name), _PRISONER, baseline, typeface=BOLD)
    _put(canvas, str(line.letters), _LETTERS, baseline)
    _put(canvas, str(line.sheets), _SHEETS, baseline)
    _put(canvas, _grams(line.grams, language), _GRAMS, baseline)
    if line.postage is None:
        _put(canvas, _("TOO HEAVY"), _POSTAGE, baseline, typeface=BOLD)
    else:
        _put(canvas, _grams(line.postage, language), _POSTAGE, baseline)


def _put(
    canvas: Canvas, words: str, column: _Column, baseline: float, *, typeface: Typeface = SANS, size: float = CELL_SIZE
) -> None:
    typeface.draw(canvas, words, column.end, baseline, size, width=column.width, right=column.right)


def _grams(grams: float, language: str) -> str:
    _ = catalogue(language).gettext
    return _("{number} g").format(number=format_decimal(grams, format="#,##0.#", locale=language))

"""The pages of a batch, drawn in parts of a fixed number of letters: the same pages on however many cores.

A printer that turns the paper over takes two pages of the PDF for each sheet: the sides A and B of a reply sheet, or a
page of the letter and a blank back. Where the facility takes letters printed on both sides, two pages of a letter share
a sheet. Every letter begins on a sheet of its own.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.censor_slip import draw_censor_slip
from print.correspondents import draw_correspondents
from print.fonts import PAGE_FONT, MissingFontError, NoGlyphError, load_fonts
from print.letter_pages import draw_letter
from print.manifest import draw_manifest
from print.reply_sheet import draw_reply_sheets
from relay.domain.envelopes import NoSuchWindowError
from relay.domain.letter_pages import LetterToPrint, Mailing, Manifest
from relay.domain.sheet import PAGE

LETTERS_IN_PART: Final = 50
"""Letters that are rendered at a time; each part has its own subsets of the fonts, 13 KB together."""
PHOTOS_IN_PART: Final = 16 * 2**20
"""Bytes of photos after which a part ends early, for the sake of memory."""
PDF_VERSION: Final = (1, 7)
"""The first in which a file can propose to be printed on both sides."""

rl_config.useA85 = 0  # photos as text would make the file a quarter larger


@dataclass(frozen=True, slots=True)
class RenderedMailing:
    """One envelope of a batch that has its pages."""

    mailing: int
    """The place of the mailing among those that were given, from 0."""
    sheets: int
    """Sheets of paper; each is two pages of the PDF."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A letter that could not be rendered."""

    mailing: int
    letter: int
    """Its place in the mailing, from 0."""
    reason: str
    """A sentence, or what the error is called; nothing of the letter but the name of a character."""


@dataclass(frozen=True, slots=True)
class RenderedPart:
    """Some pages of a batch."""

    pdf: bytes
    mailings: tuple[RenderedMailing, ...]
    set_aside: tuple[SetAside, ...]
    letters: int
    """Letters that were looked at, also those that are set aside."""


async def parts_of(mailings: AsyncIterable[Mailing]) -> AsyncIterator[dict[int, Mailing]]:
    """The mailings by their places, cut into parts; no mailing is divided."""
    part: dict[int, Mailing] = {}
    letters = photos = place = 0
    async for mailing in mailings:
        part[place] = mailing
        place += 1
        letters += len(mailing.letters)
        photos += sum(len(photo) for letter in mailing.letters for photo in letter.photos)
        if letters >= LETTERS_IN_PART or photos >= PHOTOS_IN_PART:
            yield part
            part, letters, photos = {}, 0, 0
    if part:
        yield part


def render_part(mailings: Mapping[int, Mailing]) -> RenderedPart:
    """Draw the mailings. What cannot be drawn is set aside, and a mailing that is empty then is left out.

    Raises MissingFontError.
    """
    aside: dict[tuple[int, int], str] = {}
    while True:
        # Half a letter cannot be taken off a canvas again: what is left is drawn anew.
        try:
            pdf, sheets = _drawn(mailings, aside)
        except _NotDrawnError as failed:
            aside |= dict.fromkeys(failed.letters, failed.reason)
        else:
            done = tuple(RenderedMailing(place, count) for place, count in sheets.items())
            failures = tuple(SetAside(*where, aside[where]) for where in sorted(aside))
            return RenderedPart(pdf, done, failures, sum(len(mailing.letters) for mailing in mailings.values()))


def render_manifest(manifest: Manifest) -> bytes:
    """The first pages of a batch, on both sides of their sheets. Raises NoGlyphError and MissingFontError."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    _on_sheets(canvas, draw_manifest(canvas, manifest), duplex=True)
    canvas.save()
    return file.getvalue()


def new_canvas(file: BinaryIO) -> Canvas:
    """An A4 document that proposes to be printed on both sides and not scaled, because the scanner measures.

    It names nobody, and the same pages give the same bytes. Raises MissingFontError.
    """
    load_fonts()
    canvas = Canvas(
        file,
        pagesize=(PAGE.width * mm, PAGE.height * mm),
        pageCompression=1,
        pdfVersion=PDF_VERSION,
        invariant=1,
        initialFontName=PAGE_FONT,  # reportlab names a font on every page; its own choice is not embedded
    )
    for name_nobody in (canvas.setAuthor, canvas.setCreator, canvas.setProducer, canvas.setSubject, canvas.setTitle):
        name_nobody("")
    canvas.setViewerPreference("PrintScaling", "None")
    canvas.setViewerPreference("Duplex", "DuplexFlipLongEdge")
    return canvas


def draw_on_sheets(canvas: Canvas, letter: LetterToPrint) -> int:
    """Draw a letter and its reply sheets. Returns how many sheets of paper they take."""
    sheets = _on_sheets(canvas, draw_letter(canvas, letter), duplex=letter.rules.duplex)
    return sheets + _on_sheets(canvas, draw_reply_sheets(canvas, letter), duplex=True)


class _NotDrawnError(Exception):
    def __init__(self, letters: Collection[tuple[int, int]], error: Exception) -> None:
        super().__init__(letters, error)
        self.letters = letters
        says = isinstance(error, (NoGlyphError, NoSuchWindowError))
        self.reason = str(error) if says else type(error).__name__


@contextmanager
def _drawing(letters: Collection[tuple[int, int]]) -> Iterator[None]:
    """Whatever goes wrong in the block is put down to these letters, unless all letters would fail in the same way."""
    try:
        yield
    except MissingFontError:
        raise
    except Exception as error:
        raise _NotDrawnError(letters, error) from error


def _drawn(mailings: Mapping[int, Mailing], aside: Collection[tuple[int, int]]) -> tuple[bytes, dict[int, int]]:
    """The PDF of what is not set aside, and the sheets of each mailing that has any."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    sheets: dict[int, int] = {}
    for place, mailing in mailings.items():
        numbered = {(place, number): letter for number, letter in enumerate(mailing.letters)}
        letters = {where: letter for where, letter in numbered.items() if where not in aside}
        if not letters:
            continue
        sheets[place] = 0
        for where, letter in letters.items():
            with _drawing([where]):
                sheets[place] += draw_on_sheets(canvas, letter)
        with _drawing(letters):
            sheets[place] += _draw_what_goes_along(canvas, mailing, list(letters.values()))
    canvas.save()
    return file.getvalue(), sheets


def _draw_what_goes_along(canvas: Canvas, mailing: Mailing, letters: Sequence[LetterToPrint]) -> int:
    first, sheets = letters[0], 0
    if mailing.correspondents is not None:
        pages = draw_correspondents(canvas, mailing.correspondents)
        sheets += _on_sheets(canvas, pages, duplex=first.rules.duplex)
    if first.rules.censor_slip:
        codes = [letter.code for letter in letters]
        draw_censor_slip(canvas, first.prisoner_name, first.sheet_language, codes, first.return_address)
        sheets += _on_sheets(canvas, iter([None]), duplex=False)
    return sheets


def _on_sheets(canvas: Canvas, pages: Iterator[None], *, duplex: bool) -> int:
    """End each page while they are drawn, and give sheets their blank backs. Returns how many sheets it were."""
    count = 0
    for _ in pages:
        canvas.showPage()
        count += 1
        if not duplex:
            canvas.showPage()
            count += 1
    if count % 2:
        canvas.showPage()
        count += 1
    return count // 2

"""A letter on A4 paper: the sender's text, line for line, then the photos, framed by what lets loose pages find each
other again.

Every page names the prisoner, says which page of how many it is and carries the reply code. Letters are printed on one
side of the paper: in some places only the odd pages are copied and handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Final

from babel.dates import format_date
from reportlab.lib.units import inch, mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from print.fonts import BOLD, MONO, SANS, SERIF, as_printed, unprintable
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import grouped
from relay.domain.sheet import PAGE, Rect
from relay.locale import catalogue

# All in mm, unless they say otherwise.
MARGIN: Final = 25.0
"""Left and right of the text: room for holes, and less than 85 characters a line."""
WIDTH: Final = PAGE.width - 2 * MARGIN
HEADER_BASELINE: Final = 24.0
HEADER_RULE: Final = 27.5
FIRST_BASELINE: Final = 38.0
TEXT_SIZE: Final = 12.0
"""Points."""
LEADING: Final = 6.0
"""From line to line: 17 points, for eyes that tire."""
LINES: Final = 37
"""Lines of a page, leaving room below them for the printed name of the sender."""
DATE_LINES: Final = 2
"""Lines that the date takes from the first page."""
SENDER_DISTANCE: Final = 2 * LEADING
FOOTER_BASELINE: Final = PAGE.height - 20.0
PHOTO: Final = Rect(MARGIN, FIRST_BASELINE - LEADING, WIDTH, FOOTER_BASELINE - FIRST_BASELINE)
"""Where a photo may lie, between the frame's lines."""
PHOTO_DPI: Final = 150
"""A photo of few pixels is printed no larger than this: larger, it would only be coarser."""
SMALL: Final = 10.5
"""Points, of what is not the letter itself."""
NAME_WIDTH: Final = 115.0

_DATE_LOCALES: Final = {"en": "en_GB"}
"""Where the language alone would write the month before the day."""


def wrapped(line: str) -> Iterator[str]:
    """One typed line as printed lines, broken at spaces, or inside a word that is longer than a line."""
    rest = line
    while (fitting := SERIF.fitting(rest, TEXT_SIZE, WIDTH * mm)) < len(rest):
        # The space at which a line ends is not printed, so it may stand just outside.
        space = rest.rfind(" ", 0, fitting + 1)
        cut = space if rest[: max(space, 0)].strip() else fitting
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip(" ")
    yield rest.rstrip()


def pages_of(text: str) -> list[list[str]]:
    """The printed lines of a text, page by page; at least one page. No page begins with a blank line."""
    pages: list[list[str]] = [[]]
    room = LINES - DATE_LINES
    for typed in as_printed(text).rstrip().split("\n"):
        for line in wrapped(typed):
            if len(pages[-1]) == room:
                pages.append([])
                room = LINES
            if line or pages[-1]:
                pages[-1].append(line)
    return pages


def page_count_of(text: str) -> int:
    """How many pages a text takes, with a block in the place of each character that cannot be printed."""
    printed = as_printed(text)
    for character in {each.character for each in unprintable(printed)}:
        printed = printed.replace(character, "\N{FULL BLOCK}")
    return len(pages_of(printed))


def page_count(letter: LetterToPrint) -> int:
    """How many pages the letter takes with its photos, without its reply sheets. Raises NoGlyphError."""
    return len(pages_of(letter.text)) + len(letter.photos)


def draw_letter(canvas: Canvas, letter: LetterToPrint) -> Iterator[None]:
    """Draw the letter page by page onto the canvas; the caller ends each page. Raises NoGlyphError."""
    pages = pages_of(letter.text)
    count = len(pages) + len(letter.photos)
    for number, lines in enumerate(pages, start=1):
        _draw_frame(canvas, letter, number, count)
        baseline = FIRST_BASELINE
        if number == 1:
            SERIF.draw(canvas, _date(letter), PAGE.width - MARGIN, baseline, TEXT_SIZE, right=True)
            baseline += DATE_LINES * LEADING
        for line in lines:
            SERIF.draw(canvas, line, MARGIN, baseline, TEXT_SIZE)
            baseline += LEADING
        if number == len(pages):
            _draw_sender(canvas, letter, baseline - LEADING + SENDER_DISTANCE)
        yield
    for number, photo in enumerate(letter.photos, start=len(pages) + 1):
        _draw_frame(canvas, letter, number, count)
        _draw_photo(canvas, photo)
        yield


def _draw_frame(canvas: Canvas, letter: LetterToPrint, number: int, count: int) -> None:
    _ = catalogue(letter.sheet_language).gettext
    right = PAGE.width - MARGIN
    name = as_printed(letter.prisoner_name)
    BOLD.draw(canvas, name, MARGIN, HEADER_BASELINE, SMALL, width=NAME_WIDTH)
    place = _("page {page} of {pages}").format(page=number, pages=count)
    SANS.draw(canvas, place, right, HEADER_BASELINE, SMALL, right=True)
    canvas.setLineWidth(0.5)
    canvas.line(MARGIN * mm, (PAGE.height - HEADER_RULE) * mm, right * mm, (PAGE.height - HEADER_RULE) * mm)
    SANS.draw(canvas, _("Reply code"), MARGIN, FOOTER_BASELINE, SMALL)
    MONO.draw(canvas, grouped(letter.code), right, FOOTER_BASELINE, SMALL, right=True)


def _draw_sender(canvas: Canvas, letter: LetterToPrint, baseline: float) -> None:
    _ = catalogue(letter.sheet_language).gettext
    sender = _("Letter from {name}").format(name=as_printed(letter.printed_name))
    SANS.draw(canvas, sender, MARGIN, baseline, SMALL, width=WIDTH)


def _draw_photo(canvas: Canvas, jpeg: bytes) -> None:
    """Draw a photo as large as it fits, in the middle under the head of the page; it is never turned."""
    picture = ImageReader(BytesIO(jpeg))
    pixels = picture.getSize()
    scale = min(PHOTO.width * mm / pixels[0], PHOTO.height * mm / pixels[1], inch / PHOTO_DPI)
    width, height = pixels[0] * scale, pixels[1] * scale
    canvas.drawImage(picture, (PAGE.width * mm - width) / 2, (PAGE.height - PHOTO.y) * mm - height, width, height)


def _date(letter: LetterToPrint) -> str:
    language = letter.sheet_language
    return format_date(letter.written_on, format="long", locale=_DATE_LOCALES.get(language, language))

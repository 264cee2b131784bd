"""The fonts of the printed page: which face draws which character, and which characters none can draw.

Fonts are TrueType files of Debian packages, embedded as subsets. Nothing is shaped, so every glyph stands behind the
one before it: scripts that run from right to left or place marks around letters are refused before they are printed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from relay.domain.letter_pages import Unprintable
from relay.domain.sheet import PAGE

FOLDER: Final = Path("/usr/share/fonts/truetype")
"""Where Debian puts TrueType fonts."""
PT: Final = "fonts-paratype"
DEJAVU: Final = "fonts-dejavu-core"

TAB: Final = 4
"""Columns from one tab stop to the next."""

_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
"""Soft hyphens, joiners, variation selectors and byte order marks: they ask for a shape and print nothing."""
_CLUSTER: Final = re.compile(r"[^\u0300-\u036f][\u0300-\u036f]*|[\u0300-\u036f]+")
"""A character with the accents on it, which may have a glyph together that they lack apart."""
_BLOCKS: Final = re.compile("\N{FULL BLOCK}+")
"""What is printed for a covered word."""
_BLOCK: Final = (-512 / 2048, 1921 / 2048)
"""Lower and upper end of a block over the baseline, in em (DejaVu's own figures)."""
_RIGHT_TO_LEFT: Final = {"R", "AL", "AN"}
_ACCENTS: Final = re.compile("[\u0300-\u036f]")


class MissingFontError(Exception):
    """A font file is not there; says which Debian package brings it."""

    def __init__(self, file: Path, package: str) -> None:
        super().__init__(file, package)
        self.file = file
        self.package = package

    def __str__(self) -> str:
        return f"The font {self.file} is missing. Install it: apt-get install {self.package}"


class NoGlyphError(ValueError):
    """A text with a character that no font has came to be printed; it should have been refused when it was written."""

    def __init__(self, character: str) -> None:
        super().__init__(character)
        self.character = character

    def __str__(self) -> str:
        return f"No font can print the character {_name(self.character)}."


@dataclass(frozen=True, slots=True)
class _Font:
    name: str
    file: str
    package: str


_PT_SERIF: Final = _Font("PTSerif", "paratype/PTF55F.ttf", PT)
_PT_SANS: Final = _Font("PTSans", "paratype/PTS55F.ttf", PT)
_PT_SANS_BOLD: Final = _Font("PTSans-Bold", "paratype/PTS75F.ttf", PT)
_DEJAVU_SERIF: Final = _Font("DejaVuSerif", "dejavu/DejaVuSerif.ttf", DEJAVU)
_DEJAVU_SANS: Final = _Font("DejaVuSans", "dejavu/DejaVuSans.ttf", DEJAVU)
_DEJAVU_SANS_BOLD: Final = _Font("DejaVuSans-Bold", "dejavu/DejaVuSans-Bold.ttf", DEJAVU)
_DEJAVU_MONO_BOLD: Final = _Font("DejaVuSansMono-Bold", "dejavu/DejaVuSansMono-Bold.ttf", DEJAVU)


@cache
def _loaded(font: _Font) -> TTFont:
    """The font, known to reportlab from now on. Raises MissingFontError."""
    path = FOLDER / font.file
    if not path.is_file():
        raise MissingFontError(path, font.package)
    face = TTFont(font.name, path)
    pdfmetrics.registerFont(face)
    return face


class Typeface:
    """A short chain of fonts: each character is drawn by the first that has it."""

    def __init__(self, *fonts: _Font) -> None:
        self._fonts = fonts
        self._glyphs: dict[str, tuple[str, float]] = {}

    def load(self) -> None:
        """Load every font of the chain. Raises MissingFontError."""
        for font in self._fonts:
            _loaded(font)

    def has(self, character: str) -> bool:
        """Whether one of the fonts has this character."""
        return any(ord(character) in _loaded(font).face.charToGlyph for font in self._fonts)

    def width(self, text: str, size: float) -> float:
        """How far the text reaches at this size, in the unit of the size. Raises NoGlyphError."""
        return size * sum(self._glyph(character)[1] for character in text)

    def fitting(self, text: str, size: float, width: float) -> int:
        """How many characters of the text fit into the width, at least one. Raises NoGlyphError."""
        room = width / size
        for count, character in enumerate(text):
            room -= self._glyph(character)[1]
            if room < 0:
                return max(count, 1)
        return len(text)

    def runs(self, text: str) -> Iterator[tuple[str, str]]:
        """The text cut into (name of the font, run of text). Raises NoGlyphError."""
        for font, run in groupby(text, key=lambda character: self._glyph(character)[0]):
            yield font, "".join(run)

    def draw(
        self,
        canvas: Canvas,
        text: str,
        x: float,
        baseline: float,
        size: float,
        *,
        width: float = 0,
        right: bool = False,
        spacing: float = 0,
    ) -> None:
        """Draw one line of text; it is never markup.

        `x` and `baseline` are in mm from the upper left corner of the page, `x` is the right end if `right`; `size` is
        in points. A text longer than `width` mm is drawn smaller, so that it is always whole. `spacing` mm are added
        after each character. Raises NoGlyphError.
        """
        length = self.width(text, size)
        if width and length > width * mm:
            size *= width * mm / length
            length = width * mm
        left, bottom = x * mm - (length if right else 0), (PAGE.height - baseline) * mm
        for blocks in _BLOCKS.finditer(text):  # one box behind them: between glyphs hairlines would show
            start, reach = self.width(text[: blocks.start()], size), self.width(blocks.group(), size)
            low, high = (end * size for end in _BLOCK)
            canvas.rect(left + start, bottom + low, reach, high - low, stroke=0, fill=1)
        words = canvas.beginText(left, bottom)
        words.setCharSpace(spacing * mm)
        for font, run in self.runs(text):
            words.setFont(font, size)
            words.textOut(run)
        canvas.drawText(words)

    def _glyph(self, character: str) -> tuple[str, float]:
        """The font that draws the character, and its advance in em."""
        try:
            return self._glyphs[character]
        except KeyError:
            pass
        for font in map(_loaded, self._fonts):
            if ord(character) in font.face.charToGlyph:
                glyph = font.fontName, font.stringWidth(character, 1.0)
                return self._glyphs.setdefault(character, glyph)
        raise NoGlyphError(character)


SERIF: Final = Typeface(_PT_SERIF, _DEJAVU_SERIF, _DEJAVU_SANS)
"""The text of a letter."""
SANS: Final = Typeface(_PT_SANS, _DEJAVU_SANS)
"""What the sheet says."""
BOLD: Final = Typeface(_PT_SANS_BOLD, _DEJAVU_SANS_BOLD, _DEJAVU_SANS)
"""Names."""
MONO: Final = Typeface(_DEJAVU_MONO_BOLD)
"""Reply codes: every symbol as wide as the next, and no two alike."""
MONO_CAP_HEIGHT: Final = 1493 / 2048
"""Height of a capital of MONO, in em (DejaVu's own figure)."""

PAGE_FONT: Final = _PT_SERIF.name
"""The font that a page begins with."""

TYPEFACES: Final = (SERIF, SANS, BOLD, MONO)


def load_fonts() -> None:
    """Load all fonts of the printed page. Raises MissingFontError, which names the package to install."""
    for typeface in TYPEFACES:
        typeface.load()


def as_printed(text: str) -> str:
    """The text as it will be drawn: composed accents, nothing invisible, tabs as spaces, lines ended by newlines."""
    lines = unicodedata.normalize("NFC", _INVISIBLE.sub("", _with_newlines(text)))
    return lines.expandtabs(TAB)


def unprintable(text: str) -> list[Unprintable]:
    """The characters of a text that cannot be printed, in their order; lines and columns are counted from 1.

    Newlines and tabs are fine; other control characters, text direction marks, private and unassigned characters,
    scripts that need shaping, and whatever no font has are not.
    """
    return [
        Unprintable(character, _name(character), number, column)
        for number, line in enumerate(_with_newlines(text).split("\n"), start=1)
        for character, column in _unprintable_in_line(line)
    ]


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unprintable_in_line(line: str) -> Iterator[tuple[str, int]]:
    for match in _CLUSTER.finditer(line):
        cluster = match.group()
        for character in unicodedata.normalize("NFC", _INVISIBLE.sub("", cluster)):
            if not _printable(character):
                yield character, match.start() + max(cluster.find(character), 0) + 1


@cache
def _printable(character: str) -> bool:
    category = unicodedata.category(character)
    if character == "\t":
        return True
    if category[0] == "C" or category in {"Zl", "Zp"} or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return False
    if category[0] == "M" and not _ACCENTS.match(character):
        return False
    return all(typeface.has(character) for typeface in (SERIF, SANS, BOLD))


def _name(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}")

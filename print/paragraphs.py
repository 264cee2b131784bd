"""A text as the lines of a column: the writer's line breaks kept, long lines broken where a reader expects it.

A line is broken at a space, behind a hyphen or a slash, and between Chinese or Japanese characters. A word is divided
only where the line would otherwise end far short of the edge, and anywhere only if it is longer than a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import regex
from pyphen import LANGUAGES, Pyphen
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.directions import directions_of, runs_from_the_right
from print.fonts import Typeface, as_printed, with_newlines
from print.shaping import HYPHEN

SHORT: Final = 1 / 8
"""How much of a line may stay empty before a word is divided to fill it."""
ALONE: Final = 1 / 6
"""A last word that takes less of its line than this does not stay alone there,"""
STILL_FULL: Final = 0.6
"""if the line before it stays as full as this."""
LETTERS_TOGETHER: Final = 3
"""How many letters of a divided word stay together at its ends, at least."""

_WISH: Final = regex.compile("([\u00ad\u200b])")
"""Where a writer allows that a word is divided: with a hyphen or without."""
_JOINS: Final = r"\p{L}\p{M}\p{N}@/\\<=_&'’\-"
_DIVIDABLE: Final = regex.compile(rf"(?<![{_JOINS}:.])\p{{L}}\p{{Ll}}{{{2 * LETTERS_TOGETHER - 1},60}}(?![{_JOINS}])")
"""A word as dictionaries have it; no part of an address or of a program, and none with stress marks."""
_BEHIND: Final = regex.compile(
    r"""(?<=[\p{L}\p{N}]{2}[\-‐–])(?=[\p{L}\p{N}]{2})
    | (?<=[\p{L}\p{N}!?.,]—|[\p{L}\p{N}]/)(?=[\p{L}\p{N}])
    | (?<=[\p{Thai}\p{Lao}])(?=[\u0e40-\u0e44\u0ec0-\u0ec4])
    | (?<=\u0f0b)(?=\p{Tibetan})""",
    regex.VERBOSE,
)
"""Behind a hyphen, a dash, a slash and the Tibetan tsheg; in Thai and Lao before the vowels that begin a syllable."""
_WIDE: Final = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u3000-\u303f\uff01-\uff60\p{Emoji_Presentation}]"
_CLOSING: Final = (
    r"\p{Pe}\p{Pf}\p{M}\u200d!?:;,.…%、。，．！？：；～・ーゝゞ々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
_OPENING: Final = r"\p{Ps}\p{Pi}¥￥＄$№"
_BETWEEN: Final = regex.compile(
    rf"""(?<={_WIDE})(?=[^\s{_CLOSING}])(?<![{_OPENING}\p{{RI}}])
    | (?<=[^\s{_OPENING}])(?={_WIDE})(?![{_CLOSING}\p{{RI}}])""",
    regex.VERBOSE,
)
"""Between characters that stand alone: neither behind an opening bracket nor before what closes."""

_CYRILLIC: Final = regex.compile(r"\p{Cyrillic}")
_CYRILLIC_LANGUAGES: Final = {"be", "bg", "mn", "ru", "sr", "uk"}
_ONLY_IN: Final = {"be": regex.compile("[ўЎ]"), "uk": regex.compile("[їєґЇЄҐ]")}
_FREQUENT: Final = {
    "de": regex.compile(r"(?i)\b(?:und|der|die|das|ich|nicht|ist|zu|dir|du|wir|mit|auf|es|ein|für|haben|den)\b"),
    "en": regex.compile(r"(?i)\b(?:and|the|of|to|you|not|is|we|with|that|it|this|are|have|my|your|from|was)\b"),
    "sv": regex.compile(r"(?i)\b(?:och|att|jag|inte|är|som|det|vi|på|har|med|till|av|om|dig|du|en|för)\b"),
}
"""Words by which a line tells its language."""


@dataclass(frozen=True, slots=True)
class SetLine:
    """One printed line of a column."""

    text: str
    typeface: Typeface
    size: float
    """Points."""
    width: float
    """Of the column, in mm."""
    levels: Sequence[int] | None = None
    """How its characters run, if some run from right to left."""
    from_the_right: bool = False
    """Whether its paragraph is set from the right."""

    @property
    def empty(self) -> bool:
        """Whether nothing is to be seen in it."""
        return not self.text

    def draw(self, canvas: Canvas, x: float, baseline: float) -> None:
        """Draw the line; `x` is the left edge of the column, both in mm from the upper left corner of the page."""
        x += self.width if self.from_the_right else 0
        self.typeface.draw(canvas, self.text, x, baseline, self.size, right=self.from_the_right, levels=self.levels)


def set_text(
    text: str, *, typeface: Typeface, size: float, width: float, language: str, hyphenate: bool
) -> list[SetLine]:
    """The lines of a text, as it was typed, in a column of this width (mm), at this size (points).

    Words are divided as in the language that a line seems to be in; `language` is meant where it does not tell. The
    writer's soft hyphens count either way. Raises NoGlyphError.
    """
    lines: list[SetLine] = []
    for typed in with_newlines(text).rstrip().split("\n"):
        shown, wishes = _shown(typed)
        directions = directions_of(shown) if runs_from_the_right(shown) else None
        paragraph = _Paragraph(shown, wishes, typeface, size, width * mm, language if hyphenate else None)
        for start, end, hyphen in paragraph.lines():
            line = shown[start:end].rstrip()
            if directions is None:
                lines.append(SetLine(line + hyphen, typeface, size, width))
            else:
                levels = directions.levels[start : start + len(line)]
                levels = [*levels, *levels[-1:]] if hyphen else levels
                lines.append(SetLine(line + hyphen, typeface, size, width, levels, directions.from_the_right))
    return lines


class _Line(NamedTuple):
    """A part of a paragraph, and what is added behind it."""

    start: int
    end: int
    hyphen: str


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """What stands between two line breaks of the writer."""

    text: str
    wishes: dict[int, str]
    typeface: Typeface
    size: float
    room: float
    """Points."""
    language: str | None
    """None if no word is to be divided."""

    def lines(self) -> list[_Line]:
        found: list[_Line] = []
        start = 0
        while (limit := start + self.typeface.fitting(self.text[start:], self.size, self.room)) < len(self.text):
            line = self._line(start, limit)
            found.append(line)
            start = line.end
            while self.text.startswith(" ", start):
                start += 1
        found.append(_Line(start, len(self.text), ""))
        return self._with_company(found)

    def _line(self, start: int, limit: int) -> _Line:
        """The line that begins here, of which so much would fit."""
        # The space at which a line ends is not printed, so it may stand just outside.
        space = self.text.rfind(" ", start, limit + 1)
        indented = not self.text[start : max(space, start)].strip()
        word = start if indented else space + 1
        for end in range(limit, word, -1):
            if (hyphen := self._wished(end)) is not None and self._fits(start, end, hyphen):
                return _Line(start, end, hyphen)
        if indented or self._width(start, space) < self.room * (1 - SHORT):
            for end in self._divisions(word, limit):
                if self._fits(start, end, HYPHEN):
                    return _Line(start, end, HYPHEN)
        return _Line(start, limit if indented else space, "")

    def _wished(self, end: int) -> str | None:
        """What is added where the line ends inside a word at this place, or None where it should not."""
        if end in self.wishes:
            return self.wishes[end]
        return "" if _BETWEEN.match(self.text, end) or _BEHIND.match(self.text, end) else None

    def _divisions(self, word: int, limit: int) -> Iterator[int]:
        """Where the dictionary divides the word that begins here, before the limit, the last place first."""
        end = self.text.find(" ", limit)
        for match in _DIVIDABLE.finditer(self.text, word, end if end >= 0 else len(self.text)):
            if match.start() < limit and self.language and (known := _language_of(self.text, self.language)):
                places = (match.start() + division for division in _divisions(match.group(), known))
                yield from reversed([place for place in places if place <= limit])

    def _with_company(self, lines: list[_Line]) -> list[_Line]:
        """The same lines, unless a single short word would stand alone on the last."""
        if len(lines) < 2:
            return lines
        *rest, before, last = lines
        if " " in self.text[last.start : last.end] or self._width(last.start, last.end) > self.room * ALONE:
            return lines
        space = self.text.rfind(" ", before.start, before.end)
        if space <= before.start or self._width(before.start, space) < self.room * STILL_FULL:
            return lines
        return [*rest, _Line(before.start, space, ""), _Line(space + 1, last.end, "")]

    def _width(self, start: int, end: int) -> float:
        return self.typeface.width(self.text[start:end].rstrip(), self.size)

    def _fits(self, start: int, end: int, hyphen: str) -> bool:
        return not hyphen or self.typeface.width(self.text[start:end] + hyphen, self.size) <= self.room


def _shown(typed: str) -> tuple[str, dict[int, str]]:
    """A typed line as it is printed, and what is added where the writer allows that a word is divided."""
    parts = _WISH.split(typed)
    if len(parts) == 1:
        return as_printed(typed), {}
    shown, wishes = "", {}
    for part, wish in zip(parts[::2], [*parts[1::2], ""], strict=True):
        shown += as_printed(part)
        if wish:
            wishes[len(shown)] = HYPHEN if wish == HYPHEN else ""
    return shown, wishes


def _language_of(text: str, likely: str) -> str | None:
    """The language by which words of this line are divided; None where there is no telling."""
    if _CYRILLIC.search(text):
        fallback = likely if likely in _CYRILLIC_LANGUAGES else "ru"
        return next((language for language, only in _ONLY_IN.items() if only.search(text)), fallback)
    counts = {language: len(frequent.findall(text)) for language, frequent in _FREQUENT.items()}
    first, second = sorted(counts.values(), reverse=True)[:2]
    if first > second:
        return max(counts, key=counts.__getitem__)
    return None if likely in _CYRILLIC_LANGUAGES else likely


@cache
def _dictionary(language: str) -> Pyphen | None:
    if language not in LANGUAGES:
        return None
    return Pyphen(lang=language, left=LETTERS_TOGETHER, right=LETTERS_TOGETHER)


def _divisions(word: str, language: str) -> list[int]:
    dictionary = _dictionary(language)
    if dictionary is None:
        return []
    # where a division changes the spelling, it has data
    places = [int(place) for place in dictionary.positions(word) if place.data is None]
    dictionary.hd.cache.clear()  # it would keep the words of the letters for ever
    return places

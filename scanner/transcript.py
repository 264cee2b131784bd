"""What is shown of the recognised words of a page: a help for reading, which never claims to be sure.

The thresholds are measured on handwriting in four languages: at a confidence of 65 and more 4 to 7 % of the characters
are wrong, from 50 to 65 27 %, below 35 more than 70 %.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from typing import Final

from relay.domain import letters
from relay.domain.reply_code import Side
from relay.domain.sheet import PAGE, TICK_SIDE, Rect, writing
from scanner.geometry import Geometry, pixels
from scanner.recognition import Box, Word

SHOWN_FROM: Final = 35
"""Confidence below which a word is not shown."""
SURE_FROM: Final = 60
"""Confidence below which a word is marked as doubtful."""
READABLE_SHARE: Final = 0.15
"""Share of sure words below which a page counts as unreadable, and nothing of it is shown: on twelve handwritten pages
4 of the 88 words that would be shown below it were right, and 69 of the 136 above it."""
GAP: Final = "…"
"""Stands for words that are not shown, between words that are."""
_AROUND: Final = 2.0
"""Millimetres by which handwriting goes over the first and the last line; what is printed is farther away."""
_EDGE: Final = 6.0
"""Millimetres at the left and right edge of the paper where nobody writes and scanners leave shadows."""

Lines = tuple[tuple[letters.Word, ...], ...]
"""The words of one page, line by line; none when it could not be read."""


def writing_area(geometry: Geometry, side: Side | None) -> Box | None:
    """Where people write on a page, in pixels, or None where that may be anywhere.

    Of a reply sheet it is what is ruled, so nothing that is printed on it is taken for an answer. `side` is the side of
    the sheet where a code told it; without it the lines are left out that only one side has.
    """
    if geometry is not Geometry.SHEET:
        return None
    ruled = writing(side or TICK_SIDE)
    return pixels(Rect(_EDGE, ruled.y - _AROUND, PAGE.width - 2 * _EDGE, ruled.height + 2 * _AROUND))


def transcript(words: Iterable[Word], size: tuple[int, int], area: Box | None = None, language: str = "") -> Lines:
    """What may be shown of the words of a page of this width and height in pixels, of an area of it or of all.

    `language` is the likeliest one: in a hand that cannot be read the engine sees words of the other script, and is
    sure of them.
    """
    written = [word for word in words if any(map(str.isalnum, word.text)) and (area is None or _within(word, area))]
    sure = sum(word.confidence >= SURE_FROM for word in written)
    if sure < READABLE_SHARE * len(written):
        return ()
    strange = partial(_strange, language=language)
    lines = (_shown(line, size, strange) for _, line in groupby(written, key=lambda word: word.line))
    return tuple(line for line in lines if any(word.text != GAP for word in line))


def _within(word: Word, area: Box) -> bool:
    x, y = (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2
    return area[0] <= x <= area[2] and area[1] <= y <= area[3]


def _strange(text: str, language: str) -> bool:
    """Whether a word mixes Latin and Cyrillic letters, or has Latin ones where somebody writes Russian."""
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha()}
    return "LATIN" in names and ("CYRILLIC" in names or language == "ru")


def _shown(line: Iterable[Word], size: tuple[int, int], strange: Callable[[str], bool]) -> tuple[letters.Word, ...]:
    shown: list[letters.Word] = []
    for hidden, words in groupby(line, key=lambda word: word.confidence < SHOWN_FROM):
        if hidden:
            shown.append(letters.Word(text=GAP, doubtful=False, box=_shares(list(words), size)))
        else:
            shown += [
                letters.Word(
                    text=word.text,
                    doubtful=word.confidence < SURE_FROM or strange(word.text),
                    box=_shares([word], size),
                )
                for word in words
            ]
    return tuple(shown)


def _shares(words: list[Word], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The place of these words together. Four digits are a twentieth of a millimetre, and keep what is stored small."""
    width, height = size
    return (
        round(min(word.box[0] for word in words) / width, 4),
        round(min(word.box[1] for word in words) / height, 4),
        round(max(word.box[2] for word in words) / width, 4),
        round(max(word.box[3] for word in words) / height, 4),
    )

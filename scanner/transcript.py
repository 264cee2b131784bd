"""What is shown of the recognised words of a page: a help for reading, which never claims to be sure.

The thresholds are measured on handwriting in four languages: at a confidence of 65 and more 4 to 7 % of the characters
are wrong, from 50 to 65 27 %, below 35 more than 70 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from relay.domain import letters
from relay.domain.reply_code import Side
from relay.domain.sheet import TICK_SIDE, writing
from scanner.geometry import Geometry, pixels
from scanner.tesseract import Word

SHOWN_FROM: Final = 35
"""Confidence below which a word is not shown."""
SURE_FROM: Final = 60
"""Confidence below which a word is marked as doubtful."""
READABLE_SHARE: Final = 0.15
"""Share of sure words below which a page counts as unreadable, and nothing of it is shown: on twelve handwritten pages
4 of the 88 words that would be shown below it were right, and 69 of the 136 above it."""
GAP: Final = letters.Word(text="…", doubtful=False)
"""Stands for words that are not shown, between words that are."""

Lines = tuple[tuple[letters.Word, ...], ...]
"""The words of one page, line by line; none when it could not be read."""


def transcript(words: Iterable[Word], geometry: Geometry, side: Side | None) -> Lines:
    """What may be shown of the words of a page.

    Of a reply sheet it is what was written, not what is printed on it. `side` is the side of the sheet where a code
    told it; without it the lines are left out that only one side has.
    """
    written = [
        word
        for word in words
        if any(map(str.isalnum, word.text)) and (geometry is not Geometry.SHEET or _on_the_lines(word, side))
    ]
    sure = sum(word.confidence >= SURE_FROM for word in written)
    if sure < READABLE_SHARE * len(written):
        return ()
    lines = (_shown(line) for _, line in groupby(written, key=lambda word: word.line))
    return tuple(line for line in lines if line != (GAP,))


def _on_the_lines(word: Word, side: Side | None) -> bool:
    left, top, right, bottom = pixels(writing(side or TICK_SIDE))
    x, y = (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2
    return left <= x <= right and top <= y <= bottom


def _shown(line: Iterable[Word]) -> tuple[letters.Word, ...]:
    shown: list[letters.Word] = []
    for word in line:
        if word.confidence >= SHOWN_FROM:
            shown.append(letters.Word(text=word.text, doubtful=word.confidence < SURE_FROM))
        elif shown[-1:] != [GAP]:
            shown.append(GAP)
    return tuple(shown)

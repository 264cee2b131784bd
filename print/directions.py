"""Which way text runs: the Unicode bidirectional algorithm (UAX 9), by libfribidi.

The Python packages for it give the reordered text only; shaping needs the level of each character.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple, TypeVar

import regex

LIBRARY: Final = "libfribidi.so.0"
PACKAGE: Final = "libfribidi0"

_BY_FIRST_STRONG: Final = 0x40
"""FRIBIDI_PAR_ON: the first letter with a direction decides for the paragraph, left to right without one."""
_FROM_THE_RIGHT: Final = regex.compile(r"[\p{bidi_class=R}\p{bidi_class=AL}\p{bidi_class=AN}]")

_Item = TypeVar("_Item")


class MissingBidiError(Exception):
    """The library that orders text from right to left is not there; says which Debian package brings it."""

    def __str__(self) -> str:
        return f"The library {LIBRARY} is missing. Install it: apt-get install {PACKAGE}"


class Directions(NamedTuple):
    """How a paragraph runs."""

    from_the_right: bool
    levels: Sequence[int]
    """Of each character; an odd one runs from right to left."""


def runs_from_the_right(text: str) -> bool:
    """Whether something in the text does."""
    return _FROM_THE_RIGHT.search(text) is not None


def directions_of(paragraph: str) -> Directions:
    """How the characters of a paragraph run. Raises MissingBidiError."""
    length = len(paragraph)
    characters = (ctypes.c_uint32 * length)(*map(ord, paragraph))
    kinds, brackets = (ctypes.c_uint32 * length)(), (ctypes.c_uint32 * length)()
    levels, direction = (ctypes.c_int8 * length)(), ctypes.c_uint32(_BY_FIRST_STRONG)
    library = load_directions()
    library.fribidi_get_bidi_types(characters, length, kinds)
    library.fribidi_get_bracket_types(characters, length, kinds, brackets)
    if not library.fribidi_get_par_embedding_levels_ex(kinds, brackets, length, ctypes.byref(direction), levels):
        raise MemoryError
    return Directions(bool(direction.value & 1), list(levels))


def in_order_of_sight(runs: Sequence[_Item], levels: Sequence[int]) -> list[_Item]:
    """The runs of one line from left to right, given the level of each (UAX 9, rule L2)."""
    order = list(range(len(runs)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = end + 1
    return [runs[place] for place in order]


@cache
def load_directions() -> ctypes.CDLL:
    """Load the library. Raises MissingBidiError."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise MissingBidiError from error

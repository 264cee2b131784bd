"""Text in columns: what may begin a page, what stays together, and columns that end at the same height."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from print.fonts import with_newlines
from print.layouts import Setting
from print.paragraphs import SetLine, set_text


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a column."""

    line: SetLine | None
    """None is a rule."""
    may_begin: bool = True
    """Whether a column may begin with it, if that can be avoided."""

    @property
    def vanishes(self) -> bool:
        """Whether it is left out where a column begins or ends."""
        return self.line is None or self.line.empty


RULE: Final = Row(None)


def rows_of_text(text: str, setting: Setting, width: float, language: str) -> list[Row]:
    """The lines of a text in a column of this width (mm); see `set_text` about the language.

    Neither the first nor the last line of a paragraph is parted from its neighbour. Raises NoGlyphError.
    """
    rows: list[Row] = []
    for typed in with_newlines(text).rstrip().split("\n"):
        lines = set_text(
            typed,
            typeface=setting.typeface,
            size=setting.size,
            width=width,
            language=language,
            hyphenate=setting.hyphenate,
        )
        rows += [Row(line, not place or place not in {1, len(lines) - 1}) for place, line in enumerate(lines)]
    return rows


def together(rows: Sequence[Row]) -> list[Row]:
    """The rows as one piece."""
    return [Row(row.line, may_begin=not place) for place, row in enumerate(rows)]


def columns(rows: Sequence[Row], room: Callable[[int], int]) -> list[slice]:
    """Which rows stand in each column; at least one. `room` says how many rows fit into a column, counted from 0."""
    found: list[slice] = []
    start = 0
    while start < len(rows):
        if rows[start].vanishes:
            start += 1
            continue
        end = min(start + room(len(found)), len(rows))
        if end < len(rows):
            end = next((place for place in range(end, start, -1) if rows[place].may_begin), end)
        found.append(slice(start, end))
        start = end
    return found or [slice(0, 0)]


def even_columns(rows: Sequence[Row], count: int) -> list[slice]:
    """The rows in at most so many columns, the highest of which is as low as it can be without parting a piece."""
    beginnings = [place for place, row in enumerate(rows) if row.may_begin]
    longest = max(end - start for start, end in itertools.pairwise([*beginnings, len(rows)]))
    heights = itertools.count(max(longest, -(-len(rows) // count)))
    tries = (columns(rows, _always(height)) for height in heights)
    return next(found for found in tries if len(found) <= count)


def _always(height: int) -> Callable[[int], int]:
    return lambda _: height

"""Where the glyphs of a text stand: joined, stacked and ordered by HarfBuzz, from left to right as they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import uharfbuzz as hb

from print.truetype import Glyph, TrueType

HYPHEN: Final = "\u00ad"
"""Drawn as a hyphen: the one that divides a word at the end of a line, and is no part of it."""

_PLAIN: Final = {"liga": False, "clig": False, "calt": False, "kern": False}
"""For scripts whose letters stand alone: no ligatures, so that whoever copies the text gets every letter, and the same
distances as in words that need no shaping."""
_JOINED: Final[dict[str, bool]] = {}
"""What the font thinks right."""
_NO_LANGUAGE: Final = "und"
"""HarfBuzz would take the language of the machine."""


class Placed(NamedTuple):
    """A glyph in its place. All lengths are in em."""

    glyph: Glyph
    advance: float
    """How far it moves the pen."""
    right: float
    """How far from the pen it stands."""
    up: float
    at: int
    """Which character of the run it belongs to."""


class Run(NamedTuple):
    """Neighbouring glyphs of one font."""

    face: TrueType
    placed: Sequence[Placed]
    untold: str
    """The text of the run, where its glyphs one after the other do not tell it; not of what runs from the right, which
    readers turn around by themselves."""

    @property
    def width(self) -> float:
        """In em."""
        return sum(placed.advance for placed in self.placed)


def shaped(face: TrueType, text: str, *, from_the_right: bool, joined: bool) -> Run:
    """The glyphs of a text that this font has whole, from left to right.

    `joined` says whether letters change beside each other, as in Arabic and in the scripts of India.
    """
    buffer = hb.Buffer()
    buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
    buffer.flags = hb.BufferFlags.REMOVE_DEFAULT_IGNORABLES
    buffer.add_codepoints(list(map(ord, text.replace(HYPHEN, "-"))))
    buffer.direction = "rtl" if from_the_right else "ltr"
    buffer.language = _NO_LANGUAGE
    buffer.guess_segment_properties()
    hb.shape(face.harfbuzz, buffer, _JOINED if joined else _PLAIN)
    infos, positions = buffer.glyph_infos, buffer.glyph_positions
    starts = sorted({info.cluster for info in infos})
    ends = dict(pairwise((*starts, len(text))))
    placed = []
    for info, position in zip(infos, positions, strict=True):
        start = info.cluster
        # of several glyphs for one piece of text the first stands for it all
        stands_for = text[start : ends.pop(start)] if start in ends else ""
        em = face.em
        placed.append(
            Placed(
                Glyph(info.codepoint, stands_for),
                em(position.x_advance),
                em(position.x_offset),
                em(position.y_offset),
                start,
            )
        )
    moved = joined or any(each.right or each.up or not each.glyph.text for each in placed)
    return Run(face, placed, text if moved and not from_the_right else "")

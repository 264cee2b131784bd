"""Text recognition behind one call: what an engine reads from the picture of a page.

Recognition is a help for reading and search. Whatever fails in it is told in the result, and nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right and lower edge, in pixels of the page."""


class Failure(StrEnum):
    """Why a page has no recognised text. It is recorded, and nothing waits for it."""

    TOOK_TOO_LONG = "took_too_long"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word."""

    text: str
    confidence: float
    """0 to 100, as the engine judges itself."""
    box: Box
    line: int
    """Place of its line on the page, in reading order from 0."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The words of one page, in reading order; none with a reason where recognition failed."""

    words: tuple[Word, ...] = ()
    failure: Failure | None = None


Engine = Callable[[Path, Sequence[str], int], Awaitable[Recognised]]
"""Reads a picture (a PGM in a private folder, where it may write its own files and must remove them), which is in these
languages of the relay and has this resolution in dpi. It never raises for what its tool does, and ends in its time."""


async def recognise(
    engine: Engine, pgm: Path, languages: Sequence[str], dpi: int, area: Box | None = None
) -> Recognised:
    """The words of a page, or of an area of it: nothing outside is looked at. Boxes are places of the page.

    `languages` are the relay's, as in ("ru", "en"); the first is the likeliest.
    """
    if area is None:
        return await engine(pgm, languages, dpi)
    part = pgm.with_name(f"{pgm.stem}-part.pgm")
    try:
        await asyncio.to_thread(_cut_out, pgm, area, part)
        found = await engine(part, languages, dpi)
    finally:
        part.unlink(missing_ok=True)
    left, top = area[:2]
    return replace(found, words=tuple(replace(word, box=_moved(word.box, left, top)) for word in found.words))


def _cut_out(pgm: Path, area: Box, part: Path) -> None:
    with Image.open(pgm, formats=["PPM"]) as picture:
        picture.crop(area).save(part, "PPM")


def _moved(box: Box, right: int, down: int) -> Box:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down

"""Fictional envelopes, and how to have them rendered."""

from __future__ import annotations

import datetime
import multiprocessing
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from print.rendering import Rendering, RenderingPool
from relay.domain.letter_pages import LetterToPrint, Mailing, Manifest, ManifestLine


async def given(mailings: Sequence[Mailing]) -> AsyncIterator[Mailing]:
    """The mailings, one after the other."""
    for mailing in mailings:
        yield mailing


def alone(*letters: LetterToPrint) -> list[Mailing]:
    """Each letter in an envelope of its own."""
    return [Mailing((letter,)) for letter in letters]


def manifest_of(mailings: Sequence[Mailing], rendering: Rendering) -> Manifest:
    """A manifest that says what was rendered."""
    lines = []
    for number, done in enumerate(rendering.mailings, start=1):
        letters = mailings[done.mailing].letters
        codes = tuple(letter.code for letter in letters)
        lines.append(ManifestLine(number, letters[0].prisoner_name, codes, len(codes), done.sheets, 20.0, 20))
    return Manifest(
        batch="0a1b2c3d",
        facility="Example Prison",
        language="en",
        made_on=datetime.date(2025, 11, 22),
        copy=False,
        lines=tuple(lines),
        set_aside=len(rendering.set_aside),
        checkpoint="",
    )


class Batch:
    """A batch that is rendered into a file."""

    def __init__(self, mailings: Sequence[Mailing], into: Path) -> None:
        self.mailings = mailings
        self.path = into
        self.progress: list[int] = []
        """The numbers of letters that were done, as they were told."""

    async def rendered(self, pool: RenderingPool) -> Rendering:
        """What the pool makes of it."""

        async def progress(letters: int) -> None:
            self.progress.append(letters)

        def manifest(rendering: Rendering) -> Manifest:
            return manifest_of(self.mailings, rendering)

        return await pool.render(given(self.mailings), manifest, self.path, progress)

    @property
    def pdf(self) -> bytes:
        """What was written."""
        return self.path.read_bytes()


class Deadly(tuple[str, ...]):
    """A return address that ends the process which draws it, as too large a letter would."""

    __slots__ = ()

    def __iter__(self) -> Iterator[str]:
        if multiprocessing.parent_process() is not None:
            os._exit(9)
        return super().__iter__()

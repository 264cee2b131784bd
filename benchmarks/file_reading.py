"""The whole way of a scan, as the worker goes it, but without its store: for the benchmarks.

What is imported here is what a worker has in memory too, and no more: a figure is about its memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.opened import private_folder
from scanner.intake import PageFile, pages
from scanner.ladder import climb
from scanner.limits import Limits
from scanner.outstanding import Outstanding
from scanner.recognition import Engine, Recognised, recognise
from scanner.transcript import Lines, transcript, writing_area

READ_IN: Final = ("ru", "en")
CORES: Final = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class ReadPage:
    """What is kept of a page."""

    number: int
    jpeg: bytes
    lines: Lines


async def read_file(path: Path, engine: Engine, keep: Callable[[ReadPage], None]) -> None:
    """Decode, clean, straighten, read and encode the pages of a file: as many at a time as there are cores."""
    at_once, tasks = asyncio.Semaphore(CORES), []

    async def codes() -> Outstanding:
        return Outstanding(())

    async def read(page: PageFile) -> None:
        code = (await climb(page, codes)).codes.agreed
        assert code is not None
        area = writing_area(page.geometry, code.side)
        found = await recognise(engine, page.pgm, READ_IN, page.dpi, area)
        assert found.failure is None
        lines = transcript(found.words, (page.width, page.height), area)
        keep(ReadPage(page.number, page.jpeg.read_bytes(), lines))
        page.remove()
        at_once.release()

    with private_folder() as folder:
        async with aclosing(pages(path, folder, Limits())) as given:
            async for page in given:
                await at_once.acquire()
                tasks.append(asyncio.create_task(read(page)))
            await asyncio.gather(*tasks)


async def no_words(_pgm: Path, _languages: Sequence[str], _dpi: int) -> Recognised:
    """An engine that does not look at the page."""
    return Recognised()


def read_many(path: Path) -> None:
    """Read a large file and keep nothing of it, as the worker does once a page is stored.

    tesseract runs in processes of its own, which do not count here: it is left out, for it would take an hour.
    """
    asyncio.run(read_file(path, no_words, lambda _: None))

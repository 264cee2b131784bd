"""Printing: pages per second beside other programs, the memory of a large batch, how soon a preview is there.

Run with `python -m benchmarks.print [--json]`; takes some minutes, and is of use only on a quiet machine.

Everybody makes the same document: letters of one page, each with its blank back and both sides of a reply sheet. Only
the three printed pages are counted. What starts a program, reads its code and fills its caches is not counted: each has
made a small document before, and typst, which remembers what it set, does each round in a new process.
"""

from __future__ import annotations

import asyncio
import datetime
import multiprocessing
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import Figure, report
from benchmarks.print_peers import LANGUAGE, PEERS, batch_of
from print.rendering import CORES, Rendering, RenderingPool
from relay.domain.letter_pages import LetterToPrint, Mailing, Manifest, ManifestLine
from relay.domain.reply_code import new_reply_code
from relay.opened import MEMORY_FOLDER, OPENED, private_folder

BENCH: Final = "print"
PAGES: Final = 3
"""Printed pages of a letter: one of text, and the sides of its reply sheet."""
WORDS: Final = 300
"""Of a letter; they fill two thirds of its page."""
PAUSE: Final = 0.03
"""Seconds between two looks at the memory."""
MEGABYTE: Final = 1_000_000
VOCABULARY: Final = re.findall(
    r"\w+",
    "дорогой друг пишу тебе из нашего города где наконец наступила весна и цветёт сирень мы собираемся по вечерам "
    "читаем стихи вспоминаем как ходили на озеро купаться и ловить рыбу передаём привет обнимаем всей семьёй держись "
    "рядом соседи спрашивают бабушка испекла пирог с яблоками книга которую ты просил уже едет пожалуйста береги себя",
)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    letters: int = 500
    """In the document that everybody makes."""
    rounds: int = 7
    """In each, typst and the relay make the document in turn."""
    slow_rounds: Mapping[str, int] = field(default_factory=lambda: {"fpdf2": 1, "WeasyPrint": 1})
    """Of who takes minutes; before the others."""
    many: int = 10_000
    """Letters of the batch whose memory is measured."""
    previews: int = 50


def letters(count: int) -> Iterator[LetterToPrint]:
    """Letters of one page, of which no two are the same; every run makes the same ones, but for their codes."""
    chance = random.Random(1)
    for _ in range(count):
        words = chance.choices(VOCABULARY, k=WORDS)
        yield LetterToPrint(
            code=new_reply_code(),
            prisoner_name="Алексей Примерович Пример",
            sheet_language=LANGUAGE,
            printed_name="Анна Вымышленная",
            text=" ".join(words).capitalize(),
            written_on=datetime.date(2025, 11, 22),
            return_address=("Группа Пример", "а/я 1", "000000 Примерск"),
        )


async def render(pool: RenderingPool, given: Sequence[LetterToPrint] | Iterator[LetterToPrint]) -> float:
    """Have a batch rendered as the worker does, each letter in its envelope. Returns the seconds."""
    printed = {}

    async def mailings() -> AsyncIterator[Mailing]:
        for place, letter in enumerate(given):
            printed[place] = letter.prisoner_name, letter.code
            yield Mailing((letter,))

    def manifest(rendering: Rendering) -> Manifest:
        assert not rendering.set_aside
        lines = tuple(
            ManifestLine(number, printed[done.mailing][0], (printed[done.mailing][1],), 1, done.sheets, 15.0, 20)
            for number, done in enumerate(rendering.mailings, start=1)
        )
        day = datetime.date(2025, 11, 22)
        return Manifest("0a1b2c3d", "Колония-пример", LANGUAGE, day, False, lines, 0, "")

    async def progress(_: int) -> None:
        pass

    with private_folder() as folder:
        begun = time.perf_counter()
        await pool.render(mailings(), manifest, folder / "batch.pdf", progress)
        return time.perf_counter() - begun


# --- pages per second


def peer_seconds(name: str, given: Sequence[LetterToPrint]) -> float:
    """What another program takes, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        process.submit(_seconds, name, given[:3]).result()
        return process.submit(_seconds, name, given).result()


def _seconds(name: str, given: Sequence[LetterToPrint]) -> float:
    batch = batch_of(given)
    begun = time.perf_counter()
    PEERS[name](batch)
    return time.perf_counter() - begun


async def speed(sizes: Sizes) -> list[Figure]:
    """Pages per second, the relay's on all cores against those of typst."""
    given = list(letters(sizes.letters))
    seconds: dict[str, list[float]] = {}
    for name, rounds in sizes.slow_rounds.items():
        seconds[name] = [await asyncio.to_thread(peer_seconds, name, given) for _ in range(rounds)]
    pools = {f"relay, {cores} cores" if cores > 1 else "relay, one core": RenderingPool(cores) for cores in {1, CORES}}
    for pool in pools.values():
        await render(pool, given)
    for _ in range(sizes.rounds):
        seconds.setdefault("typst, one process", []).append(await asyncio.to_thread(peer_seconds, "typst", given))
        for name, pool in pools.items():
            seconds.setdefault(name, []).append(await render(pool, given))
    for pool in pools.values():
        await pool.close()
    speeds = {name: PAGES * sizes.letters / statistics.median(taken) for name, taken in seconds.items()}
    best = speeds[list(pools)[-1]] / speeds["typst, one process"]
    peers = {f"{name}, pages per second": value for name, value in speeds.items()}
    return [Figure(BENCH, "pages per second against typst", best, "times", 1.5, peers, more_is_better=True)]


# --- memory


class Watched(threading.Thread):
    """Looks again and again at the memory of a process and of all that it began, and at opened files that lie there."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self._process = process
        self._stopped = threading.Event()
        self.processes = self.resident = self.files = self.together = 0.0
        """The peaks in megabytes. What processes share counts once in the first, and for each of them in the second;
        the last is the first and the files at one moment."""

    def run(self) -> None:
        while not self._stopped.wait(PAUSE):
            sizes = [_memory(process) for process in _family(self._process)]
            processes, resident = (sum(kind) / MEGABYTE for kind in zip(*sizes, strict=True))
            files = sum(map(_size, MEMORY_FOLDER.glob(f"{OPENED}*/*"))) / MEGABYTE
            self.processes = max(self.processes, processes)
            self.resident = max(self.resident, resident)
            self.files = max(self.files, files)
            self.together = max(self.together, processes + files)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join()


def _family(process: int) -> list[int]:
    """A process, its children, and theirs."""
    found = [process]
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in thread.read_text().split():
                found += _family(int(child))
    return found


def _memory(process: int) -> tuple[int, int]:
    """The bytes of a process that are in memory, with its share of what it has in common, and with all of that."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0, 0
    sizes = dict(line.split()[:2] for line in lines[1:])
    return int(sizes["Pss:"]) * 1024, int(sizes["Rss:"]) * 1024


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def render_many(count: int) -> None:
    """Render a batch whose letters are opened one by one."""

    async def work() -> None:
        pool = RenderingPool()
        await render(pool, letters(count))
        await pool.close()

    asyncio.run(work())


RELAY: Final = """
import sys
import relay.app  # what else the process of a relay has in memory
from benchmarks.print import render_many
render_many(int(sys.argv[1]))
"""
"""A process like a relay's: those in which it renders import nothing of the benchmarks."""


def watched(count: int) -> Watched:
    """What a batch of this many letters takes."""
    with subprocess.Popen([sys.executable, "-c", RELAY, str(count)]) as process:
        memory = Watched(process.pid)
        memory.start()
        process.wait()
        memory.stop()
    assert process.returncode == 0
    return memory


def memory(sizes: Sizes) -> list[Figure]:
    """The memory of a relay with its office and desk, and of all processes in which it renders.

    What they share is counted once. The PDF lies in memory too until it is sealed; it is said beside the figure.
    """
    few, many = watched(sizes.letters), watched(sizes.many)
    peers = {
        f"{sizes.letters} letters, MB": few.processes,
        "sum of resident sizes, MB": many.resident,
        "PDF in /dev/shm, MB": many.files,
        "with the PDF, MB": many.together,
    }
    return [Figure(BENCH, f"peak memory, {sizes.many} letters", many.processes, "MB", 300, peers)]


# --- preview


async def preview(sizes: Sizes) -> list[Figure]:
    """From the question to all pictures of a letter and its reply sheet; the first is among them."""
    pool = RenderingPool()
    spent = []
    for number, letter in enumerate(letters(CORES + sizes.previews)):
        begun = time.perf_counter()
        await pool.preview(letter)
        if number >= CORES:
            spent.append((time.perf_counter() - begun) * 1000)
    await pool.close()
    name = f"first page of a preview, with the {PAGES - 1} others"
    return [Figure(BENCH, name, statistics.median(spent), "ms", 60, {"slowest": max(spent)})]


def measure(sizes: Sizes) -> list[Figure]:
    """All figures."""
    return [*asyncio.run(speed(sizes)), *memory(sizes), *asyncio.run(preview(sizes))]


def main() -> list[Figure]:
    """All figures at their full size."""
    return measure(Sizes())


if __name__ == "__main__":
    report(main)

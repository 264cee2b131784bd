"""Broken scans by the thousand: each ends as taken or as refused with a reason, in its time, and the worker lives on.

Run with `python -m benchmarks.fuzz [--json]`; takes about half an hour on two quiet cores.

To load the libraries takes longer than to read a broken file. So the child that reads is forked here from a process that
has loaded them, and then does what it always does: it sets its limits, reads, and is believed nothing. Only bubblewrap is
left out; the tests run mutations of the same kinds in it, each from the start.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final, cast

from benchmarks import Figure, report
from benchmarks.mutations import good, hostile, mutated
from relay.opened import MEMORY_FOLDER
from scanner import child, intake
from scanner.limits import Limits, ScanRefusedError

BENCH: Final = "scan"
COUNT: Final = 10_000
AT_ONCE: Final = len(os.sched_getaffinity(0))
LIMITS: Final = Limits(megabytes=5, pages=50, megapixels=30, seconds=5, seconds_per_page=5)
SLACK: Final = 5.0
"""Seconds that a file may take beyond its limits: for the start, and for what the parent does with its pages."""
TAKEN: Final = "taken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a broken file."""

    number: int
    story: str
    """What was done to it."""
    end: str
    """TAKEN, the reason of its refusal, or the error that nobody expected."""
    seconds: float
    expected: bool
    """Whether it was taken, or refused with a reason, within its time."""


async def outcomes(numbers: Iterable[int]) -> AsyncIterator[Outcome]:
    """What becomes of the mutations of these numbers, as they end; some at a time."""
    good_ones, hostile_ones = good(), hostile()
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Outcome:
        async with at_once:
            story, broken = mutated(number, good_ones, hostile_ones)
            return await _outcome(number, story, broken)

    for ended in asyncio.as_completed([asyncio.create_task(one(number)) for number in numbers]):
        yield await ended


async def _outcome(number: int, story: str, broken: bytes) -> Outcome:
    expected = True
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None) as folder:
        path, into = Path(folder, "scan"), Path(folder, "pages")
        path.write_bytes(broken)
        into.mkdir()
        try:
            async with aclosing(intake.pages(path, into, LIMITS)) as pages:
                async for page in pages:
                    page.pgm.unlink()
            end = TAKEN
        except ScanRefusedError as refused:
            end = refused.reason
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            end, expected = f"{type(error).__name__}: {error}", False
    seconds = time.monotonic() - began
    return Outcome(number, story, end, seconds, expected and seconds <= LIMITS.seconds + SLACK)


class _Forked:
    """A child that was forked and not started; as much of asyncio's Process as the parent asks for."""

    def __init__(self, process: ForkServerProcess, stdout: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self._process = process

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int:
        await asyncio.to_thread(self._process.join)
        assert self._process.exitcode is not None
        return self._process.exitcode


@contextmanager
def forking() -> Iterator[Synchronized[int]]:
    """Let children be forked until the end of the block; gives the most kilobytes that one of them had at its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "scanner.child"])
    peak = context.Value("q", 0)

    async def start(path: Path, limits: Limits) -> Process:
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_read, args=(str(path), json.dumps(asdict(limits)), writer, peak))
        await asyncio.to_thread(process.start)
        writer.close()
        loop, stdout = asyncio.get_running_loop(), asyncio.StreamReader(limit=1 << 20)
        pipe = os.fdopen(os.dup(reader.fileno()), "rb", buffering=0)
        reader.close()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), pipe)
        return cast("Process", _Forked(process, stdout))

    real, intake._start = intake._start, start  # noqa: SLF001 - only how the child comes to be is another
    try:
        yield peak
    finally:
        intake._start = real  # noqa: SLF001


def _read(path: str, limits: str, answers: Connection, peak: Synchronized[int]) -> None:
    """What `python -m scanner.child` does, in a process that is there already."""
    for handle, place in (
        (os.open(path, os.O_RDONLY), 0),
        (answers.fileno(), 1),
        (os.open(os.devnull, os.O_WRONLY), 2),
    ):
        os.dup2(handle, place)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    answers.close()
    sys.argv = ["scanner.child", limits]
    try:
        status = child.main()
        with peak.get_lock():
            peak.value = max(peak.value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    finally:
        os._exit(status)


def measure() -> Sequence[Figure]:
    """Read all of them."""
    began = time.monotonic()
    with forking() as peak:
        ends = asyncio.run(_collected(range(COUNT)))
        largest = peak.value / 1000
    bad = [one for one in ends if not one.expected]
    for one in bad:
        print(f"{one.number} ({one.story}): {one.end} after {one.seconds:.1f} s", file=sys.stderr)
    counts = Counter(one.end for one in ends if one.expected)
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return [
        Figure(BENCH, "broken files that ended in any other way than taken or refused", len(bad), "files", 0),
        Figure(BENCH, "broken files, how they ended", len(ends) - len(bad), "files", peers=counts),
        Figure(
            BENCH, "broken files, longest time of one", max(one.seconds for one in ends), "s", LIMITS.seconds + SLACK
        ),
        Figure(
            BENCH, "broken files, most memory of a child that ended by itself", largest, "MB", LIMITS.memory_megabytes
        ),
        Figure(BENCH, "broken files, memory of the worker", parent, "MB", 500),
        Figure(BENCH, "broken files, time of all", time.monotonic() - began, "s"),
    ]


async def _collected(numbers: Iterable[int]) -> list[Outcome]:
    return [outcome async for outcome in outcomes(numbers)]


if __name__ == "__main__":
    report(measure)

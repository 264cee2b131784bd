"""Broken scans by the thousand: each ends as taken or as refused with a reason, in its time, and the worker lives on.

Run with `python -m benchmarks.fuzz [--json]`; takes about half an hour on two quiet cores.

The child that reads is forked here from a process that has loaded its libraries, and then does what it always does: it
sets its limits, reads, and is believed nothing. Only bubblewrap is left out; the tests run some in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

from benchmarks import Figure, report
from benchmarks.broken import nursery
from benchmarks.broken.mutations import good, hostile, mutated
from relay.opened import MEMORY_FOLDER
from scanner import intake
from scanner.limits import Limits, ScanRefusedError

BENCH: Final = "scan"
COUNT: Final = 10_000
AT_ONCE: Final = len(os.sched_getaffinity(0))
LIMITS: Final = Limits(megabytes=5, pages=50, megapixels=30, seconds=5, seconds_per_page=5)
SLACK: Final = 20.0
"""Seconds that a file may take beyond its limits: for the start, and for what the parent does with its pages."""
TAKEN: Final = "taken"


class GoodScanRefusedError(Exception):
    """A scan that nobody broke was not taken: something is wrong with the measuring, or with the relay."""


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
    """A child that was forked; as much of asyncio's Process as the parent asks for."""

    def __init__(self, stdout: asyncio.StreamReader, told: int, peaks: list[int]) -> None:
        self.stdout = stdout
        self._told, self._peaks = told, peaks
        (self._pid,) = nursery.BORN.unpack(os.read(told, nursery.BORN.size))
        self._exit_code: int | None = None

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)  # its number is its own until `wait` was told of its end, or nobody's

    async def wait(self) -> int:
        if self._exit_code is None:
            told = await asyncio.to_thread(os.read, self._told, nursery.ENDED.size)
            os.close(self._told)
            self._exit_code, kilobytes = nursery.ENDED.unpack(told)
            self._peaks.append(kilobytes)
        return self._exit_code


@contextmanager
def forking() -> Iterator[list[int]]:
    """Let children be forked until the end of the block; gives the kilobytes that each of them had at most."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", nursery.__name__, str(theirs.fileno())]
    peaks: list[int] = []

    async def start(path: Path, limits: Limits) -> Process:
        (answers, to_answers), (told, to_told) = os.pipe(), os.pipe()
        files = [os.open(path, os.O_RDONLY), to_answers, to_told]
        socket.send_fds(ours, [json.dumps(asdict(limits)).encode()], files)
        for file in files:
            os.close(file)
        stdout = asyncio.StreamReader(limit=1 << 20)
        pipe = os.fdopen(answers, "rb", buffering=0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), pipe)
        return cast("Process", await asyncio.to_thread(_Forked, stdout, told, peaks))

    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL):
        theirs.close()
        real, intake._start = intake._start, start  # noqa: SLF001 - only how the child comes to be is another
        try:
            yield peaks
        finally:
            intake._start = real  # noqa: SLF001
            ours.close()


def measure() -> Sequence[Figure]:
    """Read all of them."""
    began = time.monotonic()
    with forking() as peaks:
        asyncio.run(_good_are_taken())
        ends = asyncio.run(_collected(range(COUNT)))
    bad = [one for one in ends if not one.expected]
    for one in bad:
        print(f"{one.number} ({one.story}): {one.end} after {one.seconds:.1f} s", file=sys.stderr)
    counts = Counter(one.end for one in ends if one.expected)
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    longest = max(one.seconds for one in ends)
    return [
        Figure(BENCH, "broken files that ended in any other way than taken or refused", len(bad), "files", 0),
        Figure(BENCH, "broken files, how they ended", len(ends) - len(bad), "files", peers=counts),
        Figure(BENCH, "broken files, longest time of one", longest, "s", LIMITS.seconds + SLACK),
        Figure(BENCH, "broken files, most memory of a child", max(peaks) / 1000, "MB", LIMITS.memory_megabytes),
        Figure(BENCH, "broken files, memory of the worker", parent, "MB", 600),
        Figure(BENCH, "broken files, time of all", time.monotonic() - began, "s"),
    ]


async def _good_are_taken() -> None:
    """Where even these are refused, it says nothing that the broken ones are."""
    for name, content in good().items():
        if (end := (await _outcome(0, name, content)).end) != TAKEN:
            raise GoodScanRefusedError(f"{name} is not broken, and ended as {end}")


async def _collected(numbers: Iterable[int]) -> list[Outcome]:
    return [outcome async for outcome in outcomes(numbers)]


if __name__ == "__main__":
    report(measure)

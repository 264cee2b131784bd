"""Scanners on the desk, through SANE's program scanimage: nothing else in the project starts it or knows its ways.

It drives scanners on USB and, through its backends eSCL and AirScan, those on the network. It runs outside of the
limited child, since it has to reach the scanner: use it with scanners of your own.
"""

from __future__ import annotations

import asyncio
import os
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from scanner.limits import Limits

PROGRAM: Final = "scanimage"
INSTALL: Final = "apt-get install sane-utils"
GREY: Final = "Gray"
"""What most scanners call it."""
END_SECONDS: Final = 10
"""How long the program may take to bring the scanner to rest when it is asked to stop."""

_FEEDER: Final = re.compile(r"adf|feeder|duplex", re.IGNORECASE)
_BOTH_SIDES: Final = re.compile(r"duplex|both", re.IGNORECASE)
_OPTION: Final = r"^\s+--{}[ =](.+?)(?: \[[^\[\]]*\])?$"
"""A line in the list of a scanner's options: its choices, and in brackets which one holds."""
_STOPPING: Final = re.compile(r"received signal|trying to stop")
"""What processes of a backend say that are ended after an error."""
_OUT_OF_PAPER: Final = 7
_STATUS: Final = {
    2: "The scan was stopped at the scanner.",
    3: "The scanner is busy. Wait until it is ready and try again.",
    6: "Paper is jammed in the scanner. Take it out.",
    _OUT_OF_PAPER: "There is no paper in the feeder of the scanner.",
    8: "The cover of the scanner is open.",
    9: "The connection to the scanner broke.",
    10: "The scanner has not enough memory for this. Try a lower resolution.",
    11: "The user of this command may not use the scanner. Make it a member of the group scanner.",
}
"""What SANE's status codes mean, with which the program ends."""


class ScannerError(Exception):
    """The scanner did not do what it should; the message says what a person can do. Pages given before count."""


class NoScanProgramError(ScannerError):
    """scanimage is not installed; the message says how to install it."""


class NoScannerError(ScannerError):
    """There is no such scanner, or none at all."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner that can be reached."""

    name: str
    """By which the program knows it, as in "escl:http://192.168.1.30:80"."""
    model: str


@dataclass(frozen=True, slots=True)
class Order:
    """How to scan."""

    scanner: str | None = None
    """Its name; None for the first that is found."""
    resolution: int = 300
    """In dpi."""
    mode: str = GREY
    source: str | None = None
    """None for the feeder, of both sides where it can, or the glass of a scanner that has no feeder."""


@dataclass(frozen=True, slots=True)
class Pile:
    """A file with the pages that were scanned, as TIFF and without any loss."""

    path: Path
    pages: int


async def scanners() -> list[Scanner]:
    """All scanners that can be reached; looking for them takes some seconds. Raises NoScanProgramError."""
    listed, _ = await _asked("--formatted-device-list=%d\t%v %m\n")
    return [Scanner(*line.split("\t", 1)) for line in listed.splitlines() if "\t" in line]


async def scan(order: Order, into: Path, limits: Limits, scanned: Callable[[int], None]) -> AsyncGenerator[Pile, None]:
    """Scan what lies in the feeder, or the one page on the glass; gives one file, or several where it grows too large.

    The files are written to the folder `into`, which the caller makes private. `scanned` hears the number of each page.
    Use `contextlib.aclosing`, so that leaving early stops the scanner. Raises ScannerError, perhaps after some files:
    these are whole, and hold all pages that came out before.
    """
    command = await _command(order)
    number, piles = 0, _Piles(into, order.resolution, limits)
    async with _running(*command, cwd=into) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.create_task(process.stderr.read())
        while line := (await process.stdout.readline()).decode().strip():
            number += 1
            if (full := await asyncio.to_thread(piles.add, into / line)) is not None:
                yield full
            scanned(number)
        said, status = await complaints, await process.wait()
    if (last := piles.last()) is not None:
        yield last
    if status or not number:
        raise _problem(status or _OUT_OF_PAPER, said.decode(errors="replace"))


async def _command(order: Order) -> list[str]:
    scanner = order.scanner
    if scanner is None:
        found = await scanners()
        if not found:
            raise NoScannerError("No scanner was found. Is it switched on, and in the same network or on the cable?")
        scanner = found[0].name
    options, complaint = await _asked(f"--device-name={scanner}", "--all-options")
    sources, modes = _choices(options, "source"), _choices(options, "mode")
    if not options.strip() or "open of device" in complaint:
        raise NoScannerError(f"The scanner {scanner} cannot be reached. `relay scan scanners` lists those that can.")
    source = _chosen(order.source, sources, "source") if order.source else _best(sources)
    command = [PROGRAM, f"--device-name={scanner}", "--format=pnm", "--batch=%04d.pnm", "--batch-print"]
    command += [f"--source={source}"] if source else []
    command += [f"--mode={_chosen(order.mode, modes, 'mode')}"] if modes else []
    command += [f"--resolution={order.resolution}"]
    # The glass is never empty: from it the program would scan the same page again and again.
    return command if source and _FEEDER.search(source) else [*command, "--batch-count=1"]


def _choices(options: str, name: str) -> list[str]:
    found = re.search(_OPTION.format(name), options, re.MULTILINE)
    return found.group(1).split("|") if found else []


def _best(sources: Sequence[str]) -> str | None:
    """The source for a pile of paper, written on both sides; None for the only one."""
    feeders = [source for source in sources if _FEEDER.search(source)]
    return next((source for source in feeders if _BOTH_SIDES.search(source)), feeders[0] if feeders else None)


def _chosen(wanted: str, choices: Sequence[str], name: str) -> str:
    for choice in choices:
        if choice.lower() == wanted.lower():
            return choice
    raise ScannerError(f"This scanner has no {name} “{wanted}”. It has: {', '.join(choices) or 'only one'}.")


def _problem(status: int, said: str) -> ScannerError:
    lines = [
        line.removeprefix(f"{PROGRAM}: ")
        for line in said.splitlines()
        if line.startswith(PROGRAM) and not _STOPPING.search(line)
    ]
    return ScannerError(_STATUS.get(status) or f"The scanner cannot do that: {lines[-1] if lines else status}")


async def _asked(*arguments: str) -> tuple[str, str]:
    async with _running(PROGRAM, *arguments) as process:
        answered, complained = await process.communicate()
    return answered.decode(errors="replace"), complained.decode(errors="replace")


@asynccontextmanager
async def _running(*command: str, cwd: Path | None = None) -> AsyncIterator[Process]:
    """The program, which has ended when this is left."""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, cwd=cwd
        )
    except FileNotFoundError:
        raise NoScanProgramError(f"{PROGRAM}, which drives scanners, is not installed: {INSTALL}") from None
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, TimeoutError):
            process.terminate()  # it stops the scanner and lets go of it
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Piles:
    """Puts pages together into files, none of which goes over the limits."""

    def __init__(self, into: Path, resolution: int, limits: Limits) -> None:
        self._into, self._resolution, self._limits = into, resolution, limits
        self._count = self._pages = 0
        self._writer: AppendingTiffWriter | None = None

    def add(self, page: Path) -> Pile | None:
        """Add a page and remove its file. Gives the file before, where the page has no room in it."""
        full = None
        if self._writer is not None and not self._has_room(page):
            full = self.last()
        if self._writer is None:
            self._count += 1
            self._writer = AppendingTiffWriter(self._path, new=True)
        with Image.open(page, formats=["PPM"]) as picture:
            how = "group4" if picture.mode == "1" else "tiff_adobe_deflate"
            picture.save(self._writer, "TIFF", compression=how, dpi=(self._resolution, self._resolution))
        self._writer.newFrame()
        self._pages += 1
        page.unlink()
        return full

    def last(self) -> Pile | None:
        """End the file to which pages were added; None where there is none."""
        if self._writer is None:
            return None
        self._writer.close()
        self._writer = None
        done, self._pages = Pile(self._path, self._pages), 0
        return done

    @property
    def _path(self) -> Path:
        return self._into / f"pile-{self._count}.tiff"

    def _has_room(self, page: Path) -> bool:
        # What cannot be made smaller becomes hardly larger than it is.
        size = self._path.stat().st_size + page.stat().st_size * 1.01
        return size <= self._limits.megabytes * 1_000_000 and self._pages < self._limits.pages

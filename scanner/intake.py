"""Takes a received file apart, in a child that can do nothing else.

The child gets the file as an open descriptor and gives back pixels and numbers through a pipe. It cannot name a file,
and nothing it says is used before it is checked: until then its answers are called `untrusted`. The pictures that are
kept are encoded in this process, from pixels, so no byte of the received file is in them. The pipe holds the child
back: it is at most one page ahead of the caller, whatever the number of pages.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import structlog
from PIL import Image

import relay
import scanner
from relay.domain.photos import LONGEST_SIDE
from relay.domain.sheet import MATRICES
from scanner.answers import START_SECONDS, Answers, ChildFailedError, Count, Done, Page, Photo, Picture
from scanner.codes import PageCodes, matrix_codes
from scanner.geometry import Geometry
from scanner.limits import DamagedError, Limits, NotAScanError, TooLargeError, TooManyPagesError
from scanner.samples import Samples

__all__ = ["ChildFailedError", "PageFile", "pages", "photo", "sandbox_available", "split"]

LOG: Final = structlog.get_logger()
GREY_PAGE: Final = 300_000
"""Bytes that the picture of a grey page should stay under: a reply of ten pages then passes through any mail."""
COLOUR_PAGE: Final = 600_000
_QUALITIES: Final = (75, 65, 55, 45, 35)
"""JPEG qualities, tried until the picture is small enough; handwriting at 35 is still readable."""
BLANK: Final = 3.0
"""Square millimetres of writing under which a page is blank. Measured: a word of two letters in pencil of a quarter of
the contrast has 8 to 20; dust, holes, folds, rules, shadows and what shines through leave nothing on an empty page."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One page of a file, cleaned. Its three files belong to the caller."""

    number: int
    """Place in the received file, from 1."""
    of: int
    """How many pages the file has."""
    jpeg: Path
    """The cleaned picture, to keep and to send: grey or colour, at most 200 dpi, its resolution written in it."""
    untouched: Path
    """The page as it came, at most 150 dpi: a JPEG as well."""
    pgm: Path
    """Grey pixels for text recognition, at `dpi`: cleaned, without ruled lines."""
    width: int
    """Pixels of `pgm`."""
    height: int
    dpi: int
    colour: bool
    """Whether `jpeg` is in colour."""
    geometry: Geometry
    codes: PageCodes
    """What the matrix codes say; `scanner.ladder` goes on where they say nothing."""
    both_read: bool
    """Whether the matrix code was read in both of its places: what covers one of them may be another sheet."""
    samples: Samples

    @property
    def straightened(self) -> bool:
        """Whether places of a reply sheet are places of this page."""
        return self.geometry is Geometry.SHEET

    def remove(self) -> None:
        """Remove its files."""
        for file in (self.jpeg, self.untouched, self.pgm):
            file.unlink(missing_ok=True)

    @property
    def blank(self) -> bool:
        """Whether nothing is written on the page."""
        return self.samples.ink < BLANK


async def split(path: Path, into: Path, limits: Limits) -> list[PageFile]:
    """All pages of a file at once, as `pages` gives them. For files of many pages use `pages`."""
    async with aclosing(pages(path, into, limits)) as given:
        return [page async for page in given]


async def pages(path: Path, into: Path, limits: Limits) -> AsyncGenerator[PageFile, None]:
    """The pages of a received file, in its order; their files are written to the folder `into`.

    `into` holds content in the clear: the caller makes it private (0700) and removes it. The file itself is only read.
    While the caller is busy with a page the child waits, which does not count as its time; use `contextlib.aclosing`,
    so that leaving early ends the child. Raises a ScanRefusedError, perhaps after some pages: then none of them counts.
    Raises ChildFailedError.
    """
    size = (await asyncio.to_thread(path.stat)).st_size
    if size > limits.megabytes * 1_000_000:
        raise TooLargeError(limits)
    if size == 0:
        raise NotAScanError(limits)
    async with (
        _ended(await _start(path, limits)) as child,
        aclosing(_read(Answers(child, limits), limits)) as given,
    ):
        async for number, of, page, pixels in given:
            yield await asyncio.to_thread(_keep, number, of, page, pixels, into)


async def photo(untrusted: bytes, limits: Limits) -> Image.Image:
    """The first picture of a received file: upright, in RGB on white, no side longer than LONGEST_SIDE.

    Nothing is written to a disk. Raises a ScanRefusedError, and ChildFailedError.
    """
    if len(untrusted) > limits.megabytes * 1_000_000:
        raise TooLargeError(limits)
    async with _ended(await _start_on_photo(untrusted, limits)) as child:
        answers = Answers(child, limits)
        await answers.started()
        found = await answers.next()
        if not isinstance(found, Photo):
            raise DamagedError(limits)
        pixels = await answers.pixels(found.size, 3)
        if not isinstance(await answers.next(), Done):
            raise DamagedError(limits)
    return Image.frombytes("RGB", found.size, pixels)


def sandbox_available() -> bool:
    """Whether bubblewrap can confine the child here; without it only the limits hold. Tried by running it.

    The answer is kept. Where it could not even be tried, it is tried again the next time.
    """
    try:
        return _sandbox_runs()
    except (OSError, subprocess.TimeoutExpired):
        return False


# --- the child


@cache
def _sandbox_runs() -> bool:
    tried = subprocess.run(  # noqa: S603 - our own words only
        [*_sandbox(), sys.executable, "-c", "import scanner.limits"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=_environment(),
        timeout=START_SECONDS,
        check=False,
    )
    return tried.returncode == 0


@cache
def _say_sandbox_is_missing() -> None:
    # Once in the life of a process: every file would say the same.
    LOG.warning("sandbox_missing")


def _sandbox() -> list[str]:
    """bubblewrap, with no network, no other process, nothing writable, and only the system and our code readable."""
    seen = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives"]
    code = [sys.base_prefix, sys.prefix, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    code += [str(Path(package.__path__[0])) for package in (scanner, relay)]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *(argument for path in dict.fromkeys(seen + code) for argument in ("--ro-bind-try", path, path)),
        *("--dev", "/dev", "--remount-ro", "/", "--chdir", "/"),
    ]


def _environment() -> dict[str, str]:
    """All that the child sees of the environment. Threads of the libraries would use up its address space."""
    found_at = [str(Path(package.__path__[0]).parent) for package in (scanner, relay)]
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(found_at)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


async def _start(path: Path, limits: Limits) -> Process:
    with path.open("rb") as file:
        return await _start_on(file, limits)


async def _start_on_photo(untrusted: bytes, limits: Limits) -> Process:
    with os.fdopen(os.memfd_create("photo"), "w+b") as file:
        file.write(untrusted)
        file.seek(0)
        return await _start_on(file, limits, str(LONGEST_SIDE))


async def _start_on(file: BinaryIO, limits: Limits, *more: str) -> Process:
    command = [sys.executable, "-m", "scanner.child", json.dumps(asdict(limits)), *more]
    if await asyncio.to_thread(sandbox_available):
        command = _sandbox() + command
    else:
        _say_sandbox_is_missing()
    return await asyncio.create_subprocess_exec(
        *command, stdin=file, stdout=PIPE, stderr=DEVNULL, env=_environment(), cwd="/", limit=1 << 20
    )


@asynccontextmanager
async def _ended(child: Process) -> AsyncIterator[Process]:
    """The child, which has ended when this is left."""
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        # asyncio sees the end of a process only when its pipes are at their end, and stops reading a full one: what
        # the child had written ahead, at most twice the limit of the reader and a pipe, is read away.
        assert child.stdout is not None
        await child.stdout.read()
        await child.wait()


# --- its pages


async def _read(answers: Answers, limits: Limits) -> AsyncGenerator[tuple[int, int, Page, list[bytes]], None]:
    """Each page with its number, the number of all, and the pixels of its pictures; all announced ones or an error."""
    await answers.started()
    count = await answers.next()
    if not isinstance(count, Count):
        raise DamagedError(limits)
    if count.pages > limits.pages:
        raise TooManyPagesError(limits)
    for number in range(1, count.pages + 1):
        page = await answers.next()
        if not isinstance(page, Page):
            raise DamagedError(limits)
        pictures = (page.reading, page.picture, page.untouched)
        yield number, count.pages, page, [await answers.pixels(picture.size, picture.channels) for picture in pictures]
    if not isinstance(await answers.next(), Done):
        raise DamagedError(limits)


def _keep(number: int, of: int, page: Page, pixels: list[bytes], into: Path) -> PageFile:
    """Write the files of one page."""
    reading, picture, untouched = pixels
    width, height = page.reading.size
    names = f"{number:04d}.jpg", f"{number:04d}.untouched.jpg", f"{number:04d}.pgm"
    jpeg, as_it_came, pgm = (into / name for name in names)
    with pgm.open("wb") as file:
        file.write(b"P5\n%d %d\n255\n" % (width, height))
        file.write(reading)
    jpeg.write_bytes(_jpeg(page.picture, picture))
    as_it_came.write_bytes(_jpeg(page.untouched, untouched))
    codes = matrix_codes((code.text, code.method) for code in page.codes)
    # One place may have been read in several ways, in one way only once.
    ours = Counter(code.method for code in page.codes if matrix_codes([(code.text, code.method)]).reads)
    return PageFile(
        number,
        of,
        jpeg,
        as_it_came,
        pgm,
        width,
        height,
        page.reading.dpi,
        page.picture.colour,
        page.geometry,
        codes,
        max(ours.values(), default=0) >= len(MATRICES),
        page.samples,
    )


def _jpeg(picture: Picture, pixels: bytes) -> bytes:
    image = Image.frombytes("RGB" if picture.colour else "L", picture.size, pixels)
    for quality in _QUALITIES:
        encoded = BytesIO()
        image.save(encoded, "JPEG", quality=quality, dpi=(picture.dpi, picture.dpi))
        if encoded.tell() <= (COLOUR_PAGE if picture.colour else GREY_PAGE):
            break
    return encoded.getvalue()

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
import signal
import subprocess
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import structlog
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import relay
import scanner
from relay.domain.photos import LONGEST_SIDE
from scanner.codes import Method, PageCodes, matrix_codes
from scanner.geometry import Geometry
from scanner.limits import (
    REFUSALS,
    DamagedError,
    Limits,
    NotAScanError,
    RanOutOfMemoryError,
    Reason,
    ScanRefusedError,
    TookTooLongError,
    TooLargeError,
    TooManyPagesError,
)

LOG: Final = structlog.get_logger()
MAX_EDGE: Final = 20_000
"""Pixels of one edge that are believed of the child."""
MAX_PIXELS: Final = 40_000_000
"""Pixels of one page that are believed of the child."""
LINE: Final = 64 * 1024
"""Bytes of one answer of the child without its pixels."""
GREY_PAGE: Final = 300_000
"""Bytes that the picture of a grey page should stay under: a reply of ten pages then passes through any mail."""
COLOUR_PAGE: Final = 600_000
_QUALITIES: Final = (80, 70, 60, 50, 40)
"""JPEG qualities, tried until the picture is small enough; handwriting at 40 is still well readable."""
_START_SECONDS: Final = 60
"""How long the child may take to load its libraries, on a busy machine."""


class ChildFailedError(Exception):
    """The limited child could not start. This is a fault of the installation and not of the file: try again later."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One page of a file, cleaned. Its two files belong to the caller."""

    number: int
    """Place in the received file, from 1."""
    jpeg: Path
    """The picture to keep and to send: grey or colour, at most 200 dpi, its resolution written in it."""
    pgm: Path
    """Grey pixels for text recognition, at `dpi`."""
    width: int
    """Pixels of `pgm`."""
    height: int
    dpi: int
    colour: bool
    geometry: Geometry
    codes: PageCodes
    """What the matrix codes say; `scanner.printed_code` adds the readable code where they say nothing."""

    @property
    def straightened(self) -> bool:
        """Whether places of a reply sheet are places of this page."""
        return self.geometry is Geometry.SHEET


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
        aclosing(_read(_Answers(child, limits), limits)) as given,
    ):
        async for number, page, grey, picture in given:
            yield await asyncio.to_thread(_keep, number, page, grey, picture, into)


async def photo(untrusted: bytes, limits: Limits) -> Image.Image:
    """The first picture of a received file: upright, in RGB on white, no side longer than LONGEST_SIDE.

    Nothing is written to a disk. Raises a ScanRefusedError, and ChildFailedError.
    """
    if len(untrusted) > limits.megabytes * 1_000_000:
        raise TooLargeError(limits)
    async with _ended(await _start_on_photo(untrusted, limits)) as child:
        answers = _Answers(child, limits)
        await answers.started()
        found = await answers.next()
        if not isinstance(found, _Photo):
            raise DamagedError(limits)
        pixels = await answers.pixels(found.size, 3)
        if not isinstance(await answers.next(), _Done):
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
        timeout=_START_SECONDS,
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


# --- its answers


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Ready(_Answer):
    kind: Literal["ready"]


class _Count(_Answer):
    kind: Literal["pages"]
    pages: int = Field(ge=1)


_Edge = Annotated[int, Field(ge=1, le=MAX_EDGE)]


class _Code(_Answer):
    text: str = Field(max_length=200)
    method: Literal[Method.MATRIX, Method.MATRIX_SCALED, Method.MATRIX_CROP]


class _Page(_Answer):
    kind: Literal["page"]
    dpi: int = Field(ge=1, le=1200)
    grey: tuple[_Edge, _Edge]
    picture: tuple[_Edge, _Edge]
    colour: bool
    geometry: Geometry
    codes: list[_Code] = Field(max_length=40)


_Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]


class _Photo(_Answer):
    kind: Literal["photo"]
    size: tuple[_Side, _Side]


class _Refused(_Answer):
    kind: Literal["refused"]
    reason: Reason


class _Done(_Answer):
    kind: Literal["done"]


_ANSWER: Final[TypeAdapter[_Ready | _Count | _Page | _Photo | _Refused | _Done]] = TypeAdapter(
    Annotated[_Ready | _Count | _Page | _Photo | _Refused | _Done, Field(discriminator="kind")]
)


class _Answers:
    """Reads what the child says, within its time."""

    def __init__(self, child: Process, limits: Limits) -> None:
        assert child.stdout is not None
        self._child, self._limits, self._untrusted = child, limits, child.stdout
        self._seconds_left = float(limits.seconds)

    async def started(self) -> None:
        """Wait for the child to be ready for the file. Raises ChildFailedError."""
        with suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValidationError):
            async with asyncio.timeout(_START_SECONDS):
                if isinstance(_ANSWER.validate_json(await self._untrusted.readuntil(b"\n")), _Ready):
                    return
        raise ChildFailedError("The process that reads scans could not start. `relay doctor` looks for the reason.")

    async def next(self) -> _Ready | _Count | _Page | _Photo | _Done:
        """What the child says next. Raises a ScanRefusedError, its own or for what it fails to say."""
        try:
            async with self._in_time():
                untrusted_line = await self._untrusted.readuntil(b"\n")
                answer = _ANSWER.validate_json(untrusted_line[:LINE])
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        except (asyncio.LimitOverrunError, ValidationError):
            raise DamagedError(self._limits) from None
        if isinstance(answer, _Refused):
            raise REFUSALS[answer.reason](self._limits)
        return answer

    async def pixels(self, size: tuple[int, int], channels: int) -> bytes:
        """The pixels of a picture of this width and height; any bytes are pixels. Raises a ScanRefusedError."""
        width, height = size
        if width * height > MAX_PIXELS:
            raise DamagedError(self._limits)
        try:
            async with self._in_time():
                return await self._untrusted.readexactly(width * height * channels)
        except asyncio.IncompleteReadError:
            raise await self._ended() from None

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(min(self._limits.seconds_per_page, self._seconds_left)):
                yield
        except TimeoutError:
            raise TookTooLongError(self._limits) from None
        finally:
            self._seconds_left -= clock() - began

    async def _ended(self) -> ScanRefusedError:
        """What the end of a child that said nothing more tells about the file."""
        async with self._in_time():
            status = await self._child.wait()
        match -status if status < 0 else status - 128:  # bubblewrap passes a signal on as 128 + its number
            case signal.SIGXCPU:
                return TookTooLongError(self._limits)
            case signal.SIGKILL:  # the system was short of memory
                return RanOutOfMemoryError(self._limits)
            case _:
                return DamagedError(self._limits)


async def _read(answers: _Answers, limits: Limits) -> AsyncGenerator[tuple[int, _Page, bytes, bytes], None]:
    """Each page with its number, its grey pixels and its picture's pixels; all announced ones or an error."""
    await answers.started()
    count = await answers.next()
    if not isinstance(count, _Count):
        raise DamagedError(limits)
    if count.pages > limits.pages:
        raise TooManyPagesError(limits)
    for number in range(1, count.pages + 1):
        page = await answers.next()
        if not isinstance(page, _Page):
            raise DamagedError(limits)
        grey = await answers.pixels(page.grey, 1)
        yield number, page, grey, await answers.pixels(page.picture, 3 if page.colour else 1)
    if not isinstance(await answers.next(), _Done):
        raise DamagedError(limits)


def _keep(number: int, page: _Page, grey: bytes, picture: bytes, into: Path) -> PageFile:
    """Write the files of one page."""
    width, height = page.grey
    pgm, jpeg = into / f"{number:04d}.pgm", into / f"{number:04d}.jpg"
    pgm.write_bytes(b"P5\n%d %d\n255\n" % (width, height) + grey)
    jpeg.write_bytes(_jpeg(page, picture))
    codes = matrix_codes((code.text, code.method) for code in page.codes)
    return PageFile(number, jpeg, pgm, width, height, page.dpi, page.colour, page.geometry, codes)


def _jpeg(page: _Page, picture: bytes) -> bytes:
    image = Image.frombytes("RGB" if page.colour else "L", page.picture, picture)
    dpi = max(round(page.dpi * page.picture[0] / page.grey[0]), 1)
    for quality in _QUALITIES:
        encoded = BytesIO()
        image.save(encoded, "JPEG", quality=quality, optimize=True, dpi=(dpi, dpi))
        if encoded.tell() <= (COLOUR_PAGE if page.colour else GREY_PAGE):
            break
    return encoded.getvalue()

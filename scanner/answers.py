"""What the limited child may say, and how its parent hears it: checked, and in time.

Nothing of it is used before it is checked: until then it is called `untrusted`.
"""

from __future__ import annotations

import asyncio
import base64
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from relay.domain.photos import LONGEST_SIDE
from relay.domain.reply_code import ALPHABET, LENGTH
from relay.domain.sheet import MATRICES, MATRIX_MODULES, READABLE, Tick
from scanner.codes import Method
from scanner.geometry import Geometry
from scanner.limits import (
    REFUSALS,
    DamagedError,
    Limits,
    RanOutOfMemoryError,
    Reason,
    ScanRefusedError,
    TookTooLongError,
)
from scanner.samples import BoxInk, LineSample, MatrixSample, Samples

MAX_EDGE: Final = 20_000
"""Pixels of one edge that are believed of the child."""
MAX_PIXELS: Final = 40_000_000
"""Pixels of one picture that are believed of the child."""
MAX_SAMPLES: Final = 8
"""Soft samples of one page, of matrix codes and of readable codes each."""
LINE: Final = 128 * 1024
"""Bytes of one answer of the child without its pixels. A page full of foreign codes of symbols that JSON writes with
twelve characters each takes 95,000."""
START_SECONDS: Final = 60
"""How long the child may take to load its libraries, on a busy machine."""


class ChildFailedError(Exception):
    """The limited child could not start. This is a fault of the installation and not of the file: try again later."""


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Ready(_Answer):
    """The child is confined and has loaded its libraries."""

    kind: Literal["ready"]


class Count(_Answer):
    """How many pages follow."""

    kind: Literal["pages"]
    pages: int = Field(ge=1)


_Edge = Annotated[int, Field(ge=1, le=MAX_EDGE)]


class Picture(_Answer):
    """The head of a picture whose pixels follow."""

    size: tuple[_Edge, _Edge]
    dpi: int = Field(ge=1, le=2400)
    colour: bool = False

    @property
    def channels(self) -> int:
        """Bytes of one pixel."""
        return 3 if self.colour else 1


class GreyPicture(Picture):
    """The head of a grey picture."""

    colour: Literal[False] = False


class Code(_Answer):
    """The text of a matrix code."""

    text: str = Field(max_length=200)
    method: Literal[Method.MATRIX, Method.MATRIX_SCALED, Method.MATRIX_CROP]


def _soft(untrusted: object) -> bytes:
    """Signed bytes from -127 to 127 out of base64."""
    if not isinstance(untrusted, str):
        raise ValueError("soft values are text in base64")  # noqa: TRY004 - the error that pydantic takes for a refusal
    soft = base64.b64decode(untrusted, validate=True)
    if b"\x80" in soft:  # -128, whose negative a signed byte cannot hold
        raise ValueError("soft values go down to -127")
    return soft


_MODULES: Final = MATRIX_MODULES**2
_SYMBOLS: Final = LENGTH * len(ALPHABET)


class Matrix(_Answer):
    """The soft modules of a matrix code."""

    place: int = Field(ge=0, lt=len(MATRICES))
    modules: Annotated[bytes, BeforeValidator(_soft), Field(min_length=_MODULES, max_length=_MODULES)]

    @property
    def sample(self) -> MatrixSample:
        """As the parent uses them."""
        return MatrixSample(self.place, np.frombuffer(self.modules, np.int8).reshape(MATRIX_MODULES, MATRIX_MODULES))


class Line(_Answer):
    """The soft symbols of a readable code."""

    place: int = Field(ge=0, lt=len(READABLE))
    symbols: Annotated[bytes, BeforeValidator(_soft), Field(min_length=_SYMBOLS, max_length=_SYMBOLS)]

    @property
    def sample(self) -> LineSample:
        """As the parent uses them."""
        return LineSample(self.place, np.frombuffer(self.symbols, np.int8).reshape(LENGTH, len(ALPHABET)))


_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Box(_Answer):
    """The ink of a tick box."""

    filled: _Share
    outline: _Share


class Page(_Answer):
    """All about one page; the pixels of its three pictures follow, in this order."""

    kind: Literal["page"]
    reading: GreyPicture
    picture: Picture
    untouched: Picture
    geometry: Geometry
    codes: list[Code] = Field(max_length=40)
    matrices: list[Matrix] = Field(max_length=MAX_SAMPLES)
    lines: list[Line] = Field(max_length=MAX_SAMPLES)
    boxes: list[Box] = Field(max_length=len(Tick))
    ink: float = Field(ge=0, le=1e6, allow_inf_nan=False)

    @property
    def samples(self) -> Samples:
        """What was measured, as the parent uses it. Boxes that are not all there are as good as none."""
        boxes = tuple(BoxInk(box.filled, box.outline) for box in self.boxes)
        return Samples(
            matrices=tuple(matrix.sample for matrix in self.matrices),
            lines=tuple(line.sample for line in self.lines),
            boxes=boxes if len(boxes) == len(Tick) else (),
            ink=self.ink,
        )


_Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]


class Photo(_Answer):
    """The head of a photo in RGB whose pixels follow."""

    kind: Literal["photo"]
    size: tuple[_Side, _Side]


class Refused(_Answer):
    """The file is no good."""

    kind: Literal["refused"]
    reason: Reason


class Done(_Answer):
    """All has been said."""

    kind: Literal["done"]


_ANSWER: Final[TypeAdapter[Ready | Count | Page | Photo | Refused | Done]] = TypeAdapter(
    Annotated[Ready | Count | Page | Photo | Refused | Done, Field(discriminator="kind")]
)


class Answers:
    """Reads what the child says, within its time."""

    def __init__(self, child: Process, limits: Limits) -> None:
        assert child.stdout is not None
        self._child, self._limits, self._untrusted = child, limits, child.stdout
        self._seconds_left = float(limits.seconds)

    async def started(self) -> None:
        """Wait for the child to be ready for the file. Raises ChildFailedError."""
        with suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValidationError):
            async with asyncio.timeout(START_SECONDS):
                if isinstance(_ANSWER.validate_json(await self._untrusted.readuntil(b"\n")), Ready):
                    return
        raise ChildFailedError("The process that reads scans could not start. `relay doctor` looks for the reason.")

    async def next(self) -> Ready | Count | Page | Photo | Done:
        """What the child says next. Raises a ScanRefusedError, its own or for what it fails to say."""
        try:
            async with self._in_time():
                untrusted_line = await self._untrusted.readuntil(b"\n")
                answer = _ANSWER.validate_json(untrusted_line[:LINE])
        except asyncio.IncompleteReadError:
            raise await self._ended() from None
        except (asyncio.LimitOverrunError, ValidationError):
            raise DamagedError(self._limits) from None
        if isinstance(answer, Refused):
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

"""The ladder: how the code of a page is looked for, step by step, each recorded.

The matrix codes are read in the limited child. Where only one of the two on a sheet was, the readable code is read by
text recognition too. Where none was, what the child measured of both is compared with the codes that are outstanding.
All that is found counts together: the steps may contradict each other, and then a person decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict

from relay.domain.reply_code import ALPHABET, NotAReplyCodeError, ReplyCode, read_code
from relay.domain.sheet import READABLE
from scanner.codes import CodeRead, Method, PageCodes
from scanner.geometry import pixels
from scanner.intake import PageFile
from scanner.outstanding import Match, Outstanding
from scanner.tesseract import read_line

_SECONDS: Final = 20
"""How long text recognition of one line may take."""
_IN_CHILD: Final = (Method.MATRIX, Method.MATRIX_SCALED, Method.MATRIX_CROP)


class Tried(BaseModel):
    """One step of the ladder and what came of it."""

    model_config = ConfigDict(frozen=True)

    method: Method
    outcome: Literal["read", "doubtful", "nothing"]
    detail: str = ""
    """What the step measured, for whoever looks into a page: see `_tried`."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """What the ladder found on one page."""

    codes: PageCodes
    tried: tuple[Tried, ...] = ()
    ranked: tuple[ReplyCode, ...] = ()
    """Outstanding codes that look like the page, the likeliest first; they only suggest."""


async def climb(page: PageFile, outstanding: Callable[[], Awaitable[Outstanding]]) -> Climbed:
    """Look for the code of a page. `outstanding` is asked for only where the matrix codes could not be read."""
    steps = [Tried(method=method, outcome="read") for method in dict.fromkeys(read.method for read in page.codes.reads)]
    if steps and (page.both_read or not page.straightened):
        return Climbed(page.codes, tuple(steps))
    if steps:
        # Another sheet may lie over the place that was not read: then what is printed there is its code.
        printed = [read for read in await _printed(page) if read.certain]
        steps.append(Tried(method=Method.READABLE, outcome="read" if printed else "nothing"))
        return Climbed(replace(page.codes, reads=(*page.codes.reads, *printed)), tuple(steps))
    steps = [
        Tried(method=method, outcome="nothing") for method in _IN_CHILD if page.straightened or method is _IN_CHILD[0]
    ]
    if not (page.straightened or page.samples.matrices or page.samples.lines):
        return Climbed(page.codes, tuple(steps))
    known = await outstanding()
    printed = [read for read in await _printed(page) if not read.repaired or read.code in known]
    match = await asyncio.to_thread(known.match, page.samples)
    # The modules tell sheet and side, the symbols do not: what says more goes first.
    reads = sorted(
        [*printed, *([match.read] if match.read else [])], key=lambda read: (read.sheet is None, read.repaired)
    )
    steps += _tried(page, printed, match)
    return Climbed(replace(page.codes, reads=tuple(dict.fromkeys(reads))), tuple(steps), match.ranked)


def _tried(page: PageFile, printed: list[CodeRead], match: Match) -> list[Tried]:
    """The steps after the child's: how many symbols were repaired, and the evidence of the best code in nats."""
    steps = []
    if page.straightened:
        outcome: Literal["read", "doubtful", "nothing"] = "nothing"
        if printed:
            outcome = "read" if printed[0].certain else "doubtful"
        steps.append(
            Tried(method=Method.READABLE, outcome=outcome, detail="".join(str(read.repaired) for read in printed))
        )
    outcome = "read" if match.read else "doubtful" if match.ranked else "nothing"
    compared = ((Method.SOFT_MATRIX, page.samples.matrices), (Method.SOFT_READABLE, page.samples.lines))
    for method, samples in compared:
        if samples:
            by_other = match.read is not None and match.read.method is not method
            steps.append(
                Tried(method=method, outcome="nothing" if by_other else outcome, detail=f"{match.evidence:.1f}")
            )
    return steps


async def _printed(page: PageFile) -> list[CodeRead]:
    """The readable code by text recognition, from both places where a straightened page has it."""
    if not page.straightened:
        return []
    crops = await asyncio.to_thread(_crops, page)
    try:
        texts = await asyncio.gather(*(read_line(crop, ALPHABET, _SECONDS) for crop in crops))
    finally:
        for crop in crops:
            crop.unlink()
    reads = [read for text in texts if (read := _read(text))]
    return list(dict.fromkeys(sorted(reads, key=lambda read: read.repaired)))


def _crops(page: PageFile) -> list[Path]:
    """The two places of the readable code, as files beside the page."""
    crops = []
    with Image.open(page.pgm, formats=["PPM"]) as picture:
        for number, place in enumerate(READABLE):
            crop = page.pgm.with_name(f"{page.pgm.stem}-code-{number}.pgm")
            picture.crop(pixels(place.grown(1))).save(crop)
            crops.append(crop)
    return crops


def _read(text: str) -> CodeRead | None:
    try:
        read = read_code(text)
    except NotAReplyCodeError:
        return None
    return CodeRead(read.code, None, None, Method.READABLE, read.repaired)

"""The readable code, for pages whose matrix codes are torn, covered or switched off: by text recognition."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from PIL import Image

from relay.domain.reply_code import ALPHABET, NotAReplyCodeError, read_code
from relay.domain.sheet import READABLE
from scanner.codes import CodeRead, Method, PageCodes
from scanner.geometry import pixels
from scanner.intake import PageFile
from scanner.tesseract import read_line

_SECONDS = 20


async def read_printed_code(page: PageFile) -> PageCodes:
    """The codes of a page, with the readable code where no matrix code of ours was read.

    It can be looked for only on a straightened page. Both places where it is printed are read; if they differ, the
    result is contradictory, and if symbols had to be guessed, it only suggests.
    """
    if page.codes.reads or not page.straightened:
        return page.codes
    crops = await asyncio.to_thread(_crops, page)
    try:
        texts = await asyncio.gather(*(read_line(crop, ALPHABET, _SECONDS) for crop in crops))
    finally:
        for crop in crops:
            crop.unlink()
    reads = [read for text in texts if (read := _read(text))]
    return replace(page.codes, reads=tuple(dict.fromkeys(sorted(reads, key=lambda read: read.repaired))))


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

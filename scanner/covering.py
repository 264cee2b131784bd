"""Blackens parts of a page, so that whoever gets the picture or its words cannot know what stood there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from math import ceil, floor
from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from PIL.JpegImagePlugin import JpegImageFile

from relay.domain.letters import COVER, Word
from scanner.transcript import Lines

Box = tuple[float, float, float, float]
"""Left, top, right and lower edge, as shares of the width and height of the picture of the page."""

_AROUND: Final = 1.0
"""Millimetres that are blackened around what was marked: JPEG spreads faint traces of a stroke over its block, also the
JPEG in which the page was scanned."""
_BLOCK: Final = {"L": 8, "RGB": 16}
"""Pixels of a block of JPEG, in grey and in colour. Only whole blocks are blackened: then none holds a trace of what
was in it, and each comes out black however coarsely it is encoded."""
_NEARLY_BLACK: Final = 8
"""Brightness that counts as black, of 255: what encoding may add to it."""


class CoverFailedError(Exception):
    """What should be covered could not be, or is not black in the result: nothing may be sent."""

    def __init__(self) -> None:
        super().__init__("What was marked could not be covered safely. The page is not sent.")


def cover(jpeg: bytes, boxes: Sequence[Box]) -> bytes:
    """The picture with these boxes blackened in its pixels and encoded anew; nothing but its resolution is kept of what
    else was in the file. The result is decoded again and looked at. Raises CoverFailedError.
    """
    try:
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as opened:
            assert isinstance(opened, JpegImageFile)
            dpi = float(opened.info["dpi"][0])
            seen = opened.convert("L" if opened.mode == "L" else "RGB")
            as_coarse = opened.quantization
    except (OSError, ValueError, KeyError, SyntaxError, Image.DecompressionBombError) as error:
        raise CoverFailedError from error
    picture = Image.new(seen.mode, seen.size)
    picture.paste(seen)
    places = [_whole_blocks(box, picture, dpi) for box in boxes]
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in places:
        draw.rectangle((left, top, right - 1, bottom - 1), fill=0)
    written = BytesIO()
    # Without subsampling no colour flows from one block into the next.
    picture.save(written, "JPEG", qtables=as_coarse, subsampling=0, optimize=True, dpi=(dpi, dpi))
    _check(written.getvalue(), picture.size, places)
    return written.getvalue()


def _whole_blocks(box: Box, picture: Image.Image, dpi: float) -> tuple[int, int, int, int]:
    """The pixels of a box and around it up to the borders of their blocks. Raises CoverFailedError."""
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):  # also where something is not a number
        raise CoverFailedError
    width, height = picture.size
    around, block = _AROUND * dpi / 25.4, _BLOCK[picture.mode]
    return (
        max(floor((left * width - around) / block) * block, 0),
        max(floor((top * height - around) / block) * block, 0),
        min(ceil((right * width + around) / block) * block, width),
        min(ceil((bottom * height + around) / block) * block, height),
    )


def _check(jpeg: bytes, size: tuple[int, int], places: Sequence[tuple[int, int, int, int]]) -> None:
    with Image.open(BytesIO(jpeg), formats=["JPEG"]) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    if pixels.shape[1::-1] != size:
        raise CoverFailedError
    for left, top, right, bottom in places:
        if pixels[top:bottom, left:right].max() > _NEARLY_BLACK:
            raise CoverFailedError


def without_covered(lines: Lines, boxes: Sequence[Box]) -> Lines:
    """The words of a page without those that touch one of these boxes: each run of them is one COVER.

    A word without a place, typed by a person, may stand anywhere between its neighbours that have one.
    """
    if not boxes:
        return lines
    places = iter(_places([word for line in lines for word in line]))
    return tuple(tuple(_one_cover([_covered(word, next(places), boxes) for word in line])) for line in lines)


def _places(words: Sequence[Word]) -> Iterator[Box]:
    """Where each word is, or all of where it may be."""
    known = [None, *(place for place, word in enumerate(words) if word.box), None]
    for before, after in pairwise(known):
        if before is not None and (box := words[before].box):
            yield box
        first = (0.0, 0.0, 1.0, 0.0) if before is None else words[before].box
        last = (0.0, 1.0, 1.0, 1.0) if after is None else words[after].box
        assert first
        assert last
        between = (0.0, min(first[1], last[1]), 1.0, max(first[3], last[3]))
        start, end = -1 if before is None else before, len(words) if after is None else after
        yield from [between] * (end - start - 1)


def _covered(word: Word, place: Box, boxes: Sequence[Box]) -> Word:
    if any(_touch(place, box) for box in boxes):
        return Word(text=COVER, doubtful=False, box=word.box)
    return word


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _one_cover(words: Sequence[Word]) -> Iterator[Word]:
    """The words with one COVER for several that follow each other: how many there were tells something too."""
    hidden = False
    for word in words:
        if not (hidden and word.text == COVER):
            yield word
        hidden = word.text == COVER

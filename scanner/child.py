"""The limited child: everything native that meets the bytes of a received file runs here and nowhere else.

`python -m scanner.child LIMITS [LONGEST_SIDE]`, the file on standard input, the answers on standard output: lines of
JSON, and after the line of a page its raw pixels. With the longest side in pixels the file is a photo, otherwise a
scan. What leaves is pixels and numbers; no file is written. `scanner.intake` is the parent and believes nothing of it.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from relay.domain.reply_code import Side
from relay.domain.sheet import (
    FORMER_RETURN_ADDRESS,
    FORWARD,
    HEADER,
    INSTRUCTIONS,
    MARKS,
    MATRICES,
    READABLE,
    RETURN_ADDRESS,
    RULE,
    TICK_SIDE,
    TICKS,
    Rect,
    writing,
)
from scanner import cleaning, decoding, frame, matrix, sampling, straighten, symbols, tick_boxes
from scanner.codes import matrix_codes
from scanner.decoding import MAX_EDGE, MAX_PIXELS
from scanner.geometry import DPI, PIXELS_PER_MM, Geometry, Transform
from scanner.limits import (
    Limits,
    Reason,
    ScanRefusedError,
)
from scanner.matrix import Grey
from scanner.samples import BoxInk, LineSample, MatrixSample
from scanner.straighten import Image

PICTURE_DPI: Final = 200
"""Resolution of the picture that is kept and sent: handwriting stays well readable."""
UNTOUCHED_DPI: Final = 150
"""Resolution of the picture of the page as it came."""
_LARGEST_ENLARGEMENT: Final = 3.0


def main() -> int:
    """Read the file on standard input under the limits given as JSON in the first argument, a photo with a second."""
    limits = Limits(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between the answers
    _confine(limits)
    _answer(answers, kind="ready")
    try:
        if sys.argv[2:]:
            _give_photo(answers, sys.stdin.buffer, limits, int(sys.argv[2]))
        else:
            _give_pages(answers, sys.stdin.buffer, limits)
    except ScanRefusedError as refused:
        _answer(answers, kind="refused", reason=refused.reason)
    except MemoryError:
        _answer(answers, kind="refused", reason=Reason.RAN_OUT_OF_MEMORY)
    except cv2.error as error:
        out_of_memory = error.code == cv2.Error.STS_NO_MEM
        _answer(answers, kind="refused", reason=Reason.RAN_OUT_OF_MEMORY if out_of_memory else Reason.DAMAGED)
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on bad files
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        _answer(answers, kind="refused", reason=Reason.DAMAGED)
    else:
        _answer(answers, kind="done")
    return 0


def _confine(limits: Limits) -> None:
    """Limit this process, for good: memory, processor time, open files, nothing written, no core with content."""
    memory = limits.memory_megabytes * 1_000_000
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, limits.seconds, limits.seconds + 5),  # the signal of the soft limit tells the reason
        (resource.RLIMIT_NOFILE, 32, 32),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(what, (soft, hard))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the parent has gone: nothing is left to do
    cv2.setNumThreads(1)
    Pictures.MAX_IMAGE_PIXELS = None  # scanner.decoding checks each picture against the limits itself


def _answer(answers: BinaryIO, **answer: object) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _give_photo(answers: BinaryIO, file: BinaryIO, limits: Limits, longest: int) -> None:
    shown = decoding.photo(file, limits, longest)
    _answer(answers, kind="photo", size=shown.shape[1::-1])
    answers.write(shown.data)
    answers.flush()


def _give_pages(answers: BinaryIO, file: BinaryIO, limits: Limits) -> None:
    count, sources = decoding.open_pages(file, limits)
    _answer(answers, kind="pages", pages=count)
    for source in sources:
        _give_page(answers, source)


def _give_page(answers: BinaryIO, source: decoding.Source) -> None:
    untouched, untouched_dpi = _resized(source.image, source.dpi, largest=1.0, to=UNTOUCHED_DPI)
    image, dpi = _resized(source.image, source.dpi, largest=1.0)
    grey = cleaning.grey_of(image)
    found = _find(grey, dpi)
    if not cleaning.coloured(image):
        image = grey
    if found.sheet is not None:
        geometry = Geometry.SHEET
        image, dpi = straighten.flatten(image, found.sheet), DPI
    else:
        geometry = Geometry.AS_IT_CAME
        if upright := _ours(found.codes):
            geometry = Geometry.TURNED
            image, dpi = straighten.turn(image, upright[0])
        image, dpi = _resized(image, dpi, largest=_LARGEST_ENLARGEMENT)
    look = _cleaned(image, dpi, geometry, _side(found.codes))
    _answer(
        answers,
        kind="page",
        reading=_head(look.reading, dpi),
        picture=_head(look.picture, look.picture_dpi),
        untouched=_head(untouched, untouched_dpi),
        geometry=geometry,
        codes=[{"text": code.text, "method": code.method} for code in found.codes],
        matrices=[{"place": sample.place, "modules": _base64(sample.modules)} for sample in found.matrices],
        lines=[{"place": sample.place, "symbols": _base64(sample.symbols)} for sample in found.lines],
        boxes=[{"filled": box.filled, "outline": box.outline} for box in look.boxes],
        ink=look.ink,
    )
    pictures = look.reading, look.picture, untouched
    answers.writelines(np.ascontiguousarray(picture).data for picture in pictures)
    answers.flush()


@dataclass(frozen=True, slots=True)
class _Found:
    """What tells whose a page is and how it lies; samples only where no code of ours was read."""

    codes: list[matrix.Matrix]
    sheet: Transform | None
    matrices: Sequence[MatrixSample] = ()
    lines: Sequence[LineSample] = ()


def _find(grey: Grey, dpi: float) -> _Found:
    codes = matrix.read_page(grey)
    sheet = straighten.locate(grey, _ours(codes))
    if sheet is not None and len(_ours(codes)) < len(MATRICES):
        codes += matrix.read_places(straighten.flatten(grey, sheet))
    if not any(code.ours for code in codes):
        codes += matrix.read_scaled(grey)
        if sheet is None and _ours(codes):
            sheet = straighten.locate(grey, _ours(codes))
    if any(code.ours for code in codes):
        return _Found(codes, sheet)
    if sheet is None and not cleaning.ink(cleaning.clean(grey, dpi), dpi):
        return _Found(codes, None)  # the search takes a second, and of a pile every other page may be an empty back
    sheets = [*([] if sheet is None else [sheet]), *frame.guesses(grey)]
    unread = sampling.find_matrices(grey, sheets)
    sure = {code.place: code.corners for code in reversed(unread) if code.sure}  # the likest of each place stays
    if sheet is None and sure and (sheet := straighten.locate(grey, list(sure.values()))) is not None:
        codes += matrix.read_places(straighten.flatten(grey, sheet))
        sheets = [sheet, *sheets]
    if any(code.ours for code in codes):
        return _Found(codes, sheet)
    return _Found(codes, sheet, [code.sample for code in unread], symbols.sample_symbols(grey, sheets))


@dataclass(frozen=True, slots=True)
class _Look:
    """A page as it is read and as it is shown, and what is on it."""

    reading: Grey
    picture: Image
    picture_dpi: float
    boxes: tuple[BoxInk, ...]
    ink: float


def _cleaned(image: Image, dpi: float, geometry: Geometry, side: Side | None) -> _Look:
    grey = cleaning.clean(cleaning.grey_of(image), dpi)
    if image.ndim == 3 and cleaning.coloured(image):
        picture, picture_dpi = _resized(image, dpi, largest=1.0, to=PICTURE_DPI)
        picture = cleaning.clean(picture, picture_dpi)
    else:
        picture, picture_dpi = _resized(grey, dpi, largest=1.0, to=PICTURE_DPI)
    if geometry is not Geometry.SHEET:
        if geometry is Geometry.AS_IT_CAME and (angle := cleaning.skew(grey, dpi)):
            grey, picture = cleaning.turned(grey, angle), cleaning.turned(picture, angle)
        reading = cleaning.without_rules(grey, dpi)
        return _Look(reading, picture, picture_dpi, (), cleaning.ink(reading, dpi))
    boxes = tick_boxes.measure(grey)
    if side is None:
        side = TICK_SIDE if tick_boxes.is_tick_side(boxes) else Side.B
    area = writing(side)
    rules = (area.y + line * RULE for line in range(1, round(area.height / RULE) + 1))
    reading = cleaning.without_rules(grey, dpi, tuple(round(y * PIXELS_PER_MM) for y in rules))
    return _Look(reading, picture, picture_dpi, boxes, cleaning.ink(reading, dpi, _printed(side)))


def _printed(side: Side) -> Iterator[Rect]:
    """The parts of a sheet on which nobody writes."""
    yield from (*MARKS, *MATRICES, HEADER, *READABLE, INSTRUCTIONS, RETURN_ADDRESS, FORMER_RETURN_ADDRESS)
    if side is TICK_SIDE:
        yield from (TICKS, FORWARD)


def _side(codes: list[matrix.Matrix]) -> Side | None:
    agreed = matrix_codes((code.text, code.method) for code in codes).agreed
    return agreed.side if agreed else None


def _head(picture: Image, dpi: float) -> dict[str, object]:
    return {"size": picture.shape[1::-1], "dpi": max(round(dpi), 1), "colour": picture.ndim == 3}


def _base64(soft: NDArray[np.int8]) -> str:
    return base64.b64encode(soft.tobytes()).decode()


def _ours(codes: list[matrix.Matrix]) -> list[matrix.Points]:
    return [code.corners for code in codes if code.ours and code.corners is not None]


def _resized(image: Image, dpi: float, *, largest: float, to: int = DPI) -> tuple[Image, float]:
    """The picture at `to` dpi, enlarged at most `largest` times and no larger than what is given out; with its dpi."""
    height, width = image.shape[:2]
    scale = min(to / dpi, largest, MAX_EDGE / max(height, width), (MAX_PIXELS / (height * width)) ** 0.5)
    if abs(scale - 1) < 0.02:
        return image, dpi
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    # Of two thirds every pixel is seen by the linear way too, at a sixth of the time.
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR if scale > 0.6 else cv2.INTER_AREA
    return cast("Image", cv2.resize(image, size, interpolation=how)), dpi * scale


if __name__ == "__main__":
    raise SystemExit(main())

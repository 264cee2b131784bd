"""The limited child: everything native that meets the bytes of a received file runs here and nowhere else.

`python -m scanner.child LIMITS [LONGEST_SIDE]`, the file on standard input, the answers on standard output: lines of
JSON, and after the line of a page its raw pixels. With the longest side in pixels the file is a photo, otherwise a
scan. What leaves is pixels and numbers; no file is written. `scanner.intake` is the parent and believes nothing of it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from numbers import Real
from typing import BinaryIO, Final, cast

import cv2
import numpy as np
import pi_heif
import pypdfium2
from PIL import Image as Pictures
from PIL import ImageCms, ImageOps, UnidentifiedImageError
from pypdfium2.raw import FPDF_ERR_PASSWORD

from relay.domain.sheet import PAGE
from scanner import matrix, straighten
from scanner.geometry import DPI, Geometry
from scanner.limits import (
    DamagedError,
    Limits,
    NotAScanError,
    PasswordError,
    Reason,
    ScanRefusedError,
    TooManyPagesError,
    TooManyPixelsError,
)
from scanner.straighten import Image

PICTURE_DPI: Final = 200
"""Resolution of the picture that is kept and sent: handwriting stays well readable."""
MAX_EDGE: Final = 10_000
MAX_PIXELS: Final = 18_000_000
"""Largest page that is given out: A3 at DPI."""
_LARGEST_ENLARGEMENT: Final = 3.0
_STATED_DPI: Final = (100, 1200)
"""Resolutions that are believed. Phones write 72 whatever the picture shows."""

_KINDS: Final = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_PHOTO_KINDS: Final = ("JPEG", "PNG", "WEBP", "HEIF")
"""What phones and messengers make."""
_PDF_WITHIN: Final = 1024
"""Bytes in which the mark of a PDF may stand; some scanners write something before it."""

_COLOURED: Final = 40
"""Difference of the strongest and weakest channel from which a pixel counts as coloured."""
_COLOUR_SHARE: Final = 0.002
"""Share of coloured pixels from which a page stays in colour: one line written with a blue pen."""
_PAPER: Final = 245
"""Brightness that the paper of a sheet is raised to."""
_LARGEST_GAIN: Final = 1.6


@dataclass(frozen=True, slots=True)
class _Source:
    """A decoded page before anything is done to it, and its resolution in dpi, stated or guessed."""

    image: Image
    dpi: float


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
    Pictures.MAX_IMAGE_PIXELS = None  # _decoded checks each picture against the limits itself


def _answer(answers: BinaryIO, **answer: object) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _give_photo(answers: BinaryIO, file: BinaryIO, limits: Limits, longest: int) -> None:
    pi_heif.register_heif_opener(thumbnails=False)
    pi_heif.options.DECODE_THREADS = 1
    try:
        picture: Pictures.Image = Pictures.open(file, formats=_PHOTO_KINDS)
    except UnidentifiedImageError:
        raise NotAScanError(limits) from None
    _check_pixels(picture, limits)
    if picture.mode in {"1", "P", "PA"} or "transparency" in picture.info:  # colours that cannot be mixed
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    elif picture.mode.startswith("I;16"):
        picture = Pictures.fromarray(_eight_bits(picture))
    picture.thumbnail((longest, longest), Pictures.Resampling.LANCZOS)
    _turn_upright(picture)
    shown = np.asarray(_on_white(_in_srgb(picture)).convert("RGB"))
    _answer(answers, kind="photo", size=shown.shape[1::-1])
    answers.write(shown.tobytes())
    answers.flush()


def _in_srgb(picture: Pictures.Image) -> Pictures.Image:
    """The picture in the colours that it has by its profile: phones save in others than screens show."""
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in {"L", "RGB", "RGBA", "CMYK"}:
        with suppress(ImageCms.PyCMSError):
            meant, screen = ImageCms.getOpenProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            mode = "RGBA" if picture.mode == "RGBA" else "RGB"
            return ImageCms.profileToProfile(picture, meant, screen, outputMode=mode) or picture
    return picture


def _give_pages(answers: BinaryIO, file: BinaryIO, limits: Limits) -> None:
    count, sources = _open(file, limits)
    _answer(answers, kind="pages", pages=count)
    for source in sources:
        _give_page(answers, source)


def _open(file: BinaryIO, limits: Limits) -> tuple[int, Iterator[_Source]]:
    """The number of pages, and the pages, decoded one at a time."""
    start = file.read(_PDF_WITHIN)
    file.seek(0)
    for magic, kind in _KINDS.items():
        if start.startswith(magic):
            return _open_picture(file, kind, limits)
    if b"%PDF-" in start:
        return _open_pdf(file, limits)
    raise NotAScanError(limits)


def _open_pdf(file: BinaryIO, limits: Limits) -> tuple[int, Iterator[_Source]]:
    try:
        pdf = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        raise (PasswordError if error.err_code == FPDF_ERR_PASSWORD else DamagedError)(limits) from None
    if len(pdf) > limits.pages:
        raise TooManyPagesError(limits)
    pdf.init_forms()
    return len(pdf), (_render(pdf, number) for number in range(len(pdf)))


def _render(pdf: pypdfium2.PdfDocument, number: int) -> _Source:
    page = pdf[number]
    width, height = (max(edge, 1.0) for edge in page.get_size())
    scale = min(DPI / 72, (MAX_PIXELS / (width * height)) ** 0.5, MAX_EDGE / max(width, height))
    bitmap = page.render(scale=scale, rev_byteorder=True)
    image = np.array(bitmap.to_numpy(), np.uint8)
    bitmap.close()
    page.close()
    return _Source(image, scale * 72)


def _open_picture(file: BinaryIO, kind: str, limits: Limits) -> tuple[int, Iterator[_Source]]:
    picture = Pictures.open(file, formats=[kind])
    # Only TIFF has pages; more pictures in a JPEG or PNG are previews and animations.
    count = getattr(picture, "n_frames", 1) if kind == "TIFF" else 1
    if count > limits.pages:
        raise TooManyPagesError(limits)
    return count, (_decoded(picture, number, limits) for number in range(count))


def _decoded(picture: Pictures.Image, number: int, limits: Limits) -> _Source:
    if number:
        picture.seek(number)
    _check_pixels(picture, limits)
    stated = picture.info.get("dpi")
    picture.load()
    _turn_upright(picture)
    if picture.mode.startswith("I;16"):
        image = _eight_bits(picture)
    elif picture.has_transparency_data:
        image = np.asarray(_on_white(picture))
    elif picture.mode in {"L", "RGB"}:
        image = np.asarray(picture)
    else:
        image = np.asarray(picture.convert("L" if picture.mode in {"1", "I", "F"} else "RGB"))
    return _Source(image, _resolution(stated, image))


def _check_pixels(picture: Pictures.Image, limits: Limits) -> None:
    if picture.width * picture.height > limits.megapixels * 1_000_000:
        raise TooManyPixelsError(limits)


def _eight_bits(picture: Pictures.Image) -> Image:
    return (np.asarray(picture) >> 8).astype(np.uint8)


def _on_white(picture: Pictures.Image) -> Pictures.Image:
    """The picture itself where nothing of it can be seen through, otherwise on white, as RGB."""
    if not picture.has_transparency_data:
        return picture
    behind = Pictures.new("RGBA", picture.size, "white")
    behind.alpha_composite(picture.convert("RGBA"))
    return behind.convert("RGB")


def _turn_upright(picture: Pictures.Image) -> None:
    """Turn the picture as its EXIF says; a broken EXIF says nothing."""
    with suppress(OSError, ValueError, TypeError, KeyError, SyntaxError, OverflowError):
        ImageOps.exif_transpose(picture, in_place=True)


def _resolution(stated: object, image: Image) -> float:
    """The stated resolution where it can be believed, else that of a picture that shows an A4 page."""
    if isinstance(stated, tuple) and len(stated) == 2 and all(isinstance(value, Real) for value in stated):
        dpi = min(float(value) for value in stated)
        if _STATED_DPI[0] <= dpi <= _STATED_DPI[1]:
            return dpi
    return float(max(image.shape[:2]) / PAGE.height * 25.4)


def _give_page(answers: BinaryIO, source: _Source) -> None:
    image, dpi = _resized(source.image, source.dpi, largest=1.0)
    grey = _grey(image)
    codes = matrix.read_page(grey)
    sheet = straighten.locate(grey, _ours(codes))
    at_places: list[matrix.Matrix] = []
    if sheet is not None and len(_ours(codes)) < 2:
        at_places = matrix.read_places(_grey(straighten.flatten(grey, sheet)))
    if not _ours(codes) and not at_places:
        codes += matrix.read_scaled(grey)
        if sheet is None and _ours(codes):
            sheet = straighten.locate(grey, _ours(codes))
    if sheet is not None:
        geometry = Geometry.SHEET
        image, dpi = _whitened(straighten.flatten(image, sheet)), DPI
    else:
        geometry = Geometry.AS_IT_CAME
        if upright := _ours(codes):
            geometry = Geometry.TURNED
            image, dpi = straighten.turn(image, upright[0])
        image, dpi = _resized(image, dpi, largest=_LARGEST_ENLARGEMENT)
    coloured = _coloured(image)
    for_reading = _grey(image)
    picture, _ = _resized(image if coloured else for_reading, dpi, largest=1.0, to=PICTURE_DPI)
    _answer(
        answers,
        kind="page",
        dpi=max(round(dpi), 1),
        grey=for_reading.shape[1::-1],
        picture=picture.shape[1::-1],
        colour=coloured,
        geometry=geometry,
        codes=[{"text": code.text, "method": code.method} for code in codes + at_places],
    )
    answers.write(for_reading.tobytes())
    answers.write(picture.tobytes())
    answers.flush()


def _ours(codes: list[matrix.Matrix]) -> list[matrix.Points]:
    return [code.corners for code in codes if code.ours and code.corners is not None]


def _resized(image: Image, dpi: float, *, largest: float, to: int = DPI) -> tuple[Image, float]:
    """The picture at `to` dpi, enlarged at most `largest` times and no larger than what is given out; with its dpi."""
    height, width = image.shape[:2]
    scale = min(to / dpi, largest, MAX_EDGE / max(height, width), (MAX_PIXELS / (height * width)) ** 0.5)
    if abs(scale - 1) < 0.02:
        return image, dpi
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cast("Image", cv2.resize(image, size, interpolation=how)), dpi * scale


def _grey(image: Image) -> matrix.Grey:
    return image if image.ndim == 2 else cast("matrix.Grey", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _whitened(sheet: Image) -> Image:
    """The sheet with its paper raised to white, each channel by one gain, so that shades stay shades."""
    paper = np.percentile(sheet[::8, ::8].reshape(-1, 1 if sheet.ndim == 2 else 3), 70, axis=0)
    gain = np.clip(_PAPER / np.maximum(paper, 1), 1, _LARGEST_GAIN)
    levels = np.clip(np.arange(256)[:, None] * gain, 0, 255).round().astype(np.uint8)
    return cast("Image", cv2.LUT(sheet, levels.reshape(1, 256, -1)))


def _coloured(image: Image) -> bool:
    if image.ndim == 2:
        return False
    quarter = max(image.shape[1] // 4, 1), max(image.shape[0] // 4, 1)  # averages the colour noise of a camera away
    red, green, blue = cv2.split(cv2.resize(image, quarter, interpolation=cv2.INTER_AREA))
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return float(np.mean(spread > _COLOURED)) >= _COLOUR_SHARE


if __name__ == "__main__":
    raise SystemExit(main())

"""Decodes received files to pixels, page by page. Runs only in the limited child."""

from __future__ import annotations

import re
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
from scanner.geometry import DPI
from scanner.limits import (
    DamagedError,
    Limits,
    NotAScanError,
    PasswordError,
    TooManyPagesError,
    TooManyPixelsError,
)
from scanner.straighten import Image

MAX_EDGE: Final = 10_000
MAX_PIXELS: Final = 18_000_000
"""Largest page that is given out: A3 at DPI."""
_OPEN_FOR: Final = 10
"""Pages after which a PDF is opened anew: pdfium keeps the pictures of all pages that it has shown."""
_STATED_DPI: Final = (100, 1200)
"""Resolutions that are believed. Phones write 72 whatever the picture shows."""

_KINDS: Final = {  # by how a file begins
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_HEIF: Final = re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL)
_WEBP: Final = re.compile(rb"RIFF....WEBP", re.DOTALL)
_PHOTO_KINDS: Final = ("JPEG", "PNG", "WEBP", "HEIF")
"""What phones and messengers make."""
_PDF_WITHIN: Final = 1024
"""Bytes in which the mark of a PDF may stand; some scanners write something before it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded page before anything is done to it, and its resolution in dpi, stated or guessed."""

    image: Image
    dpi: float


def open_pages(file: BinaryIO, limits: Limits) -> tuple[int, Iterator[Source]]:
    """The number of pages of a file, and the pages, decoded one at a time. Raises a ScanRefusedError."""
    start = file.read(_PDF_WITHIN)
    file.seek(0)
    for magic, kind in _KINDS.items():
        if start.startswith(magic):
            return _open_picture(file, kind, limits)
    if _WEBP.match(start):
        return _open_picture(file, "WEBP", limits)
    if _HEIF.match(start):
        _can_open_heif()
        return _open_picture(file, "HEIF", limits)
    if b"%PDF-" in start:
        return _open_pdf(file, limits)
    raise NotAScanError(limits)


def photo(file: BinaryIO, limits: Limits, longest: int) -> Image:
    """The first picture of a file: upright, in RGB on white, no side longer than `longest` pixels.

    Raises a ScanRefusedError.
    """
    _can_open_heif()
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
    return np.asarray(_on_white(_in_srgb(picture)).convert("RGB"))


def _can_open_heif() -> None:
    pi_heif.register_heif_opener(thumbnails=False)
    pi_heif.options.DECODE_THREADS = 1


def _in_srgb(picture: Pictures.Image) -> Pictures.Image:
    """The picture in the colours that it has by its profile: phones save in others than screens show."""
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in {"L", "RGB", "RGBA", "CMYK"}:
        with suppress(ImageCms.PyCMSError):
            meant, screen = ImageCms.getOpenProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            mode = "RGBA" if picture.mode == "RGBA" else "RGB"
            return ImageCms.profileToProfile(picture, meant, screen, outputMode=mode) or picture
    return picture


def _open_pdf(file: BinaryIO, limits: Limits) -> tuple[int, Iterator[Source]]:
    try:
        pdf = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        raise (PasswordError if error.err_code == FPDF_ERR_PASSWORD else DamagedError)(limits) from None
    if len(pdf) > limits.pages:
        raise TooManyPagesError(limits)
    return len(pdf), _rendered(pdf, file)


def _rendered(pdf: pypdfium2.PdfDocument, file: BinaryIO) -> Iterator[Source]:
    pages = len(pdf)
    for number in range(pages):
        if number and number % _OPEN_FOR == 0:
            pdf.close()
            file.seek(0)
            pdf = pypdfium2.PdfDocument(file)
        if number % _OPEN_FOR == 0:
            pdf.init_forms()
        yield _render(pdf, number)


def _render(pdf: pypdfium2.PdfDocument, number: int) -> Source:
    page = pdf[number]
    width, height = (max(edge, 1.0) for edge in page.get_size())
    scale = min(DPI / 72, (MAX_PIXELS / (width * height)) ** 0.5, MAX_EDGE / max(width, height))
    bitmap = page.render(scale=scale)
    blue_first = cast("Image", bitmap.to_numpy())
    image = _one_channel(blue_first)
    if image is blue_first:
        image = cast("Image", cv2.cvtColor(blue_first, cv2.COLOR_BGR2RGB))
    bitmap.close()
    page.close()
    return Source(image, scale * 72)


def _open_picture(file: BinaryIO, kind: str, limits: Limits) -> tuple[int, Iterator[Source]]:
    picture = Pictures.open(file, formats=[kind])
    # Only TIFF has pages; more pictures in others are previews, animations and bursts.
    count = getattr(picture, "n_frames", 1) if kind == "TIFF" else 1
    if count > limits.pages:
        raise TooManyPagesError(limits)
    return count, (_decoded(picture, number, limits) for number in range(count))


def _decoded(picture: Pictures.Image, number: int, limits: Limits) -> Source:
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
    return Source(_one_channel(image), _resolution(stated, image))


def _one_channel(image: Image) -> Image:
    """A picture in colour of which all is grey in one channel; any other as it is."""
    if image.ndim == 2:
        return image
    some = image[::3, ::3]  # thinner than this is no pen stroke
    if any(cv2.absdiff(some[:, :, 0], some[:, :, other]).any() for other in (1, 2)):
        return image
    return cast("Image", cv2.extractChannel(image, 0))


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

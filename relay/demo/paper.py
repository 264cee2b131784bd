"""Paper for the demo: a printed reply sheet that somebody has answered by hand and put on a scanner, a little askew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pypdfium2
from PIL import Image, ImageDraw, ImageFont, ImageOps

from relay.domain.sheet import RULE, WRITING

DPI: Final = 300
ASKEW: Final = 1.3
"""Degrees by which the paper lies turned on the scanner, anticlockwise."""
BED: Final = 50
"""Pixels of the scanner's bed around the paper, so that no corner mark is cut off."""
BED_GREY: Final = 238
BLUR: Final = 0.7
"""Pixels; the sharpness of a cheap scanner."""
NOISE: Final = 2.5
"""Standard deviation of the grey levels, of 255."""
SEED: Final = 20
JPEG_QUALITY: Final = 85
INK: Final = (0.11, 0.14, 0.36)
"""What a blue pen leaves of red, green and blue light."""

HANDWRITING_FONT: Final = Path("/usr/share/fonts/truetype/sjfonts/SteveHand.ttf")
HANDWRITING_PACKAGE: Final = "fonts-sjfonts"
HANDWRITING_SIZE: Final = 7.0
"""mm, of a line's height in that font."""
INDENT: Final = 3.0
"""mm that this hand leaves free at both ends of a line."""
DRIFT: Final = 0.25
"""mm by which its words stand above or below the line; a standard deviation."""

ANSWER: Final = """\
Здравствуй! Твоё письмо получил, спасибо.
У меня всё хорошо, читаю книги.
За окном выпал первый снег. Напиши,
как поживает наша вымышленная улица.

Dear friend, thank you for your letter.
All pages have come. Please write again!"""
"""What is written where no handwriting is given."""

MAX_PIXELS: Final = 2400
"""Longest edge of a handwriting, in pixels; the paper has no room for more."""
PAPER_PATCH: Final = 1 / 40
"""Part of the picture's longer edge that is wider than any stroke, so that within it the brightest is paper."""
FAINT, FULL = 0.88, 0.66
"""Brightness against the paper around it, at which ink begins and at which it is as dark as it gets."""
SOLID: Final = 0.9
"""Ink from which dark things count as connected; the faint lines of squared paper would connect a whole page."""
SPECKS: Final = 0.0005
"""Part of the ink, on each side, that may lie outside of what is taken for the writing."""
EDGE: Final = 0.5
"""Part of the picture's width or height from which a connected dark thing is the edge of a paper and no writing."""

_Grey = npt.NDArray[np.float32]


class MissingHandwritingFontError(Exception):
    """The demo has no handwriting to put on the sheet."""

    def __init__(self) -> None:
        super().__init__(
            f"The font {HANDWRITING_FONT} is missing. Install it: apt-get install {HANDWRITING_PACKAGE};"
            " or give a picture of handwriting."
        )


def hand_written(sheet_pdf: bytes, page_index: int, handwriting: Path | None, text: str = ANSWER) -> bytes:
    """A scan (JPEG, 300 dpi) of one page of a PDF with handwriting on it; the same input gives the same bytes.

    The handwriting is any photo or scan of a written page. Without one the text is written on the ruled lines in a
    handwriting font: each line of it on its own, longer ones broken. Raises MissingHandwritingFontError if that font is
    not there, OSError if the picture cannot be read.
    """
    with pypdfium2.PdfDocument(sheet_pdf) as document:
        paper = np.asarray(document[page_index].render(scale=DPI / 72).to_pil().convert("RGB"), np.float32)
    ink = np.zeros(paper.shape[:2], np.float32)
    left, top = _pixels(WRITING.x), _pixels(WRITING.y)
    width, height = _pixels(WRITING.width), _pixels(WRITING.height)
    ink[top : top + height, left : left + width] = (
        _written(text, width, height) if handwriting is None else _photographed(handwriting, width, height)
    )
    light = 1 - ink[..., np.newaxis] * (1 - np.asarray(INK, np.float32))
    return _scanned(paper * light)


def _pixels(length: float) -> int:
    """A length in mm as pixels of the scan."""
    return round(length / 25.4 * DPI)


def _photographed(handwriting: Path, width: int, height: int) -> _Grey:
    """The ink of a photographed page, 0 for none and 1 for the darkest, as large as fits into the area."""
    with Image.open(handwriting) as picture:
        upright = ImageOps.exif_transpose(picture).convert("L")
    upright.thumbnail((MAX_PIXELS, MAX_PIXELS))
    grey = np.asarray(upright, np.float32)
    patch = int(max(grey.shape) * PAPER_PATCH) | 1
    paper = cv2.dilate(grey, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (patch, patch)))
    paper = cv2.GaussianBlur(paper, (0, 0), patch)
    ink: _Grey = np.clip((FAINT - grey / np.maximum(paper, 1)) / (FAINT - FULL), 0, 1).astype(np.float32)
    _remove_edges(ink, halo=patch // 4)
    rows, columns = (_inked(ink.sum(axis=axis), patch) for axis in (1, 0))
    ink = ink[rows, columns]
    scale = min(width / ink.shape[1], height / ink.shape[0])
    size = max(int(ink.shape[1] * scale), 1), max(int(ink.shape[0] * scale), 1)
    fitted = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    area = np.zeros((height, width), np.float32)
    start = (width - size[0]) // 2
    area[: size[1], start : start + size[0]] = np.clip(fitted, 0, 1)
    return area


def _remove_edges(ink: _Grey, halo: int) -> None:
    """Take out frames and edges of the paper, which the scanner or camera saw too, and the grey around them."""
    _, parts, places, _ = cv2.connectedComponentsWithStats((ink > SOLID).astype(np.uint8))
    long = (places[:, cv2.CC_STAT_WIDTH] > EDGE * ink.shape[1]) | (places[:, cv2.CC_STAT_HEIGHT] > EDGE * ink.shape[0])
    long[0] = False  # what is no ink
    edges = cv2.dilate(long[parts].astype(np.uint8), np.ones((halo, halo), np.uint8))
    ink[edges > 0] = 0


def _inked(sums: _Grey, margin: int) -> slice:
    """From where to where the ink lies, but for a few specks, and the margin around; everything if there is none."""
    total = np.cumsum(sums)
    if total[-1] == 0:
        return slice(None)
    first, last = np.searchsorted(total, (total[-1] * SPECKS, total[-1] * (1 - SPECKS)))
    return slice(max(int(first) - margin, 0), int(last) + margin)


def _written(text: str, width: int, height: int) -> _Grey:
    """The ink of a text written on the ruled lines, each word a little off the line, as hands do."""
    if not HANDWRITING_FONT.is_file():
        raise MissingHandwritingFontError
    font = ImageFont.truetype(HANDWRITING_FONT, _pixels(HANDWRITING_SIZE))
    area = Image.new("L", (width, height))
    pen = ImageDraw.Draw(area)
    random = np.random.default_rng(SEED)
    line, start = 0, _pixels(INDENT)
    for typed in text.splitlines():
        line, x = line + 1, start
        for word in typed.split():
            length = round(pen.textlength(word + " ", font=font))
            if x > start and x + length > width - start:
                line, x = line + 1, start
            y = _pixels(line * RULE - 1 + random.normal(0, DRIFT))
            pen.text((x, y), word, font=font, fill=255, anchor="ls")
            x += length
    return np.asarray(area, np.float32) / np.float32(255)


def _scanned(page: _Grey) -> bytes:
    """The page as a scanner gives it: askew on the bed, not quite sharp, not quite clean."""
    height, width = page.shape[0] + 2 * BED, page.shape[1] + 2 * BED
    turn = cv2.getRotationMatrix2D((page.shape[1] / 2, page.shape[0] / 2), ASKEW, 1)
    turn[:, 2] += BED
    bed = (BED_GREY, BED_GREY, BED_GREY)
    scan = cv2.warpAffine(page, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=bed)
    scan = cv2.GaussianBlur(scan, (0, 0), BLUR)
    noise = np.random.default_rng(SEED).normal(0, NOISE, (height, width, 1)).astype(np.float32)
    file = io.BytesIO()
    picture = Image.fromarray(np.clip(scan * 0.98 + noise, 0, 255).astype(np.uint8))
    picture.save(file, "JPEG", quality=JPEG_QUALITY, dpi=(DPI, DPI))
    return file.getvalue()

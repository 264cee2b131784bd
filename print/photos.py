"""Photos on paper: one, two or four to a page, upright, as large as they fit and as the facility takes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from PIL import Image
from reportlab.lib.units import inch, mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from print.layouts import FIRST_BASELINE
from relay.domain.printing import PrintRules
from relay.domain.sheet import PAGE, Rect

# All in mm, unless they say otherwise.
PHOTO: Final = Rect(25, FIRST_BASELINE - 6, 160, 235)
"""Where photos may lie, between the lines of the frame."""
GAP: Final = 6.0
"""Between photos."""
PHOTO_DPI: Final = 150
"""A photo of few pixels is printed no larger than this: larger, it would only be coarser."""
GREY_QUALITY: Final = 90
"""Of the JPEG that a photo becomes in grey."""


def photo_pages(photos: Sequence[bytes], rules: PrintRules) -> list[Sequence[bytes]]:
    """The photos of each page."""
    return [photos[start : start + rules.photos_per_page] for start in range(0, len(photos), rules.photos_per_page)]


def draw_photos(canvas: Canvas, photos: Sequence[bytes], rules: PrintRules) -> None:
    """Draw up to four photos in rows from the top of their room, each row as high as its highest; none is turned.

    Photos of a last page that is not full are as large as their number allows.
    """
    pictures = [ImageReader(io.BytesIO(_grey(jpeg) if rules.grey else jpeg)) for jpeg in photos]
    columns, rows = (2, 2) if len(photos) > 2 else (1, len(photos))
    room = (PHOTO.width - (columns - 1) * GAP) / columns, (PHOTO.height - (rows - 1) * GAP) / rows
    sizes = [_size(picture.getSize(), room, rules) for picture in pictures]
    top = PHOTO.y
    for start in range(0, len(pictures), columns):
        row = list(zip(pictures, sizes, strict=True))[start : start + columns]
        height = max(size[1] for _, size in row)
        for column, (picture, size) in enumerate(row):
            x = PHOTO.x + column * (room[0] + GAP) + (room[0] - size[0]) / 2
            bottom = top + (height + size[1]) / 2
            canvas.drawImage(picture, x * mm, (PAGE.height - bottom) * mm, size[0] * mm, size[1] * mm)
        top += height + GAP


def _size(pixels: tuple[int, int], room: tuple[float, float], rules: PrintRules) -> tuple[float, float]:
    """Width and height in mm."""
    scale = min(room[0] / pixels[0], room[1] / pixels[1], inch / mm / PHOTO_DPI)
    if rules.photo_mm is not None:
        (most_short, most_long), (short, long) = sorted(rules.photo_mm), sorted(pixels)
        scale = min(scale, most_short / short, most_long / long)
    return pixels[0] * scale, pixels[1] * scale


def _grey(jpeg: bytes) -> bytes:
    grey = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.convert("L").save(grey, "JPEG", quality=GREY_QUALITY)
    return grey.getvalue()

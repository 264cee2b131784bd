"""Draws reply sheets for the tests of the scanner, from the geometry of the domain, and scans them badly."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

from relay.domain.reply_code import MatrixCode, ReplyCode, Side, grouped
from relay.domain.sheet import (
    CODE_HEIGHT,
    FORMER_RETURN_ADDRESS,
    HEADER,
    HOLLOW_MARK,
    INSTRUCTIONS,
    MARK,
    MARK_HOLE,
    MARKS,
    MATRICES,
    PAGE,
    READABLE,
    RETURN_ADDRESS,
    RULE,
    TICKS,
    WRITING,
    Rect,
    Tick,
    tick_box,
)

SAMPLES: Final = Path(__file__).parents[3] / "shared" / "samples"
CODE: Final = ReplyCode("ABCDEFGHPHU2")
DPI: Final = 300
_FONTS: Final = Path("/usr/share/fonts/truetype/dejavu")
_CAP_HEIGHT: Final = 1493 / 2048
"""Height of a capital of DejaVu Sans Mono, in em."""


def sheet(
    code: ReplyCode = CODE,
    number: int = 1,
    side: Side = Side.A,
    *,
    words: str = "",
    second: MatrixCode | None = None,
    former: bool = False,
) -> Image.Image:
    """One side of a reply sheet at 300 dpi, grey; `words` are printed on its lines, `second` is in its lower corner.

    With `former` it is as it was printed before it had its last tick box.
    """
    page = Image.new("L", (_px(PAGE.width), _px(PAGE.height)), 255)
    draw = ImageDraw.Draw(page)
    for mark in MARKS:
        draw.rectangle(_box(mark), fill=0)
    draw.rectangle(_box(MARKS[HOLLOW_MARK].grown((MARK_HOLE - MARK) / 2)), fill=255)
    upper = MatrixCode(code, number, side)
    for place, matrix in zip(MATRICES, (upper, second or upper), strict=True):
        page.paste(matrix_picture(str(matrix)).resize((_px(place.width),) * 2), (_px(place.x), _px(place.y)))
    symbols = ImageFont.truetype(_FONTS / "DejaVuSansMono-Bold.ttf", _px(CODE_HEIGHT) / _CAP_HEIGHT)
    for row in READABLE:
        draw.text((_px(row.x), _px(row.y + 6.5)), grouped(code), fill=0, font=symbols, anchor="ls")
    small = ImageFont.truetype(_FONTS / "DejaVuSans.ttf", _px(4))
    draw.text((_px(HEADER.x), _px(HEADER.y)), f"Ivan Vymyshlenny    page {number} of 2", fill=0, font=small)
    draw.text((_px(INSTRUCTIONS.x), _px(INSTRUCTIONS.y)), "Please write on the lines, in separate letters.", 0, small)
    for line in range(1, int(WRITING.height / RULE) + 1):
        y = _px(WRITING.y + line * RULE)
        draw.line((_px(WRITING.x), y, _px(WRITING.right), y), fill=160, width=2)
    for tick in Tick:
        if not (former and tick is Tick.FORWARD):
            draw.rectangle(_box(tick_box(tick)), outline=0, width=3)
    address = FORMER_RETURN_ADDRESS if former else RETURN_ADDRESS
    for line, text in enumerate(("Please send this sheet back to:", "PO Box 9", "00000 Nowhere")):
        draw.text((_px(address.x), _px(address.y + 5 * line)), text, fill=0, font=small)
    draw.text((_px(TICKS.x + 8), _px(TICKS.y + 2)), "I got all pages", fill=0, font=small)
    hand = ImageFont.truetype(_FONTS / "DejaVuSans.ttf", _px(5.5))
    for line, text in enumerate(words.splitlines(), start=1):
        draw.text((_px(WRITING.x + 5), _px(WRITING.y + line * 2 * RULE - 1)), text, fill=30, font=hand, anchor="ls")
    return page


def matrix_picture(text: str) -> Image.Image:
    """A matrix code without its quiet zone, one pixel for each module."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="H")
    return Image.fromarray(np.array(code.to_image(scale=1, add_quiet_zones=False)))


def covered(page: Image.Image, *places: Rect) -> Image.Image:
    """The page with these places painted over, as by a stain."""
    page = page.copy()
    for place in places:
        ImageDraw.Draw(page).rectangle(_box(place), fill=90)
    return page


def scanned(page: Image.Image, *, dpi: int = DPI, degrees: float = 0, seed: int = 1) -> Image.Image:
    """The page as from a scanner: turned about its centre, on grey paper, with the noise of a sensor."""
    turned = page.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    size = round(turned.width * dpi / DPI), round(turned.height * dpi / DPI)
    pixels = np.asarray(turned.resize(size, Image.Resampling.LANCZOS), np.float64)
    noise = np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(pixels * 0.9 + 8 + noise, 0, 255).astype(np.uint8))


def photographed(page: Image.Image) -> Image.Image:
    """The page lying on a dark table, photographed at a slant by a phone held upright, in colour."""
    width, height = 3000, 4000
    seen = ((330, 300), (2700, 420), (2860, 3700), (160, 3560))
    corners = ((0, 0), (page.width, 0), (page.width, page.height), (0, page.height))
    rows = [
        row
        for (x, y), (u, v) in zip(seen, corners, strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(corners, float).ravel())
    lit = page.convert("RGB").transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        tuple(coefficients),
        Image.Resampling.BICUBIC,
        fillcolor=(60, 45, 35),
    )
    pixels = np.asarray(lit, np.float64) * np.linspace(0.95, 0.7, width)[None, :, None]
    return Image.fromarray(pixels.astype(np.uint8))


def _px(mm: float) -> int:
    return round(mm * DPI / 25.4)


def _box(rect: Rect) -> tuple[int, int, int, int]:
    return _px(rect.x), _px(rect.y), _px(rect.right) - 1, _px(rect.bottom) - 1

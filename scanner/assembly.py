"""Puts the pages of a reply together: one PDF that shows the pictures and can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Final

import pikepdf
from pikepdf import Dictionary, Name, Page, Pdf, Stream
from PIL import Image
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from relay.domain.letters import COVER
from relay.domain.sheet import PAGE
from relay.locale import catalogue
from scanner.transcript import GAP, Lines

_POINTS_PER_INCH: Final = 72
_FONT: Final = "ReplyWords"
_FONT_FILE: Final = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
_INVISIBLE: Final = 3
"""PDF's text rendering mode in which words can be searched and copied but are not seen."""
_DESCENT: Final = 0.2
"""Part of the height of a line that is below its baseline."""
_NOWHERE: Final = (0.1, 0.05, 0.9, 0.07)
"""Where the words of a page stand of which none has a place."""
_NOTE_MARGIN: Final = 25 * mm
_NOTE_SIZE: Final = 14
_NOTE_LEADING: Final = 22

_Box = tuple[float, float, float, float]
"""As shares of the width and height of the picture."""


class FontMissingError(Exception):
    """The font of the words is not installed."""

    def __init__(self) -> None:
        super().__init__("DejaVu Sans, the font of replies, is not installed: apt-get install fonts-dejavu-core")


@dataclass(frozen=True, slots=True)
class AssembledPage:
    """One page of a reply."""

    jpeg: bytes
    """The picture, as it is sent: its resolution is written in it."""
    lines: Lines = ()
    """Its words, which become invisible text where they stand; one without a place stands with the one before it."""


def assemble(pages: Sequence[AssembledPage], missing: Sequence[tuple[int, str]] = (), language: str = "en") -> bytes:
    """One PDF of these pages in their order, pictures unchanged. The same pages give the same bytes.

    Gaps and covered words are not in the text. Where sides of sheets are missing, a last page says so in this language.
    Raises ValueError without any page, and FontMissingError.
    """
    if not pages:
        raise ValueError("a reply has at least one page")
    pictures = [_Picture.of(page.jpeg) for page in pages]
    texts = BytesIO()
    _have_font()
    canvas = Canvas(texts, invariant=1, pageCompression=1, initialFontName=_FONT)
    for page, picture in zip(pages, pictures, strict=True):
        canvas.setPageSize(picture.points)
        _write_words(canvas, page.lines, picture.points)
        canvas.showPage()
    if missing:
        _write_missing(canvas, missing, language)
    canvas.save()
    written = BytesIO()
    with Pdf.open(texts) as pdf:
        del pdf.docinfo  # it names the program that wrote it
        for at, picture in zip(pdf.pages, pictures, strict=False):
            _show(pdf, at, picture)
        pdf.save(written, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return written.getvalue()


@dataclass(frozen=True, slots=True)
class _Picture:
    jpeg: bytes
    width: int
    height: int
    colour: bool
    points: tuple[float, float]
    """Width and height on paper."""

    @classmethod
    def of(cls, jpeg: bytes) -> _Picture:
        with Image.open(BytesIO(jpeg), formats=["JPEG"]) as head:  # no more of it is read
            scale = _POINTS_PER_INCH / float(head.info["dpi"][0])
            points = head.width * scale, head.height * scale
            return cls(jpeg, head.width, head.height, head.mode == "RGB", points)


def _show(pdf: Pdf, page: Page, picture: _Picture) -> None:
    image = Stream(pdf, picture.jpeg)
    image.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=picture.width,
        Height=picture.height,
        ColorSpace=Name.DeviceRGB if picture.colour else Name.DeviceGray,
        BitsPerComponent=8,
        Filter=Name.DCTDecode,
    )
    name = page.add_resource(image, Name.XObject, Name.Picture)
    width, height = picture.points
    page.contents_add(Stream(pdf, f"q {width:.4f} 0 0 {height:.4f} 0 0 cm {name} Do Q\n".encode()), prepend=True)


# --- words


@cache
def _have_font() -> TTFont:
    try:
        font = TTFont(_FONT, _FONT_FILE)
    except TTFError:
        raise FontMissingError from None
    pdfmetrics.registerFont(font)
    return font


def _write_words(canvas: Canvas, lines: Lines, points: tuple[float, float]) -> None:
    for line in _placed(lines):
        width, height = points
        # One baseline for a line, or those who search see the words of it in another order.
        size = median(box[3] - box[1] for _, box in line) * height
        baseline = (1 - median(box[3] for _, box in line)) * height + _DESCENT * size
        text = canvas.beginText()
        text.setTextRenderMode(_INVISIBLE)
        text.setFont(_FONT, size)
        for words, (left, _, right, _) in line:
            text.setHorizScale(100 * (right - left) * width / canvas.stringWidth(words, _FONT, size))
            text.setTextOrigin(left * width, baseline)
            text.textOut(f"{words} ")
        canvas.drawText(text)


def _placed(lines: Lines) -> list[list[tuple[str, _Box]]]:
    """The words of each line that can be searched, with their places; those without one join the one before them."""
    placed: list[list[tuple[str, _Box]]] = []
    for line in lines:
        begun = False
        for word in line:
            text = _drawable(word.text)
            if word.text in {GAP, COVER} or not text:
                continue
            if word.box is None and placed:
                before, box = placed[-1].pop()
                placed[-1].append((f"{before} {text}", box))
            elif begun and word.box:
                placed[-1].append((text, word.box))
            else:
                placed.append([(text, word.box or _NOWHERE)])
                begun = word.box is not None
    return placed


def _drawable(text: str) -> str:
    """The text without what the font lacks: it would stand there as something that nobody can search for."""
    known = _have_font().face.charToGlyph
    return "".join(character for character in text if ord(character) in known).strip()


# --- what is missing


def _write_missing(canvas: Canvas, missing: Sequence[tuple[int, str]], language: str) -> None:
    _ = catalogue(language).gettext
    lines = [
        _("These pages of the reply are missing. If they come later, you get them too:"),
        *(_("Reply sheet {sheet}, side {side}").format(sheet=sheet, side=side) for sheet, side in missing),
    ]
    width, height = PAGE.width * mm, PAGE.height * mm
    size = min(_NOTE_SIZE, (width - 2 * _NOTE_MARGIN) / max(canvas.stringWidth(line, _FONT, 1) for line in lines))
    fitting = int((height - 2 * _NOTE_MARGIN) / _NOTE_LEADING)
    for first in range(0, len(lines), fitting):
        canvas.setPageSize((width, height))
        canvas.setFont(_FONT, size)
        for place, line in enumerate(lines[first : first + fitting], start=1):
            canvas.drawString(_NOTE_MARGIN, height - _NOTE_MARGIN - place * _NOTE_LEADING, line)
        canvas.showPage()

"""Puts the pages of a reply together: one PDF that shows the pictures and can be searched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image

_POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class AssembledPage:
    """One page of a reply."""

    jpeg: bytes
    """The picture, as intake made it: its resolution is written in it."""
    text_pdf: bytes | None
    """The invisible text layer, a PDF of one page, or None where recognition failed."""


def assemble(pages: Iterable[AssembledPage]) -> bytes:
    """One PDF of these pages in their order, pictures unchanged. The same pages give the same bytes.

    Raises ValueError without any page.
    """
    pdf = Pdf.new()
    for page in pages:
        _add(pdf, page)
    if not pdf.pages:
        raise ValueError("a reply has at least one page")
    written = BytesIO()
    pdf.save(written, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return written.getvalue()


def _add(pdf: Pdf, page: AssembledPage) -> None:
    with Image.open(BytesIO(page.jpeg), formats=["JPEG"]) as picture:  # reads the head only
        width, height, colour = picture.width, picture.height, picture.mode == "RGB"
        dpi = float(picture.info["dpi"][0])
    if page.text_pdf is None:
        pdf.add_blank_page(page_size=(width / dpi * _POINTS_PER_INCH, height / dpi * _POINTS_PER_INCH))
    else:
        with Pdf.open(BytesIO(page.text_pdf)) as text:
            pdf.pages.append(text.pages[0])
    added = pdf.pages[-1]
    image = Stream(pdf, page.jpeg)
    image.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=width,
        Height=height,
        ColorSpace=Name.DeviceRGB if colour else Name.DeviceGray,
        BitsPerComponent=8,
        Filter=Name.DCTDecode,
    )
    name = added.add_resource(image, Name.XObject, Name.Picture)
    left, bottom, right, top = (float(edge) for edge in Array(added.mediabox))
    show = f"q {right - left:.4f} 0 0 {top - bottom:.4f} {left:.4f} {bottom:.4f} cm {name} Do Q"
    added.contents_add(Stream(pdf, show.encode()), prepend=True)

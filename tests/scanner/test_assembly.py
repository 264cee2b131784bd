"""Replies as PDF; the searchable layer is tested with the real tool in test_tesseract."""

from __future__ import annotations

from io import BytesIO

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from scanner.assembly import AssembledPage, assemble


def jpeg(mode: str, shade: int | tuple[int, int, int], size: tuple[int, int] = (1653, 2339)) -> bytes:
    """A picture as intake makes it."""
    written = BytesIO()
    Image.new(mode, size, shade).save(written, "JPEG", dpi=(200, 200))
    return written.getvalue()


def test_assemble_keeps_order_and_colours() -> None:
    pictures = [jpeg("L", 40), jpeg("RGB", (200, 30, 30)), jpeg("L", 220)]
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(picture, None) for picture in pictures]))
    middles = [page.render(scale=0.1).to_pil().convert("RGB").getpixel((30, 40)) for page in pdf]
    close = [
        max(abs(a - b) for a, b in zip(seen, drawn, strict=True)) <= 3
        for seen, drawn in zip(middles, [(40,) * 3, (200, 30, 30), (220,) * 3], strict=True)
    ]
    assert close == [True, True, True]


def test_assemble_without_text_has_the_size_of_the_paper() -> None:
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(jpeg("L", 128), None)]))
    assert [round(edge) for edge in pdf[0].get_size()] == [595, 842]


def test_assemble_keeps_the_bytes_of_the_picture() -> None:
    picture = jpeg("L", 128)
    with pikepdf.open(BytesIO(assemble([AssembledPage(picture, None)]))) as pdf:
        (image,) = pdf.pages[0].get_images().values()
        assert image.read_raw_bytes() == picture


def test_assemble_twice_gives_the_same_bytes() -> None:
    pages = [AssembledPage(jpeg("L", 128), None), AssembledPage(jpeg("RGB", (1, 2, 3)), None)]
    assert assemble(pages) == assemble(pages)


def test_assemble_without_pages_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one page"):
        assemble([])

"""PDFs of the small papers alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from reportlab.pdfgen.canvas import Canvas

from print.batch_pages import new_canvas
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import PIXELS, Picture

MARGIN = 15.0
"""What printers reach, and a hand that holds the page: nothing is printed further out, in mm."""


def pdf_of(draw: Callable[[Canvas], Iterable[None]]) -> bytes:
    """The PDF of all pages that are drawn."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    for _ in draw(canvas):
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def margin_is_white(picture: Picture) -> bool:
    """Whether nothing reaches into the margin of a page."""
    inside = Rect(MARGIN, MARGIN, PAGE.width - 2 * MARGIN, PAGE.height - 2 * MARGIN)
    left, top, right, bottom = (round(edge * PIXELS) for edge in (inside.x, inside.y, inside.right, inside.bottom))
    frame = picture.copy()
    frame[top:bottom, left:right] = 255
    return bool(frame.min() == 255)

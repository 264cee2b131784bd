"""Envelopes and address labels: to whom, and from whom. Nothing on them says what the letter is or who printed it.

An envelope is a page of its own size, its longer side across. The recipient stands in the lower right and the sender in
the upper left, where every post looks for them (Universal Postal Union); the corner of the stamp, and the strip at the
lower edge on which sorting machines print, stay empty.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reportlab.lib.units import mm

from print.address_block import LARGEST, draw_address
from print.batch_pages import new_canvas
from relay.domain.envelopes import SIZES
from relay.domain.printing import EnvelopeFormat
from relay.domain.sheet import PAGE, Rect

# All in mm, unless they say otherwise.
STAMP: Final = (74.0, 40.0)
"""The corner of the stamp, upper right: width and height that Deutsche Post keeps free; those of others are smaller."""
SORTING: Final = 16.0
"""The strip at the lower edge for the codes of sorting machines: 15 mm (Deutsche Post), ⅝ inch (USPS)."""
EDGE: Final = 15.0
"""From the right edge of an envelope to the address: what Deutsche Post asks for, and more than others do."""
BELOW_STAMP: Final = 5.0
RECIPIENT: Final = (110.0, 60.0)
"""Width and height at most."""
RECIPIENT_SHARE: Final = 0.55
"""Of the width of a small envelope."""
SENDER: Final = Rect(10, 10, 80, 24)
SENDER_SIZE: Final = 9.0
"""Points."""
PADDING: Final = 3.5
"""Around the address on a label: what a printer may be off."""

LABEL: Final = Rect(4.65, 15.15, 99.1, 38.1)
"""The first label of a sheet of 2 by 7, which is sold as L7163: the lines of a prison's address need the height."""
LABEL_COLUMNS: Final = 2
LABEL_ROWS: Final = 7
LABEL_PITCH: Final = (101.6, 38.1)
"""From label to label: to the right, and down."""
LABELS: Final = LABEL_COLUMNS * LABEL_ROWS

_Placed = tuple[Sequence[str], Rect, float]
"""Lines, where they stand, and their largest size in points."""


def envelopes_pdf(recipients: Iterable[Sequence[str]], sender: Sequence[str], envelope: EnvelopeFormat) -> bytes:
    """One page for each recipient, in the size of the envelope; addresses are given line by line.

    The same addresses give the same bytes. Raises NoGlyphError and MissingFontError.
    """
    to, by = recipient_area(envelope), sender_area(envelope)
    return _pdf(([(each, to, LARGEST), (sender, by, SENDER_SIZE)] for each in recipients), *SIZES[envelope])


def return_envelopes_pdf(count: int, address: Sequence[str], envelope: EnvelopeFormat) -> bytes:
    """Envelopes for the answers, addressed to the group; who sends them is left to the prisoners.

    Raises NoGlyphError and MissingFontError.
    """
    return envelopes_pdf([address] * count, (), envelope)


def labels_pdf(recipients: Iterable[Sequence[str]], *, skip: int = 0) -> bytes:
    """A4 sheets of 2 by 7 labels, from left to right and from top to bottom, `skip` of the first sheet left out.

    Raises NoGlyphError and MissingFontError.
    """
    return _pdf(_sheets_of_labels(recipients, skip % LABELS), PAGE.width, PAGE.height)


def recipient_area(envelope: EnvelopeFormat) -> Rect:
    """Where the recipient's address stands on an envelope, in mm from its upper left corner."""
    width, height = SIZES[envelope]
    wide = min(RECIPIENT[0], width * RECIPIENT_SHARE)
    bottom = height - SORTING
    top = max(STAMP[1] + BELOW_STAMP, bottom - RECIPIENT[1])
    return Rect(width - EDGE - wide, top, wide, bottom - top)


def sender_area(envelope: EnvelopeFormat) -> Rect:
    """Where the sender's address stands on an envelope, in mm from its upper left corner."""
    room = SIZES[envelope][0] - STAMP[0] - SENDER.x
    return Rect(SENDER.x, SENDER.y, min(SENDER.width, room), SENDER.height)


def label_area(place: int) -> Rect:
    """Where a label lies on its sheet, counted from 0."""
    row, column = divmod(place, LABEL_COLUMNS)
    return Rect(LABEL.x + column * LABEL_PITCH[0], LABEL.y + row * LABEL_PITCH[1], LABEL.width, LABEL.height)


def _pdf(pages: Iterable[Sequence[_Placed]], width: float, height: float) -> bytes:
    file = io.BytesIO()
    canvas = new_canvas(file)
    canvas.setViewerPreference("Duplex", "Simplex")
    canvas.setPageSize((width * mm, height * mm))
    for page in pages:
        canvas.translate(0, (height - PAGE.height) * mm)  # what is drawn is measured from the upper edge of an A4 page
        for lines, area, size in page:
            if lines:
                draw_address(canvas, lines, area, size)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _sheets_of_labels(recipients: Iterable[Sequence[str]], skip: int) -> Iterator[list[_Placed]]:
    sheet: list[_Placed] = []
    for place, recipient in enumerate(recipients, start=skip):
        if sheet and place % LABELS == 0:
            yield sheet
            sheet = []
        sheet.append((recipient, label_area(place % LABELS).grown(-PADDING), LARGEST))
    if sheet:
        yield sheet

"""Envelopes: their sizes, where a page is folded for them, and what of it shows through their window. All in mm.

The page is A4. It is folded so that its upper part lies in front, and goes into the envelope with the first fold, or
its lower edge where it is not folded, down. From there on it can slide to the other sides of the envelope.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from relay.domain.printing import EnvelopeFormat, Window
from relay.domain.sheet import PAGE, Rect

INCH: Final = 25.4

SIZES: Final = {
    EnvelopeFormat.DL: (220.0, 110.0),
    EnvelopeFormat.C6: (162.0, 114.0),
    EnvelopeFormat.C5: (229.0, 162.0),
    EnvelopeFormat.C4: (324.0, 229.0),
    EnvelopeFormat.US10: (9.5 * INCH, 4.125 * INCH),
}
"""Longer and shorter side. ISO 269; US #10 as the USPS and the trade list it, 9½ by 4⅛ inches."""

SHIFT: Final = 3.0
"""How far a page may lie from the middle of its envelope, in each direction, with SPARE left: paper slides, folds and
printers are not exact."""
SPARE: Final = 5.0
"""Between the address and each edge of the window, on every such shift."""
CLEAR: Final = INCH / 8
"""Between the address and each edge of the window however far the page slides: USPS Domestic Mail Manual 601.6.3."""
SENDER_LINE: Final = 3.0
"""Height of the sender line over the address. Less than CLEAR: it is seen however the page slides."""

_DIN_WINDOW: Final = (90.0, 45.0)
"""DIN 680, width and height, for DL, C6 and C5."""
_US_WINDOW: Final = (4.5 * INCH, 1.125 * INCH)
WINDOWS: Final = {
    # 20 mm from the left and 15 from below.
    (EnvelopeFormat.DL, Window.DIN5008_A): Rect(20, 50, *_DIN_WINDOW),
    (EnvelopeFormat.DL, Window.DIN5008_B): Rect(20, 50, *_DIN_WINDOW),
    (EnvelopeFormat.C6, Window.DIN5008_A): Rect(20, 54, *_DIN_WINDOW),
    (EnvelopeFormat.C6, Window.DIN5008_B): Rect(20, 54, *_DIN_WINDOW),
    # 60 mm from below, for one fold in the middle of a page of form B.
    (EnvelopeFormat.C5, Window.DIN5008_B): Rect(20, 57, *_DIN_WINDOW),
    # The envelope stands upright; 212 mm from below, for an unfolded page of form B.
    (EnvelopeFormat.C4, Window.DIN5008_B): Rect(20, 57, 90, 55),
    # ⅞ inch from the left and ½ inch from below: the common one, which the USPS recommends.
    (EnvelopeFormat.US10, Window.US10): Rect(0.875 * INCH, 2.5 * INCH, *_US_WINDOW),
}
"""The window of each envelope that is made with one, from its upper left corner: DIN 680 for the DIN windows."""

_IN_THIRDS: Final = (PAGE.height / 3, PAGE.height * 2 / 3)
_FOLDS: Final = {
    EnvelopeFormat.DL: _IN_THIRDS,
    EnvelopeFormat.C6: (PAGE.height / 2,),
    EnvelopeFormat.C5: (PAGE.height / 2,),
    EnvelopeFormat.C4: (),
    EnvelopeFormat.US10: _IN_THIRDS,
}
_WINDOW_FOLDS: Final = {Window.DIN5008_A: (87.0, 192.0), Window.DIN5008_B: (105.0, 210.0), Window.US10: _IN_THIRDS}
"""DIN 5008, folds of forms A and B."""
_C6_WIDTH: Final = 148.0
"""Across, a page for a C6 with a window is folded back here (DIN 680), so that the address stays in front."""


class NoSuchWindowError(ValueError):
    """No envelope of this size is made with this window."""

    def __init__(self, envelope: EnvelopeFormat, window: Window) -> None:
        super().__init__(envelope, window)
        self.envelope = envelope
        self.window = window

    def __str__(self) -> str:
        made = [f"{envelope} with {window}" for envelope, window in WINDOWS]
        return f"No envelope {self.envelope} has a window {self.window}; there are {', '.join(made)}."


def fold_marks(envelope: EnvelopeFormat, window: Window | None = None) -> tuple[float, ...]:
    """Where a page is folded across for this envelope, from its upper edge.

    For a C6 it is then folded once more, from top to bottom: in the middle, or for a window at 148 mm to the back.
    Raises NoSuchWindowError.
    """
    if window is None:
        return _FOLDS[envelope]
    _opening(envelope, window)
    return _FOLDS[envelope] if envelope in {EnvelopeFormat.C5, EnvelopeFormat.C4} else _WINDOW_FOLDS[window]


def play(envelope: EnvelopeFormat, window: Window) -> tuple[float, float]:
    """How far the folded page can slide to the right and upwards from the lower left corner of the envelope.

    The envelope is taken as large as it is outside; what the seams take leaves less. Raises NoSuchWindowError.
    """
    width, height = _folded(envelope, window)
    longer, shorter = SIZES[envelope]
    if envelope is EnvelopeFormat.C4:
        longer, shorter = shorter, longer  # upright
    return longer - width, shorter - height


def seen(envelope: EnvelopeFormat, window: Window, right: float, up: float) -> Rect:
    """The part of the page behind the window, where the page lies this far right of and above the lower left corner.

    Raises NoSuchWindowError.
    """
    opening = _opening(envelope, window)
    _, upper = play(envelope, window)
    front = (*fold_marks(envelope, window), PAGE.height)[0]
    top = upper - up + _folded(envelope, window)[1] - front  # of the page, from the upper edge of the envelope
    return Rect(opening.x - right, opening.y - top, opening.width, opening.height)


def address_area(envelope: EnvelopeFormat, window: Window) -> Rect:
    """Where the lines of the address may stand on the page, the ink of the first and of the last line within.

    It is SPARE inside of the window wherever the page lies within SHIFT of the middle of its play, and CLEAR inside of
    it wherever the page can slide at all. Raises NoSuchWindowError.
    """
    right, up = play(envelope, window)
    middle = seen(envelope, window, right / 2, up / 2).grown(-SHIFT - SPARE)
    lower_left, upper_right = (seen(envelope, window, *lying).grown(-CLEAR) for lying in ((0, 0), (right, up)))
    x, y = max(middle.x, lower_left.x), max(middle.y, upper_right.y)
    return Rect(x, y, min(middle.right, upper_right.right) - x, min(middle.bottom, lower_left.bottom) - y)


def sender_line(envelope: EnvelopeFormat, window: Window) -> Rect:
    """Where one small line with the sender's address may stand, over the address area. Raises NoSuchWindowError."""
    area = address_area(envelope, window)
    return Rect(area.x, area.y - SENDER_LINE, area.width, SENDER_LINE)


def _opening(envelope: EnvelopeFormat, window: Window) -> Rect:
    try:
        return WINDOWS[envelope, window]
    except KeyError:
        raise NoSuchWindowError(envelope, window) from None


def _folded(envelope: EnvelopeFormat, window: Window) -> tuple[float, float]:
    """Width and height of the folded page."""
    edges = (0.0, *fold_marks(envelope, window), PAGE.height)
    height = max(lower - upper for upper, lower in pairwise(edges))
    return (_C6_WIDTH if envelope is EnvelopeFormat.C6 else PAGE.width), height

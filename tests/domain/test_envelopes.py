"""Envelopes: what shows through their windows, whatever way the page lies in them, and where it is folded."""

from __future__ import annotations

from itertools import product

import pytest

from relay.domain.envelopes import (
    CLEAR,
    SENDER_LINE,
    SIZES,
    WINDOWS,
    NoSuchWindowError,
    address_area,
    fold_marks,
    play,
    seen,
    sender_line,
)
from relay.domain.printing import EnvelopeFormat, Window
from relay.domain.sheet import PAGE, Rect

EXACT = 1e-9
"""What binary fractions of a mm may differ by."""
each_window = pytest.mark.parametrize(("envelope", "window"), WINDOWS, ids=" ".join)


def spare(area: Rect, within: Rect) -> float:
    """The least distance from the area to an edge of what is around it."""
    return min(area.x - within.x, area.y - within.y, within.right - area.right, within.bottom - area.bottom)


@each_window
def test_address_lies_inside_the_window_with_5_mm_to_spare_on_shifts_of_3_mm(
    envelope: EnvelopeFormat, window: Window
) -> None:
    right, up = (slide / 2 for slide in play(envelope, window))
    shifts = product((-3, -1.5, 0, 1.5, 3), repeat=2)
    lyings = [seen(envelope, window, right + x, up + y) for x, y in shifts]
    assert [lying for lying in lyings if spare(address_area(envelope, window), lying) < 5 - EXACT] == []


@each_window
def test_address_lies_clear_of_the_edges_however_far_the_page_slides(envelope: EnvelopeFormat, window: Window) -> None:
    right, up = play(envelope, window)
    lyings = [seen(envelope, window, x * right, y * up) for x, y in product((0, 0.5, 1), repeat=2)]
    assert [lying for lying in lyings if spare(address_area(envelope, window), lying) < CLEAR - EXACT] == []


@each_window
def test_address_area_is_as_large_as_that_allows(envelope: EnvelopeFormat, window: Window) -> None:
    """A hair more on any side, and one of the two distances is too small."""
    right, up = play(envelope, window)
    middle = seen(envelope, window, right / 2, up / 2)
    outermost = [seen(envelope, window, x * right, y * up) for x, y in product((0, 1), repeat=2)]
    area = address_area(envelope, window)
    for x, y, wide, high in [(-0.1, 0, 0.1, 0), (0, -0.1, 0, 0.1), (0, 0, 0.1, 0), (0, 0, 0, 0.1)]:
        larger = Rect(area.x + x, area.y + y, area.width + wide, area.height + high)
        assert spare(larger, middle) < 8 or min(spare(larger, lying) for lying in outermost) < CLEAR


@each_window
def test_sender_line_is_over_the_address_and_always_seen(envelope: EnvelopeFormat, window: Window) -> None:
    line, area = sender_line(envelope, window), address_area(envelope, window)
    assert (line.x, line.width, line.height) == (area.x, area.width, SENDER_LINE)
    assert line.bottom == pytest.approx(area.y)
    right, up = play(envelope, window)
    lyings = [seen(envelope, window, x * right, y * up) for x, y in product((0, 1), repeat=2)]
    assert [lying for lying in lyings if spare(line, lying) < 0] == []


@each_window
def test_window_never_shows_what_lies_behind_the_front_of_the_folded_page(
    envelope: EnvelopeFormat, window: Window
) -> None:
    right, up = play(envelope, window)
    front = Rect(0, 0, PAGE.width, (*fold_marks(envelope, window), PAGE.height)[0])
    assert spare(address_area(envelope, window), front) > 0
    assert max(seen(envelope, window, right, y).bottom for y in (0, up)) <= front.height


@pytest.mark.parametrize(
    ("envelope", "window", "top"),
    [
        (EnvelopeFormat.DL, Window.DIN5008_A, 27),
        (EnvelopeFormat.DL, Window.DIN5008_B, 45),
        (EnvelopeFormat.C6, Window.DIN5008_A, 27),
        (EnvelopeFormat.C6, Window.DIN5008_B, 45),
    ],
)
def test_page_in_the_corner_shows_the_address_field_of_din_5008(
    envelope: EnvelopeFormat, window: Window, top: float
) -> None:
    """Field: 20 mm from the left, 85 wide and 45 high, 27 mm (form A) or 45 mm (form B) from the upper edge."""
    assert seen(envelope, window, 0, 0) == Rect(20, top, 90, 45)


@pytest.mark.parametrize(
    ("envelope", "window", "marks"),
    [
        (EnvelopeFormat.DL, None, (99, 198)),
        (EnvelopeFormat.US10, None, (99, 198)),
        (EnvelopeFormat.C6, None, (148.5,)),
        (EnvelopeFormat.C5, None, (148.5,)),
        (EnvelopeFormat.C4, None, ()),
        (EnvelopeFormat.DL, Window.DIN5008_A, (87, 192)),
        (EnvelopeFormat.DL, Window.DIN5008_B, (105, 210)),
        (EnvelopeFormat.C6, Window.DIN5008_A, (87, 192)),
        (EnvelopeFormat.C6, Window.DIN5008_B, (105, 210)),
        (EnvelopeFormat.C5, Window.DIN5008_B, (148.5,)),
        (EnvelopeFormat.C4, Window.DIN5008_B, ()),
        (EnvelopeFormat.US10, Window.US10, (99, 198)),
    ],
)
def test_folds(envelope: EnvelopeFormat, window: Window | None, marks: tuple[float, ...]) -> None:
    assert fold_marks(envelope, window) == marks


@each_window
def test_folded_page_goes_into_the_envelope(envelope: EnvelopeFormat, window: Window) -> None:
    assert min(play(envelope, window)) > 0


def test_every_envelope_has_a_size_and_a_window() -> None:
    assert set(SIZES) == set(EnvelopeFormat)
    assert {envelope for envelope, _ in WINDOWS} == set(EnvelopeFormat)
    assert {window for _, window in WINDOWS} == set(Window)


def test_window_that_an_envelope_is_not_made_with_is_named_with_those_that_there_are() -> None:
    for ask in (fold_marks, play, address_area, sender_line):
        with pytest.raises(NoSuchWindowError) as error:
            ask(EnvelopeFormat.C5, Window.US10)
        assert str(error.value).startswith("No envelope C5 has a window US10; there are DL with DIN5008-A, ")

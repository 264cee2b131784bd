"""Envelopes and labels: whose address stands where, what stays empty, and how addresses of any length fit."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pikepdf
import pypdfium2
import pytest

from print.address_block import SMALLEST
from print.envelopes import (
    LABELS,
    SORTING,
    STAMP,
    envelopes_pdf,
    label_area,
    labels_pdf,
    recipient_area,
    return_envelopes_pdf,
    sender_area,
)
from relay.domain.envelopes import SIZES
from relay.domain.printing import EnvelopeFormat
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import PIXELS, POINTS

PETR = (
    *("Примерову Петру Вымысловичу", "1985 г. р.", "ФКУ ИК-99", "ул. Вымышленная, д. 99"),
    *("пос. Примерово", "Примерная область", "000000", "RUSSIA"),
)
JOHN = ("John Sample", "HMP Nowhere", "1 Fiction Road", "Nowhere", "ZZ99 9ZZ")
LONG = (
    "Константинопольской-Примеровой Анастасии Константиновне",
    "1985 г. р.",
    "Федеральное казённое учреждение «Исправительная колония № 99 Управления по Примерной области»",
    "Примерный район, посёлок городского типа Вымышленное-на-Небылице, улица Сорокалетия Выдуманных Событий, дом 99",
    *("Примерная область", "000000", "RUSSIA"),
)
MANY = tuple(f"line {number}" for number in range(20))
SENDER = ("Anna Invented", "PO Box 9", "00000 Exampletown")

OVERHANG = 0.4
"""How far a letter may reach over its place, in mm: J begins left of it."""

each_envelope = pytest.mark.parametrize("envelope", EnvelopeFormat)
each_address = pytest.mark.parametrize("address", [PETR, JOHN, LONG, MANY], ids=["petr", "john", "long", "many"])


def words_in(pdf: bytes, page: int, area: Rect) -> str:
    """The words in an area of a page of any size, separated by single spaces."""
    with pypdfium2.PdfDocument(pdf) as document:
        height = document[page].get_height()
        sides = area.x * POINTS, height - area.bottom * POINTS, area.right * POINTS, height - area.y * POINTS
        return " ".join(document[page].get_textpage().get_text_bounded(*sides).split())


def ink(pdf: bytes, page: int = 0) -> npt.NDArray[np.bool_]:
    """Where a page is not white, at 300 dpi."""
    with pypdfium2.PdfDocument(pdf) as document:
        picture = document[page].render(scale=PIXELS / POINTS, grayscale=True).to_numpy()
        return np.asarray(picture.reshape(picture.shape[:2]) < 255)


def without(pixels: npt.NDArray[np.bool_], area: Rect) -> npt.NDArray[np.bool_]:
    """The ink outside of an area."""
    rest, place = pixels.copy(), area.grown(OVERHANG)
    top, bottom, left, right = (round(side * PIXELS) for side in (place.y, place.bottom, place.x, place.right))
    rest[top:bottom, left:right] = False
    return rest


def sizes(pdf: bytes) -> list[tuple[float, float]]:
    """Width and height of each page, in mm."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [(page.get_width() / POINTS, page.get_height() / POINTS) for page in document]


@each_envelope
def test_one_page_for_each_recipient_in_the_size_of_the_envelope(envelope: EnvelopeFormat) -> None:
    pdf = envelopes_pdf([PETR, JOHN], SENDER, envelope)
    assert sizes(pdf) == [pytest.approx(SIZES[envelope], abs=0.01)] * 2
    for page, recipient in enumerate((PETR, JOHN)):
        assert words_in(pdf, page, recipient_area(envelope)) == " ".join(recipient)
        assert words_in(pdf, page, sender_area(envelope)) == " ".join(SENDER)


@each_envelope
@each_address
def test_all_ink_is_in_the_two_areas_however_long_the_address(
    envelope: EnvelopeFormat, address: tuple[str, ...]
) -> None:
    pdf = envelopes_pdf([address], SENDER, envelope)
    assert words_in(pdf, 0, recipient_area(envelope)) == " ".join(address)
    assert not without(without(ink(pdf), recipient_area(envelope)), sender_area(envelope)).any()


@each_envelope
def test_corner_of_the_stamp_and_the_strip_for_sorting_stay_empty(envelope: EnvelopeFormat) -> None:
    width, height = SIZES[envelope]
    areas = recipient_area(envelope), sender_area(envelope)
    assert [area.bottom <= height - SORTING and area.right <= width for area in areas] == [True, True]
    assert [area.right <= width - STAMP[0] or area.y >= STAMP[1] for area in areas] == [True, True]
    assert areas[0].x > width / 3
    assert areas[0].y > areas[1].bottom


@each_envelope
@pytest.mark.parametrize("address", [PETR, LONG], ids=["petr", "long"])
def test_address_of_a_prison_is_never_smaller_than_8_points(envelope: EnvelopeFormat, address: tuple[str, ...]) -> None:
    """USPS reads capitals of 0.08 inch and more: 8 points."""
    with pikepdf.open(io.BytesIO(envelopes_pdf([address], (), envelope))) as pdf:
        assert min(font_sizes(pdf)) >= 8


def font_sizes(pdf: pikepdf.Pdf) -> list[float]:
    operations = [each for each in pikepdf.parse_content_stream(pdf.pages[0]) if str(each.operator) == "Tf"]
    return [
        float(str(each.operands[1])) for each in operations if not isinstance(each, pikepdf.ContentStreamInlineImage)
    ]


def test_envelopes_for_the_answer_are_addressed_to_the_group_and_name_no_sender() -> None:
    pdf = return_envelopes_pdf(3, SENDER, EnvelopeFormat.DL)
    assert len(sizes(pdf)) == 3
    for page in range(3):
        assert words_in(pdf, page, recipient_area(EnvelopeFormat.DL)) == " ".join(SENDER)
        assert not without(ink(pdf, page), recipient_area(EnvelopeFormat.DL)).any()


@pytest.mark.parametrize("skip", [0, 3])
def test_labels_go_from_left_to_right_and_on_to_the_next_sheet(skip: int) -> None:
    recipients = [(f"Sample {number}", *JOHN[1:]) for number in range(LABELS)]
    pdf = labels_pdf(recipients, skip=skip)
    found = [words_in(pdf, page, label_area(place)) for page in range(len(sizes(pdf))) for place in range(LABELS)]
    assert found[skip : skip + LABELS] == [" ".join(lines) for lines in recipients]
    assert [text for text in found[:skip] + found[skip + LABELS :] if text] == []
    assert sizes(pdf) == [pytest.approx((PAGE.width, PAGE.height), abs=0.01)] * (2 if skip else 1)


@each_address
def test_address_on_a_label_leaves_its_edge_free(address: tuple[str, ...]) -> None:
    pdf = labels_pdf([address])
    assert words_in(pdf, 0, label_area(0)) == " ".join(address)
    assert not without(ink(pdf), label_area(0).grown(-3)).any()


def test_labels_of_a_sheet_lie_apart_and_on_the_paper() -> None:
    labels = [label_area(place) for place in range(LABELS)]
    assert [
        each for each in labels if min(each.x, each.y, PAGE.width - each.right, PAGE.height - each.bottom) < 4
    ] == []
    assert labels[1].x >= labels[0].right
    assert labels[2].y == pytest.approx(labels[0].bottom)


def test_line_is_broken_at_a_space_before_it_becomes_too_small() -> None:
    with pikepdf.open(io.BytesIO(labels_pdf([LONG]))) as pdf:
        assert min(font_sizes(pdf)) > SMALLEST


def test_same_addresses_give_the_same_bytes() -> None:
    assert envelopes_pdf([PETR], SENDER, EnvelopeFormat.DL) == envelopes_pdf([PETR], SENDER, EnvelopeFormat.DL)
    assert labels_pdf([PETR]) == labels_pdf([PETR])


def test_file_names_nobody_and_is_printed_on_one_side_without_scaling() -> None:
    with pikepdf.open(io.BytesIO(envelopes_pdf([PETR], SENDER, EnvelopeFormat.DL))) as pdf:
        said = {
            str(value) for key, value in pdf.docinfo.items() if key not in ("/CreationDate", "/ModDate", "/Trapped")
        }
        assert said == {""}
        assert dict(pdf.Root.ViewerPreferences) == {"/Duplex": "/Simplex", "/PrintScaling": "/None"}
        assert pdf.check_pdf_syntax() == []

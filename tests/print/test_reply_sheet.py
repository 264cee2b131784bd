"""The reply sheet as a scanner meets it: everything where relay.domain.sheet says, and readable."""

from __future__ import annotations

import numpy as np
import pypdfium2
import pytest
import zxingcpp

from print.rendering import render
from print.reply_sheet import instructions, matrix_modules, words_of_ticks
from relay.domain import sheet
from relay.domain.languages import LANGUAGES
from relay.domain.letter_pages import LetterToPrint
from relay.domain.printing import REPLY_SHEETS_MAX, PrintRules
from relay.domain.reply_code import MatrixCode, Side, read_code, read_matrix
from relay.domain.sheet import PAGE, Rect, Tick
from tests.print.letters import CODE, PIXELS, Picture, cut, letter, page_of_sheet, pages_in, picture_of, text_in

LETTER = letter(code=read_code("MW93PTG4SVH7").code, reply_sheets=2)
PDF = render([LETTER])
SIDES = [(number, side, page_of_sheet(LETTER, number) + place) for number in (1, 2) for place, side in enumerate(Side)]
EVERY_SIDE = pytest.mark.parametrize(("number", "side", "page"), SIDES)
ONE_PIXEL = 1 / PIXELS


def dark_box(picture: Picture, around: Rect) -> tuple[float, float, float, float]:
    """Left, top, right and lower end of what is dark in this area, in mm of the page."""
    rows, columns = np.nonzero(cut(picture, around) < 128)
    x, y = round(around.x * PIXELS), round(around.y * PIXELS)
    left, top, right, bottom = columns.min() + x, rows.min() + y, columns.max() + x + 1, rows.max() + y + 1
    return left / PIXELS, top / PIXELS, right / PIXELS, bottom / PIXELS


@EVERY_SIDE
def test_matrix_codes_hold_code_sheet_and_side_at_both_places(number: int, side: Side, page: int) -> None:
    picture = picture_of(PDF, page)
    for place in sheet.MATRICES:
        found = zxingcpp.read_barcode(np.ascontiguousarray(cut(picture, place.grown(sheet.QUIET))))
        assert found is not None
        assert read_matrix(found.text) == MatrixCode(LETTER.code, number, side)
        assert found.format is zxingcpp.BarcodeFormat.QRCode
        assert {key: found.extra[key] for key in ("Version", "ECLevel")} == {"Version": "2", "ECLevel": "H"}  # type: ignore[index]


@EVERY_SIDE
def test_whole_page_has_just_its_two_matrix_codes(number: int, side: Side, page: int) -> None:
    found = zxingcpp.read_barcodes(picture_of(PDF, page))
    assert [code.text for code in found] == [str(MatrixCode(LETTER.code, number, side))] * 2


def test_matrix_code_fills_its_place_in_modules_of_one_mm_with_white_around() -> None:
    picture = picture_of(PDF, SIDES[0][2])
    modules = matrix_modules(MatrixCode(LETTER.code, 1, Side.A))
    for place in sheet.MATRICES:
        assert dark_box(picture, place.grown(sheet.QUIET)) == pytest.approx(
            (place.x, place.y, place.right, place.bottom), abs=ONE_PIXEL
        )
        centres = [
            [
                bool(picture[round((place.y + row + 0.5) * PIXELS), round((place.x + column + 0.5) * PIXELS)] < 128)
                for column in range(sheet.MATRIX_MODULES)
            ]
            for row in range(sheet.MATRIX_MODULES)
        ]
        assert centres == modules.tolist()


@EVERY_SIDE
def test_corner_marks_are_where_the_constants_say(number: int, side: Side, page: int) -> None:
    picture = picture_of(PDF, page)
    for place, mark in enumerate(sheet.MARKS):
        assert dark_box(picture, mark.grown(2)) == pytest.approx(
            (mark.x, mark.y, mark.right, mark.bottom), abs=ONE_PIXEL
        )
        hole = mark.grown((sheet.MARK_HOLE - sheet.MARK) / 2)
        inside = cut(picture, hole.grown(-2 * ONE_PIXEL))
        assert set(np.unique(inside)) == {255 if place == sheet.HOLLOW_MARK else 0}
        ring = cut(picture, mark.grown(-2 * ONE_PIXEL)) < 128
        whole = (sheet.MARK - 4 * ONE_PIXEL) ** 2
        black = whole - sheet.MARK_HOLE**2 if place == sheet.HOLLOW_MARK else whole
        assert ring.sum() / PIXELS**2 == pytest.approx(black, abs=0.6)


@EVERY_SIDE
def test_ruled_lines_fill_the_writing_area_of_the_side(number: int, side: Side, page: int) -> None:
    area = sheet.writing(side)
    picture = picture_of(PDF, page)
    # A strip along the left end, from above the area to the foot of the largest one.
    strip = cut(picture, Rect(area.x + 1, area.y, 1, sheet.TICKS.bottom - area.y)).max(axis=1) < 230
    starts = np.flatnonzero(np.diff(strip.astype(int), prepend=0) == 1) / PIXELS
    lines = int(area.height / sheet.RULE)
    ruled = starts[:lines]
    assert ruled.tolist() == pytest.approx([sheet.RULE * line for line in range(1, lines + 1)], abs=0.2)


def test_side_b_has_lines_in_place_of_tick_boxes() -> None:
    assert sheet.writing(Side.A) == sheet.WRITING
    assert sheet.writing(Side.B).height - sheet.WRITING.height == sheet.LINES_FOR_TICKS * sheet.RULE
    assert sheet.writing(Side.B).bottom <= sheet.TICKS.bottom


def test_tick_boxes_stand_empty_beside_their_words_on_side_a_only() -> None:
    front, back = (picture_of(PDF, page) for _, _, page in SIDES[:2])
    column = sheet.TICKS.width / sheet.TICK_COLUMNS
    for tick in Tick:
        box = sheet.tick_box(tick)
        assert dark_box(front, box.grown(1)) == pytest.approx((box.x, box.y, box.right, box.bottom), abs=ONE_PIXEL)
        assert cut(front, box.grown(-0.6)).min() == 255
        words = Rect(box.right + 3, box.y, column - box.width - 4, box.height + 1)
        if tick is Tick.FORWARD:
            words = Rect(words.x, words.y - 0.2, sheet.FORWARD.right - words.x, sheet.FORWARD.height)
        assert text_in(PDF, SIDES[0][2], words) == words_of_ticks("en")[tick]
        assert text_in(PDF, SIDES[1][2], words) == ""
        assert cut(back, Rect(box.x - 0.3, box.y, 0.6, box.height)).min() > 128


def test_boxes_of_sheets_that_are_out_there_keep_their_places() -> None:
    places = [(sheet.tick_box(tick).x, sheet.tick_box(tick).y) for tick in Tick]
    assert places[:6] == [(x, y) for y in (224, 234, 244) for x in (15, 105)]


@EVERY_SIDE
def test_readable_codes_stand_at_both_places(number: int, side: Side, page: int) -> None:
    picture = picture_of(PDF, page)
    for place in sheet.READABLE:
        assert read_code(text_in(PDF, page, place)).code == LETTER.code
        left, top, right, bottom = dark_box(picture, place)
        assert bottom - top == pytest.approx(sheet.CODE_HEIGHT, abs=0.3)
        assert (left - place.x, place.right - right) > (0, 0)


@EVERY_SIDE
def test_header_names_prisoner_sheet_side_and_page(number: int, side: Side, page: int) -> None:
    count = {(1, Side.A): 1, (1, Side.B): 2, (2, Side.A): 3, (2, Side.B): 4}[number, side]
    place = f"Reply sheet {number} of 2, side {side} (page {count} of 4)"
    assert text_in(PDF, page, sheet.HEADER) == f"Max Example {place}"


@EVERY_SIDE
def test_return_address_stands_on_the_sheet(number: int, side: Side, page: int) -> None:
    address = "Please send this sheet back to: Example Group PO Box 1 00000 Exampletown"
    assert text_in(PDF, page, sheet.RETURN_ADDRESS) == address


def test_without_a_return_address_its_place_is_white() -> None:
    plain = letter(return_address=())
    assert cut(picture_of(render([plain]), page_of_sheet(plain)), sheet.RETURN_ADDRESS).min() == 255


def crowded(language: str, *, matrix_codes: bool) -> LetterToPrint:
    """A letter whose sheets are as full as they can be."""
    return letter(
        prisoner_name="Пример-Вымышленный " * 8,
        sheet_language=language,
        return_address=("Очень длинное название вымышленной группы " * 4,) * 8,
        reply_sheets=REPLY_SHEETS_MAX,
        rules=PrintRules(matrix_codes=matrix_codes),
        copy=True,
    )


EVERY_SHEET = pytest.mark.parametrize(
    ("language", "matrix_codes"), [(language, codes) for language in LANGUAGES for codes in (True, False)]
)
EVERY_PLACE = (
    sheet.HEADER,
    *sheet.READABLE,
    sheet.INSTRUCTIONS,
    sheet.writing(Side.A),
    sheet.writing(Side.B),
    sheet.TICKS,
    sheet.FORWARD,
    sheet.RETURN_ADDRESS,
    *sheet.MARKS,
)


def apart(one: Rect, other: Rect) -> bool:
    return one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y


def test_no_place_of_the_sheet_reaches_into_the_quiet_zone_of_a_matrix_code() -> None:
    quiet = [place.grown(sheet.QUIET) for place in sheet.MATRICES]
    assert [place for place in EVERY_PLACE for zone in quiet if not apart(place, zone)] == []


@EVERY_SHEET
def test_quiet_zones_and_margins_are_white_on_the_fullest_sheets(language: str, matrix_codes: bool) -> None:
    crowd = crowded(language, matrix_codes=matrix_codes)
    pdf = render([crowd])
    for number in (1, REPLY_SHEETS_MAX):
        for side in range(len(Side)):
            picture = picture_of(pdf, page_of_sheet(crowd, number) + side)
            for place in sheet.MATRICES:
                assert bool(cut(picture, place).min() == 0) is matrix_codes
                cut(picture, place.grown(ONE_PIXEL))[:] = 255
                assert cut(picture, place.grown(sheet.QUIET - ONE_PIXEL)).min() == 255
            left, top, right, bottom = dark_box(picture, PAGE)
            assert min(left, top, PAGE.width - right, PAGE.height - bottom) == pytest.approx(
                sheet.MARGIN, abs=ONE_PIXEL
            )


@EVERY_SHEET
def test_words_of_the_last_tick_box_stay_at_their_place(language: str, matrix_codes: bool) -> None:
    crowd = crowded(language, matrix_codes=matrix_codes)
    picture = picture_of(render([crowd]), page_of_sheet(crowd))
    free = Rect(sheet.TICKS.x, sheet.tick_box(Tick.WRITE_AGAIN).bottom + 0.2, sheet.FORWARD.width + 2, 9)
    left, top, right, bottom = dark_box(picture, free)
    assert (left, top) >= (sheet.FORWARD.x - ONE_PIXEL, free.y + 0.2)
    assert (right, bottom) <= (sheet.FORWARD.right, sheet.FORWARD.bottom)


@EVERY_SHEET
def test_around_the_readable_codes_it_is_white(language: str, matrix_codes: bool) -> None:
    crowd = crowded(language, matrix_codes=matrix_codes)
    picture = picture_of(render([crowd]), page_of_sheet(crowd))
    for place in sheet.READABLE:
        left, top, right, bottom = dark_box(picture, place.grown(1))  # what the scanner cuts out
        assert left > place.x
        assert bottom - top == pytest.approx(sheet.CODE_HEIGHT, abs=0.3)
        assert right < place.right


@EVERY_SHEET
def test_codes_of_the_fullest_sheets_are_read(language: str, matrix_codes: bool) -> None:
    crowd = crowded(language, matrix_codes=matrix_codes)
    pdf = render([crowd])
    last = page_of_sheet(crowd, REPLY_SHEETS_MAX)
    for place, side in enumerate(Side):
        found = zxingcpp.read_barcodes(picture_of(pdf, last + place))
        expected = [MatrixCode(CODE, REPLY_SHEETS_MAX, side)] * 2 if matrix_codes else []
        assert [read_matrix(code.text) for code in found] == expected
        assert [read_code(text_in(pdf, last + place, area)).code for area in sheet.READABLE] == [CODE, CODE]


@pytest.mark.parametrize("dpi", [200, 300, 600])
def test_matrix_code_is_painted_in_whole_pixels_at_every_resolution(dpi: int) -> None:
    with pypdfium2.PdfDocument(PDF) as document:
        picture = document[SIDES[0][2]].render(scale=dpi / 72, grayscale=True).to_numpy()
    pixels = dpi / 25.4
    for place in sheet.MATRICES:
        zone = place.grown(sheet.QUIET - 2 / pixels)
        code = picture[
            round(zone.y * pixels) : round(zone.bottom * pixels), round(zone.x * pixels) : round(zone.right * pixels)
        ]
        assert np.unique(code).tolist() == [0, 255]
    assert [code.text for code in zxingcpp.read_barcodes(picture)] == [str(MatrixCode(LETTER.code, 1, Side.A))] * 2


def test_sheet_without_matrix_codes_speaks_of_one_code_and_is_else_the_same() -> None:
    with_codes, without = (letter(rules=PrintRules(matrix_codes=codes)) for codes in (True, False))
    said = [text_in(render([one]), page_of_sheet(one)) for one in (with_codes, without)]
    assert said[0].replace("Keep codes and", "Keep the code and") == said[1]
    pictures = [picture_of(render([one]), page_of_sheet(one)) for one in (with_codes, without)]
    for picture in pictures:
        for place in (*(each.grown(1) for each in sheet.MATRICES), sheet.INSTRUCTIONS):
            cut(picture, place)[:] = 255
    assert np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("count", [0, REPLY_SHEETS_MAX])
def test_as_many_sheets_are_printed_as_were_ordered(count: int) -> None:
    ordered = letter(reply_sheets=count)
    pdf = render([ordered])
    first = page_of_sheet(ordered)
    assert pages_in(pdf) == first + 2 * count
    assert [text_in(pdf, page, sheet.HEADER) for page in range(first, pages_in(pdf))] == [
        f"Max Example Reply sheet {page // 2 + 1} of 9, side {'AB'[page % 2]} (page {page + 1} of 18)"
        for page in range(2 * count)
    ]


@pytest.mark.parametrize("copy", [True, False])
def test_copy_says_so_in_the_head_of_both_sides(copy: bool) -> None:
    again = letter(copy=copy)
    pdf, first = render([again]), page_of_sheet(again)
    words = [text_in(pdf, page, sheet.HEADER).split() for page in (first, first + 1)]
    assert [head.count("COPY") for head in words] == [copy, copy]


@pytest.mark.parametrize("side", list(Side))
def test_instructions_are_printed_whole(side: Side) -> None:
    page = {found: page for number, found, page in SIDES if number == 1}[side]
    printed = text_in(PDF, page, sheet.INSTRUCTIONS.grown(1))
    assert printed == " ".join(f"• {sentence}" for sentence in instructions("en", side))

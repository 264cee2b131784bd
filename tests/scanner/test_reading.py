"""Codes of pages that come turned, slanted, coarse, covered or from elsewhere, read by the real child."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from relay.domain.reply_code import SPECIMEN, MatrixCode, ReplyCode, Side
from relay.domain.sheet import MARKS, MATRICES, Rect
from scanner.codes import CodeRead, Method, PageCodes
from scanner.geometry import PIXELS_PER_MM, Geometry, pixels
from scanner.intake import PageFile
from tests.scanner.conftest import Scan
from tests.scanner.sheets import CODE, covered, matrix_picture, photographed, scanned, sheet

OTHER = ReplyCode("VYMYSLENHWPW")
UPPER, LOWER = MATRICES
READ = CodeRead(CODE, 1, Side.A, Method.MATRIX)
A4 = (2480, 3508)


def off_their_places(page: PageFile) -> float:
    """How far, in mm, the worst corner mark of a straightened page lies from where the domain says."""
    with Image.open(page.pgm) as picture:
        grey = np.asarray(picture, np.float64)
    worst = 0.0
    for mark in MARKS:
        around = mark.grown(2)
        left, top = round(around.x * PIXELS_PER_MM), round(around.y * PIXELS_PER_MM)
        side = round(around.width * PIXELS_PER_MM)
        rows, columns = np.nonzero(grey[top : top + side, left : left + side] < 128)
        off = np.hypot(columns.mean() - (side - 1) / 2, rows.mean() - (side - 1) / 2) / PIXELS_PER_MM
        worst = max(worst, float(off))
    return worst


@pytest.mark.parametrize("dpi", [100, 150, 200, 300, 600])
async def test_sheet_at_every_resolution_is_read_and_straightened(scan: Scan, dpi: int) -> None:
    page = await scan(scanned(sheet(), dpi=dpi, degrees=0.8), dpi)
    assert page.codes == PageCodes((READ,))
    assert (page.geometry, page.width, page.height, page.dpi) == (Geometry.SHEET, *A4, 300)
    assert off_their_places(page) < 0.4


@pytest.mark.parametrize("degrees", [1.5, -4, 90, 180, 181, 270])
async def test_sheet_turned_is_read_and_straightened(scan: Scan, degrees: float) -> None:
    page = await scan(scanned(sheet(), dpi=200, degrees=degrees), 200)
    assert page.codes == PageCodes((READ,))
    assert (page.geometry, page.width, page.height) == (Geometry.SHEET, *A4)
    assert off_their_places(page) < 0.4


@pytest.mark.parametrize("upside_down", [False, True])
async def test_sheet_photographed_at_a_slant_is_read_and_straightened(scan: Scan, upside_down: bool) -> None:
    picture = photographed(sheet())
    page = await scan(picture.rotate(180) if upside_down else picture, 72)
    assert page.codes == PageCodes((READ,))
    assert (page.geometry, page.width, page.height) == (Geometry.SHEET, *A4)
    assert off_their_places(page) < 0.4


async def test_sheet_one_bit_from_a_fax_is_read(scan: Scan) -> None:
    fax = scanned(sheet(), dpi=200, degrees=0.7).point(lambda grey: 255 * (grey > 128))
    page = await scan(fax, 200)
    assert (page.codes, page.geometry) == (PageCodes((READ,)), Geometry.SHEET)


async def test_sheet_second_side_tells_its_sheet_and_side(scan: Scan) -> None:
    page = await scan(scanned(sheet(number=12, side=Side.B)))
    assert page.codes.agreed == CodeRead(CODE, 12, Side.B, Method.MATRIX)


@pytest.mark.parametrize("place", MATRICES)
async def test_sheet_one_code_covered_is_read_by_the_other(scan: Scan, place: Rect) -> None:
    page = await scan(scanned(covered(sheet(), place), degrees=1))
    assert (page.codes, page.geometry) == (PageCodes((READ,)), Geometry.SHEET)


async def test_sheet_dirty_code_is_read_where_it_must_be(scan: Scan) -> None:
    picture = covered(sheet(), LOWER)
    corner = round(UPPER.x * PIXELS_PER_MM), round(UPPER.y * PIXELS_PER_MM)
    edge = round(UPPER.width * PIXELS_PER_MM)
    code = np.asarray(picture.crop((*corner, corner[0] + edge, corner[1] + edge)), np.float64)
    dirt = np.random.default_rng(5).normal(0, 80, code.shape)
    picture.paste(Image.fromarray(np.clip(code * 0.4 + 120 + dirt, 0, 255).astype(np.uint8)), corner)
    page = await scan(scanned(picture))
    assert page.codes == PageCodes((CodeRead(CODE, 1, Side.A, Method.MATRIX_CROP),))


async def test_sheet_marks_lost_is_straightened_by_its_two_codes(scan: Scan) -> None:
    picture = sheet()
    for mark in MARKS:
        picture.paste(255, pixels(mark))
    page = await scan(scanned(picture, degrees=2))
    assert (page.codes, page.geometry, page.width, page.height) == (PageCodes((READ,)), Geometry.SHEET, *A4)


async def test_sheet_with_only_one_code_left_is_turned_upright_by_it(scan: Scan) -> None:
    rest = sheet().crop((1500, 0, 2480, 1700))
    alone = Image.new("L", A4, 255)
    alone.paste(rest, (1500, 0))
    alone.paste(255, pixels(MARKS[1].grown(1)))
    page = await scan(scanned(alone, degrees=175))
    assert (page.codes, page.geometry) == (PageCodes((READ,)), Geometry.TURNED)
    with Image.open(page.pgm) as picture:
        upper = np.asarray(picture.crop((0, 0, picture.width, picture.height // 2)))
        lower = np.asarray(picture.crop((0, picture.height // 2, picture.width, picture.height)))
    assert int((upper < 100).sum()) > 20 * int((lower < 100).sum())


async def test_sheet_corner_torn_off_is_read_and_straightened(scan: Scan) -> None:
    picture = sheet()
    picture.paste(255, (0, 2700, 900, 3508))
    page = await scan(scanned(picture, degrees=-1))
    assert (page.codes, page.geometry) == (PageCodes((READ,)), Geometry.SHEET)


async def test_two_letters_on_one_page_contradict(scan: Scan) -> None:
    page = await scan(scanned(sheet(second=MatrixCode(OTHER, 1, Side.A))))
    assert (page.codes.contradictory, page.codes.agreed) == (True, None)


async def test_foreign_code_is_listed_and_ours_is_read(scan: Scan) -> None:
    picture = sheet()
    foreign = matrix_picture("https://example.org/").resize((400, 400))
    picture.paste(foreign, (1000, 1500))
    page = await scan(scanned(picture))
    assert page.codes == PageCodes((READ,), ("https://example.org/",))


async def test_preview_is_read_as_the_specimen(scan: Scan) -> None:
    page = await scan(scanned(sheet(SPECIMEN)))
    assert page.codes.agreed == CodeRead(SPECIMEN, 1, Side.A, Method.MATRIX)


async def test_page_of_something_else_stays_as_it_came(scan: Scan) -> None:
    picture = Image.new("L", A4, 255)
    for place in ((300, 400), (1700, 500), (700, 2800)):  # squares that are no marks
        picture.paste(0, (*place, place[0] + 71, place[1] + 71))
    page = await scan(scanned(picture))
    assert (page.codes, page.geometry, page.width, page.height) == (PageCodes(), Geometry.AS_IT_CAME, *A4)


async def test_page_with_words_keeps_every_word_where_it_was_written(scan: Scan) -> None:
    original = sheet(words="A line in the middle")
    page = await scan(scanned(original, degrees=3, dpi=200), 200)
    box = pixels(Rect(15, 60, 180, 20))
    with Image.open(page.pgm) as picture:
        found = np.asarray(picture.crop(box)) < 110
    drawn = np.asarray(original.crop(box)) < 110
    overlap = (found & drawn).sum() / (found | drawn).sum()
    assert overlap > 0.7

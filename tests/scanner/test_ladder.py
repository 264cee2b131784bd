"""How the code of a page is looked for, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from relay.domain.reply_code import MatrixCode, ReplyCode, Side
from relay.domain.sheet import MATRICES, READABLE
from scanner.codes import CodeRead, Method, PageCodes
from scanner.geometry import Geometry
from scanner.intake import PageFile
from scanner.ladder import Climbed, Tried, climb
from scanner.outstanding import Outstanding
from scanner.samples import MatrixSample, Samples
from tests.scanner.conftest import Scan
from tests.scanner.sheets import CODE, covered, matrix_picture, scanned, sheet

OTHER = ReplyCode("VYMYSLENHWPW")
PRINTED = CodeRead(CODE, None, None, Method.READABLE)
UPPER, LOWER = MATRICES
NOTHING = [
    Tried(method=method, outcome="nothing") for method in (Method.MATRIX, Method.MATRIX_SCALED, Method.MATRIX_CROP)
]


async def unasked() -> Outstanding:
    raise AssertionError("the outstanding codes were asked for")


async def climbed(page: PageFile, *known: ReplyCode, samples: Samples | None = None) -> Climbed:
    """Climb with these outstanding codes and these samples; without any, with nothing measured."""

    async def outstanding() -> Outstanding:
        return Outstanding([(code, 2) for code in known])

    return await climb(replace(page, samples=samples or Samples()), outstanding)


def measured(code: MatrixCode) -> Samples:
    """Both matrix codes of a clean page."""
    modules = np.where(np.asarray(matrix_picture(str(code))) == 0, 127, -127).astype(np.int8)
    return Samples(matrices=tuple(MatrixSample(place, modules) for place in range(len(MATRICES))))


def steps(found: Climbed) -> Sequence[tuple[Method, str]]:
    return [(step.method, step.outcome) for step in found.tried]


async def test_page_with_a_matrix_code_is_not_looked_at_further(scan: Scan) -> None:
    page = await scan(scanned(sheet()))
    assert await climb(page, unasked) == Climbed(page.codes, (Tried(method=Method.MATRIX, outcome="read"),))
    assert page.codes.agreed == CodeRead(CODE, 1, Side.A, Method.MATRIX)


async def test_page_that_is_no_sheet_is_not_looked_at_further(scan: Scan) -> None:
    page = await scan(scanned(sheet()))
    foreign = replace(page, codes=PageCodes(), geometry=Geometry.AS_IT_CAME, samples=Samples())
    assert await climb(foreign, unasked) == Climbed(PageCodes(), (Tried(method=Method.MATRIX, outcome="nothing"),))


@pytest.mark.parametrize("degrees", [1, 181])
async def test_sheet_both_codes_covered_is_read_by_the_readable_code(scan: Scan, degrees: float) -> None:
    page = await scan(scanned(covered(sheet(), UPPER, LOWER), degrees=degrees))
    assert (page.codes, page.geometry) == (PageCodes(), Geometry.SHEET)
    found = await climbed(page)
    assert found.codes == PageCodes((PRINTED,))
    assert list(found.tried[:3]) == NOTHING
    assert (found.tried[3].method, found.tried[3].outcome) == (Method.READABLE, "read")


async def test_sheet_readable_code_with_one_wrong_symbol_is_repaired_to_an_outstanding_one(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(ReplyCode(CODE.replace("C", "X"))), UPPER, LOWER)))
    assert (await climbed(page, CODE)).codes == PageCodes((replace(PRINTED, repaired=1),))
    assert (await climbed(page, OTHER)).codes == PageCodes()


async def test_sheet_readable_code_with_two_wrong_symbols_only_suggests(scan: Scan) -> None:
    misread = ReplyCode(CODE.replace("C", "X").replace("G", "4"))
    found = await climbed(await scan(scanned(covered(sheet(misread), UPPER, LOWER))), CODE)
    assert (found.codes.agreed, found.codes.suggested) == (None, (CODE,))
    assert steps(found)[3] == (Method.READABLE, "doubtful")


async def test_sheet_all_codes_covered_has_none(scan: Scan) -> None:
    found = await climbed(await scan(scanned(covered(sheet(), UPPER, LOWER, *READABLE))), CODE)
    assert (found.codes, found.ranked) == (PageCodes(), ())
    assert steps(found)[3] == (Method.READABLE, "nothing")


async def test_sheet_modules_and_readable_code_agree_on_sheet_and_side(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(), UPPER, LOWER)))
    found = await climbed(page, CODE, OTHER, samples=measured(MatrixCode(CODE, 2, Side.B)))
    assert found.codes.agreed == CodeRead(CODE, 2, Side.B, Method.SOFT_MATRIX)
    assert steps(found)[3:] == [(Method.READABLE, "read"), (Method.SOFT_MATRIX, "read")]


async def test_sheet_modules_against_readable_code_contradict(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(), UPPER, LOWER)))
    found = await climbed(page, CODE, OTHER, samples=measured(MatrixCode(OTHER, 1, Side.A)))
    assert (found.codes.contradictory, found.codes.agreed, set(found.codes.suggested)) == (True, None, {CODE, OTHER})


async def test_sheet_modules_of_a_code_that_is_not_outstanding_are_nobodys(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(), UPPER, LOWER, *READABLE)))
    found = await climbed(page, CODE, samples=measured(MatrixCode(OTHER, 1, Side.A)))
    assert (found.codes, found.ranked) == (PageCodes(), ())
    assert steps(found)[4] == (Method.SOFT_MATRIX, "nothing")


async def test_page_not_straightened_is_placed_by_its_modules(scan: Scan) -> None:
    page = replace(await scan(scanned(sheet())), codes=PageCodes(), geometry=Geometry.AS_IT_CAME)
    found = await climbed(page, CODE, samples=measured(MatrixCode(CODE, 1, Side.B)))
    assert found.codes.agreed == CodeRead(CODE, 1, Side.B, Method.SOFT_MATRIX)
    assert steps(found) == [(Method.MATRIX, "nothing"), (Method.SOFT_MATRIX, "read")]


async def test_climbing_leaves_no_file_behind(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(), UPPER, LOWER)))
    before = sorted(page.pgm.parent.iterdir())
    await climbed(page, CODE)
    assert sorted(page.pgm.parent.iterdir()) == before


async def test_sheet_with_another_one_over_its_second_code_contradicts(scan: Scan) -> None:
    both, other = sheet(), sheet(OTHER)
    half = both.height // 2
    both.paste(other.crop((0, half, both.width, both.height)), (0, half))
    for unreadable, read in ((LOWER, CODE), (UPPER, OTHER)):
        page = await scan(scanned(covered(both, unreadable)))
        assert (page.codes.agreed, page.both_read) == (CodeRead(read, 1, Side.A, Method.MATRIX), False)
        found = await climb(page, unasked)
        assert (found.codes.contradictory, set(found.codes.suggested)) == (True, {CODE, OTHER})
        assert steps(found)[-1] == (Method.READABLE, "read")


async def test_sheet_with_a_stain_on_its_second_code_is_placed_by_the_first(scan: Scan) -> None:
    page = await scan(scanned(covered(sheet(), LOWER, READABLE[1])))
    found = await climb(page, unasked)
    assert found.codes == PageCodes((CodeRead(CODE, 1, Side.A, Method.MATRIX), PRINTED))
    assert found.codes.agreed == CodeRead(CODE, 1, Side.A, Method.MATRIX)

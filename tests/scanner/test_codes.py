"""What the codes of one page say together."""

from __future__ import annotations

from relay.domain.reply_code import SPECIMEN, MatrixCode, ReplyCode, Side
from scanner.codes import CodeRead, Method, PageCodes, matrix_codes
from tests.scanner.sheets import CODE

OTHER = ReplyCode("VYMYSLENHWPW")
FRONT = MatrixCode(CODE, 1, Side.A)


def test_page_codes_both_corners_alike_agree_by_the_surest_method() -> None:
    codes = matrix_codes([(str(FRONT), Method.MATRIX), (str(FRONT), Method.MATRIX_CROP)])
    assert codes == PageCodes((CodeRead(CODE, 1, Side.A, Method.MATRIX),))
    assert codes.agreed == CodeRead(CODE, 1, Side.A, Method.MATRIX)


def test_page_codes_without_any_agree_on_nothing() -> None:
    codes = matrix_codes([])
    assert (codes.agreed, codes.contradictory, codes.suggested) == (None, False, ())


def test_page_codes_two_letters_contradict() -> None:
    codes = matrix_codes([(str(FRONT), Method.MATRIX), (str(MatrixCode(OTHER, 1, Side.A)), Method.MATRIX)])
    assert (codes.contradictory, codes.agreed, codes.suggested) == (True, None, (CODE, OTHER))


def test_page_codes_two_sides_contradict() -> None:
    codes = matrix_codes([(str(FRONT), Method.MATRIX), (str(MatrixCode(CODE, 1, Side.B)), Method.MATRIX)])
    assert (codes.contradictory, codes.agreed) == (True, None)


def test_page_codes_two_sheets_contradict() -> None:
    codes = matrix_codes([(str(FRONT), Method.MATRIX), (str(MatrixCode(CODE, 2, Side.A)), Method.MATRIX)])
    assert (codes.contradictory, codes.agreed) == (True, None)


def test_page_codes_foreign_ones_are_listed_and_stop_nothing() -> None:
    texts = ["https://example.org/", str(FRONT)[:-1] + "C", "R1" + "2" * 11 + "301A"]
    codes = matrix_codes([(text, Method.MATRIX) for text in [*texts, str(FRONT)]])
    assert codes == PageCodes((CodeRead(CODE, 1, Side.A, Method.MATRIX),), tuple(texts))


def test_page_codes_specimen_is_read_as_the_code_that_no_letter_has() -> None:
    codes = matrix_codes([(str(MatrixCode(SPECIMEN, 1, Side.A)), Method.MATRIX)])
    assert codes.agreed == CodeRead(SPECIMEN, 1, Side.A, Method.MATRIX)


def test_page_codes_one_repaired_symbol_is_accepted() -> None:
    read = CodeRead(CODE, None, None, Method.READABLE, repaired=1)
    assert PageCodes((read,)).agreed == read


def test_page_codes_two_repaired_symbols_only_suggest() -> None:
    codes = PageCodes((CodeRead(CODE, None, None, Method.READABLE, repaired=2),))
    assert (codes.agreed, codes.contradictory, codes.suggested) == (None, False, (CODE,))


def test_page_codes_doubtful_read_of_another_letter_still_contradicts() -> None:
    sure = CodeRead(CODE, None, None, Method.READABLE)
    doubtful = CodeRead(OTHER, None, None, Method.READABLE, repaired=2)
    assert (PageCodes((sure, doubtful)).contradictory, PageCodes((sure, doubtful)).agreed) == (True, None)


def test_page_codes_read_softly_agree_with_the_readable_code_and_tell_the_side() -> None:
    soft = CodeRead(CODE, 2, Side.B, Method.SOFT_MATRIX)
    codes = PageCodes((soft, CodeRead(CODE, None, None, Method.READABLE)))
    assert (codes.contradictory, codes.agreed) == (False, soft)


def test_page_codes_read_softly_as_another_letter_than_the_readable_code_contradict() -> None:
    codes = PageCodes((CodeRead(OTHER, 2, Side.B, Method.SOFT_MATRIX), CodeRead(CODE, None, None, Method.READABLE)))
    assert (codes.contradictory, codes.agreed, codes.suggested) == (True, None, (OTHER, CODE))

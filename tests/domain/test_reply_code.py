"""Reply codes: what was printed is read back, what was misread is repaired or refused, never taken for another code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain import reply_code
from relay.domain.reply_code import (
    ALPHABET,
    LENGTH,
    MATRIX_LENGTH,
    MAX_SHEETS,
    SPECIMEN,
    MatrixCode,
    NotAReplyCodeError,
    ReadableCode,
    ReplyCode,
    Side,
    grouped,
    new_reply_code,
    read_code,
    read_matrix,
)

CODES = st.text(ALPHABET, min_size=8, max_size=8).map(reply_code._with_check)
MATRICES = st.builds(MatrixCode, CODES, st.integers(1, MAX_SHEETS), st.sampled_from(Side))
GOOD = reply_code._with_check("ABCDEFGH")
LOOKALIKES = str.maketrans("ABEKMHPCTYX", "АВЕКМНРСТУХ")


@st.composite
def misread(draw: st.DrawFn, wrong: int) -> tuple[ReplyCode, str]:
    """A code, and the same with so many symbols exchanged for others of the alphabet."""
    code = draw(CODES)
    places = draw(st.lists(st.integers(0, LENGTH - 1), min_size=wrong, max_size=wrong, unique=True))
    symbols = list(code)
    for place in places:
        symbols[place] = draw(st.sampled_from(ALPHABET.replace(code[place], "")))
    return code, "".join(symbols)


def test_new_codes_differ_and_read_back() -> None:
    codes = [new_reply_code() for _ in range(300)]
    assert len(set(codes)) == 300
    assert [read_code(code) for code in codes] == [ReadableCode(code, 0) for code in codes]
    assert {symbol for code in codes for symbol in code} == set(ALPHABET)


def test_new_code_never_the_specimen(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(ALPHABET[0] * 8 + "23456789")
    monkeypatch.setattr("relay.domain.reply_code.secrets.choice", lambda _: next(drawn))
    assert new_reply_code()[:8] == "23456789"
    assert read_code(SPECIMEN) == ReadableCode(SPECIMEN, 0)


@settings(deadline=None)
@given(CODES)
def test_code_read_however_it_is_typed(code: ReplyCode) -> None:
    for typed in (grouped(code), code.lower(), "-".join(code), f"\t{grouped(code)}\n", code.translate(LOOKALIKES)):
        assert read_code(typed) == ReadableCode(code, 0)
    assert read_code(code.translate(LOOKALIKES).lower()) == ReadableCode(code, 0)


@settings(deadline=None)
@given(st.one_of(misread(1), misread(2)))
def test_code_with_up_to_two_wrong_symbols_repaired(case: tuple[ReplyCode, str]) -> None:
    code, symbols = case
    assert read_code(symbols) == ReadableCode(code, sum(a != b for a, b in zip(code, symbols, strict=True)))


@settings(deadline=None, max_examples=300)
@given(st.one_of(misread(3), misread(4)))
def test_code_with_more_wrong_symbols_never_read_as_good(case: tuple[ReplyCode, str]) -> None:
    """Three may look like one wrong symbol of another code (its distance is five), but never like none."""
    code, symbols = case
    try:
        read = read_code(symbols)
    except NotAReplyCodeError:
        return
    distance = sum(a != b for a, b in zip(read.code, code, strict=True))
    assert read.code != code
    assert read.repaired >= 1
    assert distance >= reply_code.CHECK_SYMBOLS + 1
    assert read_code(read.code) == ReadableCode(read.code, 0)


@settings(deadline=None)
@given(CODES, st.sampled_from("IO01Щ?!é"), st.integers(0, LENGTH - 1))
def test_symbol_that_the_alphabet_lacks_repaired(code: ReplyCode, symbol: str, place: int) -> None:
    assert read_code(code[:place] + symbol + code[place + 1 :]) == ReadableCode(code, 1)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    try:
        read = read_code(text)
    except NotAReplyCodeError:
        return
    assert read_code(read.code) == ReadableCode(read.code, 0)
    assert read.repaired <= reply_code.REPAIRABLE


@pytest.mark.parametrize("text", ["", "ABCD", "ABCD EFGH JKLM N", "?" * LENGTH, "ABC" + "?" * 9])
def test_text_that_is_no_code_refused(text: str) -> None:
    with pytest.raises(NotAReplyCodeError):
        read_code(text)


@settings(deadline=None)
@given(MATRICES)
def test_matrix_code_read_back(matrix: MatrixCode) -> None:
    assert len(str(matrix)) == MATRIX_LENGTH == 17
    assert read_matrix(str(matrix)) == matrix


@settings(deadline=None, max_examples=300)
@given(MATRICES, st.integers(0, MATRIX_LENGTH - 1), st.characters())
def test_matrix_code_with_a_changed_symbol_never_names_another_letter(
    matrix: MatrixCode, place: int, symbol: str
) -> None:
    text = str(matrix)
    try:
        read = read_matrix(text[:place] + symbol + text[place + 1 :])
    except NotAReplyCodeError:
        return
    assert read.code == matrix.code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "R1",
        "https://x.example",
        f"R2{GOOD}01A",
        f"R1{GOOD}00A",
        f"R1{GOOD}01C",
        f"R1{GOOD}01",
        f"R1{GOOD}001A",
        f"R1{GOOD}٠١A",
        f"R1{GOOD}-1A",
        f"R1{GOOD}1 A",
        f"R1{GOOD}01a",
        f"r1{GOOD}01A",
        f"R1{GOOD.lower()}01A",
        f"R1{GOOD[:-1]}I01A",
    ],
)
def test_matrix_code_of_somebody_else_refused(text: str) -> None:
    with pytest.raises(NotAReplyCodeError):
        read_matrix(text)

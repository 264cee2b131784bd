"""The reply code: what is printed on a sheet so that an answer finds its letter again.

Twelve symbols of an alphabet without I and O: eight random ones (40 bits) and four Reed-Solomon check symbols over
GF(2^5). Up to two wrong symbols can be repaired; at most one is accepted without a person.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

import reedsolo

ReplyCode = NewType("ReplyCode", str)
"""Twelve symbols without spaces, with valid check symbols."""

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
DATA_SYMBOLS: Final = 8
CHECK_SYMBOLS: Final = 4
LENGTH: Final = DATA_SYMBOLS + CHECK_SYMBOLS
GROUP: Final = 4
"""Symbols shown together: three groups of four."""

MATRIX_PREFIX: Final = "R1"
SHEET_DIGITS: Final = 2
MAX_SHEETS: Final = 99
MATRIX_LENGTH: Final = len(MATRIX_PREFIX) + LENGTH + SHEET_DIGITS + 1
REPAIRABLE: Final = CHECK_SYMBOLS // 2
ACCEPTED_REPAIRS: Final = 1
"""Repaired symbols of a readable code that are accepted without a person."""

_CODEC = reedsolo.RSCodec(CHECK_SYMBOLS, c_exp=5)
_VALUE = {symbol: value for value, symbol in enumerate(ALPHABET)}
# What a hand or an eye takes for a symbol that the alphabet left out, or types in the other script.
_MISTAKEN = str.maketrans({"I": "1", "O": "0"}) | str.maketrans("АВЕКМНРСТУХ", "ABEKMHPCTYX")


class Side(StrEnum):
    """The two sides of a reply sheet."""

    A = "A"
    B = "B"


class NotAReplyCodeError(ValueError):
    """The text is no reply code of ours, and says so in its message."""


@dataclass(frozen=True, slots=True)
class ReadableCode:
    """A reply code read from text, and how many of its symbols had to be repaired."""

    code: ReplyCode
    repaired: int


@dataclass(frozen=True, slots=True)
class MatrixCode:
    """What the matrix code of one side of a reply sheet holds; sheets are counted from 1."""

    code: ReplyCode
    sheet: int
    side: Side

    def __str__(self) -> str:
        """The 17 alphanumeric characters that are printed."""
        return f"{MATRIX_PREFIX}{self.code}{self.sheet:0{SHEET_DIGITS}d}{self.side}"


def _with_check(data: str) -> ReplyCode:
    return ReplyCode("".join(ALPHABET[value] for value in _CODEC.encode([_VALUE[symbol] for symbol in data])))


SPECIMEN: Final = _with_check(ALPHABET[0] * DATA_SYMBOLS)
"""Printed on previews. It is never given to a letter, so a scanned preview goes to a person."""


def new_reply_code() -> ReplyCode:
    """A fresh random reply code, never the specimen."""
    while True:
        code = _with_check("".join(secrets.choice(ALPHABET) for _ in range(DATA_SYMBOLS)))
        if code != SPECIMEN:
            return code


def grouped(code: str) -> str:
    """The code as it is printed for people: ``ABCD EFGH JKLM``."""
    return " ".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


def typed(text: str) -> str:
    """The symbols that somebody typed or copied, in any grouping and case, and in the other script."""
    return "".join(text.split()).replace("-", "").upper().translate(_MISTAKEN)


def read_code(text: str) -> ReadableCode:
    """Read a code as typed or recognised, in any grouping and case; repair up to two wrong symbols.

    Raises NotAReplyCodeError when the length is wrong or too many symbols are.
    """
    symbols = typed(text)
    if len(symbols) != LENGTH:
        raise NotAReplyCodeError(f"a reply code has {LENGTH} symbols, this has {len(symbols)}")
    # A character outside the alphabet is a known bad place, which costs half of what an unknown one does.
    unknown = [place for place, symbol in enumerate(symbols) if symbol not in _VALUE]
    try:
        _, repaired, _ = _CODEC.decode([_VALUE.get(symbol, 0) for symbol in symbols], erase_pos=unknown or None)
    except reedsolo.ReedSolomonError:
        raise NotAReplyCodeError("the check symbols of this code do not fit") from None
    code = ReplyCode("".join(ALPHABET[value] for value in repaired))
    wrong = sum(a != b for a, b in zip(code, symbols, strict=True))
    if wrong > REPAIRABLE:
        raise NotAReplyCodeError(f"{wrong} symbols of this code are wrong; {REPAIRABLE} can be repaired")
    return ReadableCode(code, wrong)


def read_matrix(text: str) -> MatrixCode:
    """Read the content of a matrix code. Nothing is repaired: the matrix code corrects itself.

    Raises NotAReplyCodeError for a foreign code, a wrong check symbol, sheet 0 or an unknown side.
    """
    if len(text) != MATRIX_LENGTH or not text.startswith(MATRIX_PREFIX):
        raise NotAReplyCodeError("a foreign code")
    body, sheet, side = text[len(MATRIX_PREFIX) :][:LENGTH], text[-SHEET_DIGITS - 1 : -1], text[-1]
    if any(symbol not in _VALUE for symbol in body) or _with_check(body[:DATA_SYMBOLS]) != body:
        raise NotAReplyCodeError("the check symbols of this code do not fit")
    if not (sheet.isascii() and sheet.isdecimal()) or int(sheet) == 0 or side not in tuple(Side):
        raise NotAReplyCodeError("this code names no side of a sheet")
    return MatrixCode(ReplyCode(body), int(sheet), Side(side))

"""A private key as people can keep it on paper: ten lines that can be typed back, or the text of a matrix code.

A line is 16 symbols of the alphabet of reply codes (10 bytes) and 4 Reed-Solomon check symbols, over its number too, so
that a line in the wrong place is seen. Behind the 96 bytes of the seed stand 4 of its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import reedsolo

from relay.domain.reply_code import ALPHABET, GROUP, typed

LINES: Final = 10
DATA_SYMBOLS: Final = 16
CHECK_SYMBOLS: Final = 4
LENGTH: Final = DATA_SYMBOLS + CHECK_SYMBOLS
SEED_BYTES: Final = 96
CHECK_BYTES: Final = 4
BITS: Final = 5
"""Of a symbol."""
MATRIX_PREFIX: Final = "RK1"

_CODEC = reedsolo.RSCodec(CHECK_SYMBOLS, c_exp=BITS)
_VALUE: Final = {symbol: value for value, symbol in enumerate(ALPHABET)}


class NotAKeyError(ValueError):
    """This is no key, or not all of it; says what is wrong, and none of what was typed."""


def key_lines(seed: bytes) -> list[str]:
    """The lines of a key, without spaces."""
    symbols = _symbols(seed)
    return [
        _with_check(number, symbols[start : start + DATA_SYMBOLS])
        for number, start in enumerate(range(0, len(symbols), DATA_SYMBOLS), start=1)
    ]


def key_matrix(seed: bytes) -> str:
    """What the matrix code of a key holds."""
    return MATRIX_PREFIX + _symbols(seed)


def read_line(number: int, text: str) -> str:
    """A line as it was typed, in any grouping and case; lines are counted from 1.

    Nothing is repaired. Raises NotAKeyError that says where to look.
    """
    symbols = typed(text)
    if len(symbols) != LENGTH:
        raise NotAKeyError(f"Line {number} has {LENGTH} symbols; these are {len(symbols)}.")
    strange = [place for place, symbol in enumerate(symbols) if symbol not in _VALUE]
    if strange:
        raise NotAKeyError(f"Line {number}: {_groups(strange)} has a character that is none of a key.")
    if symbols == _with_check(number, symbols[:DATA_SYMBOLS]):
        return symbols
    try:
        _, _, wrong = _CODEC.decode([number, *(_VALUE[symbol] for symbol in symbols)])
    except reedsolo.ReedSolomonError:
        raise NotAKeyError(f"Line {number} has several mistakes.") from None
    if 0 in wrong:
        raise NotAKeyError(f"This is not line {number}, or it has several mistakes.")
    raise NotAKeyError(f"Line {number} has a mistake: look at {_groups([place - 1 for place in wrong])}.")


def seed_of_lines(lines: Sequence[str]) -> bytes:
    """The seed out of all lines. Raises NotAKeyError."""
    if len(lines) != LINES:
        raise NotAKeyError(f"A key has {LINES} lines; these are {len(lines)}.")
    return _seed("".join(read_line(number, line)[:DATA_SYMBOLS] for number, line in enumerate(lines, start=1)))


def seed_of_matrix(text: str) -> bytes:
    """The seed out of the text of a matrix code. Raises NotAKeyError."""
    symbols = text.removeprefix(MATRIX_PREFIX)
    whole = len(symbols) == LINES * DATA_SYMBOLS and set(symbols) <= set(ALPHABET)
    if not text.startswith(MATRIX_PREFIX) or not whole:
        raise NotAKeyError("This matrix code holds no key.")
    return _seed(symbols)


def _symbols(seed: bytes) -> str:
    if len(seed) != SEED_BYTES:
        raise NotAKeyError(f"A key has {SEED_BYTES} bytes; these are {len(seed)}.")
    whole = int.from_bytes(seed + _check(seed))
    count = LINES * DATA_SYMBOLS
    return "".join(ALPHABET[whole >> BITS * place & (1 << BITS) - 1] for place in reversed(range(count)))


def _seed(symbols: str) -> bytes:
    whole = 0
    for symbol in symbols:
        whole = whole << BITS | _VALUE[symbol]
    data = whole.to_bytes(SEED_BYTES + CHECK_BYTES)
    seed = data[:SEED_BYTES]
    if _check(seed) != data[SEED_BYTES:]:
        raise NotAKeyError("The lines are not all of one key.")
    return seed


def _check(seed: bytes) -> bytes:
    return hashlib.sha256(seed).digest()[:CHECK_BYTES]


def _with_check(number: int, data: str) -> str:
    coded = _CODEC.encode([number, *(_VALUE[symbol] for symbol in data)])
    return "".join(ALPHABET[value] for value in coded[1:])


def _groups(places: Sequence[int]) -> str:
    groups = sorted({place // GROUP + 1 for place in places})
    return f"group {' and '.join(map(str, groups))}"

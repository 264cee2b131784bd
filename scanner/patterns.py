"""The modules of a reply code's matrix code, computed for all codes that could come back at once.

The content is 17 alphanumeric characters in a QR code of version 2, level H (ISO/IEC 18004). They are written in pairs,
the error correction is linear and the mask is added at last. So the modules are the sum, over GF(2), of one pattern for
each of the six pairs of symbols, one for the sheet, one for the side and one for the mask: tables of some hundred
patterns stand for those of all codes, and nothing need be kept beside a code.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import reedsolo
from numpy.typing import NDArray

from relay.domain.reply_code import ALPHABET, LENGTH, MATRIX_LENGTH, MATRIX_PREFIX, MAX_SHEETS, Side
from relay.domain.sheet import MATRIX_MODULES

Bits = NDArray[np.uint8]
"""Each 0 or 1; the last axis is the order in which a code is written, unless said otherwise."""

BITS: Final = 352
"""Of version 2, without the 7 that mean nothing: 16 bytes of content and 28 for error correction."""
PAIRS: Final = LENGTH // 2
"""Of symbols of a reply code, as they are written into a matrix code."""
MASKS: Final = 8
FORMAT_BITS: Final = 15

_CONTENT_BYTES: Final = 16
_CHECK_BYTES: Final = 28
_ALPHANUMERIC: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_HEADER: Final = (0b0010, 4), (MATRIX_LENGTH, 9)
"""The mode "alphanumeric" and the number of characters, each with its bits."""
_PAIR_BITS: Final = 11
_SINGLE_BITS: Final = 6
_TERMINATOR_BITS: Final = 4
_PADDING: Final = (0xEC, 0x11)
_LEVEL_H: Final = 0b10
_FORMAT_GENERATOR: Final = 0x537
_FORMAT_MASK: Final = 0x5412


@cache
def places() -> NDArray[np.intp]:
    """Where each bit stands: its place among the modules, counted row by row."""
    size = MATRIX_MODULES
    function = np.zeros((size, size), bool)
    function[:9, :9] = function[:9, -8:] = function[-8:, :9] = True
    function[6, :] = function[:, 6] = True
    function[16:21, 16:21] = True
    order = []
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        rows = range(size - 1, -1, -1) if (right + 1) & 2 == 0 else range(size)
        order += [row * size + column for row in rows for column in (right, right - 1) if not function[row, column]]
    return np.array(order[:BITS], np.intp)


@cache
def masks() -> Bits:
    """What each of the MASKS adds to each bit; (MASKS, BITS)."""
    y, x = np.divmod(places(), MATRIX_MODULES)
    added = (
        (x + y) % 2,
        y % 2,
        x % 3,
        (x + y) % 3,
        (x // 3 + y // 2) % 2,
        x * y % 2 + x * y % 3,
        (x * y % 2 + x * y % 3) % 2,
        ((x + y) % 2 + x * y % 3) % 2,
    )
    added_to: Bits = (np.stack(added) == 0).astype(np.uint8)
    return added_to


@cache
def format_places() -> NDArray[np.intp]:
    """Where the format stands, twice, counted row by row; (2, FORMAT_BITS), the least bit first."""
    size = MATRIX_MODULES
    first = [*((row, 8) for row in (0, 1, 2, 3, 4, 5, 7, 8)), *((8, column) for column in (7, 5, 4, 3, 2, 1, 0))]
    second = [*((8, size - 1 - bit) for bit in range(8)), *((row, 8) for row in range(size - 7, size))]
    return np.array([[row * size + column for row, column in copy] for copy in (first, second)], np.intp)


@cache
def formats() -> Bits:
    """The format of level H with each mask; (MASKS, FORMAT_BITS), the least bit first."""
    found = []
    for mask in range(MASKS):
        content = _LEVEL_H << 3 | mask
        rest = content << 10
        for bit in range(FORMAT_BITS - 1, 9, -1):
            if rest >> bit & 1:
                rest ^= _FORMAT_GENERATOR << (bit - 10)
        whole = (content << 10 | rest) ^ _FORMAT_MASK
        found.append([whole >> bit & 1 for bit in range(FORMAT_BITS)])
    return np.array(found, np.uint8)


@cache
def pairs() -> Bits:
    """What each pair of symbols adds, at each place of a code; (PAIRS, symbols, symbols, BITS)."""
    values = np.array([_ALPHANUMERIC.index(symbol) for symbol in ALPHABET])
    numbers = values[:, None] * len(_ALPHANUMERIC) + values
    start = sum(bits for _, bits in _HEADER) + _PAIR_BITS * (len(MATRIX_PREFIX) // 2)
    return np.stack([_added(numbers, _PAIR_BITS, start + pair * _PAIR_BITS) for pair in range(PAIRS)])


@cache
def sides() -> Bits:
    """What all codes have, with each sheet and side; (MAX_SHEETS, sides, BITS). The first row is sheet 1."""
    message = 0
    first, second = (_ALPHANUMERIC.index(character) for character in MATRIX_PREFIX)
    for value, bits in (*_HEADER, (first * len(_ALPHANUMERIC) + second, _PAIR_BITS)):
        message = message << bits | value
    start = sum(bits for _, bits in _HEADER) + _PAIR_BITS
    length = start + (PAIRS + 1) * _PAIR_BITS + _SINGLE_BITS + _TERMINATOR_BITS
    padded = -length % 8
    rest = _CONTENT_BYTES * 8 - length - padded
    filling = sum(_PADDING[place % 2] << rest - 8 * (place + 1) for place in range(rest // 8))
    same = message << _CONTENT_BYTES * 8 - start | filling
    common = _rows()[[bit for bit in range(_CONTENT_BYTES * 8) if same >> _CONTENT_BYTES * 8 - 1 - bit & 1]].sum(0) % 2
    tens, ones = np.divmod(np.arange(1, MAX_SHEETS + 1), 10)
    sheet = _added(tens * len(_ALPHANUMERIC) + ones, _PAIR_BITS, start + PAIRS * _PAIR_BITS)
    letters = np.array([_ALPHANUMERIC.index(side) for side in Side])
    side = _added(letters, _SINGLE_BITS, start + (PAIRS + 1) * _PAIR_BITS)
    whole: Bits = common.astype(np.uint8) ^ sheet[:, None] ^ side
    return whole


def _added(values: NDArray[np.intp], bits: int, start: int) -> Bits:
    """What these numbers add, written with so many bits from this bit of the content on."""
    digits = values[..., None] >> np.arange(bits - 1, -1, -1) & 1
    added: Bits = (digits @ _rows()[start : start + bits].astype(np.intp) % 2).astype(np.uint8)
    return added


@cache
def _rows() -> Bits:
    """What each bit of the content adds to all bits; (bits of the content, BITS)."""
    codec = reedsolo.RSCodec(_CHECK_BYTES, fcr=0, prim=0x11D)
    rows = []
    for bit in range(_CONTENT_BYTES * 8):
        content = (1 << _CONTENT_BYTES * 8 - 1 - bit).to_bytes(_CONTENT_BYTES, "big")
        rows.append(np.unpackbits(np.frombuffer(bytes(codec.encode(content)), np.uint8)))
    return np.stack(rows)

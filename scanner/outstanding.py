"""Decoding against what is outstanding: which of the codes that could come back a damaged page carries, if any.

A decoder must find one of 2^40 codes; here one of those that were given out is looked for, so that far less of a code
is enough. Each is compared with the softly measured modules and symbols of the page.

When a code is accepted. The chance that any code which is not on the page does as well is bounded, and must be under
CHANCE:

* Modules. Only those that differ from code to code count. To a code that is not on the page they are random signs, so
  by Hoeffding's inequality the sum of the measured modules x, each with the sign that the code has there, exceeds t |x|
  with a chance of at most exp(-t^2 / 2). `t` counts standard deviations; the right code on a clean page has nearly 17.
* Symbols. To a code that is not on the page the symbols are random ones, so the sum of their likenesses has the tail
  that Chernoff's bound gives for these very likenesses.
* Both. The exponents of two independent bounds add up to more than E with a chance of at most (1 + E) exp(-E).

Each bound is multiplied by the number of trials: codes, sheets, sides, masks, samples and their sums. What is left of
the exponent is called evidence, in nats. Beyond that no other code, sheet or side may have evidence that chance does
not explain, so that a page with two codes is nobody's; and without clear modules the symbols must tell the code from
all that are valid but not outstanding, because these come back too.

`benchmarks.scan` checks the model on a million scores of codes that were not on the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.domain.reply_code import ALPHABET, CHECK_SYMBOLS, DATA_SYMBOLS, LENGTH, ReplyCode, Side
from relay.domain.sheet import MATRICES, READABLE
from scanner import patterns
from scanner.codes import CodeRead, Method
from scanner.samples import LineSample, MatrixSample, Samples

CHANCE: Final = 1e-9
"""Most that the chance of accepting a code which is not on the page may be, for each page."""
SUGGESTED: Final = 3
"""Codes that are suggested at most."""
NATS: Final = 1 / 8
"""What one step of a LineSample means, as a natural logarithm of likelihoods."""

_RULES: Final = 3
"""Ways to accept a code, which share CHANCE: by modules, by symbols, by both."""
_ACCEPTED: Final = -log(CHANCE / _RULES)
"""Least evidence for the code that is accepted."""
_STRANGE: Final = -log(0.001)
"""Evidence for another code, sheet or side from which the page is in doubt: chance gives it to one page in 1000."""
_SUGGESTED: Final = -log(0.3)
"""Least evidence for a code that is suggested."""
_SIDE_AHEAD: Final = 3.0
"""Least distance of the best sheet and side of a code from any other, in standard deviations."""
_BALANCED: Final = 0.2
"""Bits of which the mean of the signs over all codes is further from 0 do not count: they are not random."""
_FORMAT_MARGIN: Final = 3.0
"""Masks are tried whose format agrees with the page nearly as well as the best one's, in standard deviations."""
_SLOPES: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5)
"""Chernoff's bound holds for each of these; the best one is taken."""
_CHUNK: Final = 4096
"""Codes that are compared at once."""

_VALUES: Final = np.zeros(128, np.uint8)
_VALUES[[ord(symbol) for symbol in ALPHABET]] = np.arange(len(ALPHABET))

_Line = NDArray[np.float32]
"""The likenesses of a readable code in nats: (symbols, alphabet)."""
_Each = NDArray[np.float64]
"""One number for each outstanding code."""


@dataclass(frozen=True, slots=True)
class Match:
    """What the samples of a page say about the outstanding codes."""

    read: CodeRead | None = None
    """The code that is accepted."""
    ranked: tuple[ReplyCode, ...] = ()
    """Where none is accepted: codes that look like the page, the likeliest first. They only suggest."""
    evidence: float = -inf
    """For the best code, in nats: chance alone gives as much to a share of at most exp(-evidence) of pages."""


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What the codes are compared with: one column for each sample or sum of two, likely mask, sheet and side."""

    weights: NDArray[np.float32]
    """(bits that count, columns), each column of length 1."""
    sheet: NDArray[np.intp]
    """Counted from 0, in ascending order."""
    side: NDArray[np.intp]
    """In `Side`."""
    trials: int
    """Columns of each sheet, had all masks been tried."""


class Outstanding:
    """The codes that could come back, ready to be compared with pages. Takes about 50 bytes for each."""

    def __init__(self, codes: Iterable[tuple[ReplyCode, int]]) -> None:
        """Each code with the number of reply sheets that carry it."""
        # Those with many sheets come first: so the codes that have a certain sheet are the first so many.
        given = sorted((code for code in codes if code[1]), key=lambda code: -code[1])
        text = np.asarray(bytearray("".join(code for code, _ in given), "ascii"))
        self._symbols = _VALUES[text].reshape(-1, LENGTH)
        self._sheets = np.array([sheets for _, sheets in given], np.uint8)
        mean = (1.0 - 2.0 * patterns.pairs().mean((1, 2))).prod(0)
        self._counting = np.flatnonzero(np.abs(mean) <= _BALANCED)
        tables = np.packbits(patterns.pairs()[..., self._counting], axis=-1)
        self._packed = np.zeros((len(given), tables.shape[-1]), np.uint8)
        for pair, table in enumerate(tables):
            self._packed ^= table[self._symbols[:, 2 * pair], self._symbols[:, 2 * pair + 1]]

    def __len__(self) -> int:
        """How many codes there are."""
        return len(self._symbols)

    def __contains__(self, code: str) -> bool:
        """Whether this valid code is among them."""
        symbols = _VALUES[np.frombuffer(code.encode("ascii"), np.uint8)]
        return bool((self._symbols == symbols).all(1).any())

    def match(self, samples: Samples) -> Match:
        """Compare a page with all codes."""
        if not len(self):
            return Match()
        columns, lines = self._columns(samples.matrices), _lines(samples.lines)
        if not (columns or lines):
            return Match()
        deviation = self._best_deviations(columns) if columns else np.zeros(len(self))
        trials = columns.trials if columns else 1
        by_modules = np.maximum(deviation, 0) ** 2 / 2
        by_symbols = self._exponents(lines) if lines else np.zeros(len(self))
        both = by_modules + by_symbols
        all_trials = log(trials * float(self._sheets.sum(dtype=np.int64)))
        evidence = np.maximum.reduce(
            (
                by_modules - all_trials,
                by_symbols - log(len(self) * max(len(lines), 1)),
                both - np.log1p(both) - all_trials - log(max(len(lines), 1)),
            )
        )
        order = np.argsort(-evidence)[: SUGGESTED + 1]
        best = int(order[0])
        read = None
        if evidence[best] >= _ACCEPTED and (len(order) == 1 or evidence[order[1]] < _STRANGE):
            known = by_modules[best] >= log(trials * int(self._sheets[best])) + _ACCEPTED
            if columns and known:
                read = self._side(columns, best)
            elif self._before_any_valid(lines, best):
                read = CodeRead(self._code(best), None, None, Method.SOFT_READABLE)
        looking = order[:SUGGESTED] if read is None else ()
        ranked = tuple(self._code(int(code)) for code in looking if evidence[code] >= _SUGGESTED)
        return Match(read, ranked, float(evidence[best]))

    def deviations(self, matrices: Sequence[MatrixSample]) -> Iterator[NDArray[np.float32]]:
        """The scores of the model, in standard deviations, of some thousand codes at a time: (codes, columns)."""
        columns = self._columns(matrices)
        if columns:
            for start in range(0, len(self), _CHUNK):
                yield self._scores(columns, slice(start, start + _CHUNK))

    def exponents(self, samples: Sequence[LineSample]) -> _Each:
        """For each code the exponent of the bound for its symbols, before the number of trials counts."""
        return self._exponents(_lines(samples))

    def _code(self, place: int) -> ReplyCode:
        return ReplyCode("".join(ALPHABET[value] for value in self._symbols[place]))

    # --- modules

    def _columns(self, matrices: Sequence[MatrixSample]) -> _Columns | None:
        samples = _with_sums(
            [(sample.place, sample.modules.reshape(-1).astype(np.float32)) for sample in matrices], len(MATRICES)
        )
        weights = []
        for sample in samples:
            measured = sample[patterns.places()[self._counting]]
            length = np.linalg.norm(measured)
            if length > 0:
                # A module is measured as positive where it is black, and that is where its bit is 1.
                weights += [
                    measured / length * _signs(patterns.masks()[mask, self._counting]) for mask in _masks(sample)
                ]
        if not weights:
            return None
        sheets = int(self._sheets.max())
        sides = _signs(patterns.sides()[:sheets, :, self._counting])
        columns = (sides[:, :, None] * -np.stack(weights)).reshape(-1, len(self._counting))
        sheet, side, _ = np.indices((sheets, len(Side), len(weights))).reshape(3, -1)
        trials = len(samples) * patterns.MASKS * len(Side)
        return _Columns(np.ascontiguousarray(columns.T), sheet, side, trials)

    def _scores(self, columns: _Columns, codes: slice) -> NDArray[np.float32]:
        sheets = self._sheets[codes]
        some = slice(0, int(np.searchsorted(columns.sheet, int(sheets[0]))))
        weights = columns.weights[:, some]
        bits = np.unpackbits(self._packed[codes], axis=1, count=len(self._counting)).astype(np.float32)
        scores: NDArray[np.float32] = weights.sum(0) - 2 * (bits @ weights)
        scores[columns.sheet[some] >= sheets[:, None]] = -inf
        return scores

    def _best_deviations(self, columns: _Columns) -> _Each:
        chunks = range(0, len(self), _CHUNK)
        return np.concatenate([self._scores(columns, slice(start, start + _CHUNK)).max(1) for start in chunks])

    def _side(self, columns: _Columns, code: int) -> CodeRead | None:
        """What is read when the code is sure; None when two sheets or sides of it look like the page."""
        scores = self._scores(columns, slice(code, code + 1))[0]
        best = int(scores.argmax())
        sheet, side = columns.sheet[best], columns.side[best]
        there = slice(0, len(scores))
        other = scores[(columns.sheet[there] != sheet) | (columns.side[there] != side)].max()
        if scores[best] - other < _SIDE_AHEAD:
            return None
        return CodeRead(self._code(code), int(sheet) + 1, list(Side)[side], Method.SOFT_MATRIX)

    # --- symbols

    def _exponents(self, lines: Sequence[_Line]) -> _Each:
        """How unlikely it is, as an exponent, that a random code looks as much like the best of the lines as each."""
        best = np.zeros(len(self))
        for line in lines:
            likeness = line[np.arange(LENGTH), self._symbols].sum(1)
            for slope in _SLOPES:
                bound = np.log(np.exp(slope * line).mean(1)).sum()
                best = np.maximum(best, slope * likeness - bound)
        return best

    def _before_any_valid(self, lines: Sequence[_Line], code: int) -> bool:
        """Whether one of the lines tells this code from all others that are valid but not outstanding.

        Such a code is taken to be on as many pages as those that are outstanding; it differs in more symbols than there
        are check symbols, and whether a string of symbols is valid has nothing to do with how it looks.
        """
        there = np.arange(LENGTH), self._symbols[code]
        valid = len(ALPHABET) ** DATA_SYMBOLS
        for line in lines:
            others = np.exp(line - line[there][:, None])
            others[there] = 0
            strings = np.ones(1)  # the likelihoods of all that differ in 0, 1, 2 … symbols
            for symbol in others.sum(1):
                strings = np.convolve(strings, (1.0, symbol))
            differing = float(strings[CHECK_SYMBOLS + 1 :].sum())
            if differing / (len(ALPHABET) - 1) ** CHECK_SYMBOLS * len(self) / valid <= CHANCE:
                return True
        return False


def _with_sums(samples: Sequence[tuple[int, NDArray[np.float32]]], places: int) -> list[NDArray[np.float32]]:
    """The samples, and the sums of any two of different places: what is there is the same."""
    of = [[sample for place, sample in samples if place == wanted] for wanted in range(places)]
    sums = [one + other for first, second in combinations(of, 2) for one, other in product(first, second)]
    return [sample for _, sample in samples] + sums


def _lines(samples: Sequence[LineSample]) -> list[_Line]:
    return _with_sums([(sample.place, sample.symbols * np.float32(NATS)) for sample in samples], len(READABLE))


def _masks(sample: NDArray[np.float32]) -> NDArray[np.intp]:
    """The masks that the format of a code allows."""
    measured = sample[patterns.format_places()]
    length = float(np.linalg.norm(measured)) or 1.0
    agreement = -(_signs(patterns.formats()) @ measured.T).sum(1) / length
    return np.flatnonzero(agreement >= agreement.max() - _FORMAT_MARGIN)


def _signs(bits: patterns.Bits) -> NDArray[np.float32]:
    """1 for 0 and -1 for 1, so that a product of signs is the sign of a sum of bits."""
    return 1 - 2 * bits.astype(np.float32)

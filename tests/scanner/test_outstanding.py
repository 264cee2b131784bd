"""Which outstanding code a damaged page carries: only what chance does not explain, and never one of two."""

from __future__ import annotations

import itertools
from math import exp

import numpy as np
import pytest
import reedsolo
from numpy.random import Generator
from numpy.typing import NDArray

from relay.domain.reply_code import ALPHABET, DATA_SYMBOLS, LENGTH, MAX_SHEETS, MatrixCode, ReplyCode, Side
from relay.domain.sheet import MATRIX_MODULES
from scanner import patterns
from scanner.codes import CodeRead, Method
from scanner.outstanding import CHANCE, SUGGESTED, Match, Outstanding
from scanner.samples import LineSample, MatrixSample, Samples
from tests.scanner.sheets import matrix_picture

RNG_SEED = 20251122
CODEC = reedsolo.RSCodec(LENGTH - DATA_SYMBOLS, c_exp=5)


def codes(count: int, rng: Generator) -> list[ReplyCode]:
    data = rng.integers(len(ALPHABET), size=(count, DATA_SYMBOLS)).tolist()
    return [ReplyCode("".join(ALPHABET[value] for value in CODEC.encode(one))) for one in data]


def modules(code: MatrixCode) -> NDArray[np.int16]:
    """127 where the code is black, -127 where it is white."""
    black = np.asarray(matrix_picture(str(code))) == 0
    return np.where(black, 127, -127).astype(np.int16)


def sample(place: int, code: MatrixCode, rng: Generator, noise: float = 0, covered: float = 0) -> MatrixSample:
    """The code with noise on each module, and a share of its rows measured as nothing."""
    measured = np.clip(modules(code) + rng.normal(0, noise, (MATRIX_MODULES, MATRIX_MODULES)), -127, 127)
    measured[: round(covered * MATRIX_MODULES)] = 0
    return MatrixSample(place, measured.astype(np.int8))


def noise(place: int, rng: Generator) -> MatrixSample:
    return MatrixSample(place, rng.integers(-127, 128, (MATRIX_MODULES, MATRIX_MODULES)).astype(np.int8))


def line(place: int, code: str, unreadable: int = 0, wrong: int = 0) -> LineSample:
    """A readable code of which the first symbols cannot be read and the next look like others."""
    symbols = np.full((LENGTH, len(ALPHABET)), -48, np.int8)
    for number, symbol in enumerate(code):
        value = ALPHABET.index(symbol)
        symbols[number, (value + 1) % len(ALPHABET) if unreadable <= number < unreadable + wrong else value] = 0
    symbols[:unreadable] = 0
    return LineSample(place, symbols)


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(RNG_SEED)


@pytest.fixture(scope="module")
def given() -> list[ReplyCode]:
    return codes(20_000, np.random.default_rng(1))


@pytest.fixture(scope="module")
def known(given: list[ReplyCode]) -> Outstanding:
    return Outstanding([(code, 1 + place % 3) for place, code in enumerate(given)])


def test_patterns_are_those_that_a_writer_of_qr_codes_writes(rng: Generator) -> None:
    places, formats = patterns.places(), patterns.formats()
    for code, sheet, side in zip(codes(60, rng), rng.integers(1, MAX_SHEETS + 1, 60), itertools.cycle(Side)):
        written = (modules(MatrixCode(code, int(sheet), side)).reshape(-1) > 0).astype(np.uint8)
        values = [ALPHABET.index(symbol) for symbol in code]
        bits = patterns.sides()[sheet - 1, list(Side).index(side)].copy()
        for pair in range(patterns.PAIRS):
            bits ^= patterns.pairs()[pair, values[2 * pair], values[2 * pair + 1]]
        first, second = written[patterns.format_places()]
        (mask,) = (mask for mask in range(patterns.MASKS) if np.array_equal(formats[mask], first))
        assert np.array_equal(first, second)
        assert np.array_equal(written[places], bits ^ patterns.masks()[mask])


def test_codes_are_kept_with_their_number(known: Outstanding, given: list[ReplyCode], rng: Generator) -> None:
    assert len(known) == len(given)
    assert [code in known for code in (given[0], given[-1], *codes(2, rng))] == [True, True, False, False]


def test_code_without_sheets_cannot_come_back(given: list[ReplyCode]) -> None:
    known = Outstanding([(given[0], 0), (given[1], 1)])
    assert (len(known), given[0] in known) == (1, False)


def test_nothing_outstanding_or_nothing_measured_says_nothing(known: Outstanding, rng: Generator) -> None:
    assert Outstanding([]).match(Samples(matrices=(noise(0, rng),), lines=(line(0, "2" * LENGTH),))) == Match()
    assert known.match(Samples()) == Match()
    empty = MatrixSample(0, np.zeros((MATRIX_MODULES, MATRIX_MODULES), np.int8))
    assert known.match(Samples(matrices=(empty,))) == Match()


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(("blur", "covered"), [(0, 0), (150, 0), (0, 0.5), (60, 0.3)])
def test_modules_name_code_sheet_and_side(
    known: Outstanding, given: list[ReplyCode], rng: Generator, place: int, blur: float, covered: float
) -> None:
    for number in (2, 5, 19_999):
        truth = MatrixCode(given[number], 1 + number % 3, Side.B)
        found = known.match(Samples(matrices=(sample(place, truth, rng, blur, covered),)))
        assert found.read == CodeRead(truth.code, truth.sheet, Side.B, Method.SOFT_MATRIX)
        assert found.ranked == ()


def test_modules_too_damaged_one_by_one_are_enough_together(
    known: Outstanding, given: list[ReplyCode], rng: Generator
) -> None:
    truth = MatrixCode(given[7], 1, Side.A)
    halves = sample(0, truth, rng, 200, 0.4), sample(1, truth, rng, 200, 0.4)
    assert [known.match(Samples(matrices=(half,))).read for half in halves] == [None, None]
    assert known.match(Samples(matrices=halves)).read == CodeRead(truth.code, 1, Side.A, Method.SOFT_MATRIX)


def test_modules_of_a_sheet_that_was_not_ordered_are_nobodys(
    known: Outstanding, given: list[ReplyCode], rng: Generator
) -> None:
    found = known.match(Samples(matrices=(sample(0, MatrixCode(given[0], 2, Side.A), rng),)))
    assert found == Match(evidence=found.evidence)


def test_modules_of_two_letters_are_nobodys_and_suggest_both(
    known: Outstanding, given: list[ReplyCode], rng: Generator
) -> None:
    one, other = (sample(place, MatrixCode(given[place], 1, Side.A), rng, 40) for place in (0, 1))
    found = known.match(Samples(matrices=(one, other)))
    assert (found.read, set(found.ranked)) == (None, {given[0], given[1]})


def test_modules_of_two_sides_are_nobodys(known: Outstanding, given: list[ReplyCode], rng: Generator) -> None:
    front, back = (sample(place, MatrixCode(given[9], 1, side), rng) for place, side in enumerate(Side))
    found = known.match(Samples(matrices=(front, back)))
    assert (found.read, found.ranked) == (None, (given[9],))


def test_modules_of_codes_that_are_not_outstanding_are_never_accepted(known: Outstanding, rng: Generator) -> None:
    for code in codes(30, rng):
        truth = MatrixCode(code, 1, Side.A)
        found = known.match(
            Samples(matrices=(sample(0, truth, rng), sample(1, truth, rng, 80)), lines=(line(0, code),))
        )
        assert found == Match(evidence=found.evidence)


def test_noise_is_never_accepted(known: Outstanding, rng: Generator) -> None:
    for _ in range(10):
        found = known.match(Samples(matrices=tuple(noise(number % 2, rng) for number in range(4))))
        assert found.read is None


def test_scores_of_codes_that_are_not_on_the_page_keep_the_stated_bound(known: Outstanding, rng: Generator) -> None:
    pages = [noise(0, rng)] * 2 + [sample(0, MatrixCode(code, 1, Side.A), rng, 60) for code in codes(6, rng)]
    scores = np.concatenate([chunk.ravel() for page in pages for chunk in known.deviations([page])])
    scores = scores[np.isfinite(scores)]
    assert len(scores) >= 1_000_000
    for deviations in (1.0, 2.0, 3.0, 4.0, 5.0):
        assert (scores >= deviations).mean() <= exp(-(deviations**2) / 2)


@pytest.mark.parametrize(("unreadable", "wrong"), [(0, 0), (2, 0), (0, 1)])
def test_symbols_name_the_code(known: Outstanding, given: list[ReplyCode], unreadable: int, wrong: int) -> None:
    found = known.match(Samples(lines=(line(0, given[11], unreadable, wrong),)))
    assert (found.read, found.ranked) == (CodeRead(given[11], None, None, Method.SOFT_READABLE), ())


def test_symbols_too_few_of_them_only_suggest(known: Outstanding, given: list[ReplyCode]) -> None:
    found = known.match(Samples(lines=(line(1, given[11], 5),)))
    assert (found.read, found.ranked) == (None, (given[11],))


def test_symbols_that_could_be_those_of_any_valid_code_only_suggest(given: list[ReplyCode]) -> None:
    """Each looks most like the right one, but all others are nearly as good."""
    blurred = line(0, given[0])
    blurred.symbols[blurred.symbols < 0] = -8
    found = Outstanding([(given[0], 1)]).match(Samples(lines=(blurred,)))
    assert (found.read, found.ranked) == (None, (given[0],))
    assert exp(-found.evidence) < CHANCE / 10


def test_symbols_and_modules_too_weak_one_by_one_are_enough_together(
    known: Outstanding, given: list[ReplyCode], rng: Generator
) -> None:
    truth = MatrixCode(given[3], 1, Side.A)
    weak, few = sample(0, truth, rng, 0, 0.7), line(0, given[3], 4)
    assert [known.match(one).read for one in (Samples(matrices=(weak,)), Samples(lines=(few,)))] == [None, None]
    found = known.match(Samples(matrices=(weak,), lines=(few,)))
    assert found.read is not None
    assert found.read.code == truth.code


def test_symbols_against_modules_are_nobodys(known: Outstanding, given: list[ReplyCode], rng: Generator) -> None:
    upper = sample(0, MatrixCode(given[4], 1, Side.A), rng, 40)
    found = known.match(Samples(matrices=(upper,), lines=(line(1, given[8]),)))
    assert (found.read, set(found.ranked)) == (None, {given[4], given[8]})


def test_suggestions_are_few(given: list[ReplyCode]) -> None:
    known = Outstanding([(code, 1) for code in given[:10]])
    found = known.match(Samples(lines=tuple(line(place % 2, given[place]) for place in range(5))))
    assert len(found.ranked) == SUGGESTED

"""The benchmark of the scanning damages what it says, the same each time, and counts what it says that it counts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import routing, scores
from benchmarks.damage import (
    DPIS,
    ORDINARY,
    PAGE_KINDS,
    PLACES,
    SHEETS,
    any_side,
    chance,
    code_crop,
    ordinary_page,
    reply_codes,
    whole_page,
)
from benchmarks.routing import Came
from benchmarks.wear import KINDS
from print.reply_sheet import matrix_modules
from relay.domain.reply_code import ReplyCode, read_code
from scanner.codes import Method
from scanner.outstanding import Outstanding

HARMLESS = "nothing"


def test_kinds_of_damage_are_at_least_as_many_as_promised() -> None:
    assert len(KINDS) >= 28
    assert {"codes half covered", "corner torn off", "cropped by the feeder", "printed at 95 %", "copied twice"} <= {
        *PAGE_KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_the_same_for_the_same_seed_and_changes_the_code(kind: str) -> None:
    truth = any_side(reply_codes(1, chance(1))[0], chance(1))
    first, again, whole = (code_crop(truth, one, 200, chance(2)) for one in (kind, kind, HARMLESS))
    assert np.array_equal(first, again)
    assert np.array_equal(first, whole) == (kind == HARMLESS)
    assert (first.shape, first.dtype.name) == (whole.shape, "uint8")


def test_reply_codes_are_valid_and_different() -> None:
    codes = reply_codes(200, chance(3))
    assert len(set(codes)) == 200
    assert [read_code(code).repaired for code in codes] == [0] * 200


@pytest.mark.parametrize("kind", PAGE_KINDS)
def test_damaged_page_has_every_place_damaged(kind: str) -> None:
    truth = any_side(reply_codes(1, chance(4))[0], chance(4))
    page = whole_page(truth, chance(5), kind, 100)
    assert (page.truth, page.dpi, page.kind, set(page.places)) == (truth, 100, kind, set(PLACES))
    assert np.array_equal(page.picture, whole_page(truth, chance(5), kind, 100).picture)


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_page_is_drawn_at_its_resolution(kind: str) -> None:
    page = ordinary_page(any_side(reply_codes(1, chance(6))[0], chance(6)), chance(6), kind)
    assert (page.kind, page.dpi) == (kind, ORDINARY[kind][0])


def test_modules_whose_place_is_known_are_those_of_the_code() -> None:
    truth = any_side(reply_codes(1, chance(7))[0], chance(7))
    for dpi in DPIS:
        soft = scores.measured(code_crop(truth, HARMLESS, dpi, chance(7)), dpi / 25.4, chance(7))
        assert ((soft > 0) == matrix_modules(truth)).mean() > 0.98


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred codes are outstanding, and little is measured."""
    codes = reply_codes(100, chance(1))
    known = Outstanding([(code, SHEETS) for code in codes])

    def outstanding() -> tuple[list[ReplyCode], Outstanding]:
        return codes, known

    for module in (routing, scores):
        monkeypatch.setattr(module, "outstanding", outstanding)
        monkeypatch.setattr(module, "OUTSTANDING", len(codes))
    monkeypatch.setattr(scores, "OF_EACH", 1)
    monkeypatch.setattr(scores, "PART", 60)
    monkeypatch.setattr(scores, "COUNTED", 30)
    monkeypatch.setattr(routing, "LETTERS", 1)


@pytest.mark.usefixtures("few")
def test_codes_of_one_kind_are_looked_for_at_each_resolution() -> None:
    found = scores.kind_of_damage(list(KINDS).index(HARMLESS))
    assert found == scores.Read(HARMLESS, len(DPIS), len(DPIS), 0, len(DPIS))


@pytest.mark.usefixtures("few")
def test_codes_that_are_not_outstanding_are_counted_by_themselves() -> None:
    reads, tails = scores.crops(0)
    assert sum(read.codes for read in reads) == 60
    (unknown,) = (read for read in reads if not read.kind)
    assert (unknown.codes, unknown.soft, unknown.wrong) == (6, 0, 0)
    assert tails.scores >= 2 * 100
    assert tails.above[0] >= tails.above[-1]


@pytest.mark.usefixtures("few")
def test_scan_of_ordinary_pages_is_read_and_right() -> None:
    found = routing.ordinary_scan(list(ORDINARY).index("200 dpi, straight"))
    assert found == [Came("200 dpi, straight", True, Method.MATRIX, right=True, suggested=True, alone=True)] * 2


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("number", [routing.KNOWN_SCANS, routing.KNOWN_SCANS + routing.GONE_SCANS])
def test_scan_of_codes_that_are_gone_or_of_another_system_reaches_nobody_else(number: int) -> None:
    assert [(came.known, came.wrong) for came in routing.damaged_scan(number)] == [(False, False)] * 2


def test_page_is_wrong_when_it_is_read_as_another() -> None:
    assert Came("", True, Method.MATRIX, right=False, suggested=False, alone=False).wrong
    assert not Came("", True, None, right=False, suggested=False, alone=False).wrong

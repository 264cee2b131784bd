"""The benchmark of the printing says what the project says that it says; how fast anything is, is not tested."""

from __future__ import annotations

import json

import pytest

from benchmarks import Figure
from benchmarks.print import Sizes, letters, memory, preview, speed
from benchmarks.print_peers import PEERS, batch_of
from print.letter_pages import page_count
from print.rendering import CORES
from tests.print.letters import pages_in

TINY = Sizes(letters=3, rounds=1, slow_rounds={}, many=5, previews=1)


def test_goal_of_a_figure_may_be_the_least_that_it_has_to_be() -> None:
    figures = [Figure("print", "speed", value, "times", 1.5, more_is_better=True) for value in (1.4, 1.5, 1.6)]
    assert [figure.holds for figure in figures] == [False, True, True]
    assert json.loads(figures[2].json)["goal"] == 1.5


def test_letters_of_the_benchmark_have_one_page_and_no_two_are_the_same() -> None:
    made = list(letters(20))
    assert [page_count(letter) for letter in made] == [1] * 20
    assert len({letter.text for letter in made}) == 20


@pytest.mark.parametrize(("name", "module"), [("typst", "typst"), ("fpdf2", "fpdf"), ("WeasyPrint", "weasyprint")])
def test_peers_make_the_same_number_of_pages(name: str, module: str) -> None:
    pytest.importorskip(module, reason="it is only installed for ./dev bench")
    assert pages_in(PEERS[name](batch_of(list(letters(2))))) == 2 * 4


async def test_figure_of_the_speed() -> None:
    pytest.importorskip("typst", reason="it is only installed for ./dev bench")
    (figure,) = await speed(TINY)
    about = ("print", "pages per second against typst", "times", 1.5)
    assert (figure.bench, figure.figure, figure.unit, figure.goal) == about
    relays = {f"relay, {cores} cores" if cores > 1 else "relay, one core" for cores in (1, CORES)}
    assert {name.removesuffix(", pages per second") for name in figure.peers} == {"typst, one process", *relays}


def test_figure_of_the_memory() -> None:
    (figure,) = memory(TINY)
    assert (figure.bench, figure.figure, figure.unit, figure.goal) == ("print", "peak memory, 5 letters", "MB", 300)
    _, resident, _, together = figure.peers.values()
    assert resident > figure.value > 50
    assert together >= figure.value


async def test_figure_of_the_preview() -> None:
    (figure,) = await preview(TINY)
    assert (figure.bench, figure.unit, figure.goal) == ("print", "ms", 60)
    assert figure.peers["slowest"] >= figure.value > 0

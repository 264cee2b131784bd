"""The benchmark of the review runs and says what the project says that it says; how fast anything is, is not tested."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks import Figure
from benchmarks.review import Bench, Sizes, measure
from tests.conftest import PostgresServer

TINY = Sizes(
    few=20,
    many=100,
    rounds=1,
    reviewers=3,
    queued=10,
    decisions=1,
    screened=1,
    claims=40,
    processes=2,
    kills=0.05,
    careless=10,
)


async def test_figures_of_the_review(postgres_server: PostgresServer, tmp_path: Path) -> None:
    figures = await measure(Bench(TINY, tmp_path, postgres_server))
    assert {figure.bench for figure in figures} == {"review"}
    assert [(figure.figure.split(",")[0].split(" in ")[0], figure.unit, figure.goal) for figure in figures] == [
        ("claim cost", "times", 1.5),
        ("claim with 100 queued", "ms", None),
        ("claim cost", "times", 1.5),
        ("claim with 100 queued", "ms", None),
        ("screening 3 pages (en)", "ms", 5),
        ("screening 3 pages (ru)", "ms", 5),
        ("decision to next letter on screen", "ms", 50),
        ("double claims", "letters", 0),
        (figures[-1].figure.split(" in ")[0], "decisions", 0),
    ]
    assert [figure.holds for figure in figures[-2:]] == [True, True]
    assert all(figure.value > 0 for figure in figures[:-2])
    assert list(tmp_path.iterdir()) == []


FIGURES = [Figure("review", "speed", 1.25, "ms", 2, {"of another": 3.5}), Figure("review", "size", 2.5, "kg")]


def test_figures_as_lines_of_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--json"])
    benchmarks.report(lambda: FIGURES)
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    about = {"bench": "review", "figure": "speed", "value": 1.25, "unit": "ms"}
    assert first == about | {"goal": 2, "holds": True, "peers": {"of another": 3.5}}
    assert (second["goal"], second["holds"], "peers" in second) == (None, None, False)


def test_figures_as_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench"])
    monkeypatch.setenv("COLUMNS", "120")
    benchmarks.report(lambda: [*FIGURES, Figure("review", "weight", 3, "kg", 2)])
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("│")
    ]
    assert rows == [
        ["speed", "1.25 ms", "≤ 2", "holds", "of another: 3.5"],
        ["size", "2.5 kg", "", "", ""],
        ["weight", "3 kg", "≤ 2", "MISSED", ""],
    ]

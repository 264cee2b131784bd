"""The figures that the project promises, measured. `./dev bench` runs each module here and prints what it found."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured figure. A goal is the most that it may be, or the least; one without stands beside another."""

    bench: str
    figure: str
    value: float
    unit: str
    goal: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    """What other ways came to, measured in the same run."""
    more_is_better: bool = False
    """Whether the goal is the least that it has to be."""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal

    @property
    def json(self) -> str:
        """One line of `--json`."""
        line = {"bench": self.bench, "figure": self.figure, "value": self.value, "unit": self.unit}
        line |= {"goal": self.goal, "holds": self.holds}
        return json.dumps(line | ({"peers": dict(self.peers)} if self.peers else {}), ensure_ascii=False)


def report(measure: Callable[[], Sequence[Figure]]) -> None:
    """Measure, and print the figures as a table, or with `--json` on the command line one object a line."""
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true", help="one object for each figure and line")
    as_json = options.parse_args().json
    figures = measure()
    if as_json:
        sys.stdout.writelines(f"{figure.json}\n" for figure in figures)  # `print` is a benchmark here
        return
    table = Table("figure", "value", "goal", "", "beside it")
    for one in figures:
        goal = "" if one.goal is None else f"{'≥' if one.more_is_better else '≤'} {one.goal:g}"
        peers = "\n".join(f"{name}: {value:.4g}" for name, value in one.peers.items())
        holds = {True: "holds", False: "MISSED", None: ""}[one.holds]
        table.add_row(one.figure, f"{one.value:.4g} {one.unit}", goal, holds, peers)
    Console().print(table)


__all__ = ["Figure", "report"]

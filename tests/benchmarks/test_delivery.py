"""The benchmark of the mail out runs and says what the project says that it says; how fast it is, is not tested."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.delivery import Sizes, measure

TINY = Sizes(mails=60, dead=10, plain=10, milliseconds=1, domains=20)


async def test_figures_of_the_outbox(tmp_path: Path) -> None:
    figures = await asyncio.to_thread(measure, tmp_path, TINY)
    assert [(figure.bench, figure.figure, figure.unit, figure.goal) for figure in figures] == [
        ("delivery", "outbox throughput", "mails/s", None),
        ("delivery", "outbox throughput against a connection for each mail", "times", 1),
        ("delivery", "outbox throughput behind 10 dead addresses", "mails/s", None),
        ("delivery", "speed left behind dead addresses", "share", 0.8),
    ]
    assert all(figure.value > 0 for figure in figures)
    assert len(figures[0].peers) == 3

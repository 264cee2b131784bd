"""Nothing is lost: a round that was killed at any point is taken up again and ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from relay.demo.round_trip import STEPS
from tests.roundtrip.killed_round import AfterStep, AtWrite, go
from tests.roundtrip.outcome import UNDISTURBED, Outcome, outcome

pytestmark = pytest.mark.roundtrip

AT_ONCE = 3
"""Rounds that run at the same time: one is busy for about two thirds of its time."""
WRITES = {False: (3, 6, 12, 16, 25, 27), True: (2, 5, 9, 14, 19, 24)}
"""At which of the 27 to 29 writes of a round: uncommitted, what was done outside of the database (a mail sent, a blob
stored) is not known; committed, it is known of work that it is in hand, and nobody does it."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.roundtrip.killed_round"])  # importing takes longer than most steps


def _round(folder: Path, handwriting: Path, kill: AfterStep | AtWrite) -> None:
    """Run a round in a process of its own that is killed, and then in another one to its end."""
    for what in (kill, None):
        process = PROCESSES.Process(target=go, args=(folder, handwriting, what))
        process.start()
        process.join()
        assert process.exitcode == (0 if what is None else -signal.SIGKILL)


def _all_rounds(folder: Path, handwriting: Path, kills: Sequence[AfterStep | AtWrite]) -> dict[str, Outcome]:
    """What the rounds leave that were killed there and then taken up again."""
    folders = [folder / str(number) for number in range(len(kills))]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(_round, folders, [handwriting] * len(kills), kills))
    return {str(kill): asyncio.run(outcome(folder)) for kill, folder in zip(kills, folders, strict=True)}


def test_round_killed_after_each_step(tmp_path: Path, handwriting: Path) -> None:
    kills = [AfterStep(steps) for steps in range(len(STEPS) + 1)]
    assert _all_rounds(tmp_path, handwriting, kills) == {str(kill): UNDISTURBED for kill in kills}


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_round_killed_at_a_write(tmp_path: Path, handwriting: Path, *, committed: bool) -> None:
    kills = [AtWrite(number, committed=committed) for number in WRITES[committed]]
    assert _all_rounds(tmp_path, handwriting, kills) == {str(kill): UNDISTURBED for kill in kills}

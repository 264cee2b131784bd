"""Scanning: pages that find their letters and none that finds a wrong one, and what reading costs.

Run with `python -m benchmarks.scan [--json]`; takes about 40 minutes on two cores, and what reading costs is of use
only on a quiet machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import cv2

from benchmarks import Figure, reading, report, routing, scores
from benchmarks.routing import Done

CORES: Final = len(os.sched_getaffinity(0))
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_THREAD_LIMIT")


def codes() -> list[Figure]:
    """The figures about codes and the ways of pages, on all cores, each in one thread."""
    os.environ |= dict.fromkeys(_THREADS, "1")
    with ProcessPoolExecutor(CORES, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as processes:

        def run(do: Callable[[int], Done], numbers: Iterable[int], /) -> Iterable[Done]:
            return processes.map(do, numbers)

        return [*routing.figures(run), *scores.figures(run)]


def main() -> list[Figure]:
    """All figures but those of hostile files, which `benchmarks.fuzz` has."""
    return [*reading.figures(), *codes()]


if __name__ == "__main__":
    report(main)

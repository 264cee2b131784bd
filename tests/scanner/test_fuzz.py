"""Good scans of every kind that chance broke, and files made to hurt: each is taken or refused with a reason."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from benchmarks import fuzz
from benchmarks.broken import mutations
from benchmarks.broken.mutations import good, hostile, mutated
from benchmarks.fuzz import TAKEN, Outcome, forking, outcomes
from scanner import intake
from scanner.intake import split
from scanner.limits import Limits, Reason

CONFINED = range(20)
"""Are read in a child of their own, from its start and inside bubblewrap."""
FORKED = range(20, 200)
"""Are read in a forked child, which is quicker."""


@pytest.fixture(autouse=True)
def _encoder() -> None:
    if shutil.which(mutations.HEIC_PROGRAM) is None:
        pytest.fail(f"heif-enc is missing: `./dev test` installs it, or: {mutations.HEIC_INSTALL}", pytrace=False)


@pytest.fixture
def forked() -> Iterator[list[int]]:
    with forking() as peaks:
        yield peaks


async def collected(numbers: range) -> list[Outcome]:
    found = [outcome async for outcome in outcomes(numbers)]
    assert [one for one in found if not one.expected] == []
    assert sorted(one.number for one in found) == list(numbers)
    return found


async def test_good_scans_are_all_taken(forked: list[int]) -> None:
    ends = {name: (await fuzz._outcome(0, name, content)).end for name, content in good().items()}
    assert ends == dict.fromkeys(ends, TAKEN)


async def test_broken_scans_are_taken_or_refused(forked: list[int]) -> None:
    ends = Counter(one.end for one in await collected(FORKED))
    assert min(ends[TAKEN], ends[Reason.DAMAGED]) > 30, "chance breaks enough, and not all"
    assert len(forked) == len(FORKED)
    assert max(forked) < Limits().memory_megabytes * 1000


async def test_broken_scans_are_taken_or_refused_in_the_sandbox(tmp_path: Path) -> None:
    await collected(CONFINED)
    path, into = tmp_path / "scan", tmp_path / "pages"
    path.write_bytes(good()["scan.pdf"])
    into.mkdir()
    assert len(await split(path, into, Limits())) == 2, "what comes after them is read as ever"


SLOW: Final = (Reason.TOOK_TOO_LONG, Reason.DAMAGED)
ENDS: Final[dict[str, tuple[str, ...]]] = {
    "3000 pages.pdf": (Reason.TOO_MANY_PAGES,),
    "says 2000000000 pages.pdf": (TAKEN,),
    "page in itself.pdf": (Reason.DAMAGED,),
    "deep tree.pdf": (TAKEN,),
    "drawn in itself.pdf": SLOW,
    "drawn 2 to 24 times.pdf": SLOW,
    "brackets.pdf": (TAKEN,),
    "bomb.pdf": (TAKEN, Reason.RAN_OUT_OF_MEMORY, *SLOW),
    "bomb twice.pdf": (TAKEN,),
    "large paper.pdf": (TAKEN, Reason.RAN_OUT_OF_MEMORY),
    "loop.tif": (TAKEN,),
    "large.tif": (Reason.TOO_MANY_PIXELS,),
    "3000 pages.tif": (Reason.TOO_MANY_PAGES,),
    "large.png": (Reason.TOO_MANY_PIXELS,),
    "long.png": (Reason.TOO_MANY_PIXELS,),
}
"""How the files may end that are made to hurt; some depend on how quick the machine is."""


@pytest.mark.parametrize("name", list(ENDS))
async def test_file_made_to_hurt_ends_as_it_should(forked: list[int], name: str) -> None:
    outcome = await fuzz._outcome(0, name, hostile()[name])
    assert outcome.expected
    assert outcome.end in ENDS[name]


def test_every_file_made_to_hurt_is_tested() -> None:
    assert set(ENDS) == set(hostile())


def test_mutation_is_the_same_each_time() -> None:
    made = {"a.pdf": b"%PDF-1.7 123 456" * 40, "b.tif": bytes(range(256))}
    first = [mutated(number, made, made) for number in range(50)]
    assert first == [mutated(number, made, made) for number in range(50)]
    assert len({content for _, content in first}) > 40


async def test_error_that_nobody_expects_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("what a lying child could cause")

    monkeypatch.setattr(intake, "_start", broken)
    outcome = await fuzz._outcome(7, "anything", b"%PDF-")
    assert (outcome.end, outcome.expected) == ("KeyError: 'what a lying child could cause'", False)

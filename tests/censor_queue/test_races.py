"""Fifty reviewers on one queue, and reviewers who die at any moment: real processes, both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.sealing import PrivateKey
from relay.store.audit import verify
from relay.store.sealed import Store
from tests.censor_queue.bulk import add_letters, add_volunteers
from tests.censor_queue.process import Balance, Task, balance, run

REVIEWERS = 50
KILLED = 8
KILLS = 0.02
"""For each claim."""
CLAIMS = 1000
"""On each database."""
LETTERS = 750


def task(work: str, url: str, office: PrivateKey, tmp_path: Path, volunteers: list[str], **more: Any) -> Task:
    folder = tmp_path / "held"
    folder.mkdir()
    return Task(work, url, office.seed.hex(), str(folder), volunteers, durable=False, **more)


async def test_fifty_reviewers_at_once_never_hold_the_same_letter(
    store: Store, database_url: str, office: PrivateKey, tmp_path: Path
) -> None:
    letters = await add_letters(store, REVIEWERS * 3 // 2)  # each wants two
    done = await run(task("hold", database_url, office, tmp_path, await add_volunteers(store, REVIEWERS)))
    assert (done.failed, done.doubles, sorted(done.claimed)) == ({}, [], sorted(letters))


async def test_claim_that_gives_a_letter_twice_is_seen(
    store: Store, database_url: str, office: PrivateKey, tmp_path: Path
) -> None:
    await add_letters(store, KILLED)
    volunteers = await add_volunteers(store, KILLED)
    done = await run(task("select_then_update", database_url, office, tmp_path, volunteers, claims=200))
    assert (done.failed, len(done.doubles) > 0) == ({}, True)


async def test_killed_reviewers_decide_nothing_twice_and_lose_nothing(
    store: Store, database_url: str, office: PrivateKey, tmp_path: Path
) -> None:
    await add_letters(store, LETTERS)
    volunteers = await add_volunteers(store, KILLED)
    done = await run(task("work", database_url, office, tmp_path, volunteers, claims=CLAIMS, kills=KILLS))
    assert (done.failed, done.doubles) == ({}, [])
    assert len(done.claimed) >= CLAIMS
    assert done.kills >= CLAIMS * KILLS
    assert len(done.decided) > CLAIMS / 4
    found = await balance(store, done)
    assert found == Balance(decided_twice=0, lost=0, unheard=found.unheard)
    assert found.unheard <= done.kills + KILLED
    async with store.database.reading() as connection:
        assert (await verify(connection)).faults == []

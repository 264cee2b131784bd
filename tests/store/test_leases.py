"""Claims: no row twice, however many ask at once; renewal, ends, failures; and the burial of dead processes."""

from __future__ import annotations

import asyncio
import datetime
import fcntl
import sys
from pathlib import Path
from typing import IO

import pytest
import sqlalchemy as sa

from relay.domain.lives import Record, ScanState
from relay.store import leases
from relay.store.leases import ATTEMPTS, FIRST_DELAY, HARD_END, LEASE, LONGEST_DELAY, Owner
from relay.store.sealed import Store
from relay.store.tables import scans
from tests.fakes.clock import FakeClock
from tests.store.rows import add_record

ROWS = 200
PROCESSES = 4
SECOND = datetime.timedelta(seconds=1)


async def add_scans(store: Store, count: int) -> list[str]:
    """Received scans, oldest first."""
    async with store.database.writing() as connection:
        return [
            await add_record(
                connection, Record.SCAN, ScanState.RECEIVED, created_at=store.database.clock() + number * SECOND
            )
            for number in range(count)
        ]


async def claim(store: Store, owner: str, limit: int = 1) -> list[str]:
    async with store.database.writing() as connection:
        rows = await leases.claim(
            connection, scans, owner=owner, now=store.database.clock(), order_by=scans.c.created_at, limit=limit
        )
    return [row.id for row in rows]


async def renew(store: Store, scan_id: str, owner: str) -> bool:
    async with store.database.writing() as connection:
        return await leases.renew(connection, scans, scan_id, owner=owner, now=store.database.clock())


async def row_of(store: Store, scan_id: str) -> sa.Row[tuple[object, ...]]:
    async with store.database.reading() as connection:
        return (await connection.execute(sa.select(scans).where(scans.c.id == scan_id))).one()


async def start(*arguments: str | Path) -> asyncio.subprocess.Process:
    """A process that stands ready."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.store.process", *map(str, arguments)]
    started = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert started.stdout is not None
    assert await started.stdout.readline() == b"ready\n"
    return started


async def test_claim_by_many_tasks_gives_each_row_once(store: Store) -> None:
    ids = await add_scans(store, 40)
    claimed = await asyncio.gather(*(claim(store, f"worker-{number}", limit=2) for number in range(30)))
    assert sorted(row for rows in claimed for row in rows) == sorted(ids)


async def test_claim_by_processes_gives_each_row_once(store: Store, database_url: str) -> None:
    ids = await add_scans(store, ROWS)
    processes = await asyncio.gather(*(start("claim", database_url) for _ in range(PROCESSES)))
    outputs = await asyncio.gather(*(each.communicate(b"\n") for each in processes))
    claimed = [out.decode().split() for out, _ in outputs]
    assert [each.returncode for each in processes] == [0] * PROCESSES
    assert sorted(row for rows in claimed for row in rows) == sorted(ids)
    assert sum(bool(rows) for rows in claimed) > 1  # they did work at the same time


async def test_claim_takes_no_more_than_asked_for_where_the_table_was_small(store: Store) -> None:
    ids = await add_scans(store, 1)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("ANALYZE"))  # the planner of PostgreSQL believes in one row from now on
    ids += await add_scans(store, 6)
    (claimed,) = await claim(store, "a")
    async with store.database.reading() as connection:
        held = sa.select(scans.c.id).where(scans.c.lease_owner.is_not(None))
        assert (await connection.execute(held)).scalars().all() == [claimed]


async def test_claim_takes_oldest_that_is_due_and_fits(store: Store, clock: FakeClock) -> None:
    first, second, third, aside, later = await add_scans(store, 5)
    async with store.database.writing() as connection:
        for scan_id, values in (
            (aside, {"set_aside_at": clock()}),
            (later, {"next_try_at": clock() + SECOND}),
            (second, {"state": ScanState.SPLIT}),
        ):
            await connection.execute(sa.update(scans).where(scans.c.id == scan_id).values(**values))
        received = scans.c.state == ScanState.RECEIVED
        rows = await leases.claim(
            connection, scans, received, owner="a", now=clock(), order_by=scans.c.created_at, limit=9
        )
    assert sorted(row.id for row in rows) == sorted([first, third])
    assert {(row.lease_owner, row.lease_until, row.lease_ends) for row in rows} == {
        ("a", clock() + LEASE, clock() + HARD_END)
    }
    clock.advance(seconds=1)
    assert await claim(store, "b") == [second]
    assert await claim(store, "b") == [later]
    assert await claim(store, "b") == []


async def test_lease_runs_out(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    assert await claim(store, "a") == [scan_id]
    clock.now += LEASE
    assert await claim(store, "b") == []
    clock.advance(microseconds=1)
    assert await renew(store, scan_id, "a") is False
    assert await claim(store, "b") == [scan_id]
    assert await renew(store, scan_id, "a") is False
    async with store.database.writing() as connection:
        await leases.give_back(connection, scans, scan_id, owner="a")
    assert await claim(store, "c") == []  # what is not held cannot be given back


async def test_lease_renewed_up_to_its_hard_end(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    ends = clock() + HARD_END
    await claim(store, "a")
    assert await renew(store, scan_id, "b") is False
    while clock() + LEASE < ends:
        clock.now += LEASE * 0.75
        assert await renew(store, scan_id, "a") is True
        row = await row_of(store, scan_id)
        assert (row.lease_until, row.lease_ends) == (min(clock() + LEASE, ends), ends)
        assert await claim(store, "b") == []
    clock.now = ends + SECOND
    assert await renew(store, scan_id, "a") is False
    assert await claim(store, "b") == [scan_id]


async def test_lease_given_back(store: Store) -> None:
    (scan_id,) = await add_scans(store, 1)
    await claim(store, "a")
    async with store.database.writing() as connection:
        await leases.give_back(connection, scans, scan_id, owner="a")
    assert await renew(store, scan_id, "a") is False
    assert await claim(store, "b") == [scan_id]


async def test_failures_wait_longer_and_longer_and_are_set_aside(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    pauses = []
    for attempt in range(1, ATTEMPTS + 1):
        assert await claim(store, "a") == [scan_id]
        async with store.database.writing() as connection:
            aside = await leases.fail(connection, scans, scan_id, owner="a", error=f"Failure {attempt}", now=clock())
        row = await row_of(store, scan_id)
        assert (row.attempts, row.last_error, row.lease_owner) == (attempt, f"Failure {attempt}", None)
        assert (aside, row.set_aside_at) == ((True, clock()) if attempt == ATTEMPTS else (False, None))
        assert await claim(store, "a") == []
        pauses.append(row.next_try_at - clock())
        clock.now = row.next_try_at
    assert pauses == [FIRST_DELAY * 2**number for number in range(ATTEMPTS)]
    clock.advance(days=1000)
    assert await claim(store, "a") == []


async def test_failure_waits_at_most_the_longest_delay(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    await claim(store, "a")
    async with store.database.writing() as connection:
        await connection.execute(sa.update(scans).values(attempts=40))
        await leases.fail(connection, scans, scan_id, owner="a", error="Failure", now=clock(), attempts=50)
    row = await row_of(store, scan_id)
    assert (row.next_try_at, row.set_aside_at) == (clock() + LONGEST_DELAY, None)


async def test_row_set_aside_is_due_when_tried_again(store: Store, clock: FakeClock) -> None:
    aside, other, later = await add_scans(store, 3)
    failed = {"attempts": ATTEMPTS, "last_error": "Failure", "next_try_at": clock() + LONGEST_DELAY}
    async with store.database.writing() as connection:
        failed_row = sa.update(scans).values(**failed)
        await connection.execute(failed_row.where(scans.c.id == later))
        await connection.execute(failed_row.where(scans.c.id.in_([aside, other])).values(set_aside_at=clock()))
        for scan_id in (aside, later):
            await leases.try_again(connection, scans, scans.c.id == scan_id)
    row = await row_of(store, aside)
    assert (row.attempts, row.last_error, row.next_try_at, row.set_aside_at) == (0, None, None, None)
    assert (await row_of(store, other)).set_aside_at == clock()
    assert (await row_of(store, later)).attempts == ATTEMPTS  # it comes by itself
    assert await claim(store, "a", limit=3) == [aside]


async def test_lease_checked_up_to_its_end(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    await claim(store, "a")
    clock.now += LEASE
    async with store.database.writing() as connection:
        await leases.check(connection, scans, scan_id, "a", clock())
        for owner, now in (("b", clock()), ("a", clock() + SECOND)):
            with pytest.raises(leases.LeaseLostError, match=f"^the lease on {scan_id} of scans is over$"):
                await leases.check(connection, scans, scan_id, owner, now)


async def test_failure_of_lease_that_is_lost_changes_nothing(store: Store, clock: FakeClock) -> None:
    (scan_id,) = await add_scans(store, 1)
    await claim(store, "a")
    clock.now += LEASE + SECOND
    assert await claim(store, "b") == [scan_id]
    before = await row_of(store, scan_id)
    async with store.database.writing() as connection:
        assert await leases.fail(connection, scans, scan_id, owner="a", error="Failure", now=clock()) is False
    assert await row_of(store, scan_id) == before


async def test_row_that_kills_its_workers_set_aside(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    (scan_id,) = await add_scans(store, 1)
    (tmp_path / "run").mkdir()
    undertaker = Owner(tmp_path / "run")
    for death in range(1, ATTEMPTS + 1):
        (tmp_path / "run" / f"worker-{death}").touch()  # nobody locks it: as after SIGKILL
        assert await claim(store, f"worker-{death}") == [scan_id]
        async with store.database.writing() as connection:
            await undertaker.bury_the_dead(connection, clock())
        row = await row_of(store, scan_id)
        assert (row.attempts, row.last_error, row.lease_owner) == (death, leases.DIED, None)
        assert row.set_aside_at == (clock() if death == ATTEMPTS else None)
    undertaker.close()
    assert await claim(store, "a") == []


async def test_killed_process_buried_and_living_one_not(
    store: Store, database_url: str, clock: FakeClock, tmp_path: Path
) -> None:
    await add_scans(store, 2)
    folder = tmp_path / "run"
    processes = await asyncio.gather(*(start("hold", database_url, folder) for _ in range(2)))
    held = []
    for each in processes:
        assert each.stdin is not None
        assert each.stdout is not None
        each.stdin.write(b"\n")
        held.append((await each.stdout.readline()).decode().split())
    (killed_name, killed_row), (living_name, living_row) = held
    processes[0].kill()
    await processes[0].wait()
    assert await claim(store, "too early", limit=2) == []

    undertaker = Owner(folder)
    async with store.database.writing() as connection:
        await undertaker.bury_the_dead(connection, clock())

    assert await claim(store, "b", limit=2) == [killed_row]
    assert (await row_of(store, living_row)).lease_owner == living_name
    assert sorted(path.name for path in folder.iterdir()) == sorted([living_name, undertaker.name])
    assert killed_name not in {living_name, undertaker.name}
    await processes[1].communicate(b"\n")
    undertaker.close()
    assert list(folder.iterdir()) == []


async def test_owner_gives_back_all_of_its_own(store: Store, tmp_path: Path) -> None:
    first, second = await add_scans(store, 2)
    owner = Owner(tmp_path / "run")
    assert await claim(store, owner.name) == [first]
    assert await claim(store, "somebody else") == [second]
    async with store.database.writing() as connection:
        await owner.give_back_all(connection)
    assert await claim(store, "b", limit=2) == [first]
    owner.close()


async def test_file_of_an_owner_has_its_name_only_when_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Path]] = []
    locking = fcntl.flock

    def looking(file: IO[str], how: int) -> None:
        seen.append(list(tmp_path.glob("worker-*")))
        locking(file, how)

    monkeypatch.setattr(fcntl, "flock", looking)
    owner = Owner(tmp_path)
    assert seen == [[]]
    assert [path.name for path in tmp_path.iterdir()] == [owner.name]
    owner.close()


async def test_owner_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    first, second = await add_scans(store, 2)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "worker-dead").touch()
    assert await claim(store, "worker-dead") == [first]

    async def failing() -> None:
        async with leases.owning(store.database, folder) as owner:
            assert sorted(await claim(store, owner, limit=2)) == sorted([first, second])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await failing()
    assert list(folder.iterdir()) == []
    assert sorted(await claim(store, "b", limit=2)) == sorted([first, second])

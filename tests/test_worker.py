"""The worker: it goes on whatever one job does, stops without losing work, and keeps the clocks of the house."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from censor_queue.profiles import load_profiles
from censor_queue.screening import Screener
from print.printing import Printing
from print.rendering import RenderingPool
from relay import worker
from relay.config import Installation, Settings
from relay.domain.lives import SENDER, LetterState, MailKind, Record, ScanState
from relay.sealing import ContentKey, Context, PrivateKey, SealBrokenError
from relay.store import leases
from relay.store.audit import add_checkpoint, verify
from relay.store.leases import Owner
from relay.store.letters import letter_context
from relay.store.sealed import Store, load_key, save_key
from relay.store.tables import checkpoints, content_keys, conversations, letters, outbox, scans
from relay.store.transitions import add_mail, begin
from relay.store.work import work_on_next
from tests.fakes.clock import FakeClock
from tests.store.rows import add_record, add_row

DAYS = Settings().letter.days_to_confirm
STORE_ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE", 0.001)


@pytest.fixture
async def office_jobs(store: Store, office: PrivateKey, tmp_path: Path) -> AsyncIterator[list[worker.Job]]:
    """The jobs as they are, with a printer that has nothing to do."""
    pages = RenderingPool()
    printing = Printing(store, office, Screener(load_profiles()), pages, Settings())
    yield worker.office_jobs(store, Installation(tmp_path, Settings()), office, printing)
    await pages.close()


async def add_letter(store: Store, created_at: datetime.datetime) -> str:
    """An unconfirmed letter with its content, and the confirmation that waits to be sent."""
    async with store.database.writing() as connection:
        conversation_id = await add_row(connection, conversations)
        prisoners = await connection.execute(
            sa.select(conversations.c.prisoner_id).where(conversations.c.id == conversation_id)
        )
        letter_id = await begin(
            connection,
            Record.LETTER,
            LetterState.UNCONFIRMED,
            by=SENDER,
            at=created_at,
            conversation_id=conversation_id,
            prisoner_id=prisoners.scalar_one(),
            created_at=created_at,
            language="de",
            wants="full",
            body=b"sealed",
            submission_hash=conversation_id,
        )
        await save_key(connection, ContentKey.new(letter_context(letter_id)), [store.office])
        await add_mail(connection, MailKind.CONFIRM, letter_id, at=created_at, body=b"sealed")
        (mail_id,) = (await connection.execute(sa.select(outbox.c.id).where(outbox.c.letter_id == letter_id))).scalars()
        await save_key(connection, ContentKey.new(Context("mail", mail_id)), [store.office])
    return letter_id


async def once(jobs: list[worker.Job]) -> None:
    """Each job until it finds nothing more."""
    for job in jobs:
        while await job("worker-test"):
            pass


async def test_letter_never_confirmed_expires_and_is_destroyed(
    store: Store, office: PrivateKey, clock: FakeClock, office_jobs: list[worker.Job]
) -> None:
    begun = clock()
    old = await add_letter(store, begun)
    clock.advance(seconds=1)
    young = await add_letter(store, clock())
    clock.now = begun + datetime.timedelta(days=DAYS)
    await once(office_jobs)
    async with store.database.reading() as connection:
        assert set((await connection.execute(sa.select(letters.c.state))).scalars()) == {"unconfirmed"}
    clock.advance(seconds=1)
    await once(office_jobs)
    async with store.database.reading() as connection:
        states = {row.id: row.state for row in await connection.execute(sa.select(letters.c.id, letters.c.state))}
        assert states == {old: "expired", young: "unconfirmed"}
        with pytest.raises(SealBrokenError):
            await load_key(connection, letter_context(old), office)
        await load_key(connection, letter_context(young), office)
        mails = await connection.execute(sa.select(outbox.c.letter_id, outbox.c.state, outbox.c.body))
        assert sorted(map(tuple, mails)) == sorted([(old, "dropped", None), (young, "waiting", b"sealed")])
        assert len((await connection.execute(sa.select(content_keys))).all()) == 2
        assert (await verify(connection)).faults == []


async def test_events_chained_once_a_day(store: Store, clock: FakeClock, office_jobs: list[worker.Job]) -> None:
    async def heads() -> int:
        async with store.database.reading() as connection:
            return len((await connection.execute(sa.select(checkpoints.c.head))).all())

    await once(office_jobs)
    assert await heads() == 0  # there is nothing to chain
    made = []
    for _ in range(3):
        await add_letter(store, clock())
        await once(office_jobs)
        made.append(await heads())
        clock.advance(hours=12)
    assert made == [1, 1, 2]
    async with store.database.reading() as connection:
        found = await verify(connection)
    assert (found.events, found.tail, found.faults) == (3, 0, [])


@STORE_ON_SQLITE
async def test_quiet_house_is_only_looked_at_for_events(
    store: Store, clock: FakeClock, office_jobs: list[worker.Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[datetime.datetime] = []

    async def chaining(connection: AsyncConnection, at: datetime.datetime) -> None:
        written.append(at)
        await add_checkpoint(connection, at)

    monkeypatch.setattr(worker, "add_checkpoint", chaining)
    await add_letter(store, clock())
    for days in (0, 1, 2):
        clock.advance(days=days)
        await once(office_jobs[-1:])
    assert len(written) == 1
    await add_letter(store, clock())
    await once(office_jobs[-1:])
    assert len(written) == 2


async def test_lease_is_renewed_after_a_renewal_that_failed(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewing, renewed, tries = leases.renew, asyncio.Event(), []

    async def failing_first(*arguments: Any, **named: Any) -> bool:
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("a secret word", {}, Exception())
        done = await renewing(*arguments, **named)
        renewed.set()
        return done

    async def slow(row_id: str) -> None:
        clock.advance(minutes=1)
        await asyncio.wait_for(renewed.wait(), 10)

    monkeypatch.setattr(leases, "renew", failing_first)
    monkeypatch.setattr(asyncio, "sleep", lambda _, sleep=asyncio.sleep: sleep(0.001))
    async with store.database.writing() as connection:
        await add_record(connection, Record.SCAN, ScanState.RECEIVED)
    with structlog.testing.capture_logs() as logged:
        assert await work_on_next(store.database, scans, owner="worker-test", do=slow)
    assert [(entry["event"], entry["error"]) for entry in logged] == [("renewal_failed", "OperationalError")]
    async with store.database.reading() as connection:
        row = (await connection.execute(sa.select(scans))).one()
    assert row.lease_until == clock() + leases.LEASE


@STORE_ON_SQLITE
async def test_jobs_run_until_the_end_and_failure_stops_none(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def failing(owner: str) -> bool:
        done.append("failing")
        raise RuntimeError("a secret word")

    async def counting(owner: str) -> bool:
        done.append("counting")
        if done.count("counting") > 5 and done.count("failing") > 2:
            finished.set()
        return done.count("counting") < 3

    async with worker.working(store, tmp_path / "run", [failing, counting]):
        await asyncio.wait_for(finished.wait(), 10)
    before = len(done)
    await asyncio.sleep(0.01)
    assert len(done) == before
    assert list((tmp_path / "run").iterdir()) == []
    assert "RuntimeError" in (told := "".join(capsys.readouterr()))
    assert "a secret word" not in told  # an error may quote what it could not read


@STORE_ON_SQLITE
async def test_work_begun_is_finished_before_the_stop(store: Store, tmp_path: Path) -> None:
    begun, finished = asyncio.Event(), []

    async def slow(owner: str) -> bool:
        begun.set()
        await asyncio.sleep(0.05)
        finished.append(owner)
        return True

    async with worker.working(store, tmp_path / "run", [slow]):
        await begun.wait()
    assert len(finished) == 1


@STORE_ON_SQLITE
async def test_work_that_takes_too_long_given_back(
    store: Store, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DRAIN_SECONDS", 0.01)
    begun = asyncio.Event()
    async with store.database.writing() as connection:
        await add_record(connection, Record.SCAN, ScanState.RECEIVED)

    async def endless(owner: str) -> bool:
        async with store.database.writing() as connection:
            await leases.claim(connection, scans, owner=owner, now=clock(), order_by=scans.c.created_at)
        begun.set()
        await asyncio.Event().wait()
        return True

    async with worker.working(store, tmp_path / "run", [endless]):
        await begun.wait()
    async with store.database.reading() as connection:
        row = (await connection.execute(sa.select(scans))).one()
    assert (row.lease_owner, row.attempts, row.last_error) == (None, 0, None)


@STORE_ON_SQLITE
async def test_worker_buries_the_dead_at_its_start(store: Store, tmp_path: Path, clock: FakeClock) -> None:
    living = Owner(tmp_path / "run")
    (tmp_path / "run" / "worker-dead").touch()
    async with store.database.writing() as connection:
        for owner in (living.name, "worker-dead"):
            until = {"lease_until": clock() + leases.LEASE, "lease_ends": clock() + leases.HARD_END}
            await add_record(connection, Record.SCAN, ScanState.RECEIVED, lease_owner=owner, **until)
            await add_record(connection, Record.LETTER, LetterState.QUEUED, lease_owner=owner, **until)
    async with worker.working(store, tmp_path / "run", []), store.database.reading() as connection:
        held = await connection.execute(sa.select(scans.c.lease_owner, scans.c.last_error))
        assert set(map(tuple, held)) == {(living.name, None), (None, leases.DIED)}
        # letters are claimed by volunteers
        assert set((await connection.execute(sa.select(letters.c.lease_owner))).scalars()) == {
            living.name,
            "worker-dead",
        }
    living.close()

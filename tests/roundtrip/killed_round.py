"""A round in a process of its own, which is killed on the way: between two steps, or at a write to the database."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncConnection

from relay.demo.round_trip import STEPS, going, run
from relay.store.database import Database


@dataclass(frozen=True, slots=True)
class AfterStep:
    """Killed when this many steps of the round are done."""

    steps: int


@dataclass(frozen=True, slots=True)
class AtWrite:
    """Killed at the n-th transaction that changes rows, just before or just after it is committed."""

    number: int
    committed: bool


def go(folder: Path, handwriting: Path, kill: AfterStep | AtWrite | None) -> None:
    """Begin or take up the round in this folder, and be killed on the way, or come to its end."""
    match kill:
        case AfterStep(steps):
            asyncio.run(_go_until(folder, handwriting, steps))
        case AtWrite(number, committed):
            _die_at_write(number, committed=committed)
            asyncio.run(run(folder, handwriting))
        case None:
            asyncio.run(run(folder, handwriting))


async def _go_until(folder: Path, handwriting: Path, steps: int) -> None:
    async with going(folder, handwriting) as round_:
        for step in islice(STEPS.values(), steps):
            await step(round_)
        _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)  # what it has started has to end by itself
    raise AssertionError("still alive")


def _die_at_write(number: int, *, committed: bool) -> None:
    writing, changing = Database.writing, 0

    @asynccontextmanager
    async def counted(database: Database) -> AsyncIterator[AsyncConnection]:
        nonlocal changing
        async with writing(database) as connection:
            before = await _changes(connection)
            yield connection
            changed = await _changes(connection) > before
            changing += changed
            if changed and changing == number and not committed:
                _die()
        if changed and changing == number:
            _die()

    Database.writing = counted  # type: ignore[assignment]


async def _changes(connection: AsyncConnection) -> int:
    """Rows changed over this SQLite connection so far. Claims that found no work change none, and do not count."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    changes: int = driver.total_changes
    return changes

"""The command line on a house: it opens the same store for itself, as a process of its own does."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay import cli
from tests.workplaces import House, config, engine, filled_file, house, rendering_pool

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Its output as JSON, line by line."""
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def command(house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run a command on the installation of the house, whose clock goes like that of the command."""
    house.clock.now = datetime.datetime.now(datetime.UTC)

    def run(*arguments: str | Path) -> Done:
        given = ["relay", "--config", str(house.relay.installation.config), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", given)
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return Done(int(str(ended.code)), *capsys.readouterr())
        return Done(0, *capsys.readouterr())

    async def in_a_thread(*arguments: str | Path) -> Done:
        return await asyncio.to_thread(run, *arguments)

    yield in_a_thread
    structlog.reset_defaults()  # `main` lets the log go to the captured output of this test

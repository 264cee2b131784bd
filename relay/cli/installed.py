"""The installation that a command is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from relay import config
from relay.app import Relay, opened

_Result = TypeVar("_Result")


def installation() -> config.Installation:
    """The installation that the command is about. Raises ConfigError."""
    return config.load(config.find_config(click.get_current_context().find_root().obj))


def with_relay(work: Callable[[Relay], Coroutine[Any, Any, _Result]]) -> _Result:
    """Do something with the opened installation."""

    async def run() -> _Result:
        async with opened(installation()) as relay_:
            return await work(relay_)

    return asyncio.run(run())

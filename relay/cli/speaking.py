"""What the command line says to the person, and what to other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

OUT: Final = Console()
ERR: Final = Console(stderr=True)


def complain(text: str) -> None:
    """One line to the person about what is wrong, as it is."""
    ERR.print(text, highlight=False, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to the person, as it is."""
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)


def say_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, elsewhere nothing. It is told how much of how much is done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(done, total))

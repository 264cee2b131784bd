"""What the command line says to the person, and what to other programs."""

from __future__ import annotations

import json
from typing import Final

import click
from rich.console import Console

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

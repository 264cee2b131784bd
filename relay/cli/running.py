"""`relay demo`, `relay serve` and `relay worker`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from rich.table import Table

from relay.app import Role, serve
from relay.cli.installed import installation
from relay.cli.speaking import OUT, say
from relay.demo import round_trip, show


@click.command()
@click.option("--once", type=click.Path(path_type=Path, file_okay=False), help="One letter all the way round, in DIR.")
@click.option(
    "--handwriting",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --once: a photo or scan of a handwritten page to answer with.",
)
def demo(once: Path | None, handwriting: Path | None) -> None:
    """The whole relay on this machine with invented people, in a throw-away folder."""
    if once is None:
        if handwriting is not None:
            raise click.UsageError("--handwriting goes with --once")
        asyncio.run(show.run())
        return
    table = Table("Step", "What happened", "Seconds", title="One letter all the way round")
    table.columns[2].justify = "right"
    for step in asyncio.run(round_trip.run(once, handwriting)):
        table.add_row(step.name, step.result, f"{step.seconds:.2f}")
    OUT.print(table)
    say(f"In {once}: letter.pdf, scan.jpg, reply.pdf, reply.eml and the installation in {once / 'relay'}")


@click.command("serve")
@click.option(
    "--role", type=click.Choice([Role.DESK.value, Role.OFFICE.value]), help="Only this site, without the worker."
)
def serve_command(role: str | None) -> None:
    """Run desk, office and worker until the process is stopped."""
    asyncio.run(serve(installation(), [Role(role)] if role else list(Role)))


@click.command()
def worker() -> None:
    """Run only the worker until the process is stopped."""
    asyncio.run(serve(installation(), [Role.WORKER]))

"""`relay directory`: prisoners and facilities as CSV."""

from __future__ import annotations

import sys
from typing import Any

import click

from print.fonts import unprintable
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import complain, say, say_json
from relay.domain.directory import DirectoryFileError, Entry, read_csv, write_csv
from relay.domain.lives import WORKER
from relay.store import directory


@click.group("directory")
def directory_group() -> None:
    """Prisoners and facilities as CSV."""


@directory_group.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True)
def directory_import(file: Any, *, dry_run: bool, as_json: bool) -> None:
    """Add and correct prisoners and facilities from FILE. Bad rows are named and left out, the others taken."""
    try:
        read = read_csv(file.read(), unprintable)
    except UnicodeDecodeError as error:
        raise DirectoryFileError(f"the file is not UTF-8 text: {error}") from error

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            await directory.save(connection, read.entries, by=WORKER, at=relay_.store.database.clock())

    if not dry_run:
        with_relay(work)
    if as_json:
        say_json(
            {
                "taken": len(read.entries),
                "dry_run": dry_run,
                "bad": [{"row": bad.row, "reasons": bad.reasons} for bad in read.bad],
            }
        )
    else:
        for bad in read.bad:
            complain(f"row {bad.row}: {'; '.join(bad.reasons)}")
        say(f"{len(read.entries)} prisoners {'would be' if dry_run else 'were'} taken, {len(read.bad)} rows left out.")
    if read.bad:
        sys.exit(Exit.REFUSED)


@directory_group.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def directory_export(file: Any) -> None:
    """Write the whole directory as CSV to FILE, or to the terminal."""

    async def work(relay_: Relay) -> list[directory.Known]:
        async with relay_.store.database.reading() as connection:
            return await directory.everyone(connection)

    file.write(write_csv(Entry(known.prisoner, known.facility) for known in with_relay(work)))

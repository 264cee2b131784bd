"""`relay backup` and `relay restore`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import click

from relay.app import Relay, opened
from relay.backup.making import FOLDER, Made, make
from relay.backup.restoring import Restored, restore
from relay.cli.check import report
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import progress, say
from relay.config import ConfigError
from relay.sealing import PrivateKey

COUNTED: Final = ("letters", "replies", "scans", "prisoners", "volunteers")
"""The tables that tell a person what is in a backup."""


@click.command("backup")
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
def backup_command(folder: Path | None) -> None:
    """Put everything into one file in FOLDER that only the office's key opens, while the relay runs.

    Without FOLDER: the folder "backups" of the installation. Backups there that are older than [retention] backups are
    removed: what was erased since is still in them.
    """

    async def work(relay_: Relay) -> Made:
        with progress("Copying") as told:
            return await make(relay_.store, relay_.installation, folder or relay_.installation.folder / FOLDER, told)

    made = with_relay(work)
    say(f"{made.file}: {_counted(made.rows, made.blobs)}, {made.size / 1e6:,.1f} MB. Only the office's key opens it.")
    for old in made.removed:
        say(f"Removed {old}: it was too old, and what was erased since was still in it.")
    if made.gone:
        say(f"{len(made.gone)} blobs that rows name were not there. `relay check` names them.")


@click.command("restore")
@click.argument("file", metavar="BACKUP", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--key",
    "key_file",
    default=Path("office.key"),
    show_default=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The office's private key; `relay key read` makes it from the sheet.",
)
@click.option("--database", metavar="URL", help="Where the rows go, instead of where the config in the backup says.")
@click.option("--blobs", metavar="PLACE", help="Where the blobs go, instead of where the config in the backup says.")
def restore_command(file: Path, folder: Path, key_file: Path, database: str | None, blobs: str | None) -> None:
    """Make an installation in FOLDER, which is empty or not there, out of BACKUP, and check it."""
    try:
        key = PrivateKey.load(key_file)
    except ValueError as error:
        raise ConfigError(f"{key_file} holds no key ({error}).") from error

    async def work() -> tuple[Restored, int]:
        with progress("Restoring") as told:
            restored = await restore(file, folder, key, told, database=database, blobs_at=blobs)
        async with opened(restored.installation) as relay_:
            return restored, await report(relay_)

    restored, found = asyncio.run(work())
    counted = _counted(restored.rows, restored.blobs)
    say(f"{restored.installation.config}: {counted}, as of {restored.made_at:%Y-%m-%d %H:%M} UTC.")
    say(
        "What came after that is not here: letters, answers, decisions and erasures. Mails that were not sent at that "
        "time are sent as soon as it runs; what was sent since goes out again, under the same Message-ID. Answers to "
        "letters that were printed since are found by no code and wait for a person."
    )
    if not restored.desk_key:
        say("The backup has no key of the desk: confirmations that were not sent cannot be sent any more.")
    if found:
        sys.exit(Exit.REFUSED)


def _counted(rows: Counter[str], blobs: int) -> str:
    return ", ".join([*(f"{rows[table]} {table}" for table in COUNTED), f"{blobs} blobs"])

"""The command line: `relay`, also `python -m relay`."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from alembic.util import CommandError
from obstore.exceptions import BaseError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import ArgumentError, DBAPIError

from print.fonts import MissingFontError, load_fonts
from relay import config, installing, log
from relay.app import PortTakenError, Relay, Role, opened, serve
from relay.demo import paper, round_trip, show
from relay.domain.directory import DirectoryFileError, Entry, read_csv, write_csv
from relay.domain.lives import WORKER, ScanState
from relay.store import audit, directory, volunteers
from relay.store.leases import owning
from relay.store.tables import scans
from scanner import jobs, steps
from scanner.intake import sandbox_available
from scanner.limits import REASONS, Reason, limit_of
from scanner.tesseract import MissingToolError, probe

CHUNK: Final = 1024 * 1024
WAIT_FOR_WORKER: Final = 0.5
"""Seconds between two looks at a scan that a running worker reads."""
OUT: Final = Console()
ERR: Final = Console(stderr=True)


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    TOOL_MISSING = 5
    BUSY = 6
    CONFIG = 7


EXITS: Final[dict[type[Exception], Exit]] = {
    config.ConfigError: Exit.CONFIG,
    PortTakenError: Exit.BUSY,
    installing.AlreadyInstalledError: Exit.REFUSED,
    DirectoryFileError: Exit.REFUSED,
    volunteers.NameTakenError: Exit.REFUSED,
    volunteers.BadLoginError: Exit.REFUSED,
    volunteers.NoSuchVolunteerError: Exit.NOT_FOUND,
    MissingToolError: Exit.TOOL_MISSING,
    MissingFontError: Exit.TOOL_MISSING,
    paper.MissingHandwritingFontError: Exit.TOOL_MISSING,
    round_trip.RoundFailedError: Exit.REFUSED,
}
"""Which error ends the command line with which code; its message is what the person reads."""

_Result = TypeVar("_Result")


def main() -> None:
    """Run a command, and turn errors into a sentence and an exit code."""
    log.configure()
    try:
        relay(prog_name="relay", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except DBAPIError as error:
        # Its own text would name the values of the row.
        complain(f"The database cannot be used: {error.orig}")
        sys.exit(Exit.BUSY)
    except (CommandError, ArgumentError) as error:
        complain(f"The database does not fit to this version or to the config: {error}")
        sys.exit(Exit.CONFIG)
    except tuple(EXITS) as error:
        complain(str(error))
        sys.exit(next(code for kind, code in EXITS.items() if isinstance(error, kind)))
    except (OSError, BaseError) as error:
        complain(f"That could not be read, written or reached: {error}")
        sys.exit(Exit.BUSY)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The installation's config.toml. Without it: $RELAY_CONFIG, or ./config.toml.",
)
@click.pass_context
def relay(context: click.Context, config_file: Path | None) -> None:
    """Carries letters to people in prison, and their handwritten answers back."""
    context.obj = config_file


def installation() -> config.Installation:
    """The installation that the command is about. Raises ConfigError."""
    return config.load(config.find_config(click.get_current_context().find_root().obj))


def with_relay(work: Callable[[Relay], Coroutine[Any, Any, _Result]]) -> _Result:
    """Do something with the opened installation."""

    async def run() -> _Result:
        async with opened(installation()) as relay_:
            return await work(relay_)

    return asyncio.run(run())


def complain(text: str) -> None:
    """One line to the person about what is wrong, as it is."""
    ERR.print(text, highlight=False, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """One line to the person, as it is."""
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)


def say_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


@relay.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make an installation in FOLDER: config, keys, database."""
    made = installing.install(folder)
    asyncio.run(_migrate(made))
    say(f"Made {made.config}. Edit it, then: relay --config {made.config} volunteer add NAME")
    say(f"{made.keys / 'office.key'} opens all letters. Without it nothing can be read any more: keep a copy offline.")


async def _migrate(made: config.Installation) -> None:
    async with opened(made, new=True):
        pass


@relay.command()
def doctor() -> None:
    """Say what is missing and how to get it."""
    missing = False
    for name, check in (("tesseract", probe), ("fonts", load_fonts)):
        try:
            check()
            say(f"{name}: good")
        except (MissingToolError, MissingFontError) as error:
            missing = True
            say(f"{name}: {error}")
    if sandbox_available():
        say("sandbox: good")
    else:
        say(
            "sandbox: bubblewrap does not run here, so scans are decoded with limits on memory and time alone. "
            "Where the machine allows it: apt-get install bubblewrap"
        )
    try:
        with_relay(_doctor_keys)
        say("installation: good")
    except config.ConfigError as error:
        say(f"installation: {error}")
        sys.exit(Exit.TOOL_MISSING if missing else Exit.CONFIG)
    if missing:
        sys.exit(Exit.TOOL_MISSING)


async def _doctor_keys(relay_: Relay) -> None:
    """Check the pairs of keys that are here: a host with the desk alone has no key of the office."""
    for name in installing.KEYS:
        if (relay_.installation.keys / f"{name}.key").exists():
            relay_.private_key(name)
            say(f"key of the {name}: good")
        else:
            say(f"key of the {name}: not on this host")


@relay.command()
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


@relay.command("serve")
@click.option(
    "--role", type=click.Choice([Role.DESK.value, Role.OFFICE.value]), help="Only this site, without the worker."
)
def serve_command(role: str | None) -> None:
    """Run desk, office and worker until the process is stopped."""
    asyncio.run(serve(installation(), [Role(role)] if role else list(Role)))


@relay.command()
def worker() -> None:
    """Run only the worker until the process is stopped."""
    asyncio.run(serve(installation(), [Role.WORKER]))


@relay.group()
def volunteer() -> None:
    """The people of the office."""


@volunteer.command("add")
@click.argument("login")
def volunteer_add(login: str) -> None:
    """Add a volunteer and print the password."""
    password = volunteers.new_password()

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            await volunteers.add(connection, login, volunteers.hash_password(password))

    with_relay(work)
    say(f"{login}: {password}")


@volunteer.command("list")
@click.option("--json", "as_json", is_flag=True)
def volunteer_list(*, as_json: bool) -> None:
    """List the volunteers."""

    async def work(relay_: Relay) -> list[volunteers.Volunteer]:
        async with relay_.store.database.reading() as connection:
            return await volunteers.everybody(connection)

    for person in with_relay(work):
        if as_json:
            say_json({"login": person.login, "disabled": person.disabled})
        else:
            say(f"{person.login}{' (disabled)' if person.disabled else ''}")


@volunteer.command("disable")
@click.argument("login")
def volunteer_disable(login: str) -> None:
    """Shut a volunteer out; running sessions end."""

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            await volunteers.change(connection, login, disabled=True)

    with_relay(work)
    say(f"{login} is shut out.")


@volunteer.command("reset")
@click.argument("login")
def volunteer_reset(login: str) -> None:
    """Let a volunteer in with a new password, which is printed; running sessions end."""
    password = volunteers.new_password()

    async def work(relay_: Relay) -> None:
        async with relay_.store.database.writing() as connection:
            changed = volunteers.hash_password(password)
            await volunteers.change(connection, login, password_hash=changed, disabled=False)

    with_relay(work)
    say(f"{login}: {password}")


@relay.group("directory")
def directory_group() -> None:
    """Prisoners and facilities as CSV."""


@directory_group.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True)
def directory_import(file: Any, *, dry_run: bool, as_json: bool) -> None:
    """Add and correct prisoners and facilities from FILE. Bad rows are named and left out, the others taken."""
    try:
        read = read_csv(file.read())
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


@relay.group()
def scan() -> None:
    """Scanned pages."""


@scan.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per page, or per file that has none, and line.")
def scan_add(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Take in files, or all files of folders, read them, and say what became of each page."""
    files = [file for path in paths for file in _files(path)]

    async def work(relay_: Relay) -> bool:
        refused = False
        async with owning(relay_.store.database, relay_.installation.runtime) as owner:
            for file in files:
                async for result in _take_in(relay_, owner, file):
                    refused = refused or "sentence" in result
                    say_json(result) if as_json else say(_scan_line(result))
        return refused

    if with_relay(work):
        sys.exit(Exit.REFUSED)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(child for child in path.rglob("*") if child.is_file())


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened_file:
        while chunk := await asyncio.to_thread(opened_file.read, CHUNK):
            yield chunk


async def _take_in(relay_: Relay, owner: str, file: Path) -> AsyncIterator[dict[str, Any]]:
    """What became of a file: one result for each page, or one with a sentence where it has none."""
    store, settings, office = relay_.store, relay_.settings, relay_.office_key
    result: dict[str, Any] = {"file": os.fsencode(file).decode(errors="replace")}
    if file.stat().st_size > settings.scan.max_megabytes * 1_000_000:
        yield (
            result | {"known": False, "scan": None, "state": ScanState.REJECTED} | _refusal(Reason.TOO_LARGE, settings)
        )
        return
    taken = await steps.take_in(store, _chunks(file), file.name, WORKER)
    while True:
        await jobs.split_next(store, settings, owner, office, taken.scan_id)
        async with store.database.reading() as connection:
            row = (await connection.execute(scans.select().where(scans.c.id == taken.scan_id))).one()
            pages = await steps.report(connection, taken.scan_id)
        if row.state != ScanState.RECEIVED or row.last_error is not None:
            break
        await asyncio.sleep(WAIT_FOR_WORKER)
    while await jobs.assemble_next(store, owner, office):
        pass
    result |= {"known": taken.known, "scan": taken.scan_id}
    for page in pages:
        yield result | dataclasses.asdict(page)
    if row.state == ScanState.REJECTED:
        yield result | {"state": row.state} | _refusal(Reason(row.reason), settings)
    elif row.state == ScanState.RECEIVED:
        sentence = f"It could not be read yet ({row.last_error}) and will be tried again. The file is kept."
        yield result | {"state": row.state, "sentence": sentence}


def _refusal(reason: Reason, settings: config.Settings) -> dict[str, str]:
    return {"reason": reason, "sentence": REASONS[reason].format(limit=limit_of(reason, jobs.limits(settings)))}


def _scan_line(result: dict[str, Any]) -> str:
    known = " (it had come before)" if result["known"] else ""
    if "sentence" in result:
        return f"{result['file']}{known}: {result['state']}. {result['sentence']}"
    code = (
        f"{result['code']} sheet {result['sheet'] or '?'} side {result['side'] or '?'}" if result["code"] else "no code"
    )
    doubt = f" ({result['doubt']})" if result["doubt"] else ""
    letter = f", letter {result['letter']}" if result["letter"] else ""
    read_by = f", read by {result['method']}" if result["method"] else ""
    return f"{result['file']}{known}, page {result['page']}: {code}{read_by}: {result['state']}{doubt}{letter}"


@scan.command("list")
@click.option("--json", "as_json", is_flag=True)
def scan_list(*, as_json: bool) -> None:
    """List the received files, newest first."""

    async def work(relay_: Relay) -> list[dict[str, Any]]:
        async with relay_.store.database.reading() as connection:
            columns = (scans.c.id, scans.c.state, scans.c.reason, scans.c.created_at)
            rows = await connection.execute(
                scans.select().with_only_columns(*columns).order_by(scans.c.created_at.desc())
            )
            return [dict(row) for row in rows.mappings()]

    for row in with_relay(work):
        if as_json:
            say_json(row)
        else:
            say(f"{row['created_at']:%Y-%m-%d %H:%M} {row['id']} {row['state']} {row['reason'] or ''}")


@relay.group("audit")
def audit_group() -> None:
    """The history of letters, scans and replies."""


@audit_group.command("verify")
@click.option("--json", "as_json", is_flag=True)
def audit_verify(*, as_json: bool) -> None:
    """Check that no event was changed or dropped, and that the states are those that the events tell."""

    async def work(relay_: Relay) -> audit.Audit:
        async with relay_.store.database.reading() as connection:
            return await audit.verify(connection)

    found = with_relay(work)
    if as_json:
        say_json(dataclasses.asdict(found))
    else:
        for fault in found.faults:
            say(fault)
        say(
            f"{found.events} events of {found.records} records: "
            f"{'all good' if not found.faults else f'{len(found.faults)} faults'}. "
            f"{found.tail} are in no checkpoint yet."
        )
    if found.faults:
        sys.exit(Exit.REFUSED)

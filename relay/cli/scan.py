"""`relay scan`: what came back on paper."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import click

from relay import config
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.speaking import say, say_json
from relay.domain.lives import WORKER, ScanState
from relay.store.leases import owning
from relay.store.tables import scans
from scanner import jobs, steps
from scanner.limits import REASONS, Reason, limit_of

CHUNK: Final = 1024 * 1024
WAIT_FOR_WORKER: Final = 0.5
"""Seconds between two looks at a scan that a running worker reads."""


@click.group()
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

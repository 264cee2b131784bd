"""`relay scan`: what came back on paper."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import click
import sqlalchemy as sa

from relay import config
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.named import facility_named
from relay.cli.speaking import ERR, say, say_json
from relay.domain.lives import WORKER, ScanState
from relay.opened import private_folder
from relay.store.leases import owning
from relay.store.tables import pages, scans
from scanner import accounts, jobs, received, sane, steps
from scanner.limits import REASONS, Reason, limit_of
from scanner.reading import Reading, scan_key
from scanner.steps import Source, TakenIn

CHUNK: Final = 1024 * 1024
WAIT_FOR_WORKER: Final = 0.5
"""Seconds between two looks at a scan that a running worker reads."""

Result = dict[str, Any]
"""What became of a page, or of a file; its keys are those of `--json`, which stay."""

of_facility = click.option("--facility", metavar="SLUG", help="All pages are from this facility; others are held.")


@click.group()
def scan() -> None:
    """Scanned pages."""


@scan.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@of_facility
@click.option("--json", "as_json", is_flag=True, help="One JSON object per page, or per file that has none, and line.")
def scan_add(paths: tuple[Path, ...], facility: str | None, *, as_json: bool) -> None:
    """Take in files, or all files of folders, read them, and say what became of each page."""
    files = [file for path in paths for file in _files(path)]

    async def work(relay_: Relay) -> bool:
        ended = _Ended(as_json=as_json)
        facility_id = await _facility_id(relay_, facility)
        async with owning(relay_.store.database, relay_.installation.runtime) as owner:
            for file in files:
                await ended.tell(_take_in(relay_, owner, file, facility_id))
        return ended.refused

    if with_relay(work):
        sys.exit(Exit.REFUSED)


@scan.command("paper")
@click.option("--device", metavar="NAME", help="The scanner; `relay scan scanners` lists them. Without it the first.")
@click.option("--resolution", type=click.IntRange(100, 600), default=300, show_default=True, help="In dpi.")
@click.option("--mode", default=sane.GREY, show_default=True, help="As the scanner calls it: Gray, Color, Lineart.")
@click.option("--source", help="As the scanner calls it. Without it the feeder, of both sides where it can.")
@of_facility
@click.option("--json", "as_json", is_flag=True, help="One JSON object per page and line.")
def scan_paper(
    device: str | None, resolution: int, mode: str, source: str | None, facility: str | None, *, as_json: bool
) -> None:
    """Scan what lies in the feeder of a scanner, read it, and say what became of each page.

    What was scanned before a jam is kept: scan the rest after it. Scanners on the network are found by themselves.
    """
    order = sane.Order(device, resolution, mode, source)

    async def work(relay_: Relay) -> bool:
        ended, taken = _Ended(as_json=as_json), list[tuple[str, TakenIn]]()
        facility_id = await _facility_id(relay_, facility)
        at = f"{datetime.datetime.now():%Y-%m-%d %H.%M.%S}"  # noqa: DTZ005 - a label for who stands at the scanner
        failed: sane.ScannerError | None = None
        try:
            with private_folder() as folder, ERR.status("Looking for the scanner") as status:

                def scanned(number: int) -> None:
                    status.update(f"{number} {'page' if number == 1 else 'pages'} scanned")

                async with aclosing(sane.scan(order, folder, jobs.limits(relay_.settings), scanned)) as piles:
                    async for pile in piles:
                        name = f"paper {at} {len(taken) + 1}.tiff"
                        taken.append((name, await _stored(relay_, pile.path, name, Source.SCANNER, facility_id)))
                        pile.path.unlink()
        except sane.ScannerError as error:
            failed = error
        async with owning(relay_.store.database, relay_.installation.runtime) as owner:
            for name, one in taken:
                await ended.tell(_read(relay_, owner, {"file": name}, one))
        if failed is not None and taken:
            raise sane.ScannerError(f"{failed} The pages that came out before are kept; scan the rest.") from failed
        if failed is not None:
            raise failed
        return ended.refused

    if with_relay(work):
        sys.exit(Exit.REFUSED)


@scan.command("scanners")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per scanner and line.")
def scan_scanners(*, as_json: bool) -> None:
    """List the scanners on cables and in the network that can be used."""
    found = asyncio.run(sane.scanners())
    for one in found:
        say_json(dataclasses.asdict(one)) if as_json else say(f"{one.name}: {one.model}")
    if not found and not as_json:
        say("No scanner was found.")


@scan.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file and line.")
def scan_list(*, as_json: bool) -> None:
    """List the received files, newest first."""

    async def work(relay_: Relay) -> list[Result]:
        async with relay_.store.database.reading() as connection:
            found = await received.received(connection, relay_.office_key, limit=sys.maxsize)
        return [
            {
                "id": one.id,
                "state": one.state,
                "reason": one.reason,
                "created_at": one.received_at,
                "name": one.name,
                "source": one.source,
                "facility": one.facility,
                "pages": one.count,
                "waiting": one.waiting,
                "problem": one.problem,
            }
            for one in sorted(found, key=lambda one: one.received_at, reverse=True)
        ]

    for row in with_relay(work):
        if as_json:
            say_json(row)
            continue
        more = [f"{row['pages']} {'page' if row['pages'] == 1 else 'pages'}"] if row["pages"] is not None else []
        more += [f"{row['waiting']} wait for a person"] if row["waiting"] else []
        more += [part for part in (row["reason"], row["problem"]) if part]
        after = f": {', '.join(more)}" if more else ""
        say(f"{row['created_at']:%Y-%m-%d %H:%M} {row['id']} {row['source']} {row['state']}{after}")


@scan.command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per page that is not accounted for, and line.")
def scan_check(*, as_json: bool) -> None:
    """Prove that every page of every file is in exactly one reply or before a person. Changes nothing."""

    async def work(relay_: Relay) -> list[accounts.Unaccounted]:
        async with relay_.store.database.reading() as connection:
            return await accounts.unaccounted(connection)

    found = with_relay(work)
    for one in found:
        if as_json:
            say_json({"scan": one.scan_id, "page": one.number or None, "problem": one.problem})
        else:
            say(f"{one.scan_id}, {f'page {one.number}' if one.number else 'the file'}: {one.problem}")
    if found:
        sys.exit(Exit.REFUSED)
    if not as_json:
        say("Every page of every file is in one reply, before a person, or was put away.")


class _Ended:
    """Says what became of pages, and remembers whether a file was refused."""

    def __init__(self, *, as_json: bool) -> None:
        self.refused = False
        self._as_json = as_json

    async def tell(self, results: AsyncIterator[Result]) -> None:
        async for result in results:
            self.refused = self.refused or "sentence" in result
            say_json(result) if self._as_json else say(_line(result))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(child for child in path.rglob("*") if child.is_file())


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened_file:
        while chunk := await asyncio.to_thread(opened_file.read, CHUNK):
            yield chunk


async def _facility_id(relay_: Relay, slug: str | None) -> str | None:
    if slug is None:
        return None
    async with relay_.store.database.reading() as connection:
        return await facility_named(connection, slug)


async def _stored(relay_: Relay, file: Path, name: str, source: Source, facility_id: str | None) -> TakenIn:
    return await steps.take_in(relay_.store, _chunks(file), name, WORKER, source=source, facility_id=facility_id)


async def _take_in(relay_: Relay, owner: str, file: Path, facility_id: str | None) -> AsyncIterator[Result]:
    """What became of a file: one result for each page, or one with a sentence where it has none."""
    result: Result = {"file": os.fsencode(file).decode(errors="replace")}
    if file.stat().st_size > relay_.settings.scan.max_megabytes * 1_000_000:
        refused = {"known": False, "scan": None, "came_at": None, "state": ScanState.REJECTED}
        yield result | refused | _refusal(Reason.TOO_LARGE, relay_.settings)
        return
    taken = await _stored(relay_, file, file.name, Source.COMMAND, facility_id)
    async for page in _read(relay_, owner, result, taken):
        yield page


async def _read(relay_: Relay, owner: str, result: Result, taken: TakenIn) -> AsyncIterator[Result]:
    """Read a file that was taken in, and say what became of it."""
    store, settings, office = relay_.store, relay_.settings, relay_.office_key
    engine = jobs.engine(relay_.installation)
    while True:
        await jobs.split_next(store, settings, engine, owner, office, taken.scan_id)
        async with store.database.reading() as connection:
            row = (await connection.execute(scans.select().where(scans.c.id == taken.scan_id))).one()
        if row.state != ScanState.RECEIVED or row.last_error is not None:
            break
        await asyncio.sleep(WAIT_FOR_WORKER)
    while await jobs.assemble_next(store, owner, office, relay_.screener):
        pass
    result = result | {"known": taken.known, "scan": taken.scan_id, "came_at": row.created_at}
    for page in await _pages(relay_, taken.scan_id):
        yield result | page
    if row.state == ScanState.REJECTED:
        yield result | {"state": row.state} | _refusal(Reason(row.reason), settings)
    elif row.state == ScanState.RECEIVED:
        sentence = f"It could not be read yet ({row.last_error}) and will be tried again. The file is kept."
        yield result | {"state": row.state, "sentence": sentence}


async def _pages(relay_: Relay, scan_id: str) -> list[Result]:
    """What became of the pages of a scan, and how their codes were looked for."""
    async with relay_.store.database.reading() as connection:
        reports = await received.report(connection, scan_id)
        key = await scan_key(connection, scan_id, relay_.office_key)
        rows = await connection.execute(sa.select(pages.c.number, pages.c.reading).where(pages.c.scan_id == scan_id))
        readings = {row.number: Reading.opened(row.reading, key, row.number) for row in rows}
    return [
        dataclasses.asdict(report)
        | {
            "tried": [one.model_dump(mode="json") for one in readings[report.page].tried],
            "suggested": [one.code for one in readings[report.page].suggested],
            "ticks": readings[report.page].ticks,
        }
        for report in reports
    ]


def _refusal(reason: Reason, settings: config.Settings) -> dict[str, str]:
    return {"reason": reason, "sentence": REASONS[reason].format(limit=limit_of(reason, jobs.limits(settings)))}


def _line(result: Result) -> str:
    known = f" (it had come before, on {result['came_at']:%Y-%m-%d at %H:%M})" if result["known"] else ""
    if "sentence" in result:
        return f"{result['file']}{known}: {result['state']}. {result['sentence']}"
    code = (
        f"{result['code']} sheet {result['sheet'] or '?'} side {result['side'] or '?'}" if result["code"] else "no code"
    )
    read_by = f", read by {result['method']}" if result["method"] else ""
    doubt = f" ({result['doubt']})" if result["doubt"] else ""
    more = f", letter {result['letter']}" if result["letter"] else ""
    if not result["letter"] and result["suggested"]:
        more = f", perhaps {' or '.join(result['suggested'][:3])}"
    ticks = [f"{tick}{'' if ticked else '?'}" for tick, ticked in result["ticks"].items() if ticked is not False]
    ticked = f", ticked: {', '.join(ticks)}" if ticks else ""
    return f"{result['file']}{known}, page {result['page']}: {code}{read_by}: {result['state']}{doubt}{more}{ticked}"

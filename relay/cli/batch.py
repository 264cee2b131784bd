"""`relay batch`: what is printed together, from the letters that wait up to the hand-over."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import click
import sqlalchemy as sa
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from sqlalchemy.ext.asyncio import AsyncConnection

from print import queue, steps
from print.fonts import load_fonts
from print.jobs import render_batch
from print.mailings import letters_in
from print.printing import Printing
from print.queue import Batch
from print.rendering import RenderingPool
from relay.app import Relay
from relay.cli.exits import Exit
from relay.cli.installed import with_relay
from relay.cli.named import SHORT, facility_named, record_named, volunteer_named
from relay.cli.speaking import ERR, complain, say, say_json
from relay.domain.lives import Actor, BatchState, Who
from relay.store import leases
from relay.store.leases import owning
from relay.store.tables import batches
from relay.store.work import work_on_next

LOOK: Final = 0.3
"""Seconds between two looks at how far a batch is."""
MARKS: Final = {"printed": BatchState.PRINTED, "posted": BatchState.POSTED}
HANDED_OVER: Final = "handed-over"


class NoSuchBatchError(LookupError):
    """No batch, or more than one, begins with this id."""


class BatchNotReadyError(Exception):
    """The batch is not far enough for what was asked."""


class BatchBusyError(Exception):
    """A worker renders the batch at this moment."""


@click.group()
def batch() -> None:
    """Letters that are printed together."""


as_volunteer = click.option("--as", "login", required=True, metavar="LOGIN", help="The volunteer who does it.")
id_of_batch = click.argument("given", metavar="ID")


@batch.command("make")
@click.option("--facility", metavar="SLUG", help="Only what waits for this facility.")
@as_volunteer
@click.option("--json", "as_json", is_flag=True, help="One JSON object per batch and line.")
def batch_make(facility: str | None, login: str, *, as_json: bool) -> None:
    """Put the letters that wait into batches, one or more for each facility. A worker renders them."""

    async def work(relay_: Relay) -> list[Batch]:
        store = relay_.store
        async with store.database.reading() as connection:
            by = Actor(Who.VOLUNTEER, await volunteer_named(connection, login))
            facility_id = None if facility is None else await facility_named(connection, facility)
        try:
            made = await steps.make_batches(store, by, facility_id)
        except steps.NothingToPrintError:
            return []
        async with store.database.reading() as connection:
            return [await _one(connection, batch_id) for batch_id in made]

    made = with_relay(work)
    _list(made, as_json=as_json)
    if not made and not as_json:
        say("No letter waits to be printed.")


@batch.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per batch and line.")
def batch_list(*, as_json: bool) -> None:
    """List the batches, first those with something left to do, each newest first."""

    async def work(relay_: Relay) -> list[Batch]:
        async with relay_.store.database.reading() as connection:
            return await queue.all_batches(connection, posted=sys.maxsize)

    _list(with_relay(work), as_json=as_json)


@batch.command("render")
@click.argument("given", nargs=-1, metavar="[ID]...")
def batch_render(given: tuple[str, ...]) -> None:
    """Render these batches now, or all that are open, and say what became of them."""
    load_fonts()  # without them every letter would be set aside

    async def work(relay_: Relay) -> Exit:
        async with relay_.store.database.reading() as connection:
            chosen = [await _found(connection, one) for one in given] or await _open(connection)
        if not chosen:
            say("No batch is open.")
        ended, pages = Exit.DONE, RenderingPool()
        try:
            async with owning(relay_.store.database, relay_.installation.runtime) as owner:
                for batch_id in chosen:
                    ended = max(ended, await _render_and_say(relay_.printing(pages), owner, batch_id))
        finally:
            await pages.close()
        return ended

    sys.exit(with_relay(work))


@batch.command("pdf")
@id_of_batch
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The PDF to be written."
)
def batch_pdf(given: str, output: Path) -> None:
    """Write the pages of a rendered batch. They are opened letters: nobody else on the machine may read the file."""

    async def work(relay_: Relay) -> bytes:
        async with relay_.store.database.reading() as connection:
            batch_id = await _found(connection, given)
        try:
            return await steps.batch_pdf(relay_.store, batch_id, relay_.office_key)
        except steps.NotRenderedError as error:
            raise BatchNotReadyError(f"the batch {batch_id[:SHORT]} has no pages") from error

    pdf = with_relay(work)
    output.touch(mode=0o600)
    output.chmod(0o600)  # one that was there already
    output.write_bytes(pdf)


@batch.command("mark")
@id_of_batch
@click.argument("mark", type=click.Choice([*MARKS, HANDED_OVER]))
@as_volunteer
def batch_mark(given: str, mark: str, login: str) -> None:
    """Note that a batch was printed, posted or handed over; its letters follow, and their senders are told."""

    async def work(relay_: Relay) -> str:
        store = relay_.store
        async with store.database.reading() as connection:
            batch_id, volunteer_id = await _found(connection, given), await volunteer_named(connection, login)
        if mark in MARKS:
            await steps.mark(store, batch_id, MARKS[mark], volunteer_id)
            return f"{batch_id[:SHORT]} is marked as {mark}."
        count = await steps.hand_over(store, letters_in(batch_id), volunteer_id)
        if not count:
            raise BatchNotReadyError(f"no letter of the batch {batch_id[:SHORT]} is on its way")
        return f"{count} {'letter' if count == 1 else 'letters'} of {batch_id[:SHORT]} handed over."

    say(with_relay(work))


def _list(found: Sequence[Batch], *, as_json: bool) -> None:
    for one in found:
        if as_json:
            say_json(dataclasses.asdict(one))
            continue
        what = [f"{one.letters} {'letter' if one.letters == 1 else 'letters'}"]
        if one.envelopes:
            envelopes = f"{one.envelopes} {'envelope' if one.envelopes == 1 else 'envelopes'}"
            what.append(f"{envelopes} of {one.grams:.0f} g together")
        if one.copy:
            what.append("copies")
        if one.delivered:
            what.append(f"{one.delivered} delivered")
        say(f"{one.since:%Y-%m-%d %H:%M} {one.id[:SHORT]} {one.state} {one.facility}: {', '.join(what)}")


async def _render_and_say(printing: Printing, owner: str, batch_id: str) -> Exit:
    """What becomes of one batch does not stop the others."""
    try:
        done = await _render(printing, owner, batch_id)
    except (BatchBusyError, BatchNotReadyError) as error:
        complain(str(error))
        return Exit.BUSY if isinstance(error, BatchBusyError) else Exit.REFUSED
    if done.state is BatchState.OPEN:
        why = done.problem or "a letter was taken back meanwhile"
        complain(f"the batch {batch_id[:SHORT]} could not be rendered ({why}); a worker will try it again")
        return Exit.REFUSED
    _list([done], as_json=False)
    return Exit.DONE


async def _render(printing: Printing, owner: str, batch_id: str) -> Batch:
    """Render an open batch and return what it is then. Raises BatchBusyError and BatchNotReadyError."""
    database = printing.store.database
    name = batch_id[:SHORT]
    ours, is_open = batches.c.id == batch_id, batches.c.state == BatchState.OPEN

    async def render(batch_id: str) -> None:
        await render_batch(printing, batch_id)

    async with database.writing() as connection:  # who asks for it now does not wait for the next try
        await connection.execute(
            sa.update(batches).where(ours, is_open, batches.c.lease_owner.is_(None)).values(**leases.FRESH)
        )
        before = await _one(connection, batch_id)
    if before.state is not BatchState.OPEN:
        raise BatchNotReadyError(f"the batch {name} was rendered before")
    async with _progress(printing, before):
        tried = await work_on_next(database, batches, is_open, ours, owner=owner, do=render)
    if not tried:
        raise BatchBusyError(f"a worker renders the batch {name} already")
    async with database.reading() as connection:
        return await _one(connection, batch_id)


@contextlib.asynccontextmanager
async def _progress(printing: Printing, of: Batch) -> AsyncIterator[None]:
    """Show on a terminal how far a batch is, until the end of the block."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("letters"))
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as progress:
        task = progress.add_task(f"{of.id[:SHORT]} {of.facility}", total=of.letters)
        looking = asyncio.create_task(_look(printing, of.id, progress, task))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


async def _look(printing: Printing, batch_id: str, progress: Progress, task: TaskID) -> None:
    while not progress.disable:
        async with printing.store.database.reading() as connection:
            progress.update(task, completed=(await _one(connection, batch_id)).progress)
        await asyncio.sleep(LOOK)


async def _one(connection: AsyncConnection, batch_id: str) -> Batch:
    found = await queue.one_batch(connection, batch_id)
    if found is None:
        raise NoSuchBatchError(f"there is no batch {batch_id}")
    return found


async def _found(connection: AsyncConnection, given: str) -> str:
    """The id of the batch whose id begins like this. Raises NoSuchBatchError."""
    return await record_named(connection, batches, given, "batch", NoSuchBatchError)


async def _open(connection: AsyncConnection) -> list[str]:
    query = sa.select(batches.c.id).where(batches.c.state == BatchState.OPEN).order_by(batches.c.created_at)
    return list((await connection.scalars(query)).all())

"""`relay batch`: from the letters that wait up to the hand-over."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pikepdf
import pytest
import sqlalchemy as sa

from print.jobs import render_next
from relay.cli.exits import Exit
from relay.store import leases, tables
from tests.cli.conftest import Command, Done
from tests.workplaces import ENGLISH, RUSSIAN, House

OTHER = "worker-0123456789abcdef"


async def waiting(house: House) -> None:
    """A letter to each of two prisons."""
    await house.approved(ENGLISH)
    await house.approved(RUSSIAN)


async def made(command: Command, *options: str) -> list[str]:
    """The ids of new batches."""
    done = await command("batch", "make", "--as", "anna", "--json", *options)
    assert (done.code, done.err) == (0, "")
    return [each["id"] for each in done.objects]


async def test_batches_are_made_for_all_facilities_or_for_one(house: House, command: Command) -> None:
    await waiting(house)
    (english,) = await made(command, "--facility", ENGLISH.facility.slug)
    (russian,) = await made(command)
    assert await made(command) == []
    assert await command("batch", "make", "--as", "anna") == Done(0, "No letter waits to be printed.\n", "")
    listed = await command("batch", "list", "--json")
    seen = [(each["id"], each["facility"], each["state"], each["letters"]) for each in listed.objects]
    assert sorted(seen) == sorted(
        [(english, ENGLISH.facility.name, "open", 1), (russian, RUSSIAN.facility.name, "open", 1)]
    )
    event = await house.row(tables.events, record="batch", record_id=english)
    assert event.actor == f"volunteer:{house.volunteers['anna']}"


async def test_batch_goes_from_open_to_handed_over(house: House, command: Command, tmp_path: Path) -> None:
    await waiting(house)
    (english,) = await made(command, "--facility", ENGLISH.facility.slug)
    (russian,) = await made(command)
    name, out = english[:8], tmp_path / "batch.pdf"
    early = await command("batch", "pdf", name, "-o", out)
    assert early == Done(Exit.REFUSED, "", f"the batch {name} has no pages\n")
    assert (await command("batch", "mark", name, "printed", "--as", "anna")).code == Exit.REFUSED

    rendered = await command("batch", "render", name)
    assert (rendered.code, rendered.err) == (0, "")
    (line,) = rendered.out.splitlines()
    assert line.endswith(f" {name} rendered {ENGLISH.facility.name}: 1 letter, 1 envelope of 20 g together")
    again = await command("batch", "render", english)
    assert again == Done(Exit.REFUSED, "", f"the batch {name} was rendered before\n")
    assert f" {russian[:8]} rendered " in (await command("batch", "render")).out
    assert await command("batch", "render") == Done(0, "No batch is open.\n", "")

    assert await command("batch", "pdf", name, "-o", out) == Done(0, "", "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with pikepdf.open(out) as pdf:
        assert len(pdf.pages) > 4

    none_yet = await command("batch", "mark", name, "handed-over", "--as", "anna")
    assert none_yet == Done(Exit.REFUSED, "", f"no letter of the batch {name} is on its way\n")
    for mark in ("printed", "posted"):
        assert await command("batch", "mark", name, mark, "--as", "boris") == Done(
            0, f"{name} is marked as {mark}.\n", ""
        )
    handed = await command("batch", "mark", english, "handed-over", "--as", "boris")
    assert handed == Done(0, f"1 letter of {name} handed over.\n", "")
    letter = await house.row(tables.letters, batch_id=english)
    event = (await house.rows(tables.events, record_id=letter.id))[-1]
    assert (letter.state, event.actor) == ("delivered", f"volunteer:{house.volunteers['boris']}")


async def test_batch_that_a_worker_renders_is_busy_and_the_others_are_rendered(house: House, command: Command) -> None:
    await waiting(house)
    (busy,) = await made(command, "--facility", ENGLISH.facility.slug)
    (other,) = await made(command)
    async with house.store.database.writing() as connection:
        ours, order = tables.batches.c.id == busy, tables.batches.c.created_at
        await leases.claim(connection, tables.batches, ours, owner=OTHER, now=house.clock(), order_by=order)
    done = await command("batch", "render")
    assert (done.code, done.err) == (Exit.BUSY, f"a worker renders the batch {busy[:8]} already\n")
    assert f" {other[:8]} rendered " in done.out
    row = await house.row(tables.batches, id=busy)
    assert (row.state, row.lease_owner) == ("open", OTHER)


async def test_batch_that_failed_before_is_tried_at_once(house: House, command: Command) -> None:
    await house.approved()
    (batch,) = await made(command)
    later = house.clock() + datetime.timedelta(days=1)
    async with house.store.database.writing() as connection:
        failed = {"attempts": 5, "last_error": "OSError", "next_try_at": later, "set_aside_at": house.clock()}
        await connection.execute(sa.update(tables.batches).values(failed))
    assert not await render_next(house.printing, OTHER)
    assert (await command("batch", "render", batch)).code == 0
    row = await house.row(tables.batches)
    assert (row.state, row.attempts, row.last_error) == ("rendered", 0, None)


async def test_batch_that_cannot_be_rendered_says_why(
    house: House, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.approved()
    (batch,) = await made(command)
    monkeypatch.setattr("relay.cli.batch.render_batch", _full)
    done = await command("batch", "render")
    assert done.code == Exit.REFUSED
    said = f"the batch {batch[:8]} could not be rendered (DiskFullError); a worker will try it again"
    assert said in done.err.splitlines()


class DiskFullError(OSError):
    """There is no room for the pages."""


async def _full(*_: object) -> None:
    raise DiskFullError


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("pdf 01234567 -o out.pdf", "there is no batch 01234567"),
        ("pdf 0 -o out.pdf", "a batch is named by at least 8 characters of its id"),
        ("render %%%%%%%%", "there is no batch %%%%%%%%"),
        ("mark 01234567 posted --as anna", "there is no batch 01234567"),
        ("make --as vera", "there is no volunteer vera"),
        ("make --as anna --facility nowhere", "there is no facility nowhere"),
    ],
)
async def test_what_is_not_there(house: House, command: Command, arguments: str, complaint: str) -> None:
    await house.approved()
    await made(command)
    assert await command("batch", *arguments.split()) == Done(Exit.NOT_FOUND, "", f"{complaint}\n")


async def test_volunteer_who_is_shut_out_does_nothing(house: House, command: Command) -> None:
    await house.approved()
    await command("volunteer", "disable", "boris")
    done = await command("batch", "make", "--as", "boris")
    assert done == Done(Exit.NOT_FOUND, "", "boris is shut out\n")
    assert await house.rows(tables.batches) == []


async def test_ids_that_begin_alike_are_not_guessed(house: House, command: Command) -> None:
    await waiting(house)
    for number, batch in enumerate(await made(command)):
        async with house.store.database.writing() as connection:
            await connection.execute(sa.update(tables.letters).values(batch_id=None))
            ours = sa.update(tables.batches).where(tables.batches.c.id == batch)
            await connection.execute(ours.values(id=f"{'0' * 31}{number}"))
    done = await command("batch", "mark", "00000000", "printed", "--as", "anna")
    assert done == Done(Exit.NOT_FOUND, "", "several batches begin with 00000000\n")


@pytest.mark.parametrize("arguments", ["make", "pdf", "mark 01234567 lost --as anna", "mark 01234567 posted"])
async def test_wrong_use(command: Command, arguments: str) -> None:
    assert (await command("batch", *arguments.split())).code == Exit.USAGE

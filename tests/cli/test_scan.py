"""`relay scan`: files and paper come in, and what became of each page is said."""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from relay.cli.exits import Exit
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.store import tables
from scanner import sane
from tests.cli.conftest import Command, Done
from tests.fakes.scanners import made_up_scanners
from tests.scanner.sheets import scanned, sheet
from tests.workplaces import ENGLISH, RUSSIAN, House

WORDS = "Dear friend\nthank you for your letter\nit was read here by everybody"


async def came_back(house: House, folder: Path, side: Side = Side.A) -> tuple[str, str, Path]:
    """A letter that is on its way, its code, and a scan of the sheet that came back."""
    sent = await house.posted(ENGLISH)
    code = await house.code(sent)
    file = folder / "scan.png"
    scanned(sheet(code, side=side, words=WORDS), dpi=200).save(file, dpi=(200, 200))
    return sent.id, code, file


async def test_page_is_reported_with_all_that_is_known(house: House, command: Command, tmp_path: Path) -> None:
    letter, code, file = await came_back(house, tmp_path)
    done = await command("scan", "add", "--json", file)
    assert (done.code, done.err) == (0, "")
    (said,) = done.objects
    scan = await house.row(tables.scans)
    assert datetime.datetime.fromisoformat(said.pop("came_at")) == scan.created_at
    assert said == {
        "file": str(file),
        "known": False,
        "scan": scan.id,
        "page": 1,
        "code": code,
        "sheet": 1,
        "side": "A",
        "method": "matrix",
        "letter": letter,
        "state": "placed",
        "doubt": None,
        "tried": [{"method": "matrix", "outcome": "read", "detail": ""}],
        "suggested": [code],
        "ticks": dict.fromkeys(Tick, False),
    }
    assert scan.source == "command"


async def test_file_that_came_before_says_when(house: House, command: Command, tmp_path: Path) -> None:
    _, _, file = await came_back(house, tmp_path)
    first = (await command("scan", "add", "--json", file)).objects
    again = (await command("scan", "add", "--json", file)).objects
    assert again == [one | {"known": True} for one in first]
    at = datetime.datetime.fromisoformat(first[0]["came_at"])
    assert f"it had come before, on {at:%Y-%m-%d at %H:%M}" in (await command("scan", "add", file)).out


async def test_page_of_another_facility_than_said_is_held(house: House, command: Command, tmp_path: Path) -> None:
    _, _, file = await came_back(house, tmp_path)
    (said,) = (await command("scan", "add", "--json", "--facility", RUSSIAN.facility.slug, file)).objects
    assert (said["state"], said["doubt"], said["letter"]) == ("held", "other_facility", None)


async def test_unknown_facility_takes_nothing(house: House, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "scan.pdf"
    file.write_bytes(b"%PDF-1.7")
    done = await command("scan", "add", "--facility", "nowhere", file)
    assert done == Done(Exit.NOT_FOUND, "", "there is no facility nowhere\n")
    assert await house.rows(tables.scans) == []


async def test_files_are_listed_with_what_waits(house: House, command: Command, tmp_path: Path) -> None:
    await command("scan", "add", (await came_back(house, tmp_path))[2])
    (tmp_path / "notes.txt").write_text("no scan")
    await command("scan", "add", tmp_path / "notes.txt")
    listed = (await command("scan", "list", "--json")).objects
    found = [(one["name"], one["source"], one["state"], one["reason"], one["pages"], one["waiting"]) for one in listed]
    assert found == [
        ("notes.txt", "command", "rejected", "not_a_scan", None, 0),
        ("scan.png", "command", "split", None, 1, 0),
    ]
    lines = (await command("scan", "list")).out.splitlines()
    assert lines == [
        f"{datetime.datetime.fromisoformat(one['created_at']):%Y-%m-%d %H:%M} {one['id']} command {end}"
        for one, end in zip(listed, ("rejected: not_a_scan", "split: 1 page"), strict=True)
    ]


async def test_check_proves_that_no_page_is_lost(house: House, command: Command, tmp_path: Path) -> None:
    await command("scan", "add", (await came_back(house, tmp_path))[2])
    good = "Every page of every file is in one reply, before a person, or was put away.\n"
    assert await command("scan", "check") == Done(0, good, "")
    assert await command("scan", "check", "--json") == Done(0, "", "")


async def test_check_finds_a_page_that_is_nowhere(house: House, command: Command, tmp_path: Path) -> None:
    await command("scan", "add", (await came_back(house, tmp_path))[2])
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.pages).values(reply_id=None))
    done = await command("scan", "check", "--json")
    scan = await house.row(tables.scans)
    assert done.code == Exit.REFUSED
    assert done.objects == [{"scan": scan.id, "page": 1, "problem": "it is placed and in no reply"}]
    assert (await command("scan", "check")).out == f"{scan.id}, page 1: it is placed and in no reply\n"


# --- paper


@pytest.fixture
def scanners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of SANE's settings, in which two made-up scanners are the only ones."""
    return made_up_scanners(tmp_path / "sane", monkeypatch, "test-picture Grid\n")


@pytest.mark.usefixtures("scanners")
async def test_scanners_are_listed(command: Command) -> None:
    model = "Noname frontend-tester"
    said = await command("scan", "scanners", "--json")
    assert said.objects == [{"name": "test:0", "model": model}, {"name": "test:1", "model": model}]
    assert (await command("scan", "scanners")).out == f"test:0: {model}\ntest:1: {model}\n"


async def test_no_scanner_is_said(command: Command, scanners: Path) -> None:
    (scanners / "dll.conf").write_text("")
    assert await command("scan", "scanners") == Done(0, "No scanner was found.\n", "")
    done = await command("scan", "paper")
    said = "No scanner was found. Is it switched on, and in the same network or on the cable?\n"
    assert done == Done(Exit.NOT_FOUND, "", said)


async def test_missing_program_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = await command("scan", "scanners")
    said = "scanimage, which drives scanners, is not installed: apt-get install sane-utils\n"
    assert done == Done(Exit.TOOL_MISSING, "", said)


def seen(done: Done) -> list[Any]:
    return [(one["page"], one["known"], one["state"]) for one in done.objects]


@pytest.mark.usefixtures("scanners")
async def test_page_on_the_glass_is_taken_in(house: House, command: Command) -> None:
    done = await command("scan", "paper", "--device", "test:1", "--resolution", "100", "--source", "Flatbed", "--json")
    assert (done.code, done.err, seen(done)) == (0, "", [(1, False, "unmatched")])
    scan = await house.row(tables.scans)
    assert (scan.source, scan.state, scan.page_count) == ("scanner", "split", 1)
    assert done.objects[0]["file"].startswith("paper ")


@pytest.mark.usefixtures("scanners")
async def test_pages_before_a_jam_are_taken_in(
    house: House, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, real = tmp_path / "bin" / sane.PROGRAM, shutil.which(sane.PROGRAM)
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *--batch=*) {real} "$@" --batch-count=2; exit 6;; esac\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    done = await command("scan", "paper", "--resolution", "100", "--json")
    said = "Paper is jammed in the scanner. Take it out. The pages that came out before are kept; scan the rest.\n"
    assert (done.code, done.err) == (Exit.REFUSED, said)
    assert [(page, known) for page, known, _ in seen(done)] == [(1, False), (2, False)]
    assert (await house.row(tables.scans)).page_count == 2


async def test_empty_feeder_takes_nothing(house: House, command: Command, scanners: Path) -> None:
    (scanners / "test.conf").write_text('read-status-code "SANE_STATUS_NO_DOCS"\n')
    done = await command("scan", "paper")
    assert done == Done(Exit.REFUSED, "", "There is no paper in the feeder of the scanner.\n")
    assert await house.rows(tables.scans) == []

"""The command line: what it says, and its exit codes. One real process for each code; the rest calls `main` itself."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay import cli
from relay.app import opened
from relay.cli.exits import Exit
from relay.config import ConfigError, Installation
from relay.domain.directory import COLUMNS
from relay.installing import example, install
from relay.store import database
from scanner import tesseract

PRISONER = ["ivan", "Иван Примеров", "", "ru", "active", "", ""]
FACILITY = ["ik-99", "ИК-99", "RU", "ул. Лесная, 1; Энск", "", "", "", "", "", "3"]
ROW = [*PRISONER, *FACILITY]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Its output as JSON, line by line."""
        return [json.loads(line) for line in self.out.splitlines()]


def process(*arguments: str | Path, **environment: str) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "relay", *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if not name.startswith("RELAY_")} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,  # a machine may be busy
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


async def _finish(made: Installation) -> None:
    async with opened(made, new=True):
        pass


class Relay:
    """An installation, and its command line in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._capsys, self._monkeypatch = folder, capsys, monkeypatch
        made = install(folder)
        asyncio.run(_finish(made))
        self.config = made.config

    def __call__(self, *arguments: str | Path) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["relay", "--config", str(self.config), *map(str, arguments)])
        self._capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return Done(int(str(ended.code)), *self._capsys.readouterr())
        return Done(0, *self._capsys.readouterr())

    def change(self, statement: str, *values: object) -> None:
        """Change the database behind the relay's back."""
        connection = sqlite3.connect(self.folder / "relay.db")
        with connection:
            assert connection.execute(statement, values).rowcount > 0
        connection.close()


@pytest.fixture
def relay(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A fresh installation."""
    yield Relay(tmp_path / "relay", capsys, monkeypatch)
    structlog.reset_defaults()  # `main` lets the log go to the captured output of this test


def directory_file(folder: Path, *rows: list[str], encoding: str = "utf-8") -> Path:
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *rows])
    path = folder / "directory.csv"
    path.write_text(out.getvalue(), encoding)
    return path


# --- one process for each exit code


def test_process_init_done_and_then_refused(tmp_path: Path) -> None:
    folder = tmp_path / "relay"
    done = process("init", folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"Made {folder}/config.toml. Edit it, then: relay --config {folder}/config.toml volunteer add NAME",
        f"{folder}/keys/office.key opens all letters. Without it nothing can be read any more: keep a copy offline.",
    ]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in before} >= {"relay.db", "config.toml", "office.key"}
    again = process("init", folder)
    assert again == Done(Exit.REFUSED, "", f"{folder}/config.toml is there already; nothing was changed.\n")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_processes_end_with_their_codes(relay: Relay) -> None:
    named = {"RELAY_CONFIG": str(relay.config)}
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as together:
        taken = {"RELAY_DESK__PORT": str(server.getsockname()[1])}
        usage = together.submit(process, "deliver")
        not_found = together.submit(process, "volunteer", "disable", "vera", **named)
        busy = together.submit(process, "--config", relay.config, "serve", "--role", "desk", **taken)
        config = together.submit(process, "volunteer", "list", **named, RELAY_MAIL__HOTS="x")
    assert usage.result().code == Exit.USAGE
    assert usage.result().err.splitlines()[-1] == "Error: No such command 'deliver'."
    assert not_found.result() == Done(Exit.NOT_FOUND, "", "there is no volunteer vera\n")
    assert (busy.result().code, busy.result().out) == (Exit.BUSY, "")
    assert f"127.0.0.1:{taken['RELAY_DESK__PORT']}" in busy.result().err
    assert config.result() == Done(Exit.CONFIG, "", f"{relay.config}: unknown key mail.hots\n")


def test_process_doctor_without_tesseract(relay: Relay, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = process("--config", relay.config, "doctor", PATH=str(tmp_path / "bin"))
    assert (done.code, done.err) == (Exit.TOOL_MISSING, "")
    said = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert "apt-get install tesseract-ocr " in said["tesseract"]
    assert (said["fonts"], said["installation"]) == ("good", "good")


def test_process_scan_add_of_what_is_no_scan(relay: Relay, tmp_path: Path) -> None:
    """Refused with the reason, kept, and known when it comes again."""
    text, empty, pdf = (tmp_path / name for name in ("notes.txt", "empty.jpg", "broken.pdf"))
    text.write_text("no scan")
    empty.touch()
    pdf.write_bytes(b"%PDF-1.7\n1 0 obj\n<</Type /Catalog /Pages 2 0 R>>\nendobj\nnonsense")
    done = process("--config", relay.config, "scan", "add", "--json", text, empty, pdf, text)
    assert done.code == Exit.REFUSED
    found = [(each["file"], each["known"], each["state"], each["reason"]) for each in done.objects]
    assert found == [
        (str(text), False, "rejected", "not_a_scan"),
        (str(empty), False, "rejected", "not_a_scan"),
        (str(pdf), False, "rejected", "damaged"),
        (str(text), True, "rejected", "not_a_scan"),
    ]
    assert all(len(each["sentence"].split()) > 3 for each in done.objects)
    assert done.objects[0]["scan"] == done.objects[3]["scan"]
    kept = [path for path in (relay.folder / "blobs").rglob("*") if path.is_file()]
    assert len(kept) == 3
    listed = relay("scan", "list", "--json")
    assert listed.code == 0
    assert [(each["state"], each["reason"]) for each in listed.objects] == [
        ("rejected", "damaged"),
        ("rejected", "not_a_scan"),
        ("rejected", "not_a_scan"),
    ]
    came = datetime.datetime.fromisoformat(done.objects[0]["came_at"])
    before = f"{text} (it had come before, on {came:%Y-%m-%d at %H:%M}): rejected. {done.objects[0]['sentence']}\n"
    assert str(relay("scan", "add", text).out) == before


# --- in this process


def test_every_error_named_has_a_code_and_no_other_ends_in_zero() -> None:
    assert sorted(Exit) == [0, 2, 3, 4, 5, 6, 7]
    assert set(cli.EXITS.values()) == {Exit.REFUSED, Exit.NOT_FOUND, Exit.TOOL_MISSING, Exit.BUSY, Exit.CONFIG}


@pytest.mark.parametrize(
    "arguments",
    [
        "scan",
        "scan add",
        "scan add /not/there.jpg",
        "volunteer add",
        "audit verify --yaml",
        "directory import /not/there.csv",
        "serve --role postman",
        "demo --handwriting /not/there.jpg",
    ],
)
def test_wrong_use(relay: Relay, arguments: str) -> None:
    done = relay(*arguments.split())
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert done.err.startswith("Usage: relay")


def test_volunteers(relay: Relay) -> None:
    added = relay("volunteer", "add", "anna")
    name, password = added.out.split()
    assert (added.code, name, len(password)) == (0, "anna:", 24)
    assert relay("volunteer", "add", "anna") == Done(Exit.REFUSED, "", "there is a volunteer anna already\n")
    assert relay("volunteer", "add", "boris").code == 0
    assert relay("volunteer", "disable", "anna") == Done(0, "anna is shut out.\n", "")
    assert relay("volunteer", "list") == Done(0, "anna (disabled)\nboris\n", "")
    assert relay("volunteer", "list", "--json").objects == [
        {"login": "anna", "disabled": True},
        {"login": "boris", "disabled": False},
    ]
    reset = relay("volunteer", "reset", "anna")
    assert reset.code == 0
    assert reset.out.split()[1] != password
    assert relay("volunteer", "list").out == "anna\nboris\n"
    assert relay("volunteer", "reset", "vera") == Done(Exit.NOT_FOUND, "", "there is no volunteer vera\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_directory_imported_and_exported(relay: Relay, tmp_path: Path, encoding: str) -> None:
    file = directory_file(tmp_path, ROW, ["olga", "=Olga", *ROW[2:]], encoding=encoding)
    assert relay("directory", "import", file) == Done(0, "2 prisoners were taken, 0 rows left out.\n", "")
    exported = relay("directory", "export")
    assert exported.code == 0
    assert [row[:2] for row in csv.reader(io.StringIO(exported.out))][1:] == [["olga", "'=Olga"], ["ivan", ROW[1]]]
    assert relay("directory", "export", tmp_path / "out.csv") == Done(0, "", "")
    assert (tmp_path / "out.csv").read_text("utf-8") == exported.out
    assert relay("directory", "import", tmp_path / "out.csv").code == 0
    assert relay("directory", "export").out == exported.out


def test_directory_with_bad_rows(relay: Relay, tmp_path: Path) -> None:
    file = directory_file(tmp_path, ["", *ROW[1:]], ROW, ["olga", *ROW[1:10], "elsewhere", *ROW[11:]])
    dry = relay("directory", "import", "--dry-run", "--json", file)
    assert dry.code == Exit.REFUSED
    (said,) = dry.objects
    assert (said["taken"], said["dry_run"], [bad["row"] for bad in said["bad"]]) == (1, True, [2, 4])
    assert said["bad"][1]["reasons"] == ["facility ik-99: an earlier row says something else about it"]
    assert len(relay("directory", "export").out.splitlines()) == 1  # the head alone: nothing was changed
    taken = relay("directory", "import", file)
    assert (taken.code, taken.out) == (Exit.REFUSED, "1 prisoners were taken, 2 rows left out.\n")
    first, second = taken.err.splitlines()
    assert first.startswith("row 2: prisoner_slug: ")
    assert second == "row 4: facility ik-99: an earlier row says something else about it"
    assert len(relay("directory", "export").out.splitlines()) == 3


def test_directory_that_is_none(relay: Relay, tmp_path: Path) -> None:
    file = directory_file(tmp_path)
    file.write_text("name;prison\n")
    refused = relay("directory", "import", file)
    assert (refused.code, refused.out) == (Exit.REFUSED, "")
    assert refused.err.startswith("the first row lacks the columns prisoner_slug, ")
    file.write_bytes("имя\n".encode("cp1251"))
    refused = relay("directory", "import", file)
    assert (refused.code, refused.out) == (Exit.REFUSED, "")
    assert refused.err.startswith("the file is not UTF-8 text: ")


def test_scan_whose_name_is_no_unicode(relay: Relay, tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.pdf")).write_text("no scan")
    done = relay("scan", "add", "--json", folder)
    assert done.code == Exit.REFUSED
    assert [(said["file"], said["reason"]) for said in done.objects] == [(f"{folder}/\ufffd.pdf", "not_a_scan")]


def test_scan_too_large_not_taken(relay: Relay, tmp_path: Path) -> None:
    relay.config.write_text(example().replace("max_megabytes = 200", "max_megabytes = 1"))
    (tmp_path / "large.pdf").write_bytes(bytes(1_000_001))
    done = relay("scan", "add", "--json", tmp_path / "large.pdf")
    assert done.code == Exit.REFUSED
    (said,) = done.objects
    assert (said["state"], said["reason"], said["scan"]) == ("rejected", "too_large", None)
    assert "1" in said["sentence"].split()
    assert relay("scan", "list").out == ""


def test_audit(relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("no scan")
    relay("scan", "add", tmp_path / "notes.txt")
    good = "2 events of 1 records: all good. 2 are in no checkpoint yet.\n"
    assert relay("audit", "verify") == Done(0, good, "")
    assert relay("audit", "verify", "--json").objects == [{"events": 2, "records": 1, "tail": 2, "faults": []}]
    relay.change("UPDATE events SET actor = 'volunteer:boris' WHERE number = 1")
    done = relay("audit", "verify")
    assert (done.code, done.err) == (Exit.REFUSED, "")
    fault, total = done.out.splitlines()
    assert fault.endswith(": event 1 does not follow the one before it")
    assert total == "2 events of 1 records: 1 faults. 2 are in no checkpoint yet."
    assert relay("audit", "verify", "--json").objects[0]["faults"] == [fault]


def test_database_locked_by_another_process(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 1)
    assert relay("volunteer", "list").code == 0
    holding = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "connection.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holding, str(relay.folder / "relay.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        done = relay("volunteer", "add", "anna")
        other.communicate("")
    assert done == Done(Exit.BUSY, "", "The database cannot be used: database is locked\n")
    assert relay("volunteer", "list") == Done(0, "", "")


def test_installation_that_is_not_there(relay: Relay) -> None:
    shutil.rmtree(relay.folder)
    done = relay("volunteer", "list")
    sentence = f"{relay.config} does not exist. `relay init FOLDER` makes an installation.\n"
    assert done == Done(Exit.CONFIG, "", sentence)


def test_key_that_is_not_there(relay: Relay, tmp_path: Path) -> None:
    """A desk has no office.key, and does not need it for what it may do."""
    (relay.folder / "keys" / "office.key").unlink()
    assert relay("volunteer", "list").code == 0
    (tmp_path / "notes.txt").write_text("no scan")
    done = relay("scan", "add", tmp_path / "notes.txt")
    assert (done.code, done.out) == (Exit.CONFIG, "")
    assert done.err.startswith(f"the key {relay.folder}/keys/office.key cannot be read (")
    (relay.folder / "keys" / "office.pub").write_text("nonsense")
    done = relay("volunteer", "list")
    assert (done.code, done.out) == (Exit.CONFIG, "")
    assert done.err.startswith(f"the key {relay.folder}/keys/office.pub cannot be read (")


def test_doctor(relay: Relay) -> None:
    done = relay("doctor")
    said = dict(line.split(": ", 1) for line in done.out.splitlines())
    checks = [
        "tesseract",
        "fonts",
        "sandbox",
        "key of the office",
        "key of the desk",
        "profiles",
        "mail",
        "installation",
    ]
    assert list(said) == checks
    assert (done.code, {said[check] for check in checks if check not in {"sandbox", "mail"}}) == (0, {"good"})
    assert said["mail"].startswith("not signed here (DKIM)")


def test_doctor_names_facilities_of_profiles_that_the_directory_lacks(relay: Relay) -> None:
    (relay.folder / "profiles").mkdir()
    strict = relay.folder / "profiles" / "strict.toml"
    strict.write_text('extends = "russia"\ntitle = "Strict"\nfacilities = ["sizo-0"]\n', "utf-8")
    done = relay("doctor")
    assert (done.code, "profile strict: the directory has no facility sizo-0" in done.out.splitlines()) == (0, True)
    strict.write_text("extends = 1\n", "utf-8")
    done = relay("doctor")
    assert (done.code, "strict.toml" in done.out) == (Exit.CONFIG, True)


def test_doctor_asks_the_printers_and_names_reply_sheets_without_an_address(relay: Relay, tmp_path: Path) -> None:
    config = relay.folder / "config.toml"
    off = 'printers = [{ name = "Attic", uri = "ipp://127.0.0.1:9/ipp/print" }]'
    config.write_text(config.read_text("utf-8").replace("\nprinters = []", f"\n{off}"), "utf-8")
    assert relay("directory", "import", directory_file(tmp_path, ROW)).code == 0
    done = relay("doctor")
    said = [line for line in done.out.splitlines() if not line.startswith("mail: ")]
    assert (done.code, said[-3:]) == (
        0,
        [
            "reply sheets: none to ik-99 says where to send it: [site] return_address is empty",
            "printer Attic: The printer does not answer. Is it switched on and connected?",
            "installation: good",
        ],
    )


def test_doctor_names_what_the_scanning_lacks(relay: Relay) -> None:
    settings = '[scan]\nfolder = "incoming"\nengine = "kraken"\nmodel = "hands.mlmodel"\n'
    Path(relay.config).write_text(settings)
    done = relay("doctor")
    for lack in (
        f"folder of scans: {relay.folder / 'incoming'} is not there",
        f"kraken: its model {relay.folder / 'hands.mlmodel'} is not there",
    ):
        assert lack in done.out.splitlines()


def test_doctor_on_a_host_with_the_desk_alone(relay: Relay) -> None:
    (relay.folder / "keys" / "office.key").unlink()
    done = relay("doctor")
    assert done.code == 0
    assert "key of the office: not on this host" in done.out.splitlines()


@pytest.mark.parametrize(("name", "other"), [("office", "desk"), ("desk", "office")])
def test_keys_that_are_not_one_pair_are_noticed_before_a_letter_is_lost(relay: Relay, name: str, other: str) -> None:
    keys = relay.folder / "keys"
    shutil.copy(keys / f"{other}.pub", keys / f"{name}.pub")
    sentence = f"{keys / name}.key and {name}.pub are not one pair: what is sealed to the one, the other cannot open"
    for command in ("doctor", "serve"):
        done = relay(command)
        assert (done.code, sentence in done.out + done.err) == (Exit.CONFIG, True)


def test_database_that_is_not_there_is_not_made_by_mistake(relay: Relay) -> None:
    (relay.folder / "relay.db").unlink()
    done = relay("audit", "verify")
    assert done.code == Exit.CONFIG
    assert done.err.startswith("there is no database at ")
    assert not (relay.folder / "relay.db").exists()


@pytest.mark.parametrize("login", ["", " anna ", "Anna", "a" * 41])
def test_login_that_cannot_be(relay: Relay, login: str) -> None:
    assert relay("volunteer", "add", login).code == Exit.REFUSED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tesseract.MissingToolError("tesseract is not installed"), Exit.TOOL_MISSING),
        (ConfigError("[red]not markup[/red]"), Exit.CONFIG),
        (ConnectionRefusedError("refused"), Exit.BUSY),
        (KeyboardInterrupt(), 130),
    ],
)
def test_error_ends_in_its_code(relay: Relay, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def failing(_: object) -> None:
        raise error

    monkeypatch.setattr("relay.config.load", failing)
    done = relay("volunteer", "list")
    assert (done.code, done.out) == (code, "")
    assert str(error) in done.err

"""`relay mail explain`, with and without an installation."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from relay import cli
from relay.sealing import token_hash
from relay.store import tables
from tests.cli.conftest import Command
from tests.mail.incoming import ANSWER, ID, ORDINARY, RETURN_PATH, TOKEN, by, delivery
from tests.workplaces import ADDRESS, House

KEYS = ["file", "kind", "class", "address", "status", "permanent", "message_id", "conversation", "why"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty folder; its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELAY_CONFIG", raising=False)

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["relay", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as ended:
            return (int(str(ended.code)), *capsys.readouterr())
        return (0, *capsys.readouterr())

    yield command
    structlog.reset_defaults()


def saved(folder: Path, name: str, raw: bytes) -> Path:
    """A mail as a file."""
    path = folder / name
    path.write_bytes(raw)
    return path


def test_bounce_is_explained_as_json(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path, "bounce.eml", delivery("failed", "5.0.0", "550 5.1.1 unknown"))
    code, out, err = run("mail", "explain", path, "--json")
    found = json.loads(out)
    assert (code, err, list(found)) == (0, "", KEYS)
    assert found == {
        "file": str(path),
        "kind": "bounce",
        "class": "permanent",
        "address": "maria@supporter.example",
        "status": "5.1.1",
        "permanent": True,
        "message_id": ID,
        "conversation": None,
        "why": [
            "Which addresses are ours is not known without an installation.",
            "It came to the return path of a mail of ours.",
            "It is a report about a delivery: failed, 5.0.0.",
            "The other server's answer in it says 5.1.1.",
        ],
    }


def test_mails_are_explained_one_on_each_line(run: Run, tmp_path: Path) -> None:
    paths = [saved(tmp_path, f"{number}.eml", raw) for number, raw in enumerate(ORDINARY.values())]
    code, out, err = run("mail", "explain", *paths, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert (code, err, [one["file"] for one in found]) == (0, "", [str(path) for path in paths])
    assert [list(one) for one in found] == [KEYS] * len(paths)
    assert {one["kind"] for one in found} == {"letter", "automatic"}


def test_mail_is_explained_in_words(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path, "bounce.eml", delivery("delayed", "4.4.1"))
    code, out, _ = run("mail", "explain", path)
    assert code == 0
    assert out.startswith(f"{path}: bounce (temporary, 4.4.1, maria@supporter.example). Which addresses are ours")


def test_mail_is_read_from_the_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(by())))
    code, out, _ = run("mail", "explain", "-", "--json")
    found = json.loads(out)
    assert (code, found["file"], found["kind"], found["conversation"]) == (0, "-", "letter", None)


def test_file_that_is_no_mail_is_refused_and_the_others_are_explained(run: Run, tmp_path: Path) -> None:
    picture = saved(tmp_path, "picture.eml", b"\x89PNG\r\n\x1a\n" * 100)
    letter = saved(tmp_path, "letter.eml", by())
    code, out, err = run("mail", "explain", picture, letter, "--json")
    assert (code, json.loads(out)["file"]) == (3, str(letter))
    assert err == f"{picture} is no mail, or its parts are too many to be read.\n"


def test_file_that_is_not_there_is_not_found(run: Run, tmp_path: Path) -> None:
    code, out, err = run("mail", "explain", tmp_path / "nothing.eml")
    assert (code, out, err) == (4, "", f"{tmp_path / 'nothing.eml'} cannot be read: No such file or directory.\n")


def test_config_that_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path, "letter.eml", by())
    assert run("--config", tmp_path / "config.toml", "mail", "explain", path)[0] == 7


@pytest.fixture
def config() -> str:
    """An installation that takes answers."""
    return '[incoming]\naddress = "letters@relay.example"\n'


async def test_installation_knows_its_conversations(house: House, command: Command, tmp_path: Path) -> None:
    await house.queued(address=ADDRESS)
    path = saved(tmp_path, "letter.eml", by())
    (found,) = (await command("mail", "explain", path, "--json")).objects
    assert (found["kind"], found["conversation"]) == ("unknown", False)
    assert found["why"][-1] == "There is no conversation of this address."
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.conversations).values(answer_hash=token_hash(TOKEN)))
    (found,) = (await command("mail", "explain", path, "--json")).objects
    assert (found["kind"], found["conversation"]) == ("letter", True)
    assert TOKEN not in json.dumps(found)
    assert ANSWER not in json.dumps(found)


async def test_installation_knows_its_mails(house: House, command: Command, tmp_path: Path) -> None:
    await house.queued(address=ADDRESS)
    path = saved(tmp_path, "bounce.eml", delivery("failed", "5.1.1"))
    (found,) = (await command("mail", "explain", path, "--json")).objects
    assert found["why"][-1] == "The mail that it is about is not one of ours."
    mail_id = (await house.rows(tables.outbox))[0].id
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.outbox).where(tables.outbox.c.id == mail_id).values(message_id=ID))
    (found,) = (await command("mail", "explain", path, "--json")).objects
    assert (found["message_id"], found["why"][-1]) == (ID, "The mail that it is about is one of ours.")
    assert RETURN_PATH.encode() in path.read_bytes()


async def test_installation_knows_which_addresses_are_its_own(house: House, command: Command, tmp_path: Path) -> None:
    del house
    path = saved(tmp_path, "letter.eml", by(to=f"letters+a{TOKEN}@elsewhere.example"))
    (found,) = (await command("mail", "explain", path, "--json")).objects
    assert (found["kind"], found["why"][0]) == ("unknown", "It is not addressed to a conversation.")

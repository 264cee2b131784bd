"""`relay backup`, `restore`, `check` and `key`: what they say, and how they end."""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
import sys
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from relay.cli.exits import Exit
from relay.domain.reply_code import grouped
from relay.domain.typed_key import key_lines
from relay.sealing import PrivateKey
from tests.cli.conftest import Command, Done
from tests.workplaces import House


async def backed_up(command: Command, folder: Path) -> Path:
    assert (await command("backup", folder)).code == 0
    (file,) = folder.iterdir()
    return file


async def test_backup_restored_and_checked(house: House, command: Command, tmp_path: Path) -> None:
    await house.replied(await house.posted())
    done = await command("backup")
    (file,) = (house.relay.installation.folder / "backups").iterdir()
    assert re.fullmatch(
        rf"{file}: 1 letters, 1 replies, 1 scans, \d prisoners, 2 volunteers, {len(house.blobs())} blobs, 0\.\d MB\. "
        r"Only the office's key opens it\.\n",
        done.out,
    )
    key = tmp_path / "office.key"
    key.write_text(house.office_key.text)
    there = ["--key", key, "--database", "sqlite+aiosqlite:///relay.db"]
    done = await command("restore", file, tmp_path / "new", *there)
    fits, what, lost = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert fits == "Rows, keys and blobs fit together."
    assert what.startswith(f"{tmp_path / 'new' / 'config.toml'}: 1 letters, 1 replies, 1 scans, ")
    assert lost.startswith("What came after that is not here: ")
    assert (await command("restore", file, tmp_path / "new", *there)) == Done(
        Exit.REFUSED, "", f"{tmp_path / 'new'} is not empty. A backup is restored into a new folder.\n"
    )


async def test_old_backups_are_removed_with_a_word(house: House, command: Command, tmp_path: Path) -> None:
    file = await backed_up(command, tmp_path / "backups")
    old = file.rename(file.with_name("relay-20200101-000000.backup"))
    done = await command("backup", tmp_path / "backups")
    assert done.out.splitlines()[1:] == [f"Removed {old}: it was too old, and what was erased since was still in it."]


async def test_restore_that_is_refused(house: House, command: Command, tmp_path: Path) -> None:
    file = await backed_up(command, tmp_path / "backups")
    other = tmp_path / "other.key"
    other.write_text(PrivateKey.new().text)
    done = await command("restore", file, tmp_path / "new", "--key", other)
    assert (done.code, "This is another key" in done.err) == (Exit.REFUSED, True)
    other.write_text("no key")
    assert (await command("restore", file, tmp_path / "new", "--key", other)).code == Exit.CONFIG
    assert (await command("restore", file, tmp_path / "new", "--key", tmp_path / "none")).code == Exit.USAGE
    assert not (tmp_path / "new").exists()


async def test_check_that_finds_something_ends_with_3(house: House, command: Command) -> None:
    assert await command("check") == Done(0, "Rows, keys and blobs fit together.\n", "")
    assert await command("check", "--json") == Done(0, "", "")
    await house.received()
    (blob,) = house.blobs()
    blob.unlink()
    lost = {"record": "blob", "id": blob.name, "problem": "a scan names it, and it is not there"}
    done = await command("check", "--json")
    assert (done.code, done.objects) == (Exit.REFUSED, [lost])
    words = f"blob {blob.name}: a scan names it, and it is not there\n1 findings.\n"
    assert await command("check") == Done(Exit.REFUSED, words, "")


async def test_doctor_says_how_old_the_backup_is(house: House, command: Command) -> None:
    folder = house.relay.installation.folder / "backups"
    assert "backup: " not in (await command("doctor")).out
    await command("backup")
    assert f"backup: the newest in {folder} is 0 hours old" in (await command("doctor")).out
    shutil.rmtree(folder)
    folder.mkdir()
    assert f"backup: none in {folder}" in (await command("doctor")).out


async def test_key_on_paper_and_back_by_a_picture(house: House, command: Command, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.pdf"
    done = await command("key", "sheet", sheet)
    told = f"{sheet} opens everything. Print it, try it with `relay key read --picture`, and remove it.\n"
    assert (done, stat.S_IMODE(sheet.stat().st_mode)) == (Done(0, told, ""), 0o600)
    photo = tmp_path / "photo.png"
    pypdfium2.PdfDocument(sheet)[0].render(scale=2).to_pil().save(photo)
    for number, picture in enumerate((sheet, photo)):
        key = tmp_path / f"{number}.key"
        done = await command("key", "read", key, "--picture", picture)
        fingerprint = grouped(house.store.office.fingerprint)
        assert done == Done(0, f"{key}: the fingerprint on the sheet has to be {fingerprint}\n", "")
        assert (key.read_text(), stat.S_IMODE(key.stat().st_mode)) == (house.office_key.text, 0o600)
    refused = f"{sheet} is there already. Nothing was written.\n"
    assert await command("key", "sheet", sheet) == Done(Exit.REFUSED, "", refused)


async def test_key_by_typing_asks_again_for_a_wrong_line(
    house: House, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [grouped(line) for line in key_lines(house.office_key.seed)]
    wrong = f"{'3' if lines[2][0] != '3' else '4'}{lines[2][1:]}"
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*lines[:2], wrong, *lines[2:]]).lower() + "\n"))
    key = tmp_path / "office.key"
    done = await command("key", "read", key)
    assert (done.code, key.read_text()) == (0, house.office_key.text)
    assert "Line 3 has a mistake: look at group 1." in done.err


async def test_picture_without_a_key_is_refused(command: Command, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("L", (300, 300), 255).save(blank)
    done = await command("key", "read", tmp_path / "office.key", "--picture", blank)
    sentence = f"{blank}: no matrix code of a key was found. Take it straight, sharp and without a shadow.\n"
    assert done == Done(Exit.REFUSED, "", sentence)
    blank.write_text("no picture")
    done = await command("key", "read", tmp_path / "office.key", "--picture", blank)
    assert done == Done(Exit.REFUSED, "", f"{blank} is no picture that can be read.\n")
    assert json.dumps([path.name for path in tmp_path.glob("*.key")]) == "[]"

"""Making an installation: private, whole or not at all, and never over another one or its keys."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from relay import installing
from relay.config import ConfigError, Settings
from relay.installing import AlreadyInstalledError, example, install, write
from relay.sealing import PrivateKey, PublicKey


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_installation_made(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = install(tmp_path / "new" / "relay")
    finally:
        os.umask(before)
    folder = tmp_path / "new" / "relay"
    names = ["config.toml", "keys/desk.key", "keys/desk.pub", "keys/office.key", "keys/office.pub"]
    assert sorted(contents(folder)) == names
    assert [mode(folder / name) for name in ("", "keys", *names)] == [0o700, 0o700, 0o600, 0o600, 0o644, 0o600, 0o644]
    assert (made.config.read_text(), made.settings) == (example(), Settings())
    for name in ("office", "desk"):
        private = PrivateKey.load(made.keys / f"{name}.key")
        assert PublicKey.load(made.keys / f"{name}.pub").data == private.public.data
    assert (made.keys / "office.key").read_text() != (made.keys / "desk.key").read_text()


def test_installation_not_made_twice(tmp_path: Path) -> None:
    install(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(AlreadyInstalledError, match=r"config\.toml is there already; nothing was changed\."):
        install(tmp_path)
    assert contents(tmp_path) == before


def test_installation_broken_off_made_again_with_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it stopped, keys that were made stay: something may be sealed to them."""
    seen: dict[str, bytes] = {}
    real = installing.write
    for stop_before in ("office.pub", "desk.key", "desk.pub", "config.toml"):

        def until(path: Path, text: str, mode: int = 0o644, stop_before: str = stop_before) -> None:
            if path.name == stop_before:
                raise KeyboardInterrupt
            real(path, text, mode)

        monkeypatch.setattr(installing, "write", until)
        with pytest.raises(KeyboardInterrupt):
            install(tmp_path)
        now = contents(tmp_path)
        assert {name: now[name] for name in seen} == seen
        seen = {name: data for name, data in now.items() if name.endswith(".key")}
        assert "config.toml" not in now
    monkeypatch.undo()
    install(tmp_path)
    now = contents(tmp_path)
    assert {name: now[name] for name in seen} == seen
    assert len(seen) == 2


def test_config_that_cannot_be_used_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key colour"):
        install(tmp_path, "colour = 1\n")


def test_file_written_whole_and_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "office.key"
    path.write_text("old")
    (tmp_path / "office.key.new").write_text("left behind by a crash")
    synced: list[tuple[str, str]] = []

    def fsync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, path.read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, "new", mode=0o600)
    assert synced == [("office.key.new", "old"), (tmp_path.name, "new")]
    assert (contents(tmp_path), mode(path)) == ({"office.key": b"new"}, 0o600)

"""Making an installation: its folder, config and keys."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Final

from relay.config import CONFIG_NAME, Installation, load
from relay.sealing import PrivateKey

KEYS: Final = ("office", "desk")


class AlreadyInstalledError(Exception):
    """There is an installation in this folder."""


def install(folder: Path, text: str | None = None) -> Installation:
    """Make config and keys in a folder; the config comes last, so an unfinished installation can be made again.

    Keys that are there already are kept: losing one loses all letters. Raises AlreadyInstalledError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / CONFIG_NAME
    if config.exists():
        raise AlreadyInstalledError(f"{config} is there already; nothing was changed.")
    make_keys(folder / "keys")
    write(config, example() if text is None else text, mode=0o600)
    return load(config)


def make_keys(folder: Path) -> None:
    """Make the pairs of keys that are not there, and the public half of those that are."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEYS:
        private = folder / f"{name}.key"
        if not private.exists():
            write(private, PrivateKey.new().text, mode=0o600)
        write(folder / f"{name}.pub", PrivateKey.load(private).public.text)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all, on the disk when it returns."""
    written = path.with_name(f"{path.name}.new")
    written.unlink(missing_ok=True)
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def example() -> str:
    """The text of config.example.toml, which is every installation's first config."""
    package = resources.files("relay")
    shipped = package.joinpath("config.example.toml")
    # In a checkout it stands at the top, where people look for it; the wheel carries it inside the package.
    return (shipped if shipped.is_file() else Path(str(package)).with_name("config.example.toml")).read_text("utf-8")

"""The scanners that SANE makes up for tests: its `test` backend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scanner import sane


def made_up_scanners(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> Path:
    """Make SANE know its made-up scanners only, with these settings of them; `folder` is for all its settings."""
    if shutil.which(sane.PROGRAM) is None:
        pytest.fail(f"scanimage is missing: `./dev test` installs it, or: {sane.INSTALL}", pytrace=False)
    folder.mkdir()
    (folder / "dll.conf").write_text("test\n")
    (folder / "test.conf").write_text(settings)
    monkeypatch.setenv("SANE_CONFIG_DIR", str(folder))
    return folder

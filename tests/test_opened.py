"""Opened content does not outlive the process that worked on it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from relay import opened

OPENING = """
import pathlib, sys, time
from relay import opened
opened.MEMORY_FOLDER = pathlib.Path(sys.argv[1])
with opened.private_folder() as folder:
    (folder / "original").write_text("content")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_opened_content_is_removed_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MEMORY_FOLDER", tmp_path)
    with opened.private_folder() as folder:
        (folder / "original").write_text("content")
        assert (folder.parent, folder.stat().st_mode & 0o777) == (tmp_path, 0o700)
    assert list(tmp_path.iterdir()) == []


def test_opened_content_of_a_killed_process_is_removed_and_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, elsewhere = tmp_path / "memory", tmp_path / "tmp"
    for parent in (memory, elsewhere):
        parent.mkdir()
    monkeypatch.setattr(opened, "MEMORY_FOLDER", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    (elsewhere / f"{opened.OPENED}old").mkdir()
    (memory / "relay-of-others").mkdir()
    command = [sys.executable, "-c", OPENING, str(memory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            folder = Path(process.stdout.readline().strip())
            opened.remove_left_behind()
            assert sorted(tmp_path.rglob("*")) == sorted(
                [memory, memory / "relay-of-others", folder, folder / "original", elsewhere]
            )
        finally:
            process.send_signal(signal.SIGKILL)
    assert folder.exists()
    opened.remove_left_behind()
    assert sorted(tmp_path.rglob("*")) == [memory, memory / "relay-of-others", elsewhere]

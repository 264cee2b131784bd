"""The demo's mail catcher: a real exchange, and screens that only show what came."""

from __future__ import annotations

from pathlib import Path

from relay.demo.mailbox import caught


def test_empty_folder_has_no_mails(tmp_path: Path) -> None:
    assert caught(tmp_path) == {}

"""That ./dev tells people what it can do, and that the pins are those of pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parent.parent
LOCK: Final = (ROOT / "requirements.lock").read_text("utf-8")
PEERS_LOCK: Final = (ROOT / "benchmarks/requirements.lock").read_text("utf-8")
"""What only the benchmarks need."""


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What ./dev says, started from another folder."""
    return subprocess.run([ROOT / "dev", *arguments], cwd="/", capture_output=True, text=True, check=False)


def test_help_names_every_command() -> None:
    commands = re.findall(r"^  ([a-z]+)(?: \| [^)]*)?\) ", (ROOT / "dev").read_text("utf-8"), re.MULTILINE)
    explained = re.findall(r"^  \./dev ([a-z]+)", dev("help").stdout, re.MULTILINE)
    assert sorted(set(explained)) == sorted(commands)


def test_unknown_command_refused() -> None:
    done = dev("tset")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "dev: there is no command tset; ./dev help lists them\n",
    )


def pinned(lock: str) -> dict[str, str]:
    """The versions that a lock file gives this machine."""
    pins = [Requirement(line.rstrip(" \\")) for line in lock.splitlines() if re.match(r"[a-z0-9]", line)]
    return {pin.name: next(iter(pin.specifier)).version for pin in pins if not pin.marker or pin.marker.evaluate()}


def test_locks_satisfy_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    for lock, needs in ((LOCK, project["project"]["dependencies"] + groups["dev"]), (PEERS_LOCK, groups["bench"])):
        here = pinned(lock)
        wanted = map(Requirement, needs)
        unmet = [str(need) for need in wanted if need.name not in here or here[need.name] not in need.specifier]
        assert unmet == []  # ./dev lock writes the pins anew


def test_locks_agree() -> None:
    ours, peers = pinned(LOCK), pinned(PEERS_LOCK)
    assert {name: version for name, version in peers.items() if ours.get(name, version) != version} == {}


def test_locks_name_no_address() -> None:
    assert re.findall(r".*(?:://|--index|--find-links| @ ).*", LOCK + PEERS_LOCK) == []

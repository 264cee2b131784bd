"""A child that has been taken over by a file: it cannot reach anything, and its lies are refused."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import pytest
from PIL import Image

from relay.domain.sheet import Tick
from scanner import intake
from scanner.intake import ChildFailedError, split
from scanner.limits import (
    DamagedError,
    Limits,
    RanOutOfMemoryError,
    ScanRefusedError,
    TookTooLongError,
    TooManyPagesError,
)
from scanner.samples import BoxInk

READY = b'{"kind": "ready"}\n'
ONE = READY + b'{"kind": "pages", "pages": 1}\n'
PAGE = {
    "kind": "page",
    "reading": {"size": [2, 2], "dpi": 300},
    "picture": {"size": [2, 1], "dpi": 200, "colour": False},
    "untouched": {"size": [1, 1], "dpi": 150, "colour": True},
    "geometry": "as_it_came",
    "codes": [],
    "matrices": [],
    "lines": [],
    "boxes": [],
    "ink": 0.5,
}
PIXELS = b"123456789"
DONE = b'{"kind": "done"}\n'
MODULES = base64.b64encode(bytes(625)).decode()
SYMBOLS = base64.b64encode(bytes(12 * 32)).decode()
BOX = {"filled": 0.5, "outline": 1}


def line(**changes: object) -> bytes:
    """The answer for a page of a few pixels, with these changes."""
    return json.dumps(PAGE | changes).encode() + b"\n"


async def told(
    says: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch, then: str = "", limits: Limits | None = None
) -> list[intake.PageFile]:
    """What the parent makes of a child that says this and then does that."""
    script = f"import os, sys, time; sys.stdout.buffer.write({says!r}); sys.stdout.flush(); {then}"

    async def start(_path: Path, _limits: Limits) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=DEVNULL, stdout=PIPE, limit=1 << 20
        )

    monkeypatch.setattr(intake, "_start", start)
    scan = folder / "scan"
    scan.write_bytes(b"anything")
    into = folder / "into"
    into.mkdir()
    return await split(scan, into, limits or Limits())


async def test_child_that_keeps_to_the_protocol_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {
        "matrices": [{"place": 1, "modules": base64.b64encode(bytes([129]) + bytes(623) + bytes([127])).decode()}],
        "lines": [{"place": 0, "symbols": SYMBOLS}],
        "boxes": [BOX] * len(Tick),
    }
    (page,) = await told(ONE + line(**samples) + PIXELS + DONE, tmp_path, monkeypatch)
    assert page.pgm.read_bytes() == b"P5\n2 2\n255\n1234"
    with Image.open(page.jpeg) as picture, Image.open(page.untouched) as untouched:
        assert (picture.size, picture.mode, picture.info["dpi"]) == ((2, 1), "L", (200, 200))
        assert (untouched.size, untouched.mode, untouched.info["dpi"]) == ((1, 1), "RGB", (150, 150))
    (matrix,), (symbols,) = page.samples.matrices, page.samples.lines
    assert (matrix.place, matrix.modules.shape, matrix.modules[0, 0], matrix.modules[24, 24]) == (
        1,
        (25, 25),
        -127,
        127,
    )
    assert (symbols.place, symbols.symbols.shape) == (0, (12, 32))
    assert (page.samples.boxes, page.samples.ink, page.blank) == ((BoxInk(0.5, 1.0),) * len(Tick), 0.5, True)


@pytest.mark.parametrize(
    "says",
    [
        READY,
        READY + b"not json\n",
        READY + b'{"kind": "pages", "pages": 0}\n',
        READY + b'{"kind": "pages", "pages": "1"}\n',
        READY + b'{"kind": "pages", "pages": 1, "path": "/etc/passwd"}\n',
        READY + line() + PIXELS + DONE,
        ONE,
        ONE + b'{"kind": "done"}\n',
        ONE + line() + b"1234",
        ONE + line() + PIXELS,
        ONE + line() + PIXELS + line() + PIXELS + DONE,
        ONE + line(reading={"size": [0, 2], "dpi": 300}) + PIXELS + DONE,
        ONE + line(reading={"size": [-2, -2], "dpi": 300}) + PIXELS + DONE,
        ONE + line(reading={"size": [2, 2], "dpi": 300, "colour": True}) + PIXELS + DONE,
        ONE + line(reading={"size": [20_000, 20_000], "dpi": 300}),
        ONE + line(reading={"size": [10**9, 10**9], "dpi": 300}),
        ONE + line(picture={"size": [2, 1], "dpi": 200, "colour": 1}) + PIXELS + DONE,
        ONE + line(picture={"size": [2, 1], "dpi": 10**6, "colour": False}) + PIXELS + DONE,
        ONE + line(geometry="../../etc") + PIXELS + DONE,
        ONE + line(codes=[{"text": "A" * 201, "method": "matrix"}]) + PIXELS + DONE,
        ONE + line(codes=[{"text": "A", "method": "readable"}]) + PIXELS + DONE,
        ONE + line(codes=[{"text": "A", "method": "matrix"}] * 41) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 2, "modules": MODULES}]) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 0, "modules": SYMBOLS}]) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 0, "modules": MODULES[:-4] + "AAA="}]) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 0, "modules": "\n" + MODULES}]) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 0, "modules": 1}]) + PIXELS + DONE,
        ONE + line(matrices=[{"place": 0, "modules": "gICA" + MODULES[4:]}]) + PIXELS + DONE,  # -128
        ONE + line(matrices=[{"place": 0, "modules": MODULES}] * 9) + PIXELS + DONE,
        ONE + line(lines=[{"place": 0, "symbols": MODULES}]) + PIXELS + DONE,
        ONE + line(lines=[{"place": 0, "symbols": SYMBOLS}] * 9) + PIXELS + DONE,
        ONE + line(boxes=[BOX] * (len(Tick) + 1)) + PIXELS + DONE,
        ONE + line(boxes=[BOX | {"filled": 1.1}] * len(Tick)) + PIXELS + DONE,
        ONE + line(boxes=[BOX | {"filled": float("nan")}] * len(Tick)) + PIXELS + DONE,
        ONE + line(ink=-1.0) + PIXELS + DONE,
        ONE + line(ink=float("inf")) + PIXELS + DONE,
        ONE + b'{"kind": "refused", "reason": "because"}\n',
        ONE + b"[" * 70_000 + b"\n",
    ],
)
async def test_child_that_lies_is_refused(says: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DamagedError):
        await told(says, tmp_path, monkeypatch)


async def test_child_that_never_ends_its_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DamagedError):
        await told(ONE, tmp_path, monkeypatch, "sys.stdout.buffer.write(b'9' * 50_000_000)")


async def test_child_that_announces_too_many_pages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooManyPagesError):
        await told(READY + b'{"kind": "pages", "pages": 100000}\n', tmp_path, monkeypatch)


@pytest.mark.parametrize("says", [b"", b"Traceback\n", b'{"kind": "done"}\n'])
async def test_child_that_does_not_start_is_no_fault_of_the_file(
    says: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChildFailedError):
        await told(says, tmp_path, monkeypatch)


@pytest.mark.parametrize("says", [READY, ONE, ONE + line() + b"123"])
async def test_child_that_stalls_takes_too_long(says: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TookTooLongError):
        await told(says, tmp_path, monkeypatch, "time.sleep(60)", Limits(seconds_per_page=1))


async def test_child_that_closes_its_answers_and_stays_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TookTooLongError):
        await told(ONE, tmp_path, monkeypatch, "os.close(1); time.sleep(60)", Limits(seconds_per_page=1))


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ("os.kill(os.getpid(), 24)", TookTooLongError),  # SIGXCPU
        ("os.kill(os.getpid(), 9)", RanOutOfMemoryError),
        ("os.kill(os.getpid(), 11)", DamagedError),
        ("os._exit(128 + 24)", TookTooLongError),
        ("os._exit(128 + 9)", RanOutOfMemoryError),
        ("os._exit(128 + 6)", DamagedError),
    ],
)
async def test_child_that_is_killed_tells_by_what(
    end: str, error: type[ScanRefusedError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error):
        await told(ONE, tmp_path, monkeypatch, end)


def confined(script: str) -> str:
    """What this Python prints in the sandbox of the child."""
    if not intake.sandbox_available():
        pytest.skip("bubblewrap is not installed or cannot run here")
    return subprocess.run(
        [*intake._sandbox(), sys.executable, "-c", script],
        env=intake._environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def test_sandbox_has_no_network() -> None:
    script = "import socket; print(socket.socket().connect_ex(('127.0.0.1', 9)), [n for _, n in socket.if_nameindex()])"
    listening = confined(script)
    assert listening in {"111 ['lo']", "101 ['lo']"}


def test_sandbox_sees_no_file_of_the_installation(tmp_path: Path) -> None:
    secret = tmp_path / "office.key"
    secret.write_text("secret")
    paths = [
        str(secret),
        "/etc/passwd",
        "/home",
        "/var",
        str(Path(intake.__file__).parents[1] / "pyproject.toml"),
    ]
    assert confined(f"import os; print([path for path in {paths!r} if os.path.exists(path)])") == "[]"


def test_sandbox_sees_no_other_process() -> None:
    assert confined("import os; print(os.getpid() < 10, os.path.exists('/proc/1'))") == "True False"


def test_sandbox_can_write_nowhere() -> None:
    script = """
import os
places = [folder for folder, _, _ in os.walk('/') if not folder.startswith(('/usr', '/dev'))]
written = []
for place in places:
    try:
        open(os.path.join(place, 'x'), 'w').close()
        written.append(place)
    except OSError:
        pass
print(len(places) > 3, written)
"""
    assert confined(script) == "True []"


def test_sandbox_knows_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_PASSPHRASE", "secret")
    assert confined("import os; print(sorted(set(os.environ) - {'PWD', 'LC_CTYPE'}))") == str(
        sorted(intake._environment())
    )

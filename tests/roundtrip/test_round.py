"""`relay demo --once`: one letter all the way round, in a process of its own, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from relay.domain.sheet import WRITING
from tests.fakes.handwriting import WRITTEN
from tests.roundtrip.outcome import UNDISTURBED, outcome

pytestmark = pytest.mark.roundtrip

PRINTED = "Пётр Вымыслович"
"""Stands on the sheet."""


def relay(*arguments: str | Path) -> str:
    """What a command of the relay says, one that must end well and without complaint."""
    command = [sys.executable, "-m", "relay", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    # Some machines cannot run the sandbox, and then say so; nothing else may be complained about.
    complaints = [line for line in done.stderr.splitlines() if "sandbox_missing" not in line]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, handwriting: Path) -> Path:
    """The folder of a round that is done."""
    made = tmp_path_factory.mktemp("round") / "out"
    relay("demo", "--once", made, "--handwriting", handwriting)
    return made


def darkness(pdf: bytes, page: int) -> float:
    """How much of the writing area of a printed or scanned sheet is ink."""
    with pypdfium2.PdfDocument(pdf) as document:
        picture = document[page % len(document)].render(scale=2, grayscale=True).to_numpy()
    unit = picture.shape[1] / 210
    top, left = int(WRITING.y * unit), int(WRITING.x * unit)
    area = picture[top : top + int(WRITING.height * unit), left : left + int(WRITING.width * unit)]
    return float(np.mean(area < 100))


def test_round_leaves_its_files(folder: Path) -> None:
    left = {path.name for path in folder.iterdir()}
    assert left == {"letter.pdf", "scan.jpg", "reply.pdf", "reply.eml", "sender.json", "relay"}
    assert (folder / "relay/config.toml").is_file()


async def test_round_leaves_everything_done(folder: Path) -> None:
    assert await outcome(folder) == UNDISTURBED


def test_reply_shows_the_handwriting(folder: Path) -> None:
    assert darkness((folder / "letter.pdf").read_bytes(), 4) == 0
    assert darkness((folder / "reply.pdf").read_bytes(), 0) > 0.01


def test_reply_is_searchable(folder: Path) -> None:
    with pypdfium2.PdfDocument(folder / "reply.pdf") as document:
        text = " ".join(document[0].get_textpage().get_text_bounded().split())
    assert [words for words in WRITTEN if words not in text] == []
    assert PRINTED not in text  # what stands on the form is not read


def test_reply_mail_has_text_and_pdf(folder: Path) -> None:
    mail = message_from_bytes((folder / "reply.eml").read_bytes(), policy=policy.default)
    both, pdf = mail.iter_parts()
    text, html = both.iter_parts()
    kinds = [part.get_content_type() for part in (mail, both, text, html, pdf)]
    assert kinds == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf"]
    for shown in (text, html):
        assert [words for words in (PRINTED, *WRITTEN) if words not in shown.get_content()] == []
    assert pdf.get_content() == (folder / "reply.pdf").read_bytes()


def test_scan_added_again(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    Image.open(folder / "scan.jpg").save(copy, quality=70, dpi=(300, 300))
    said = relay("--config", folder / "relay/config.toml", "scan", "add", folder / "scan.jpg", copy, "--json")
    same, other = map(json.loads, said.splitlines())
    code, letter, scan = same["code"], same["letter"], same["scan"]
    assert (len(code), len(letter), len(scan)) == (12, 32, 32)
    page = {"page": 1, "code": code, "sheet": 1, "side": "A", "method": "matrix"}
    page |= {"tried": same["tried"], "suggested": [code], "ticks": dict.fromkeys(same["ticks"], False)}
    assert len(page["ticks"]) == 7
    assert same["came_at"] is not None
    assert same == page | {
        "file": str(folder / "scan.jpg"),
        "known": True,
        "scan": scan,
        "letter": letter,
        "state": "placed",
        "doubt": None,
        "came_at": same["came_at"],
    }
    assert other == page | {
        "file": str(copy),
        "known": False,
        "scan": other["scan"],
        "letter": None,
        "state": "held",
        "doubt": "duplicate",
        "came_at": other["came_at"],
    }

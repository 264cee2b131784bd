"""Scanners on the desk: SANE's own program, with the scanners that it makes up for tests."""

from __future__ import annotations

import os
import shutil
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scanner import sane
from scanner.limits import Limits
from scanner.sane import NoScannerError, NoScanProgramError, Order, Pile, Scanner, ScannerError
from tests.fakes.scanners import made_up_scanners

FEEDER = "Automatic Document Feeder"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of SANE's settings, in which two made-up scanners are the only ones."""
    return made_up_scanners(tmp_path / "sane", monkeypatch, "number_of_devices 2\ntest-picture Grid\n")


class Desk:
    """Where somebody scans."""

    def __init__(self, into: Path) -> None:
        self.into = into
        self.heard: list[int] = []
        self.piles: list[Pile] = []

    async def scan(self, order: Order, limits: Limits | None = None) -> list[int]:
        """The numbers of pages of the files."""
        async with aclosing(sane.scan(order, self.into, limits or Limits(), self.heard.append)) as piles:
            self.piles += [pile async for pile in piles]
        return [pile.pages for pile in self.piles]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.into.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "private"
    folder.mkdir()
    return Desk(folder)


async def test_scanners_are_listed() -> None:
    model = "Noname frontend-tester"
    assert await sane.scanners() == [Scanner("test:0", model), Scanner("test:1", model)]


async def test_pile_in_the_feeder_becomes_one_file(desk: Desk) -> None:
    assert await desk.scan(Order(resolution=100)) == [10]
    assert (desk.heard, desk.left) == (list(range(1, 11)), ["pile-1.tiff"])
    with Image.open(desk.piles[0].path) as pages:
        assert (pages.n_frames, pages.mode, pages.info["dpi"]) == (10, "L", (100, 100))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("mode", "kept"), [("Gray", "L"), ("color", "RGB")])
async def test_pixels_are_kept_as_they_came(desk: Desk, monkeypatch: pytest.MonkeyPatch, mode: str, kept: str) -> None:
    came: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    real = sane._Piles.add

    def seen(piles: sane._Piles, page: Path) -> Pile | None:
        came.append(np.asarray(Image.open(page)))
        return real(piles, page)

    monkeypatch.setattr(sane._Piles, "add", seen)
    await desk.scan(Order(scanner="test:1", resolution=100, mode=mode, source="flatbed"))
    with Image.open(desk.piles[0].path) as page:
        assert page.mode == kept
        assert np.array_equal(np.asarray(page), came[0])
    assert 0 < came[0].mean() < 255


async def test_glass_is_scanned_once(desk: Desk) -> None:
    assert await desk.scan(Order(resolution=100, source="Flatbed")) == [1]


async def test_pile_that_goes_over_the_limit_of_pages_becomes_several_files(desk: Desk) -> None:
    assert await desk.scan(Order(resolution=100), Limits(pages=4)) == [4, 4, 2]
    assert len({pile.path for pile in desk.piles}) == 3


async def test_pile_that_goes_over_the_limit_of_bytes_becomes_several_files(desk: Desk) -> None:
    limits = Limits(megabytes=1)
    pages = await desk.scan(Order(resolution=300, mode="Color"), limits)
    assert (sum(pages), len(pages) > 1) == (10, True)
    assert all(pile.path.stat().st_size <= 1_000_000 for pile in desk.piles)


async def test_empty_feeder_is_told(desk: Desk, settings: Path) -> None:
    (settings / "test.conf").write_text('read-status-code "SANE_STATUS_NO_DOCS"\n')
    with pytest.raises(ScannerError, match="There is no paper in the feeder"):
        await desk.scan(Order())
    assert desk.left == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("JAMMED", "Paper is jammed in the scanner. Take it out."),
        ("COVER_OPEN", "The cover of the scanner is open."),
        ("IO_ERROR", "The connection to the scanner broke."),
        ("DEVICE_BUSY", "The scanner is busy. Wait until it is ready and try again."),
        ("ACCESS_DENIED", "The user of this command may not use the scanner. Make it a member of the group scanner."),
        ("UNSUPPORTED", "The scanner cannot do that: sane_read: Operation not supported"),
    ],
)
async def test_what_the_scanner_reports_is_a_sentence(desk: Desk, settings: Path, status: str, sentence: str) -> None:
    (settings / "test.conf").write_text(f'read-status-code "SANE_STATUS_{status}"\n')
    with pytest.raises(ScannerError) as failed:
        await desk.scan(Order())
    assert (str(failed.value), desk.piles) == (sentence, [])


@pytest.fixture
def jams_after_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, whose feeder jams at the fourth page."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / sane.PROGRAM
    real = shutil.which(sane.PROGRAM)
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *--batch=*) {real} "$@" --batch-count=3; '
        f'echo "scanimage: sane_read: Document feeder jammed" >&2; exit 6;; esac\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("jams_after_three")
async def test_pages_before_a_jam_are_kept(desk: Desk) -> None:
    with pytest.raises(ScannerError, match="Paper is jammed"):
        await desk.scan(Order(resolution=100))
    # The list was not made: what was given before the error counts nevertheless.
    with Image.open(desk.into / "pile-1.tiff") as pages:
        assert (pages.n_frames, desk.heard) == (3, [1, 2, 3])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (Order(source="Roof"), f"This scanner has no source “Roof”. It has: Flatbed, {FEEDER}."),
        (Order(mode="Lineart"), "This scanner has no mode “Lineart”. It has: Gray, Color."),
    ],
)
async def test_what_a_scanner_does_not_have_is_said_with_what_it_has(desk: Desk, order: Order, sentence: str) -> None:
    with pytest.raises(ScannerError) as failed:
        await desk.scan(order)
    assert str(failed.value) == sentence


async def test_unknown_scanner_is_told(desk: Desk) -> None:
    with pytest.raises(NoScannerError, match="The scanner test:7 cannot be reached"):
        await desk.scan(Order(scanner="test:7"))


async def test_no_scanner_at_all_is_told(desk: Desk, settings: Path) -> None:
    (settings / "dll.conf").write_text("")
    assert await sane.scanners() == []
    with pytest.raises(NoScannerError, match="No scanner was found"):
        await desk.scan(Order())


async def test_missing_program_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoScanProgramError) as missing:
        await sane.scanners()
    assert str(missing.value) == "scanimage, which drives scanners, is not installed: apt-get install sane-utils"


async def test_leaving_early_stops_the_scanner(desk: Desk) -> None:
    async with aclosing(sane.scan(Order(resolution=100), desk.into, Limits(pages=2), desk.heard.append)) as piles:
        assert (await anext(piles)).pages == 2
    assert len(desk.left) < 10


@pytest.mark.parametrize(
    ("sources", "best"),
    [
        (["Flatbed", "ADF", "ADF Duplex"], "ADF Duplex"),
        (["Flatbed", "ADF Front", "ADF Back"], "ADF Front"),
        (["ADF Simplex", "ADF Duplex", "Flatbed"], "ADF Duplex"),
        (["Automatic Document Feeder(left aligned,Duplex)"], "Automatic Document Feeder(left aligned,Duplex)"),
        (["Flatbed"], None),
        ([], None),
    ],
)
def test_source_for_a_pile_is_the_feeder_of_both_sides(sources: list[str], best: str | None) -> None:
    assert sane._best(sources) == best

"""Files that broke other programs: each ends as pages or as a refusal with a reason, and the worker lives on."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pikepdf
import pytest

from scanner.intake import split
from scanner.limits import Limits, Reason, ScanRefusedError, TookTooLongError
from tests.scanner.sheets import SAMPLES

QUICK = Limits(seconds=20, seconds_per_page=20)


async def outcome(path: Path, work: Path) -> int | Reason:
    """The number of pages, or the reason of the refusal; any other error comes through."""
    try:
        given = await split(path, work, QUICK)
    except ScanRefusedError as refused:
        return refused.reason
    return len(given)


async def test_malformed_samples_are_taken_or_refused_with_a_reason(tmp_path: Path) -> None:
    files = sorted(path for path in (SAMPLES / "malformed").rglob("*") if path.is_file())
    if not files:
        pytest.skip(f"the samples are not there: {SAMPLES / 'malformed'}")
    at_once = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def one(number: int, path: Path) -> int | Reason:
        async with at_once:
            work = tmp_path / str(number)
            work.mkdir()
            try:
                return await outcome(path, work)
            finally:
                shutil.rmtree(work)

    outcomes = await asyncio.gather(*(one(number, path) for number, path in enumerate(files)))
    unlike_scans = {"bmp", "gif", "ico", "rst"}
    for path, came in zip(files, outcomes, strict=True):
        if path.suffix[1:] in unlike_scans:
            assert (path.name, came) == (path.name, Reason.NOT_A_SCAN)
    taken = sum(isinstance(came, int) for came in outcomes)
    assert (taken > len(files) / 2, taken < len(files)) == (True, True)


async def test_pdf_that_would_be_drawn_for_minutes_takes_too_long(tmp_path: Path) -> None:
    curves = b"".join(b"0 %d m 595 842 0 0 595 %d c S " % (y % 800, y * 7 % 800) for y in range(200_000))
    pdf = pikepdf.Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    pdf.pages[0].Contents = pikepdf.Stream(pdf, curves)
    pdf.save(tmp_path / "curves.pdf")
    with pytest.raises(TookTooLongError):
        await split(tmp_path / "curves.pdf", tmp_path, Limits(seconds=2))


async def test_pdf_whose_picture_needs_more_memory_than_there_is_ends_with_a_reason(tmp_path: Path) -> None:
    pdf = pikepdf.Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    bomb = pikepdf.Stream(pdf, bytes(1000))
    bomb.stream_dict = pikepdf.Dictionary(
        Type=pikepdf.Name.XObject,
        Subtype=pikepdf.Name.Image,
        Width=60_000,
        Height=60_000,
        ColorSpace=pikepdf.Name.DeviceRGB,
        BitsPerComponent=8,
    )
    pdf.pages[0].add_resource(bomb, pikepdf.Name.XObject, pikepdf.Name.Bomb)
    pdf.pages[0].Contents = pikepdf.Stream(pdf, b"q 595 0 0 842 0 0 cm /Bomb Do Q")
    pdf.save(tmp_path / "bomb.pdf")
    assert await outcome(tmp_path / "bomb.pdf", tmp_path) in {1, Reason.DAMAGED, Reason.RAN_OUT_OF_MEMORY}


async def test_pdf_whose_page_is_a_mile_wide_is_drawn_small(tmp_path: Path) -> None:
    pdf = pikepdf.Pdf.new()
    pdf.add_blank_page(page_size=(14_400, 14_400))
    pdf.save(tmp_path / "wide.pdf")
    (page,) = await split(tmp_path / "wide.pdf", tmp_path, QUICK)
    assert page.width * page.height <= 18_100_000

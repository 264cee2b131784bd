"""Which files are taken, which are refused and why, and what a page is when it comes out."""

from __future__ import annotations

import asyncio
import subprocess
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import aclosing
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pikepdf
import pytest
import zxingcpp
from PIL import Image
from structlog.testing import capture_logs

from relay.domain.reply_code import MatrixCode, Side
from relay.domain.sheet import MATRICES, WRITING, Tick, tick_box
from scanner import intake, tick_boxes
from scanner.codes import CodeRead, Method
from scanner.geometry import Geometry, pixels
from scanner.intake import PageFile, pages, split
from scanner.limits import (
    REASONS,
    REFUSALS,
    DamagedError,
    Limits,
    NotAScanError,
    PasswordError,
    Reason,
    ScanRefusedError,
    TooLargeError,
    TooManyPagesError,
    TooManyPixelsError,
)
from tests.scanner.sheets import CODE, SAMPLES, covered, matrix_picture, photographed, scanned, sheet

SMALL = (200, 300)


def pdf_of(count: int, **encryption: str) -> bytes:
    """A PDF of empty pages."""
    pdf = pikepdf.Pdf.new()
    for _ in range(count):
        pdf.add_blank_page(page_size=(100, 150))
    written = BytesIO()
    pdf.save(written, encryption=pikepdf.Encryption(**encryption) if encryption else False)  # type: ignore[arg-type]
    return written.getvalue()


def picture(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    """A picture file."""
    written = BytesIO()
    (image or Image.new("L", SMALL, 200)).save(written, kind, **options)
    return written.getvalue()


async def taken(content: bytes, work: Path, limits: Limits | None = None) -> list[PageFile]:
    """The pages of a file with this content."""
    path = work.parent / "file"
    path.write_bytes(content)
    return await split(path, work, limits or Limits())


async def test_pdf_of_sheets_gives_its_pages_in_order(work: Path) -> None:
    sides = [scanned(sheet(number=1, side=side), dpi=150) for side in Side]
    scan = picture("PDF", sides[0], save_all=True, append_images=sides[1:], resolution=150)
    given = await taken(scan, work)
    assert [(page.number, page.codes.agreed) for page in given] == [
        (1, CodeRead(CODE, 1, Side.A, Method.MATRIX)),
        (2, CodeRead(CODE, 1, Side.B, Method.MATRIX)),
    ]
    names = [f"{number}.{kind}" for number in ("0001", "0002") for kind in ("jpg", "pgm", "untouched.jpg")]
    assert sorted(path.name for path in work.iterdir()) == names


async def test_tiff_of_three_pages_gives_three(work: Path) -> None:
    shades = [Image.new("L", SMALL, shade) for shade in (50, 150, 250)]
    given = await taken(picture("TIFF", shades[0], save_all=True, append_images=shades[1:]), work)
    assert [np.asarray(Image.open(page.untouched)).mean().round() for page in given] == [50, 150, 250]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
async def test_picture_of_each_kind_gives_one_page(work: Path, kind: str) -> None:
    (page,) = await taken(picture(kind, Image.new("L", SMALL, 200).convert("RGB"), dpi=(150, 150)), work)
    dpi = 33 if kind == "WEBP" else 150  # its resolution is written in no WebP, so it is taken for a page
    times = min(300 / dpi, 3)
    assert (page.width, page.height, page.geometry) == (200 * times, 300 * times, Geometry.AS_IT_CAME)


async def test_heic_of_a_phone_gives_one_page(work: Path) -> None:
    path = SAMPLES / "malformed/paperless-ngx__paperless-ngx/simple.heic"
    if not path.exists():
        pytest.skip(f"the samples are not there: {path}")
    (page,) = await taken(path.read_bytes(), work)
    with Image.open(page.untouched) as untouched:
        assert (page.number, untouched.mode) == (1, "RGB")


async def test_page_files_are_grey_pixels_and_a_picture_of_200_dpi(work: Path) -> None:
    (page,) = await taken(picture("PNG", scanned(sheet()), dpi=(300, 300)), work)
    with Image.open(page.pgm) as grey, Image.open(page.jpeg) as kept:
        assert (grey.format, grey.mode, grey.size) == ("PPM", "L", (2480, 3508))
        assert (kept.format, kept.mode, kept.size, kept.info["dpi"]) == ("JPEG", "L", (1653, 2339), (200, 200))
    assert page.jpeg.stat().st_size < 300_000


async def test_page_is_kept_as_it_came_beside_the_cleaned_one(work: Path) -> None:
    yellow = Image.merge(
        "RGB", [scanned(sheet(), degrees=3).point(lambda grey, of=of: grey * of) for of in (1, 0.9, 0.6)]
    )
    (page,) = await taken(picture("PNG", yellow, dpi=(300, 300)), work)
    with Image.open(page.jpeg) as cleaned, Image.open(page.untouched) as untouched:
        assert (cleaned.mode, cleaned.size, untouched.mode) == ("L", (1653, 2339), "RGB")
        assert (untouched.info["dpi"], untouched.size) == ((150, 150), (yellow.width // 2, yellow.height // 2))
        assert np.median(np.asarray(cleaned)) == 255
        red, _, blue = np.median(np.asarray(untouched), axis=(0, 1))
        assert red - blue > 60
    assert page.untouched.stat().st_size < 600_000


@pytest.mark.parametrize("former", [False, True], ids=["as printed now", "without the last box"])
async def test_sheet_tells_its_ink_and_its_boxes(work: Path, former: bool) -> None:
    empty = scanned(sheet(former=former), dpi=200, degrees=1)
    (page,) = await taken(picture("PNG", empty, dpi=(200, 200)), work)
    assert (page.geometry, page.blank) == (Geometry.SHEET, True)
    assert (page.blank, tick_boxes.read(page.samples.boxes)) == (True, dict.fromkeys(Tick, False))
    written = sheet(words="I am well", former=former)
    written.paste(40, pixels(tick_box(Tick.NEED_PAPER).grown(-1.5)))
    (page,) = await taken(picture("PNG", scanned(written, dpi=200), dpi=(200, 200)), work)
    ticks = tick_boxes.read(page.samples.boxes)
    assert (page.blank, [tick for tick in Tick if ticks[tick]]) == (False, [Tick.NEED_PAPER])
    assert (page.samples.matrices, page.samples.lines) == ((), ())  # measured only where no matrix code was read


async def test_sheet_without_its_ruled_lines_is_read_and_with_them_sent(work: Path) -> None:
    (page,) = await taken(picture("PNG", scanned(sheet()), dpi=(300, 300)), work)
    area = WRITING.grown(-5)
    with Image.open(page.pgm) as reading, Image.open(page.jpeg) as sent:
        left, top, right, bottom = pixels(area)
        assert (np.asarray(reading)[top:bottom, left:right] < 200).mean() < 1e-5
        assert np.asarray(sent)[top * 2 // 3 : bottom * 2 // 3, left * 2 // 3 : right * 2 // 3].min() < 200


async def test_sheet_whose_matrix_codes_are_covered_gives_samples(work: Path) -> None:
    stained = covered(sheet(), MATRICES[1])
    left, top, right, bottom = pixels(MATRICES[0])
    stained.paste(255, (left, (top + bottom) // 2, right, bottom))
    (page,) = await taken(picture("PNG", scanned(stained, dpi=200), dpi=(200, 200)), work)
    (upper, *_), lines = page.samples.matrices, page.samples.lines
    assert (page.codes.reads, upper.place, {line.place for line in lines}) == ((), 0, {0, 1})
    assert int(upper.modules[0, :7].min()) > 60  # the upper edge of a finder square


def full_of_codes(page: Image.Image, text: str, rows: int) -> Image.Image:
    """The page with four foreign codes in each of these rows, where people write."""
    code = Image.fromarray(np.array(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image()))
    edge = code.width * 4
    for place in range(4 * rows):
        x, y = 60 + place % 4 * (edge + 40), 560 + place // 4 * (edge + 40)
        page.paste(code.resize((edge, edge)), (x, y))
    return page


async def test_page_full_of_foreign_codes_hides_none_of_ours(work: Path) -> None:
    page = full_of_codes(sheet(), "a foreign code", rows=6)
    page.paste(matrix_picture(str(MatrixCode(CODE, 2, Side.A))).resize((300, 300)), (1400, 1800))
    (found,) = await taken(picture("PNG", page, dpi=(300, 300)), work)
    assert found.codes.contradictory


async def test_page_full_of_codes_with_the_longest_texts_is_taken(work: Path) -> None:
    page = full_of_codes(Image.new("L", (1990, 2500), 255), "😀" * 199, rows=4)
    (found,) = await taken(picture("PNG", page, dpi=(200, 200)), work)
    assert found.codes.foreign == ("😀" * 199,)


async def test_empty_back_is_blank_and_is_not_searched_for_codes(work: Path) -> None:
    (page,) = await taken(picture("PNG", scanned(Image.new("L", (2480, 3508), 255)), dpi=(300, 300)), work)
    assert (page.blank, page.samples.matrices, page.samples.lines) == (True, (), ())


async def test_crooked_page_that_is_no_sheet_is_set_straight(work: Path) -> None:
    page = Image.new("L", (2480, 3508), 230)
    for y in range(400, 3200, 100):
        page.paste(90, (300, y, 2200, y + 4))
    page.paste(40, (300, 1000, 330, 1040))
    crooked = page.rotate(2.5, Image.Resampling.BICUBIC, expand=True, fillcolor=230)
    (given,) = await taken(picture("PNG", crooked, dpi=(300, 300)), work)
    with Image.open(given.jpeg) as straight:
        dark = np.asarray(straight) < 190
    runs = [int(row.sum()) for row in dark]
    assert (given.geometry, max(runs) > 1100) == (Geometry.AS_IT_CAME, True)


@pytest.mark.parametrize(("kind", "resolution"), [("PNG", {"dpi": (300, 300)}), ("PDF", {"resolution": 300})])
async def test_page_written_with_a_blue_pen_stays_in_colour(
    work: Path, kind: str, resolution: dict[str, object]
) -> None:
    paper = scanned(sheet()).convert("RGB")
    paper.paste((30, 40, 160), (400, 900, 2000, 915))
    (page,) = await taken(picture(kind, paper, **resolution), work)
    with Image.open(page.jpeg) as kept, Image.open(page.untouched) as untouched:
        assert (page.colour, kept.mode, untouched.mode) == (True, "RGB", "RGB")
        red, _, blue = kept.getpixel((800, 604))  # type: ignore[misc]
        assert blue - red > 60


async def test_grey_page_saved_in_colour_is_kept_grey(work: Path) -> None:
    (page,) = await taken(picture("PDF", scanned(sheet(), dpi=100).convert("RGB"), resolution=100), work)
    with Image.open(page.jpeg) as kept, Image.open(page.untouched) as untouched:
        assert (page.colour, kept.mode, untouched.mode) == (False, "L", "L")


async def test_photo_turned_by_its_exif_comes_out_upright(work: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright, the picture lies on its side
    lying = Image.fromarray(np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None, :], 200, axis=0))
    (page,) = await taken(picture("JPEG", lying, exif=exif), work)
    with Image.open(page.pgm) as upright:
        shades = np.asarray(upright.convert("L"), np.float64)
    assert (page.width < page.height, shades[0].mean() < 20, shades[-1].mean() > 235) == (True, True, True)


async def test_photo_says_72_dpi_and_its_resolution_is_guessed(work: Path) -> None:
    (page,) = await taken(picture("JPEG", photographed(sheet()).resize((1500, 2000)), dpi=(72, 72)), work)
    assert (page.geometry, page.dpi) == (Geometry.SHEET, 300)


async def test_grey_picture_with_16_bits_keeps_its_shades(work: Path) -> None:
    shades = np.full((300, 200), 100 * 256, np.uint16)
    (page,) = await taken(picture("PNG", Image.fromarray(shades)), work)
    assert np.asarray(Image.open(page.untouched)).mean().round() == 100


async def test_transparent_picture_lies_on_white(work: Path) -> None:
    (page,) = await taken(picture("PNG", Image.new("RGBA", SMALL, (0, 0, 0, 0))), work)
    assert np.asarray(Image.open(page.pgm)).min() == 255


async def test_file_is_only_read(work: Path) -> None:
    path = work.parent / "scan.png"
    path.write_bytes(picture("PNG"))
    path.chmod(0o400)
    before = path.stat()
    await split(path, work, Limits())
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (picture("PNG"), before.st_mtime_ns)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", NotAScanError),
        ("Дорогой друг, это письмо".encode(), NotAScanError),
        (picture("GIF"), NotAScanError),
        (b"%!PS-Adobe-3.0\n", NotAScanError),
        (b"%PDF-1.7\nnothing more", DamagedError),
        (picture("JPEG", Image.effect_noise((900, 900), 90))[:9000], DamagedError),
        (picture("PNG")[:60], DamagedError),
        (pdf_of(1, user="open", owner="sesame"), PasswordError),
    ],
    ids=["empty", "text", "gif", "postscript", "cut-pdf", "cut-jpeg", "cut-png", "locked"],
)
async def test_file_that_is_no_good_scan_is_refused(work: Path, content: bytes, error: type[ScanRefusedError]) -> None:
    with pytest.raises(error) as refused:
        await taken(content, work)
    assert (str(refused.value), list(work.iterdir())) == (REASONS[error.reason], [])


async def test_pdf_of_2000_pages_is_refused_with_the_limit(work: Path) -> None:
    with pytest.raises(TooManyPagesError) as refused:
        await taken(pdf_of(2000), work)
    assert str(refused.value) == "This file has more than 1000 pages. Scan fewer pages at once."


async def test_pdf_of_as_many_pages_as_allowed_is_taken(work: Path) -> None:
    assert len(await taken(pdf_of(3), work, Limits(pages=3))) == 3


async def test_tiff_of_too_many_pages_is_refused(work: Path) -> None:
    page = Image.new("1", (8, 8))
    with pytest.raises(TooManyPagesError):
        await taken(picture("TIFF", page, save_all=True, append_images=[page] * 3), work, Limits(pages=3))


async def test_file_one_byte_too_large_is_refused_unread(work: Path) -> None:
    with pytest.raises(TooLargeError) as refused:
        await taken(bytes(1_000_001), work, Limits(megabytes=1))
    assert str(refused.value) == "This file is larger than 1 MB. Scan fewer pages at once."


async def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded(work: Path) -> None:
    with pytest.raises(TooManyPixelsError) as refused:
        await taken(picture("PNG", Image.new("1", (20_000, 20_000))), work)
    assert str(refused.value) == "A page of this file has more than 120 million pixels. Scan with 300 dpi."


async def test_pages_wait_for_the_caller_and_end_with_it(work: Path) -> None:
    path = work.parent / "scan.pdf"
    path.write_bytes(pdf_of(50))
    async with aclosing(pages(path, work, Limits())) as given:
        first = await anext(given)
    assert (first.number, sorted(file.name for file in work.iterdir())) == (
        1,
        ["0001.jpg", "0001.pgm", "0001.untouched.jpg"],
    )


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """The children that are started."""
    started, start = list[Process](), intake._start

    async def noted(path: Path, limits: Limits) -> Process:
        started.append(await start(path, limits))
        return started[-1]

    monkeypatch.setattr(intake, "_start", noted)
    return started


def full_pages(work: Path) -> Path:
    """A file of pages that are each larger than what is read ahead."""
    path = work.parent / "scan.tif"
    paper = Image.new("L", (2480, 3508), 200)
    path.write_bytes(picture("TIFF", paper, save_all=True, append_images=[paper] * 3, dpi=(300, 300)))
    return path


async def held_back(child: Process) -> None:
    """Wait until so much of the next page is there that no more is read."""
    while not child.stdout._paused:  # type: ignore[union-attr]  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_child_held_back_at_a_page_ends_when_the_caller_leaves(work: Path, children: list[Process]) -> None:
    async with asyncio.timeout(60), aclosing(pages(full_pages(work), work, Limits())) as given:
        assert (await anext(given)).number == 1
        await held_back(children[0])
    assert children[0].returncode is not None


async def test_child_held_back_at_a_page_ends_when_the_caller_is_cancelled(work: Path, children: list[Process]) -> None:
    taken = asyncio.Event()

    async def take_one() -> None:
        async with aclosing(pages(full_pages(work), work, Limits())) as given:
            await anext(given)
            taken.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(60):
        taking = asyncio.create_task(take_one())
        await taken.wait()
        await held_back(children[0])
        taking.cancel()
        await asyncio.wait([taking])
    assert (taking.cancelled(), children[0].returncode is not None) == (True, True)


async def test_several_files_at_once_are_each_taken(work: Path) -> None:
    path = work.parent / "scan.png"
    path.write_bytes(picture("PNG"))
    folders = [work / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    given = await asyncio.gather(*(split(path, folder, Limits()) for folder in folders))
    assert [page.pgm.parent for (page,) in given] == folders


async def test_without_a_sandbox_the_limits_alone_hold(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "sandbox_available", lambda: False)
    intake._say_sandbox_is_missing.cache_clear()
    with capture_logs() as logs:
        for _ in range(2):
            (page,) = await taken(picture("PNG"), work)
            assert page.number == 1
    assert logs == [{"event": "sandbox_missing", "log_level": "warning"}]


@pytest.mark.parametrize("status", [0, 1])
def test_sandbox_that_could_not_be_tried_is_tried_again(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    tries: list[Callable[[], subprocess.CompletedProcess[bytes]]] = []

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
        return tries.pop(0)()

    def fails(error: Exception) -> Callable[[], subprocess.CompletedProcess[bytes]]:
        def fail() -> subprocess.CompletedProcess[bytes]:
            raise error

        return fail

    tries += [fails(OSError()), fails(subprocess.TimeoutExpired("bwrap", 60))]
    tries += [lambda: subprocess.CompletedProcess([], status)]
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(intake, "_sandbox_runs", cache(intake._sandbox_runs.__wrapped__))
    assert [intake.sandbox_available() for _ in range(4)] == [False, False, status == 0, status == 0]


def test_every_reason_has_its_error_and_its_sentence() -> None:
    assert set(REASONS) == set(REFUSALS) == set(Reason)

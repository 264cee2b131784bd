"""Reading: what a page costs beside tesseract and ocrmypdf, the memory of a large scan, the size of a picture.

`benchmarks.scan` asks for these figures. All use the same ten ordinary pages: reply sheets as they are printed, half of
them filled with print, half with real handwriting pasted on the rules, scanned a little crooked at 300 dpi.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

import numpy as np
import pypdfium2
import structlog
from PIL import Image, ImageDraw, ImageFont

from benchmarks import Figure
from benchmarks.damage import chance, reply_codes, reply_sheet
from benchmarks.file_reading import CORES, READ_IN, ReadPage, no_words, read_file
from benchmarks.print import VOCABULARY, Watched
from relay.domain.reply_code import MatrixCode, Side
from relay.domain.sheet import RULE, writing
from scanner import intake
from scanner.assembly import AssembledPage, assemble
from scanner.geometry import DPI, PIXELS_PER_MM
from scanner.recognition import Engine
from scanner.tesseract import LANGUAGES, read_page

BENCH: Final = "scan"
PAGES: Final = 10
MANY: Final = 500
ROUNDS: Final = 3
HANDWRITING: Final = Path(__file__).parents[2] / "shared" / "samples" / "handwriting"
PRINT: Final = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
PRINT_SIZE: Final = 4.5
"""Millimetres of an em."""
HAND_HEIGHT: Final = 8.0
"""Millimetres that a pasted line of handwriting is high."""
ENGLISH: Final = re.findall(
    r"\w+",
    "dear friend the spring has come at last and we walk along the river every evening reading your letters again "
    "the neighbours ask how you are grandmother baked an apple cake please take care of yourself greetings from all",
)


@dataclass(frozen=True)
class Scanned:
    """A page as a scanner gives it, and the words that stand on it."""

    jpeg: bytes
    words: Counter[str]


def ordinary_pages() -> list[Scanned]:
    """The ten pages; the same in every run."""
    codes = reply_codes(PAGES, chance(5))
    return [_page(MatrixCode(code, 1, Side.A), number) for number, code in enumerate(codes)]


def _page(code: MatrixCode, number: int) -> Scanned:
    sheet = Image.fromarray(reply_sheet(code))
    area = writing(code.side)
    language = READ_IN[number // 2 % 2]
    samples = sorted((HANDWRITING / language / "lines").glob("*.jpg"))
    rng = random.Random(number)
    texts = []
    for line in range(1, int(area.height / RULE) + 1):
        left, baseline = round((area.x + 2) * PIXELS_PER_MM), round((area.y + line * RULE) * PIXELS_PER_MM)
        width = round((area.width - 4) * PIXELS_PER_MM)
        if number % 2:
            sample = samples[(number * 7 + line) % len(samples)]
            _paste(sheet, sample, left, baseline, width)
            texts.append(sample.with_suffix(".gt.txt").read_text())
        else:
            texts.append(_print(sheet, ENGLISH if language == "en" else VOCABULARY, left, baseline, width, rng))
    tilted = sheet.rotate(rng.uniform(-0.8, 0.8), Image.Resampling.BICUBIC, fillcolor=255)
    noise = chance(number).normal(0, 3, (tilted.height, tilted.width))
    grey = np.clip(np.asarray(tilted) * 0.92 + 10 + noise, 0, 255).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(grey).save(written, "JPEG", quality=80, dpi=(DPI, DPI))
    return Scanned(written.getvalue(), words_of(texts))


def _print(
    sheet: Image.Image, vocabulary: Sequence[str], left: int, baseline: int, width: int, rng: random.Random
) -> str:
    font = ImageFont.truetype(PRINT, round(PRINT_SIZE * PIXELS_PER_MM))
    text = rng.choice(vocabulary)
    while font.getlength(longer := f"{text} {rng.choice(vocabulary)}") < width:
        text = longer
    ImageDraw.Draw(sheet).text((left, baseline - 4), text, 40, font, anchor="ls")
    return text


def _paste(sheet: Image.Image, sample: Path, left: int, baseline: int, width: int) -> None:
    with Image.open(sample) as picture:
        grey = picture.convert("L")
    height = round(HAND_HEIGHT * PIXELS_PER_MM)
    scale = min(height / grey.height, width / grey.width)
    pixels = np.asarray(grey.resize((round(grey.width * scale), round(grey.height * scale))), np.float64)
    on_white = np.clip(pixels * 255 / np.percentile(pixels, 60), 0, 255).astype(np.uint8)
    top = baseline + round(1.5 * PIXELS_PER_MM) - on_white.shape[0]
    place = (left, top, left + on_white.shape[1], top + on_white.shape[0])
    sheet.paste(Image.fromarray(np.minimum(np.asarray(sheet.crop(place)), on_white)), place)


def words_of(texts: Iterable[str]) -> Counter[str]:
    """The words of a text that can be compared: lower case, of three letters and more."""
    return Counter(word for text in texts for word in re.findall(r"\w{3,}", text.casefold()))


def pdf_of(jpegs: Sequence[bytes]) -> bytes:
    """A scan of these pages as office machines send it."""
    return assemble([AssembledPage(jpeg) for jpeg in jpegs])


# --- processor time


def _read(path: Path, engine: Engine = read_page) -> list[ReadPage]:
    read: list[ReadPage] = []
    asyncio.run(read_file(path, engine, read.append))
    return sorted(read, key=lambda page: page.number)


def _cpu(work: Callable[[], object]) -> float:
    """Seconds of processor time that a piece of work takes, with all processes that it starts."""
    before = _used()
    work()
    return _used() - before


def _used() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _tesseract(path: Path) -> None:
    languages = "+".join(LANGUAGES[language] for language in READ_IN)
    subprocess.run(
        ["tesseract", path, path.with_suffix(""), "-l", languages, "tsv"],
        env=os.environ | {"OMP_THREAD_LIMIT": "1"},
        stderr=subprocess.DEVNULL,
        check=True,
    )


def cost(folder: Path, scanned: Sequence[Scanned]) -> list[Figure]:
    """What pages cost us, all in all and without recognition, and what tesseract takes for the same pictures."""
    single = []
    for number, page in enumerate(scanned):
        single.append(folder / f"{number}.jpg")
        single[-1].write_bytes(page.jpeg)
    scan = folder / "ten.pdf"
    scan.write_bytes(pdf_of([page.jpeg for page in scanned]))
    # The time of what is killed inside the sandbox is counted nowhere. It takes a hundredth of a second for each file.
    with patch.object(intake, "sandbox_available", lambda: False):
        _read(single[0])  # what is loaded at the first use is not counted
        alone = [_cpu(partial(_tesseract, path)) for path in single]
        ours = [_cpu(partial(_read, path)) for path in single]
        together = _cpu(partial(_read, scan))
        start = statistics.median(_cpu(partial(_read, single[0], no_words)) for _ in range(ROUNDS))
        without = [_cpu(partial(_read, scan, no_words)) for _ in range(ROUNDS)]
    each = (statistics.median(without) - start) / (PAGES - 1) * 1000
    beside = {
        "tesseract, s a page": sum(alone) / PAGES,
        "ours, files of one page, s a page": sum(ours) / PAGES,
        "ours, one file, s a page": together / PAGES,
    }
    return [
        Figure(BENCH, "cpu against tesseract", sum(ours) / sum(alone), "times", 1.15, beside),
        Figure(BENCH, "cpu against tesseract, ten pages in a file", together / sum(alone), "times", 1.15, beside),
        Figure(BENCH, "page without OCR", each, "ms", 150, {"start of the child with one page, ms": start * 1000}),
    ]


# --- beside ocrmypdf


OCRMYPDF: Final = (sys.executable, "-m", "ocrmypdf")


def speed(folder: Path, scanned: Sequence[Scanned]) -> list[Figure]:
    """Pages a second of the same ten pages, from the file to a PDF that can be searched, and the words found."""
    scan = folder / "ten.pdf"
    languages = "+".join(LANGUAGES[language] for language in READ_IN)
    options = ("--deskew", "--quiet", "--jobs", str(CORES), "--language", languages)
    made: dict[str, bytes] = {}

    def we() -> None:
        read = _read(scan)
        made["relay"] = assemble([AssembledPage(page.jpeg, page.lines) for page in read])

    def they() -> None:
        subprocess.run([*OCRMYPDF, *options, scan, folder / "theirs.pdf"], check=True)
        made["ocrmypdf"] = (folder / "theirs.pdf").read_bytes()

    seconds: dict[str, list[float]] = {"relay": [], "ocrmypdf": []}
    for _ in range(ROUNDS):
        for name, work in (("ocrmypdf", they), ("relay", we)):
            begun = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begun)
    speeds = {name: PAGES / statistics.median(taken) for name, taken in seconds.items()}
    right = {name: _right_words(pdf, scanned) for name, pdf in made.items()}
    written = [page.words.total() for page in scanned]
    pictures = [len(page.jpeg) / 1000 for page in _read(scan, no_words)]
    return [
        Figure(
            BENCH,
            "pages per second against ocrmypdf --deskew",
            speeds["relay"] / speeds["ocrmypdf"],
            "times",
            1.5,
            {f"{name}, pages per second": value for name, value in speeds.items()},
            more_is_better=True,
        ),
        Figure(
            BENCH,
            "words found against ocrmypdf --deskew, print",
            sum(right["relay"][::2]) / sum(right["ocrmypdf"][::2]),
            "times",
            1.0,
            # A page of joined handwriting is unreadable: ocrmypdf gives what it guessed, and few words are right.
            {
                f"{name}, {kind}, of {sum(written[place::2])}": sum(found[place::2])
                for name, found in right.items()
                for place, kind in enumerate(("print", "handwriting"))
            },
            more_is_better=True,
        ),
        Figure(
            BENCH,
            "assembled grey page",
            len(made["relay"]) / PAGES / 1000,
            "KB",
            300,
            {"largest picture, KB": max(pictures), "ocrmypdf, KB": len(made["ocrmypdf"]) / PAGES / 1000},
        ),
    ]


def _right_words(pdf: bytes, scanned: Sequence[Scanned]) -> list[int]:
    """How many words of each page are found in its text."""
    with pypdfium2.PdfDocument(pdf) as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    return [(words_of([text]) & page.words).total() for text, page in zip(texts, scanned, strict=True)]


# --- memory


WORKER: Final = """
import sys
from pathlib import Path
import relay.app  # what else the process of a relay has in memory
from benchmarks.file_reading import read_many
read_many(Path(sys.argv[1]))
"""


def memory(folder: Path, scanned: Sequence[Scanned]) -> list[Figure]:
    """The memory of a relay, and of the child that decodes, while it reads a large scan."""
    path = folder / "many.pdf"
    path.write_bytes(pdf_of([_smaller(scanned[number % PAGES].jpeg) for number in range(MANY)]))
    with subprocess.Popen([sys.executable, "-c", WORKER, path]) as process:
        watched = Watched(process.pid)
        watched.start()
        process.wait()
        watched.stop()
    assert process.returncode == 0
    beside = {"sum of resident sizes, MB": watched.resident, "opened files in memory, MB": watched.files}
    return [Figure(BENCH, f"peak memory, scan of {MANY} pages", watched.processes, "MB", 300, beside)]


def _smaller(jpeg: bytes) -> bytes:
    written = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.save(written, "JPEG", quality=30, dpi=(DPI, DPI))
    return written.getvalue()


def measure() -> list[Figure]:
    """All figures, in a process that has no other children."""
    if not HANDWRITING.is_dir():
        sys.stderr.write(f"no figures about reading: the samples are not there: {HANDWRITING}\n")
        return []
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # figures may be printed as JSON
    scanned = ordinary_pages()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*cost(folder, scanned), *speed(folder, scanned), *memory(folder, scanned)]


def figures() -> list[Figure]:
    """All figures; they take some minutes and are of use only on a quiet machine."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure).result()

"""The text recognition tool, tesseract: nothing else in the project starts it or knows its ways."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytesseract
from pytesseract.pytesseract import run_tesseract

from scanner.geometry import DPI
from scanner.recognition import Failure, Recognised, Word

# One thread for each page: several pages side by side are 2.5 to 4 times faster than several threads on one page.
os.environ["OMP_THREAD_LIMIT"] = "1"

LANGUAGES: Final = {"ru": "rus", "en": "eng", "de": "deu", "sv": "swe"}
"""Languages of the relay, by the names that tesseract gives them."""
OLDEST: Final = 5
"""Oldest main version that is known to do what is asked of it here."""
INSTALL: Final = "apt-get install " + " ".join(
    ("tesseract-ocr", *(f"tesseract-ocr-{language}" for language in LANGUAGES.values()))
)
SECONDS: Final = 180
"""How long one page may take. A full page of handwriting takes about ten seconds; its words are not worth more."""

_AT_ONCE: Final = len(os.sched_getaffinity(0))
_THREADS: Final = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tesseract")
"""As many at once as there are cores; the others wait. Each tesseract with two languages takes about 290 MB."""
_WORD: Final = "5"
"""The level of a word in tesseract's table; pages, blocks, paragraphs and lines have smaller ones."""


class MissingToolError(Exception):
    """tesseract or one of its languages is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class TesseractInfo:
    """What is installed."""

    version: str
    languages: tuple[str, ...]


def probe() -> TesseractInfo:
    """What is installed. Raises MissingToolError when it cannot do what the relay needs."""
    try:
        version = str(pytesseract.get_tesseract_version())
        languages = tuple(pytesseract.get_languages())
    except (pytesseract.TesseractNotFoundError, SystemExit):
        raise MissingToolError(f"tesseract, which reads the pages, is not installed: {INSTALL}") from None
    if int(version.partition(".")[0]) < OLDEST:
        raise MissingToolError(f"tesseract {version} is too old, version {OLDEST} is needed: {INSTALL}")
    missing = sorted(set(LANGUAGES.values()) - set(languages))
    if missing:
        packages = " ".join(f"tesseract-ocr-{language}" for language in missing)
        raise MissingToolError(f"tesseract lacks languages: apt-get install {packages}")
    return TesseractInfo(version, languages)


async def read_page(pgm: Path, languages: Sequence[str], dpi: int, seconds: int = SECONDS) -> Recognised:
    """The words of a page: a `scanner.recognition.Engine`. `languages` are of LANGUAGES, others are a KeyError.

    Never raises for what the tool does: a failure is in the result.
    """
    names = "+".join(LANGUAGES[language] for language in languages)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _read_page, pgm, names, dpi, seconds)


async def read_line(pgm: Path, characters: str, seconds: int = SECONDS) -> str:
    """The one line of print in a picture, of these characters only; empty when it cannot be read."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _read_line, pgm, characters, seconds)


def _read_page(pgm: Path, languages: str, dpi: int, seconds: int) -> Recognised:
    output = _run(pgm, "tsv", languages, f"--dpi {dpi} -c tessedit_create_tsv=1", seconds)
    return Recognised(failure=output) if isinstance(output, Failure) else Recognised(_words(output.decode()))


def _read_line(pgm: Path, characters: str, seconds: int) -> str:
    # Codes are no words: with its dictionaries the tool would correct them into some.
    settings = f"--dpi {DPI} --psm 7 -c tessedit_char_whitelist={characters} -c load_system_dawg=0 -c load_freq_dawg=0"
    output = _run(pgm, "txt", LANGUAGES["en"], settings, seconds)
    return "" if isinstance(output, Failure) else output.decode().strip()


def _run(pgm: Path, kind: str, languages: str, settings: str, seconds: int) -> bytes | Failure:
    """Run the tool, which writes beside the picture: pytesseract's own functions would leave results in /tmp, for
    everybody to read while they last."""
    base = pgm.with_suffix("")
    output = base.with_suffix(f".{kind}")
    try:
        run_tesseract(str(pgm), str(base), kind, languages, config=settings, timeout=seconds)
        return output.read_bytes()
    except pytesseract.TesseractNotFoundError:
        return Failure.MISSING
    except pytesseract.TesseractError:
        return Failure.FAILED
    except RuntimeError:  # so pytesseract tells that the time was up
        return Failure.TOOK_TOO_LONG
    except OSError:
        return Failure.FAILED
    finally:
        output.unlink(missing_ok=True)


def _words(table: str) -> tuple[Word, ...]:
    words = []
    lines: dict[tuple[str, ...], int] = {}
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] != _WORD or not row["text"].strip():
            continue
        line = lines.setdefault(tuple(row[part] for part in ("block_num", "par_num", "line_num")), len(lines))
        left, top = int(row["left"]), int(row["top"])
        box = left, top, left + int(row["width"]), top + int(row["height"])
        words.append(Word(row["text"].strip(), float(row["conf"]), box, line))
    return tuple(words)

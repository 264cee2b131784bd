"""The text recognition tool kraken, which reads joined hands with a model made for them. Optional.

It is started by its command line, so that it can have a Python environment of its own: it asks for other versions of
libraries than the relay. The operator supplies the model file; which languages it reads is a matter of the model.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as Xml

from scanner.recognition import Box, Failure, Recognised, Word

SECONDS: Final = 600
"""How long one page may take: the start alone takes about ten seconds, finding the lines as many again."""
_ONE_AT_A_TIME: Final = asyncio.Semaphore(1)
"""It takes up to 2.5 GB while it finds the lines of a page."""
_LINES: Final = ".//{*}TextLine"
"""Of whatever version of ALTO: each has a name space of its own."""
_WORDS: Final = "{*}String"


class NotAltoError(Exception):
    """What should be the tool's account of a page is something else."""


async def read_page(
    pgm: Path, languages: Sequence[str], dpi: int, *, model: str | Path, seconds: float = SECONDS
) -> Recognised:
    """The words of a page, read by this model: with it a `scanner.recognition.Engine`. The languages are the model's.

    Never raises for what the tool does: a failure is in the result.
    """
    del languages, dpi  # what the model was made for decides
    alto = pgm.with_suffix(".alto.xml")
    try:
        async with _ONE_AT_A_TIME:
            failure = await _run(pgm, alto, Path(model).absolute(), seconds)
        if failure is not None:
            return Recognised(failure=failure)
        return Recognised(words_of(await asyncio.to_thread(alto.read_bytes)))
    except (OSError, NotAltoError):
        return Recognised(failure=Failure.FAILED)
    finally:
        alto.unlink(missing_ok=True)


async def _run(pgm: Path, alto: Path, model: Path, seconds: float) -> Failure | None:
    try:
        process = await asyncio.create_subprocess_exec(
            *("kraken", "--raise-on-error", "--alto", "--device", "cpu", "--threads", "1"),
            *("--input", str(pgm), str(alto)),
            *("segment", "--baseline"),
            *("ocr", "--model", str(model), "--num-line-workers", "0"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            cwd=pgm.parent,
        )
    except OSError:
        return Failure.MISSING
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        return Failure.TOOK_TOO_LONG
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return Failure.FAILED if status else None


def words_of(alto: bytes) -> tuple[Word, ...]:
    """The words of a page described in ALTO, with confidences from 0 to 100. Raises NotAltoError.

    A word of which the engine does not say how sure it is counts as a guess. Where gaps between words are wide, the
    engine takes each for a line: what follows each other in one row is one line here.
    """
    words: list[Word] = []
    try:
        page = Xml.fromstring(alto)  # noqa: S314 - a tool of this machine wrote it
        for line in page.iterfind(_LINES):
            number = None
            for word in line.iterfind(_WORDS):
                text = word.get("CONTENT", "").strip()
                if not text:
                    continue
                box = _box(*(float(word.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")))
                if number is None:
                    number = _line_of(box, words)
                words.append(Word(text, 100 * float(word.get("WC", 0)), box, number))
    except (Xml.ParseError, KeyError, ValueError, OverflowError):
        raise NotAltoError("kraken did not describe the page as ALTO.") from None
    return tuple(words)


def _line_of(box: Box, before: Sequence[Word]) -> int:
    """The line of a word that is the first of its line to the engine."""
    if not before:
        return 0
    last = before[-1]
    shared = min(box[3], last.box[3]) - max(box[1], last.box[1])
    in_row = box[0] >= last.box[2] and 2 * shared > min(box[3] - box[1], last.box[3] - last.box[1])
    return last.line if in_row else last.line + 1


def _box(left: float, top: float, width: float, height: float) -> Box:
    return round(left), round(top), round(left + width), round(top + height)

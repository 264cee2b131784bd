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

from scanner.recognition import Failure, Recognised, Word

SECONDS: Final = 600
"""How long one page may take: the start alone takes about ten seconds, finding the lines as many again."""
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

    A word of which the engine does not say how sure it is counts as a guess.
    """
    try:
        page = Xml.fromstring(alto)  # noqa: S314 - a tool of this machine wrote it
        return tuple(
            Word(
                text,
                100 * float(word.get("WC", 0)),
                _box(*(float(word.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))),
                number,
            )
            for number, line in enumerate(page.iterfind(_LINES))
            for word in line.iterfind(_WORDS)
            if (text := word.get("CONTENT", "").strip())
        )
    except (Xml.ParseError, KeyError, ValueError, OverflowError):
        raise NotAltoError("kraken did not describe the page as ALTO.") from None


def _box(left: float, top: float, width: float, height: float) -> tuple[int, int, int, int]:
    return round(left), round(top), round(left + width), round(top + height)

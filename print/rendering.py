"""Letters as one PDF for the printer, and as pictures for the sender.

A letter and its photos are printed on one side of the paper only, a reply sheet on both. So every piece of paper takes
two pages of the PDF: a page of the letter and a blank back, or the sides A and B of one sheet. A printer that turns the
paper over by itself takes the whole file, as the file itself proposes: turned on the long edge, and not scaled, because
the scanner measures from mark to mark. With a printer that does not, print the odd pages, put the stack back and print
the even pages. Whoever leaves out the second pass has whole letters, and sheets with only one side, which works too.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

import pypdfium2
from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print import fonts
from print.letter_pages import draw_letter, page_count, page_count_of
from print.reply_sheet import draw_reply_sheets
from relay.domain.letter_pages import LetterToPrint, Unprintable
from relay.domain.sheet import PAGE

PREVIEW_DPI: Final = 100
"""Enough to read 12 points on a phone, and little to send over a slow line."""
PDF_DPI: Final = 72
PDF_VERSION: Final = (1, 7)
"""The first in which a file can propose to be printed on both sides."""

rl_config.useA85 = 0  # photos as text would make the file a quarter larger

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")


def render(letters: Sequence[LetterToPrint]) -> bytes:
    """One PDF of all letters, each followed by its reply sheets; the same letters give the same bytes.

    Raises NoGlyphError where a text was not asked about with `unprintable`, and MissingFontError.
    """
    return _pdf(letters, blank_backs=True)


def preview(letter: LetterToPrint) -> list[bytes]:
    """The printed pages of a letter and its reply sheets as grey PNG pictures, without the blank backs.

    Raises NoGlyphError and MissingFontError.
    """
    with pypdfium2.PdfDocument(_pdf([letter], blank_backs=False)) as document:
        return [_png(page) for page in document]


def page_of_sheet(letter: LetterToPrint, number: int = 1) -> int:
    """The place, from 0, of side A of a reply sheet in `render([letter])`; side B is the next."""
    return 2 * (page_count(letter) + number - 1)


class RenderingPool:
    """Renders in processes of its own, as many as there are cores, so that an event loop never waits.

    This is the printer's `relay.domain.ports.LetterPages`. The processes start with the first letter and end with
    `close`.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def unprintable(self, text: str) -> list[Unprintable]:
        """The characters of the text that cannot be printed, in their order."""
        return fonts.unprintable(text)

    def page_count(self, text: str) -> int:
        """How many letter pages the text fills, without photos and reply sheets."""
        return page_count_of(text)

    async def preview(self, letter: LetterToPrint) -> list[bytes]:
        """The pages of the letter and its reply sheets as PNG pictures. Raises as the function `preview` does."""
        return await self._run(preview, letter)

    async def render(self, letters: Sequence[LetterToPrint]) -> bytes:
        """All letters as one PDF. Raises as the function `render` does."""
        return await self._run(render, letters)

    async def close(self) -> None:
        """Wait for what is being rendered, drop what has not begun, and end the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def _run(self, work: Callable[[_Input], _Output], given: _Input) -> _Output:
        if self._pool is None:
            # A forked child would inherit the locks and sockets of a server that is running.
            self._pool = ProcessPoolExecutor(
                os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_live_as_long_as_the_relay
            )
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work, given)
        except BrokenProcessPool:
            # One process that the system killed spoils its pool for ever; the next letter gets a new one.
            if self._pool is pool:
                self._pool = None
            raise


def _live_as_long_as_the_relay() -> None:
    # Ctrl-C goes to all processes of a terminal, but the relay lets what is being rendered finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay = multiprocessing.parent_process()
    assert relay is not None

    def end() -> None:
        relay.join()
        os._exit(1)  # it was killed and closed nothing: the pool would wait for letters for ever

    threading.Thread(target=end, daemon=True).start()


def _pdf(letters: Iterable[LetterToPrint], *, blank_backs: bool) -> bytes:
    fonts.load_fonts()
    file = io.BytesIO()
    canvas = Canvas(
        file,
        pagesize=(PAGE.width * mm, PAGE.height * mm),
        pageCompression=1,
        pdfVersion=PDF_VERSION,
        invariant=1,
        initialFontName=fonts.PAGE_FONT,  # reportlab names a font on every page; its own choice is not embedded
    )
    for name_nobody in (canvas.setAuthor, canvas.setCreator, canvas.setProducer, canvas.setSubject, canvas.setTitle):
        name_nobody("")
    canvas.setViewerPreference("PrintScaling", "None")
    canvas.setViewerPreference("Duplex", "DuplexFlipLongEdge")
    for letter in letters:
        for _ in draw_letter(canvas, letter):
            canvas.showPage()
            if blank_backs:
                canvas.showPage()
        for _ in draw_reply_sheets(canvas, letter):
            canvas.showPage()
    canvas.save()
    return file.getvalue()


def _png(page: pypdfium2.PdfPage) -> bytes:
    file = io.BytesIO()
    page.render(scale=PREVIEW_DPI / PDF_DPI, grayscale=True).to_pil().save(file, "PNG", optimize=True)
    return file.getvalue()

"""Letters as one PDF for the printer, and as pictures for the sender and the office.

A printer that turns the paper over by itself takes the whole file, as the file itself proposes: turned on the long
edge, and not scaled, because the scanner measures from mark to mark. With a printer that does not, print the odd pages,
put the stack back and print the even pages. Whoever leaves out the second pass has whole letters, as long as these are
not printed on both sides, and sheets with only one side, which works too.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

import pypdfium2

from print import fonts
from print.batch_pages import (
    RenderedMailing,
    RenderedPart,
    SetAside,
    draw_on_sheets,
    new_canvas,
    parts_of,
    render_manifest,
    render_part,
)
from print.correspondents import draw_correspondents
from print.joining import JoinedPdf
from print.letter_pages import draw_letter, page_count_of
from print.reply_sheet import draw_reply_sheets
from relay.domain.letter_pages import CorrespondentsSheet, LetterToPrint, Mailing, Manifest, Unprintable
from relay.domain.printing import USUAL_RULES, Layout, PrintRules

PREVIEW_DPI: Final = 100
"""Enough to read 12 points on a phone, and little to send over a slow line."""
PDF_DPI: Final = 72
CORES: Final = len(os.sched_getaffinity(0))

_Given = TypeVarTuple("_Given")
_Made = TypeVar("_Made")


class RenderingDiedError(RuntimeError):
    """A process that rendered was ended by the system."""

    def __str__(self) -> str:
        return "The process that renders pages was ended, perhaps for want of memory. Try again."


class NoSuchPageError(LookupError):
    """A PDF was asked for a page that it does not have."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"There is no page {self.number}."


@dataclass(frozen=True, slots=True)
class Rendering:
    """What became of the mailings of a batch, in their order."""

    mailings: tuple[RenderedMailing, ...]
    """Those that are in the PDF."""
    set_aside: tuple[SetAside, ...]


def render(letters: Iterable[LetterToPrint]) -> bytes:
    """One PDF of all letters, each followed by its reply sheets; the same letters give the same bytes.

    Raises NoGlyphError where a text was not asked about with `unprintable`, and MissingFontError.
    """
    file = io.BytesIO()
    canvas = new_canvas(file)
    for letter in letters:
        draw_on_sheets(canvas, letter)
    canvas.save()
    return file.getvalue()


def preview(letter: LetterToPrint) -> list[bytes]:
    """The printed pages of a letter and its reply sheets as grey PNG pictures, without the blank backs.

    Raises NoGlyphError and MissingFontError.
    """
    file = io.BytesIO()
    canvas = new_canvas(file)
    for draw in (draw_letter, draw_reply_sheets):
        for _ in draw(canvas, letter):
            canvas.showPage()
    canvas.save()
    with pypdfium2.PdfDocument(file.getvalue()) as document:
        return [_png(page, PREVIEW_DPI) for page in document]


def correspondents_pdf(sheet: CorrespondentsSheet) -> bytes:
    """The sheet "who wrote to me" by itself. Raises NoGlyphError and MissingFontError."""
    file = io.BytesIO()
    canvas = new_canvas(file)
    for _ in draw_correspondents(canvas, sheet):
        canvas.showPage()
    canvas.save()
    return file.getvalue()


class RenderingPool:
    """Renders in processes of its own, so that an event loop never waits.

    This is the printer's `relay.domain.ports.LetterPages`. The processes start with the first letter and end with
    `close`.
    """

    def __init__(self, processes: int = CORES) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def unprintable(self, text: str) -> list[Unprintable]:
        """The characters of the text that cannot be printed, in their order."""
        return fonts.unprintable(text)

    def page_count(self, text: str, layout: Layout = Layout.NORMAL, rules: PrintRules = USUAL_RULES) -> int:
        """How many letter pages the text fills, without photos and reply sheets."""
        return page_count_of(text, layout=layout, rules=rules)

    async def preview(self, letter: LetterToPrint) -> list[bytes]:
        """The pages of the letter and its reply sheets as PNG pictures.

        Raises as the function `preview` does, and RenderingDiedError.
        """
        return await self.run(preview, letter)

    async def picture_of_page(self, pdf: bytes | Path, number: int, dpi: int = PREVIEW_DPI) -> bytes:
        """A page of a PDF of ours as a grey PNG picture; pages are counted from 1.

        Raises NoSuchPageError and RenderingDiedError.
        """
        return await self.run(_picture_of_page, pdf, number, dpi)

    async def render(
        self,
        mailings: AsyncIterable[Mailing],
        manifest: Callable[[Rendering], Manifest],
        into: Path,
        progress: Callable[[int], Awaitable[None]],
    ) -> Rendering:
        """Write one PDF of all mailings to a file: the manifest, and mailing after mailing what goes into its envelope.

        The same mailings and the same manifest give the same bytes, whatever the number of processes. A letter that
        cannot be drawn is set aside and the others are rendered, also one that ends its process, with its whole
        mailing; a mailing without letters has no pages. `progress` is awaited with the number of letters done so far.
        The file holds opened content: see `relay.opened`.

        Raises NoGlyphError where the manifest cannot be printed, MissingFontError, and RenderingDiedError.
        """
        mailed: list[RenderedMailing] = []
        aside: list[SetAside] = []
        letters = 0
        with into.open("wb") as file:
            joined = JoinedPdf(file)
            async with aclosing(self._parts(mailings)) as parts:
                async for part in parts:
                    if part.mailings:
                        await asyncio.to_thread(joined.add, part.pdf)
                    mailed += part.mailings
                    aside += part.set_aside
                    letters += part.letters
                    await progress(letters)
            rendering = Rendering(tuple(mailed), tuple(aside))
            joined.add(await self.run(render_manifest, manifest(rendering)), in_front=True)
            await asyncio.to_thread(joined.finish)
        return rendering

    async def _parts(self, mailings: AsyncIterable[Mailing]) -> AsyncGenerator[RenderedPart, None]:
        """The parts in their order; no more are begun than keep all processes busy."""
        begun: deque[tuple[dict[int, Mailing], asyncio.Task[RenderedPart]]] = deque()
        try:
            async for part in parts_of(mailings):
                begun.append((part, asyncio.create_task(self.run(render_part, part))))
                if len(begun) > self._processes:
                    async for done in self._finished(*begun.popleft()):
                        yield done
            while begun:
                async for done in self._finished(*begun.popleft()):
                    yield done
        finally:
            for _, task in begun:
                task.cancel()
            await asyncio.gather(*(task for _, task in begun), return_exceptions=True)

    async def _finished(
        self, part: dict[int, Mailing], task: asyncio.Task[RenderedPart]
    ) -> AsyncGenerator[RenderedPart, None]:
        """The part. Where its process was ended, perhaps by one of its letters, each mailing is tried for itself."""
        try:
            yield await task
        except RenderingDiedError:
            alone = RenderingPool(1)
            try:
                for place, mailing in part.items():
                    try:
                        yield await alone.run(render_part, {place: mailing})
                    except RenderingDiedError as error:
                        aside = (SetAside(place, number, str(error)) for number in range(len(mailing.letters)))
                        yield RenderedPart(b"", (), tuple(aside), len(mailing.letters))
            finally:
                await alone.close()

    async def close(self) -> None:
        """Wait for what is being rendered, drop what has not begun, and end the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    async def run(self, work: Callable[[*_Given], _Made], *given: *_Given) -> _Made:
        """What a function makes in another process; the function and all it is given have to be picklable.

        Raises what the function raises, and RenderingDiedError.
        """
        if self._pool is None:
            # A forked child would inherit the locks and sockets of a server that is running.
            self._pool = ProcessPoolExecutor(
                self._processes, multiprocessing.get_context("spawn"), initializer=_live_as_long_as_the_relay
            )
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work, *given)
        except BrokenProcessPool as error:
            # One process that the system killed spoils its pool for ever; the next letter gets a new one.
            if self._pool is pool:
                self._pool = None
            raise RenderingDiedError from error


def _live_as_long_as_the_relay() -> None:
    # Ctrl-C goes to all processes of a terminal, but the relay lets what is being rendered finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay = multiprocessing.parent_process()
    assert relay is not None

    def end() -> None:
        relay.join()
        os._exit(1)  # it was killed and closed nothing: the pool would wait for letters for ever

    threading.Thread(target=end, daemon=True).start()


def _picture_of_page(pdf: bytes | Path, number: int, dpi: int) -> bytes:
    with pypdfium2.PdfDocument(pdf) as document:
        if not 0 < number <= len(document):
            raise NoSuchPageError(number)
        return _png(document[number - 1], dpi)


def _png(page: pypdfium2.PdfPage, dpi: int) -> bytes:
    file = io.BytesIO()
    # Pillow's usual compression: five times as fast as its best, and only 3 in 100 larger.
    page.render(scale=dpi / PDF_DPI, grayscale=True).to_pil().save(file, "PNG")
    return file.getvalue()

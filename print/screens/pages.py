"""The pages of a batch: the file for the printer, and pictures of single pages."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from itertools import accumulate
from typing import Final

import pypdfium2
from aiohttp import hdrs, web

from print import queue, steps
from print.printing import PRINTING
from print.screens.batch import batch_of
from print.screens.measures import show
from relay.opened import private_folder

ROUTES: Final = web.RouteTableDef()
PAGES_OF_SHEET: Final = 2
"""Pages of the PDF for each sheet of paper."""
DIGITS: Final = 6
"""Of the number of a page at most."""


@ROUTES.get("/{language}/print/{batch}.pdf", name="batch_pdf")
async def pdf(request: web.Request) -> web.StreamResponse:
    """The pages of a batch, sent while they are opened."""
    first, chunks = await _pages(request)
    name = f"batch-{request.match_info['batch'][:8]}.pdf"
    response = web.StreamResponse(headers={"Content-Disposition": f'inline; filename="{name}"'})
    response.content_type = "application/pdf"
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    try:
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
    except Exception:
        if request.transport is not None:
            request.transport.abort()  # half a file must not look like a whole one
        raise
    return response


async def _pages(request: web.Request) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first piece of the pages of a batch, and the others. Raises HTTPNotFound where there are none."""
    printing = request.config_dict[PRINTING]
    chunks = steps.batch_chunks(printing.store, request.match_info["batch"], printing.office)
    try:
        return await anext(chunks), chunks
    except steps.NotRenderedError:
        raise web.HTTPNotFound from None


@ROUTES.get("/{language}/print/{batch}/page", name="batch_page")
async def page(request: web.Request) -> web.Response:
    """The picture of one page of a batch: of this ?number=, or the first of this ?envelope=."""
    batch, (first, chunks) = await batch_of(request), await _pages(request)
    printing = request.config_dict[PRINTING]
    async with printing.store.database.reading() as connection:
        sheets = [envelope.sheets for envelope in await queue.envelopes_of(connection, batch.id)]
    with private_folder() as folder:
        file = folder / steps.BATCH_PDF
        with file.open("wb") as opened:
            opened.write(first)
            async for chunk in chunks:
                opened.write(chunk)
        with pypdfium2.PdfDocument(file) as document:
            count = len(document)
        begins = _first_pages(sheets, count)
        number = _number(request.query.get("number"))
        if "envelope" in request.query:
            number = begins.get(_number(request.query["envelope"]), number)
        number = min(max(number, 1), count)
        picture = await printing.pages.picture_of_page(file, number)
    return show(
        request,
        "page.html",
        batch=batch,
        number=number,
        count=count,
        envelope=max((envelope for envelope, begin in begins.items() if begin <= number), default=None),
        source=f"data:image/png;base64,{b64encode(picture).decode()}",
    )


def _first_pages(sheets: Sequence[int], count: int) -> dict[int, int]:
    """On which of the pages each envelope begins, by its number; before the first stands the list of all."""
    own = [PAGES_OF_SHEET * of_one for of_one in sheets]
    return dict(enumerate(accumulate(own[:-1], initial=count - sum(own) + 1), start=1)) if own else {}


def _number(typed: str | None) -> int:
    return int(typed) if typed and typed.isascii() and typed.isdecimal() and len(typed) <= DIGITS else 1

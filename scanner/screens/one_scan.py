"""One received file with all its pages: what became of each, and what can be taken back."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Final

import sqlalchemy as sa
from aiohttp import web
from PIL import Image

from relay.domain.lives import PageState, Record, ReplyState
from relay.domain.reasons import PAGE_DOUBTS
from relay.domain.scan_parts import page_picture
from relay.sealing import Context
from relay.store.blobs import BlobMissingError
from relay.store.sealed import open_part
from relay.store.tables import pages, replies
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import received, steps
from scanner.limits import GOES_AGAIN
from scanner.screens.overview import SECONDS, refusals
from scanner.screens.words import METHODS, SOURCES

ROUTES: Final = web.RouteTableDef()
AT_ONCE: Final = 60
"""Pages of a scan on one screen."""
SMALL: Final = 240
"""Width of a small picture in pixels: enough to tell pages apart, too little to read them."""


@ROUTES.get("/{language}/scan/{scan}", name="scan")
async def show(request: web.Request) -> web.Response:
    """A scan with its pages, AT_ONCE at a time; ?from= is the first."""
    return await _show(request)


async def _show(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    asked = request.query.get("from", "")
    first = max(1, int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) <= len("9999") else 1
    async with request.config_dict[STORE].database.reading() as connection:
        try:
            scan = await received.one(connection, request.match_info["scan"], request.config_dict[OFFICE_KEY])
        except received.NoSuchScanError:
            raise web.HTTPNotFound from None
        found = await received.pages_of(connection, scan.id, first, first + AT_ONCE - 1)
    reading = scan.state == "received" and not scan.problem
    answer = render(
        request,
        "scanner/scan.html",
        status,
        scan=scan,
        pages=found,
        first=first,
        at_once=AT_ONCE,
        reading=reading,
        doubts=PAGE_DOUBTS,
        reasons=refusals(request),
        goes_again=GOES_AGAIN,
        methods=METHODS,
        sources=SOURCES,
        complaint=complaint,
    )
    if reading and "still" not in request.query:
        answer.headers["Refresh"] = str(SECONDS)
    return answer


@ROUTES.post("/{language}/scan/{scan}", name="scan")
async def take_back(request: web.Request) -> web.Response:
    """Put a page on the heap again that was put away or taken for empty."""
    data = await fields_of(request)
    try:
        await steps.take_back(request.config_dict[STORE], data.get("back", ""), request[VOLUNTEER].id)
    except steps.PageNotOpenError:
        _ = words(request)
        return await _show(request, 409, _("This page was not put away, or somebody took it back already."))
    raise web.HTTPSeeOther(path_to(request, "page", page=data["back"]))


@ROUTES.get("/{language}/scan/page/{page}/small.jpg", name="page_small")
async def small(request: web.Request) -> web.Response:
    """A small picture of a page, to tell it from others; of a page whose answer is released there is none."""
    jpeg = await asyncio.to_thread(_small, await _picture(request, pages.c.state != PageState.WAITING))
    return web.Response(body=jpeg, content_type="image/jpeg")


@ROUTES.get("/{language}/scan/page/{page}/picture.jpg", name="page_picture")
async def picture(request: web.Request) -> web.Response:
    """The picture of a page that is in no answer."""
    unplaced = pages.c.state.in_([PageState.UNMATCHED, PageState.HELD, PageState.VOID])
    return web.Response(body=await _picture(request, unplaced), content_type="image/jpeg")


async def _picture(request: web.Request, which: sa.ColumnElement[bool]) -> bytes:
    store = request.config_dict[STORE]
    released = sa.exists().where(replies.c.id == pages.c.reply_id, replies.c.state == ReplyState.RELEASED)
    query = sa.select(pages.c.scan_id, pages.c.number).where(
        pages.c.id == request.match_info["page"], which, sa.or_(pages.c.state != PageState.PLACED, ~released)
    )
    async with store.database.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise web.HTTPNotFound
    context = Context(Record.SCAN, row.scan_id)
    try:
        return await open_part(store, context, page_picture(row.number), request.config_dict[OFFICE_KEY])
    except BlobMissingError:
        raise web.HTTPNotFound from None


def _small(jpeg: bytes) -> bytes:
    file = BytesIO()
    with Image.open(BytesIO(jpeg)) as picture:
        # Decodes at a fraction of the size, which takes a few milliseconds for a page.
        picture.draft("L", (SMALL, SMALL))
        picture.thumbnail((SMALL, SMALL * 2))
        picture.convert("L").save(file, "JPEG", quality=60)
    return file.getvalue()

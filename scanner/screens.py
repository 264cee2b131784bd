"""The screens of the scanning: upload, what came, and the pages that wait for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import BodyPartReader, web

from relay.domain.lives import Actor, Who
from relay.domain.reasons import PAGE_DOUBTS
from relay.store.sealed import find_blob
from relay.store.transitions import NotThereError
from relay.web.keys import OFFICE_KEY, SETTINGS, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import heap, steps
from scanner.jobs import limits
from scanner.limits import GOES_AGAIN, REASONS, Reason, limit_of

ROUTES: Final = web.RouteTableDef()
FILES_AT_ONCE: Final = 50
NAME_KEPT: Final = 200
"""Characters of a file name that are kept; it is a label, never a path."""
CHUNK: Final = 256 * 1024


class FileTooLargeError(Exception):
    """An uploaded file is larger than a scan may be."""


@ROUTES.get("/{language}/scan", name="scans")
async def overview(request: web.Request) -> web.Response:
    """What came, and how many pages wait."""
    return await _overview(request)


async def _overview(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    _ = words(request)
    settings = request.config_dict[SETTINGS]
    async with request.config_dict[STORE].database.reading() as connection:
        received = await heap.received(connection, request.config_dict[OFFICE_KEY])
        waiting = await heap.waiting_pages(connection)
    reasons = {
        reason: _(sentence).format(limit=limit_of(reason, limits(settings))) for reason, sentence in REASONS.items()
    }
    return render(
        request,
        "scanner/scans.html",
        status,
        received=received,
        waiting=waiting,
        doubts=PAGE_DOUBTS,
        reasons=reasons,
        goes_again=GOES_AGAIN,
        complaint=complaint,
    )


@ROUTES.post("/{language}/scan", name="scans")
async def upload(request: web.Request) -> web.Response:
    """Take in files. Each is stored whole before the answer."""
    _ = words(request)
    if not request.content_type.startswith("multipart/"):
        raise web.HTTPNotFound
    settings, by = request.config_dict[SETTINGS], Actor(Who.VOLUNTEER, request[VOLUNTEER].id)
    reader = await request.multipart()
    count = 0
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.filename:
            continue
        count += 1
        if count > FILES_AT_ONCE:
            complaint = _("At most {limit} files at once; the first {limit} were taken.").format(limit=FILES_AT_ONCE)
            return await _overview(request, 413, complaint)
        try:
            name = part.filename[-NAME_KEPT:]
            await steps.take_in(
                request.config_dict[STORE], _limited(part, settings.scan.max_megabytes * 1_000_000), name, by
            )
        except FileTooLargeError:
            sentence = _(REASONS[Reason.TOO_LARGE]).format(limit=settings.scan.max_megabytes)
            return await _overview(request, 413, f"{part.filename[-NAME_KEPT:]}: {sentence}")
    if count == 0:
        return await _overview(request, 422, _("No file was chosen."))
    raise web.HTTPSeeOther(path_to(request, "scans"))


async def _limited(part: BodyPartReader, most: int) -> AsyncIterator[bytes]:
    size = 0
    while chunk := await part.read_chunk(CHUNK):
        size += len(chunk)
        if size > most:
            raise FileTooLargeError
        yield chunk


@ROUTES.post("/{language}/scan/{scan}/again", name="scan_again")
async def try_again(request: web.Request) -> web.Response:
    """Let a file be read again, or its replies be assembled again, that were set aside."""
    try:
        await steps.try_again(request.config_dict[STORE], request.match_info["scan"], request[VOLUNTEER].id)
    except NotThereError:
        raise web.HTTPNotFound from None
    raise web.HTTPSeeOther(path_to(request, "scans"))


@ROUTES.get("/{language}/scan/page/{page}", name="page")
async def page(request: web.Request) -> web.Response:
    """One page of the heap, beside the letters that it might answer."""
    return await _page(request)


async def _page(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    office = request.config_dict[OFFICE_KEY]
    search = request.query.get("q", "").strip()[:100]
    async with request.config_dict[STORE].database.reading() as connection:
        try:
            waiting, reading, _ = await heap.waiting_page(connection, request.match_info["page"], office)
        except heap.NoSuchPageError:
            raise web.HTTPSeeOther(path_to(request, "scans")) from None
        candidates = await heap.candidates(connection, office, reading.suggested, search)
    return render(
        request,
        "scanner/page.html",
        status,
        page=waiting,
        doubt=PAGE_DOUBTS[waiting.doubt],
        candidates=candidates,
        search=search,
        complaint=complaint,
    )


@ROUTES.post("/{language}/scan/page/{page}", name="page")
async def decide(request: web.Request) -> web.Response:
    """Give a page to a letter, or put it away."""
    _ = words(request)
    store, volunteer = request.config_dict[STORE], request[VOLUNTEER].id
    data = await fields_of(request)
    try:
        if letter := data.get("letter"):
            await steps.place_by_hand(store, request.match_info["page"], letter, volunteer)
        elif data.get("decision") == "void":
            await steps.put_away(store, request.match_info["page"], volunteer)
        else:
            return await _page(request, 422, _("Please choose a letter."))
    except steps.PageNotOpenError:
        complaint = _("This page was decided about already, or this letter cannot have an answer.")
        return await _overview(request, 409, complaint)
    raise web.HTTPSeeOther(path_to(request, "scans"))


@ROUTES.get("/{language}/scan/page/{page}/picture.jpg", name="page_picture")
async def picture(request: web.Request) -> web.Response:
    """The picture of a page of the heap."""
    store = request.config_dict[STORE]
    async with store.database.reading() as connection:
        try:
            waiting, _, key = await heap.waiting_page(
                connection, request.match_info["page"], request.config_dict[OFFICE_KEY]
            )
        except heap.NoSuchPageError:
            raise web.HTTPNotFound from None
        blob_id = await find_blob(connection, key.context, steps.page_picture(waiting.number))
    return web.Response(body=await store.blobs.get_bytes(blob_id, key), content_type="image/jpeg")

"""The screens on which a volunteer looks a reply over before its sender gets it."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Final

from aiohttp import web
from PIL import Image

from relay.domain.lives import ReplyState
from relay.domain.reasons import REPLY_DOUBTS
from relay.domain.scan_parts import page_picture, page_untouched
from relay.domain.sheet import TICKS, Tick, tick_box
from relay.domain.ticks import TICK_WORDS
from relay.store.blobs import BlobMissingError
from relay.store.sealed import find_blob
from relay.store.transitions import NotThereError
from relay.web.keys import LANGUAGE, OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import forwarding, replies, reply_steps, tick_steps
from scanner.covering import cover
from scanner.replies import CheckedPage, CheckedReply
from scanner.screens.words import METHODS

ROUTES: Final = web.RouteTableDef()


def _(sentence: str) -> str:
    return sentence


DECIDED: Final = _("Somebody decided about this reply meanwhile. Nothing was changed.")
"""What a volunteer reads who came too late."""
_CHANGED: Final = _("Somebody changed this reply meanwhile. Please look at it again.")
GONE: Final = (
    replies.NoSuchReplyError,
    reply_steps.ReplyNotHeldError,
    reply_steps.PageNotPlacedError,
    NotThereError,
)
"""What is raised where somebody else was quicker."""


@ROUTES.get("/{language}/replies", name="replies")
async def overview(request: web.Request) -> web.Response:
    """The replies that wait for a look, and those that were released lately."""
    return await list_replies(request)


async def list_replies(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    """The list of replies, with what went wrong."""
    async with request.config_dict[STORE].database.reading() as connection:
        held = await replies.held(connection)
        released = await replies.released(connection)
        ticks = await replies.open_tick_count(connection)
    return render(
        request,
        "scanner/replies.html",
        status,
        held=held,
        released=released,
        ticks=ticks,
        doubts=REPLY_DOUBTS,
        complaint=complaint and words(request)(complaint),
    )


@ROUTES.get("/{language}/replies/{reply}", name="check_reply")
async def show(request: web.Request) -> web.Response:
    """A reply that waits for a look, with all of its pages; of a released one what can be corrected."""
    return await _reply(request)


async def _reply(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    async with request.config_dict[STORE].database.reading() as connection:
        try:
            reply = await replies.one(connection, request.match_info["reply"], request.config_dict[OFFICE_KEY])
        except replies.NoSuchReplyError:
            raise web.HTTPSeeOther(path_to(request, "replies")) from None
        waiting = (await replies.held_count(connection)).count
        following = await replies.next_held(connection, reply.listed.id)
    return render(
        request,
        "scanner/reply.html",
        status,
        reply=reply,
        held=reply.state is ReplyState.HELD,
        unclear=any(not tick.clear and not tick.settled for one in reply.pages for tick in one.ticks),
        doubt=REPLY_DOUBTS[reply.listed.doubt] if reply.listed.doubt else None,
        waiting=waiting,
        following=following,
        released="released" in request.query,
        methods=METHODS,
        tick_words=TICK_WORDS,
        crop=crop,
        complaint=complaint and words(request)(complaint),
    )


@ROUTES.post("/{language}/replies/{reply}", name="check_reply")
async def decide(request: web.Request) -> web.Response:
    """Let a reply be released, take a page out of it, keep it from others, or say whether a box is ticked."""
    store, volunteer, reply_id = request.config_dict[STORE], request[VOLUNTEER].id, request.match_info["reply"]
    data = await fields_of(request)
    try:
        async with store.database.reading() as connection:
            reply = await replies.one(connection, reply_id, request.config_dict[OFFICE_KEY])
            following = await replies.next_held(connection, reply_id)
        inside = {one.page.id for one in reply.pages}
        if data.get("do") in {"release", "complete"}:
            complete, seen = data["do"] == "complete", data.get("version", "")
            await reply_steps.check(store, reply_id, volunteer, complete=complete, seen=seen)
            raise _next(request, following)
        if (page_id := data.get("out")) in inside:
            await reply_steps.take_out(store, page_id, volunteer)
            if len(inside) == 1:
                raise _next(request, following, released=False)
        elif data.get("do") == "keep":
            await forwarding.take_back(store, reply_id, volunteer)
        elif (page_id := data.get("page")) in inside and data.get("tick") in tuple(Tick):
            await tick_steps.settle(store, page_id, Tick(data["tick"]), volunteer, ticked=data.get("ticked") == "yes")
        else:
            raise web.HTTPNotFound
    except reply_steps.ReplyChangedError:
        return await _reply(request, 409, _CHANGED)
    except GONE:
        return await list_replies(request, 409, DECIDED)
    raise web.HTTPSeeOther(path_to(request, "check_reply", reply=reply_id))


def _next(request: web.Request, following: str | None, *, released: bool = True) -> web.HTTPSeeOther:
    """To the next reply that waits, or to the list of them."""
    name, parts = ("check_reply", {"reply": following}) if following else ("replies", {})
    place = request.app.router[name].url_for(language=request[LANGUAGE], **parts)
    return web.HTTPSeeOther(place.with_query(released="1") if released and following else place)


def crop(tick: Tick) -> str:
    """The part of a straightened page in which a tick box stands with its words, as viewBox in mm."""
    box, margin = tick_box(tick), 1.5
    width = TICKS.width / 2 - margin
    return f"{box.x - margin} {box.y - margin} {width} {box.height + 2 * margin}"


# --- pictures


async def page_in_reply(request: web.Request) -> tuple[CheckedReply, CheckedPage]:
    """The page that the address names, and the reply that it is in. Raises HTTPNotFound."""
    async with request.config_dict[STORE].database.reading() as connection:
        try:
            return await replies.with_page(connection, request.match_info["page"], request.config_dict[OFFICE_KEY])
        except replies.NoSuchReplyError:
            raise web.HTTPNotFound from None


async def read_picture(request: web.Request, reply: CheckedReply, part: str) -> bytes:
    """A picture of a page of a reply. Raises HTTPNotFound."""
    store = request.config_dict[STORE]
    try:
        async with store.database.reading() as connection:
            blob_id = await find_blob(connection, reply.key.context, part)
    except BlobMissingError:
        raise web.HTTPNotFound from None
    return await store.blobs.get_bytes(blob_id, reply.key)


def size_of(jpeg: bytes) -> tuple[int, int]:
    """Width and height of one of our own pictures, in pixels; only its head is read."""
    with Image.open(BytesIO(jpeg), formats=["JPEG"]) as picture:
        return picture.size


@ROUTES.get("/{language}/replies/page/{page}.jpg", name="reply_page_picture")
async def picture(request: web.Request) -> web.Response:
    """The picture of a page of a reply, as its sender gets it: what is covered is black."""
    reply, one = await page_in_reply(request)
    jpeg = await read_picture(request, reply, page_picture(one.page.number))
    if one.page.covered:
        jpeg = await asyncio.to_thread(cover, jpeg, one.page.covered)
    return web.Response(body=jpeg, content_type="image/jpeg")


@ROUTES.get("/{language}/replies/page/{page}/scanned.jpg", name="reply_page_scanned")
async def scanned(request: web.Request) -> web.Response:
    """A page of a reply as it was scanned."""
    reply, one = await page_in_reply(request)
    jpeg = await read_picture(request, reply, page_untouched(one.page.number))
    return web.Response(body=jpeg, content_type="image/jpeg")

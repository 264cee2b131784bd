"""The inbox: follow letters, take them back, read the replies."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk import steps
from relay.desk.inbox import (
    NoSuchInboxError,
    check_owner,
    letter_photo,
    read_inbox,
    read_reply,
    reply_part,
    secret_in,
)
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part, reply_untouched_part
from relay.domain.sheet import Tick
from relay.domain.ticks import FOR_SENDER, TICK_WORDS
from relay.sealing import InboxSecret, SealBrokenError
from relay.store.blobs import BlobMissingError
from relay.web.keys import STORE
from relay.web.site import fields_of, path_to, render

ROUTES: Final = web.RouteTableDef()


@ROUTES.post("/{language}/inbox", name="open_inbox")
async def open_inbox(request: web.Request) -> web.Response:
    """Open an inbox by its claim phrase."""
    store = request.config_dict[STORE]
    secret = InboxSecret.from_phrase((await fields_of(request, with_nul=True)).get("phrase", ""))
    try:
        async with store.database.reading() as connection:
            await read_inbox(connection, secret, store.database.clock())
    except NoSuchInboxError:
        return render(request, "desk/no_inbox.html", 404)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


@ROUTES.get("/{language}/inbox/{secret}", name="inbox")
async def inbox(request: web.Request) -> web.Response:
    """All letters and replies of an inbox."""
    store = request.config_dict[STORE]
    try:
        secret = secret_in(request.match_info["secret"])
        async with store.database.reading() as connection:
            letters = await read_inbox(connection, secret, store.database.clock())
    except NoSuchInboxError:
        return render(request, "desk/no_inbox.html", 404)
    return render(request, "desk/inbox.html", letters=letters, secret=secret.link, too_late=False)


@ROUTES.post("/{language}/inbox/{secret}/withdraw/{letter}", name="withdraw")
async def withdraw(request: web.Request) -> web.Response:
    """Take a letter back."""
    store = request.config_dict[STORE]
    try:
        secret = secret_in(request.match_info["secret"])
        async with store.database.reading() as connection:
            await check_owner(connection, secret, request.match_info["letter"])
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    try:
        await steps.withdraw(store, request.match_info["letter"])
    except steps.TooLateToWithdrawError:
        async with store.database.reading() as connection:
            letters = await read_inbox(connection, secret, store.database.clock())
        return render(request, "desk/inbox.html", 409, letters=letters, secret=secret.link, too_late=True)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}", name="reply")
async def reply(request: web.Request) -> web.Response:
    """One reply: its pictures and what was read from them."""
    try:
        secret = secret_in(request.match_info["secret"])
        async with request.config_dict[STORE].database.reading() as connection:
            found = await read_reply(connection, secret, request.match_info["reply"])
    except (NoSuchInboxError, SealBrokenError):
        raise web.HTTPNotFound from None
    ticked = [(TICK_WORDS[tick], FOR_SENDER.get(tick)) for tick in Tick if tick in found.transcript.ticks]
    return render(request, "desk/reply.html", reply=found, secret=secret.link, ticked=ticked)


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}/reply.pdf", name="reply_pdf")
async def reply_pdf(request: web.Request) -> web.Response:
    """The reply as one PDF."""
    return await _serve(request, REPLY_PDF, "application/pdf")


@ROUTES.get(r"/{language}/inbox/{secret}/reply/{reply}/{number:[1-9]\d{0,3}}.jpg", name="reply_picture")
async def reply_picture(request: web.Request) -> web.Response:
    """One page of the reply as a picture."""
    return await _serve(request, reply_picture_part(int(request.match_info["number"])), "image/jpeg")


@ROUTES.get(r"/{language}/inbox/{secret}/reply/{reply}/{number:[1-9]\d{0,3}}-scanned.jpg", name="reply_untouched")
async def reply_untouched(request: web.Request) -> web.Response:
    """One page of the reply as it was scanned."""
    return await _serve(request, reply_untouched_part(int(request.match_info["number"])), "image/jpeg")


async def _serve(request: web.Request, part: str, content_type: str) -> web.Response:
    try:
        data = await reply_part(
            request.config_dict[STORE], secret_in(request.match_info["secret"]), request.match_info["reply"], part
        )
    except (NoSuchInboxError, SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None
    return web.Response(body=data, content_type=content_type)


@ROUTES.get(r"/{language}/inbox/{secret}/letter/{letter}/{number:[1-9]\d?}.jpg", name="letter_photo")
async def photo(request: web.Request) -> web.Response:
    """A photo that the sender sent with a letter."""
    parts = request.match_info
    try:
        data = await letter_photo(
            request.config_dict[STORE], secret_in(request.match_info["secret"]), parts["letter"], int(parts["number"])
        )
    except (NoSuchInboxError, SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None
    return web.Response(body=data, content_type="image/jpeg")

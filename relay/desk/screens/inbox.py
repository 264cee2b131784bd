"""The inbox: follow letters, take them back, read the replies, choose what comes by mail."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk import steps
from relay.desk.inbox import NoSuchInboxError, check_owner, letter_photo, read_inbox, secret_in
from relay.desk.mail_choice import choose, read_choice
from relay.desk.replies import read_reply, reply_part
from relay.desk.thumbnails import thumbnail
from relay.desk.timeline import timelines
from relay.domain.letters import Wants
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part, reply_untouched_part
from relay.domain.sheet import Tick
from relay.domain.ticks import FOR_SENDER, TICK_WORDS
from relay.mail.suppression import trouble
from relay.sealing import InboxSecret, SealBrokenError
from relay.store.blobs import BlobMissingError
from relay.web.keys import DURATIONS, LANGUAGE, STORE
from relay.web.site import fields_of, path_to, render

ROUTES: Final = web.RouteTableDef()


SENT: Final = "sent"
"""Stands in the address of an inbox behind a letter that was just sent."""
PAGE: Final = r"{number:[1-9]\d{0,3}}"
ONE_CLICK: Final = "List-Unsubscribe"
"""What a mail program sends when somebody presses its button (RFC 8058)."""


@ROUTES.post("/{language}/inbox", name="open_inbox")
async def open_inbox(request: web.Request) -> web.Response:
    """Open an inbox by its claim phrase."""
    secret = InboxSecret.from_phrase((await fields_of(request, with_nul=True)).get("phrase", ""))
    try:
        async with request.config_dict[STORE].database.reading() as connection:
            await read_choice(connection, secret)
    except NoSuchInboxError:
        return _nothing(request)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


def _nothing(request: web.Request) -> web.Response:
    return render(request, "desk/no_inbox.html", 404)


@ROUTES.get("/{language}/inbox/{secret}", name="inbox")
async def inbox(request: web.Request) -> web.Response:
    """All letters and replies of an inbox, those of long ago folded."""
    try:
        return await _inbox(request, secret_in(request.match_info["secret"]))
    except NoSuchInboxError:
        return _nothing(request)


async def _inbox(
    request: web.Request, secret: InboxSecret, status: int = 200, *, too_late: bool = False
) -> web.Response:
    store, times = request.config_dict[STORE], await request.config_dict[DURATIONS].usual()
    async with store.database.reading() as connection:
        found = await read_inbox(connection, secret, store.database.clock(), request.query.get("letter", ""))
        choice = await read_choice(connection, secret)
        bounced = await trouble(connection, found.id)
        lines = await timelines(connection, found.letters, times, store.database.clock(), request[LANGUAGE])
    return render(
        request,
        "desk/inbox.html",
        status,
        inbox=found,
        timelines=lines,
        secret=secret.link,
        choice=choice,
        trouble=bounced,
        sent=SENT in request.query,
        too_late=too_late,
    )


@ROUTES.post("/{language}/inbox/{secret}/withdraw/{letter}", name="withdraw")
async def withdraw(request: web.Request) -> web.Response:
    """Take a letter back."""
    store = request.config_dict[STORE]
    try:
        secret = secret_in(request.match_info["secret"])
        async with store.database.reading() as connection:
            await check_owner(connection, secret, request.match_info["letter"])
        await steps.withdraw(store, request.match_info["letter"])
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    except steps.TooLateToWithdrawError:
        return await _inbox(request, secret, 409, too_late=True)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


@ROUTES.get("/{language}/inbox/{secret}/mails", name="mail_choice")
async def mail_choice(request: web.Request) -> web.Response:
    """What the sender wants by mail."""
    try:
        secret = secret_in(request.match_info["secret"])
        async with request.config_dict[STORE].database.reading() as connection:
            choice = await read_choice(connection, secret)
            bounced = await trouble(connection, choice.inbox_id)
    except NoSuchInboxError:
        return _nothing(request)
    return render(
        request,
        "desk/mails.html",
        secret=secret.link,
        choice=choice,
        trouble=bounced,
        saved="saved" in request.query,
    )


@ROUTES.post("/{language}/inbox/{secret}/mails", name="mail_choice")
async def choose_mails(request: web.Request) -> web.Response:
    """Change what the sender wants by mail: from the screen, or from the button of a mail program (RFC 8058)."""
    fields = await fields_of(request)
    one_click = fields.get(ONE_CLICK) == "One-Click"
    wants = Wants.NOTHING if one_click else fields.get("wants")
    if wants not in tuple(Wants):
        raise web.HTTPBadRequest
    try:
        secret = secret_in(request.match_info["secret"])
        await choose(request.config_dict[STORE], secret, Wants(wants))
    except NoSuchInboxError:
        return _nothing(request)
    if one_click:
        return web.Response(text="")
    raise web.HTTPSeeOther(f"{path_to(request, 'mail_choice', secret=secret.link)}?saved")


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}", name="reply")
async def reply(request: web.Request) -> web.Response:
    """One reply, page by page: its pictures and what was read from them."""
    try:
        secret = secret_in(request.match_info["secret"])
        async with request.config_dict[STORE].database.reading() as connection:
            found = await read_reply(connection, secret, request.match_info["reply"])
    except (NoSuchInboxError, SealBrokenError):
        raise web.HTTPNotFound from None
    asked, pages = request.query.get("page", "1"), len(found.transcript.pages)
    page = int(asked) if asked in map(str, range(1, pages + 1)) else 1
    ticked = [(TICK_WORDS[tick], FOR_SENDER.get(tick)) for tick in Tick if tick in found.transcript.ticks]
    return render(request, "desk/reply.html", reply=found, page=page, pages=pages, secret=secret.link, ticked=ticked)


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}/reply.pdf", name="reply_pdf")
async def reply_pdf(request: web.Request) -> web.Response:
    """The reply as one PDF."""
    return await _serve(request, REPLY_PDF, "application/pdf")


@ROUTES.get(f"/{{language}}/inbox/{{secret}}/reply/{{reply}}/{PAGE}.jpg", name="reply_picture")
async def reply_picture(request: web.Request) -> web.Response:
    """One page of the reply as a picture."""
    return await _serve(request, reply_picture_part(int(request.match_info["number"])), "image/jpeg")


@ROUTES.get(f"/{{language}}/inbox/{{secret}}/reply/{{reply}}/{PAGE}-scanned.jpg", name="reply_untouched")
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
    return web.Response(body=await _photo(request), content_type="image/jpeg")


@ROUTES.get(r"/{language}/inbox/{secret}/letter/{letter}/{number:[1-9]\d?}-small.jpg", name="letter_thumbnail")
async def small_photo(request: web.Request) -> web.Response:
    """The same, small."""
    return web.Response(body=await thumbnail(await _photo(request)), content_type="image/jpeg")


async def _photo(request: web.Request) -> bytes:
    parts = request.match_info
    try:
        return await letter_photo(
            request.config_dict[STORE], secret_in(parts["secret"]), parts["letter"], int(parts["number"])
        )
    except (NoSuchInboxError, SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None

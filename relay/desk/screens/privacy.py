"""What is stored, for how long and who can read it; and how a sender ends that at once."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk.erasing import NoSuchConversationError, ToErase, to_erase
from relay.desk.inbox import NoSuchInboxError, secret_in
from relay.retention import BATCH_KEPT
from relay.sealing import InboxSecret
from relay.store.erasing import erase_conversation
from relay.store.transitions import NotThereError
from relay.web.keys import SETTINGS, STORE
from relay.web.site import path_to, render

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/privacy", name="privacy")
async def privacy(request: web.Request) -> web.Response:
    """What is stored, for how long, and who can read it, by the settings of this installation."""
    settings = request.config_dict[SETTINGS]
    return render(
        request,
        "desk/privacy.html",
        days=settings.retention,
        days_to_confirm=settings.letter.days_to_confirm,
        batch_days=BATCH_KEPT.days,
        by_mail=bool(settings.incoming.address),
    )


@ROUTES.get("/{language}/inbox/{secret}/erase/{conversation}", name="erase")
async def ask_erase(request: web.Request) -> web.Response:
    """Says what happens. Opening it does nothing."""
    secret, found = await _found(request)
    days = request.config_dict[SETTINGS].retention
    return render(request, "desk/erase.html", found=found, secret=secret.link, days=days)


@ROUTES.post("/{language}/inbox/{secret}/erase/{conversation}", name="erase")
async def erase(request: web.Request) -> web.Response:
    """Erase the conversation; the inbox opens where there are others in it."""
    secret, found = await _found(request)
    try:
        await erase_conversation(request.config_dict[STORE], secret.lookup_hash, request.match_info["conversation"])
    except NotThereError:
        raise web.HTTPNotFound from None
    if not found.last:
        raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))
    return render(request, "desk/erased.html", found=found)


async def _found(request: web.Request) -> tuple[InboxSecret, ToErase]:
    try:
        secret = secret_in(request.match_info["secret"])
        async with request.config_dict[STORE].database.reading() as connection:
            return secret, await to_erase(connection, secret, request.match_info["conversation"])
    except (NoSuchInboxError, NoSuchConversationError):
        raise web.HTTPNotFound from None

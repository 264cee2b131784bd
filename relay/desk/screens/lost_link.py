"""The way to a new link for who has lost theirs."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk import lost_link as steps
from relay.desk.steps import TooManyThisHourError
from relay.domain.letters import AddressRefusedError, normal_address
from relay.mail.lost_links import OFFERED_FOR
from relay.web.keys import STORE
from relay.web.site import fields_of, render, words

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/lost-link", name="lost_link")
async def ask_address(request: web.Request) -> web.Response:
    """The form."""
    return render(request, "desk/lost_link.html", sent=False, complaint=None, address="")


@ROUTES.post("/{language}/lost-link", name="lost_link")
async def ask(request: web.Request) -> web.Response:
    """Keep the wish; what is answered does not depend on whether the address is known."""
    _ = words(request)
    address = (await fields_of(request)).get("address", "").strip()
    try:
        await steps.ask(request.config_dict[STORE], normal_address(address))
    except AddressRefusedError:
        complaint = _("This cannot be a mail address. Please correct it.")
    except TooManyThisHourError:
        complaint = _("Too many have asked in this hour. Please try again in the next one.")
    else:
        return render(request, "desk/lost_link.html", sent=True, days=OFFERED_FOR.days)
    return render(request, "desk/lost_link.html", 422, sent=False, complaint=complaint, address=address)


@ROUTES.get("/{language}/link/{token}", name="new_link")
async def ask_new_link(request: web.Request) -> web.Response:
    """The button. Mail scanners open links, so opening this one does nothing."""
    try:
        async with request.config_dict[STORE].database.reading() as connection:
            state = await steps.offer(connection, request.config_dict[STORE], request.match_info["token"])
    except steps.NoSuchOfferError:
        return render(request, "desk/new_link.html", 404, state=None)
    return render(request, "desk/new_link.html", state=state)


@ROUTES.post("/{language}/link/{token}", name="new_link")
async def new_link(request: web.Request) -> web.Response:
    """Let the link be replaced."""
    try:
        await steps.accept(request.config_dict[STORE], request.match_info["token"])
    except steps.NoSuchOfferError:
        return render(request, "desk/new_link.html", 404, state=None)
    return render(request, "desk/new_link.html", state="confirmed")

"""A letter takes longer than usual: ask for a copy, or take the text of a complaint."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk.inbox import NoSuchInboxError, secret_in
from relay.desk.timeline import NotLateError, ask_again, complaint
from relay.domain.languages import LANGUAGE_NAMES
from relay.sealing import SealBrokenError
from relay.web.keys import DURATIONS, LANGUAGE, STORE
from relay.web.site import path_to, render

ROUTES: Final = web.RouteTableDef()


@ROUTES.post("/{language}/inbox/{secret}/letter/{letter}/again", name="ask_again")
async def send_again(request: web.Request) -> web.Response:
    """Ask for a copy of a late letter. Where it is not late any more, the inbox shows why."""
    letter_id = request.match_info["letter"]
    times = await request.config_dict[DURATIONS].usual()
    try:
        secret = secret_in(request.match_info["secret"])
        await ask_again(request.config_dict[STORE], secret, letter_id, times)
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    except NotLateError:
        pass
    raise web.HTTPSeeOther(f"{path_to(request, 'inbox', secret=secret.link)}?letter={letter_id}#{letter_id}")


@ROUTES.get("/{language}/inbox/{secret}/letter/{letter}/complaint", name="complaint")
async def show_complaint(request: web.Request) -> web.Response:
    """The text of a complaint about a late letter."""
    database = request.config_dict[STORE].database
    letter_id = request.match_info["letter"]
    times = await request.config_dict[DURATIONS].usual()
    try:
        secret = secret_in(request.match_info["secret"])
        async with database.reading() as connection:
            found = await complaint(connection, secret, letter_id, times, database.clock(), request[LANGUAGE])
    except (NoSuchInboxError, NotLateError, SealBrokenError):
        raise web.HTTPNotFound from None
    return render(
        request, "desk/complaint.html", complaint=found, secret=secret.link, letter=letter_id, names=LANGUAGE_NAMES
    )

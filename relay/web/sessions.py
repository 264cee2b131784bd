"""Who is logged in to the office."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.store import volunteers
from relay.web.keys import STORE, VOLUNTEER
from relay.web.site import Handler, path_to

COOKIE: Final = "relay-office"
OPEN_TO_ALL: Final = ("log_in", "static")
"""The names of the routes that need no log-in."""


@web.middleware
async def only_volunteers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send whoever is not logged in to the log-in screen."""
    route = request.match_info.route
    if route.name in OPEN_TO_ALL:
        return await handler(request)
    store = request.config_dict[STORE]
    volunteer = None
    if token := request.cookies.get(COOKIE):
        async with store.database.reading() as connection:
            volunteer = await volunteers.of_session(connection, token, store.database.clock())
    if volunteer is None:
        raise web.HTTPSeeOther(path_to(request, "log_in"))
    request[VOLUNTEER] = volunteer
    return await handler(request)


def set_cookie(response: web.StreamResponse, token: str, *, secure: bool) -> None:
    """Give the session's token to the browser: not to scripts, not with requests from other sites."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(volunteers.SESSION.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=secure,
    )

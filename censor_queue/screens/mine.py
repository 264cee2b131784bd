"""The volunteer's own page: languages, own mail addresses, the evening."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from censor_queue import translations
from censor_queue.closeness import own_address_tag
from censor_queue.evening import my_evening
from censor_queue.review import REVIEW
from censor_queue.spoken import spoken_languages
from relay.domain.letters import AddressRefusedError, normal_address
from relay.store import volunteers
from relay.web.keys import LANGUAGE, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()
LANGUAGE_FIELD: Final = "language."
"""Before the code in the name of each checkbox: a name stands in a form once."""


@ROUTES.get("/{language}/mine", name="mine")
async def show(request: web.Request) -> web.Response:
    """What the volunteer registered, and the evening."""
    return await _screen(request, done=request.query.get("done"))


@ROUTES.post("/{language}/mine", name="mine")
async def change(request: web.Request) -> web.Response:
    """Choose languages; add or remove own mail addresses."""
    _ = words(request)
    store, volunteer = request.config_dict[STORE], request[VOLUNTEER].id
    data = await fields_of(request)
    do, typed = data.get("do", ""), data.get("address", "")
    tag = None
    if do in {"add", "remove"}:
        try:
            tag = own_address_tag(request.config_dict[REVIEW].office, volunteer, normal_address(typed))
        except AddressRefusedError:
            return await _screen(request, 422, typed, _("This cannot be a mail address. Please correct it."))
    async with store.database.writing() as connection:
        match do:
            case "languages":
                spoken = spoken_languages(request[LANGUAGE])
                chosen = [code for code in spoken if LANGUAGE_FIELD + code in data]
                await volunteers.set_languages(connection, volunteer, chosen)
            case "add" if tag is not None:
                await volunteers.add_address(connection, volunteer, tag)
            case "remove" if tag is not None:
                if not await volunteers.remove_address(connection, volunteer, tag):
                    complaint = _("This address is not among yours.")
                    return await _screen(request, 422, typed, complaint)
            case "remove_all":
                await volunteers.remove_address(connection, volunteer)
            case _:
                raise web.HTTPBadRequest
    raise web.HTTPSeeOther(f"{path_to(request, 'mine')}?done={do}")


async def _screen(
    request: web.Request, status: int = 200, address: str = "", complaint: str | None = None, done: str | None = None
) -> web.Response:
    database, volunteer = request.config_dict[STORE].database, request[VOLUNTEER].id
    async with database.reading() as connection:
        mine = await volunteers.languages_of(connection, volunteer)
        choices = await translations.languages_to_choose(connection, mine, request[LANGUAGE])
        waiting = await translations.waiting_languages(connection)
        addresses = await volunteers.count_addresses(connection, volunteer)
        evening = await my_evening(connection, volunteer, database.clock())
    return render(
        request,
        "censor_queue/mine.html",
        status,
        choices=choices,
        field=LANGUAGE_FIELD,
        mine=mine,
        waiting=waiting,
        addresses=addresses,
        address=address,
        complaint=complaint,
        evening=evening,
        minutes=round(evening.seconds / 60),
        done=done,
    )

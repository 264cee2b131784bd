"""The pages that wait for a person: one at a time, beside the letters that it might answer."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.domain.reasons import PAGE_DOUBTS, PageDoubt
from relay.sealing import SealBrokenError
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import heap, received, steps
from scanner.from_inside import AN_ANSWER
from scanner.screens.overview import query_of, show_overview
from scanner.screens.words import METHODS, OUTCOMES
from scanner.suggesting import WHYS

ROUTES: Final = web.RouteTableDef()
SEARCH: Final = 100
"""Characters of a search at most."""
BESIDE: Final = 2
"""Pages of the file that are shown before and after the one that is decided about."""


@ROUTES.get("/{language}/scan/page/{page}", name="page")
async def page(request: web.Request) -> web.Response:
    """One page of the heap, beside the letters that it might answer."""
    return await _page(request)


async def _page(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    office = request.config_dict[OFFICE_KEY]
    search = query_of(request, "q").strip()[:SEARCH]
    async with request.config_dict[STORE].database.reading() as connection:
        try:
            waiting, reading, _key = await heap.waiting_page(connection, request.match_info["page"], office)
        except heap.NoSuchPageError:
            raise web.HTTPSeeOther(path_to(request, "scans")) from None
        nearby = received.pages_of(connection, waiting.scan_id, waiting.number - BESIDE, waiting.number + BESIDE)
        return render(
            request,
            "scanner/page.html",
            status,
            page=waiting,
            doubt=PAGE_DOUBTS[waiting.doubt],
            scan=await received.one(connection, waiting.scan_id, office),
            nearby=await nearby,
            codes=reading.codes,
            tried=reading.tried,
            methods=METHODS,
            outcomes=OUTCOMES,
            suggested=await heap.suggested(connection, office, waiting, reading),
            whys=WHYS,
            may_begin=waiting.doubt not in AN_ANSWER,
            found=await heap.searched(connection, office, search) if search else [],
            search=search,
            waiting=await heap.waiting_count(connection),
            following=await heap.next_waiting(connection, waiting.id),
            before=await received.came_before(connection, waiting.id) if waiting.doubt is PageDoubt.DUPLICATE else None,
            complaint=complaint,
            decided=await received.page(connection, query_of(request, "decided")),
        )


@ROUTES.post("/{language}/scan/page/{page}", name="page")
async def decide(request: web.Request) -> web.Response:
    """Give a page to a letter, or put it away; then comes the next page of the heap."""
    _, store, volunteer = words(request), request.config_dict[STORE], request[VOLUNTEER].id
    page_id, data = request.match_info["page"], await fields_of(request)
    async with store.database.reading() as connection:
        following = await heap.next_waiting(connection, page_id)
    try:
        if letter := data.get("letter"):
            await steps.place_by_hand(store, request.config_dict[OFFICE_KEY], page_id, letter, volunteer)
        elif data.get("decision") == "void":
            await steps.put_away(store, page_id, volunteer)
        else:
            return await _page(request, 422, _("Please choose a letter."))
    except steps.PageNotOpenError:
        complaint = _("This page was decided about already, or this letter cannot have an answer.")
        return await show_overview(request, 409, complaint)
    except SealBrokenError:
        return await show_overview(request, 409, _("This page cannot be opened any more, so it was left as it is."))
    place = path_to(request, "page", page=following) if following else path_to(request, "scans")
    raise web.HTTPSeeOther(f"{place}?decided={page_id}")

"""The screens on which a volunteer begins a conversation with pages that answer no letter."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.claim_phrase import is_claim_phrase, new_claim_phrase
from relay.domain.languages import LANGUAGE_NAMES
from relay.domain.letters import AddressRefusedError, normal_address
from relay.locale import catalogue
from relay.mail.suppression import is_suppressed
from relay.sealing import SealBrokenError
from relay.store import directory
from relay.store.directory import Known
from relay.store.transitions import NotThereError
from relay.web.keys import OFFICE_KEY, SETTINGS, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import from_inside, heap, received
from scanner.from_inside import Beginning
from scanner.screens.heap import SEARCH
from scanner.screens.overview import show_overview
from scanner.steps import PageNotOpenError

ROUTES: Final = web.RouteTableDef()
FOUND: Final = 20
"""Prisoners that a search shows."""
AROUND: Final = 15
"""Pages of the file before and after this one that can be taken with it."""
ADDRESS: Final = 254
"""Characters of a mail address at most (RFC 5321)."""
PAGE_FIELD: Final = "page-"
"""Begins the names of the boxes by which pages are taken."""


@ROUTES.get("/{language}/scan/page/{page}/begin", name="begin")
async def ask(request: web.Request) -> web.Response:
    """Who has written it, which pages belong to it, and for whom it is."""
    return await _form(request, {f"{PAGE_FIELD}{request.match_info['page']}": "1"})


@ROUTES.post("/{language}/scan/page/{page}/begin", name="begin")
async def take(request: web.Request) -> web.Response:
    """Search the prisoner, show what will happen, or begin the conversation."""
    data = await fields_of(request)
    if data.get("do") not in {"look", "begin", "join"}:
        return await _form(request, data)
    beginning, wrong = await _read(request, data)
    if beginning is None:
        return await _form(request, data, wrong)
    if data["do"] == "look" or not is_claim_phrase(data.get("phrase", "")):
        return await _look(request, data, beginning)
    return await _begin(request, beginning)


async def _form(request: web.Request, data: dict[str, str], wrong: dict[str, str] | None = None) -> web.Response:
    search = " ".join(data.get("q", "").split())[:SEARCH]
    async with request.config_dict[STORE].database.reading() as connection:
        page, there = await _open(request, connection)
        nearby = await received.pages_of(connection, page.scan_id, page.number - AROUND, page.number + AROUND)
        chosen = await _prisoner(connection, data.get("prisoner", ""))
        ids = (await heap.named(connection, search))[:FOUND]
        found = [await directory.by_id(connection, one) for one in ids]
    if chosen is not None and chosen.prisoner_id not in ids:
        found = [chosen, *found]
    return render(
        request,
        "scanner/from_inside.html",
        422 if wrong else 200,
        page=page,
        nearby=[one for one in nearby if one.number in there],
        taken={name.removeprefix(PAGE_FIELD) for name in data if name.startswith(PAGE_FIELD)},
        found=found,
        chosen=chosen.prisoner_id if chosen else found[0].prisoner_id if len(found) == 1 else "",
        search=search,
        values=data,
        letter_language=data.get("letter_language") or request.config_dict[SETTINGS].site.language,
        letter_languages=LANGUAGE_NAMES,
        wrong=wrong or {},
    )


async def _open(request: web.Request, connection: AsyncConnection) -> tuple[received.ScanPage, dict[int, str]]:
    """The page of the address, and all of its file with which a conversation may begin: ids by number."""
    page = await received.page(connection, request.match_info["page"])
    there = await from_inside.open_numbers(connection, page.scan_id) if page else {}
    if page is None or page.number not in there:
        raise web.HTTPSeeOther(path_to(request, "scans"))
    return page, there


async def _prisoner(connection: AsyncConnection, slug: str) -> Known | None:
    return await directory.by_slug(connection, slug) if slug else None


async def _read(request: web.Request, data: dict[str, str]) -> tuple[Beginning | None, dict[str, str]]:
    """What the form says, or what is wrong with it by field."""
    _ = words(request)
    wrong: dict[str, str] = {}
    address = data.get("address", "").strip()[: ADDRESS + 1]
    if address:
        try:
            address = normal_address(address)
        except AddressRefusedError:
            wrong["address"] = _("This is no mail address.")
    language = data.get("letter_language", "")
    if language not in LANGUAGE_NAMES:
        raise web.HTTPBadRequest
    async with request.config_dict[STORE].database.reading() as connection:
        prisoner = await _prisoner(connection, data.get("prisoner", ""))
    if prisoner is None:
        wrong["prisoner"] = _("Please choose who has written it.")
    taken = tuple(name.removeprefix(PAGE_FIELD) for name in data if name.startswith(PAGE_FIELD))
    if not taken:
        wrong["pages"] = _("Please take at least one page.")
    if wrong or prisoner is None:
        return None, wrong
    join = data["do"] == "join"
    return Beginning(taken, prisoner.prisoner_id, language, address or None, data.get("phrase", ""), join), {}


async def _look(request: web.Request, data: dict[str, str], beginning: Beginning) -> web.Response:
    office = request.config_dict[OFFICE_KEY]
    async with request.config_dict[STORE].database.reading() as connection:
        page, there = await _open(request, connection)
        numbers = [number for number, one in there.items() if one in beginning.pages]
        prisoner = await directory.by_id(connection, beginning.prisoner_id)
        known, suppressed = None, False
        if beginning.address:
            known = await from_inside.known(connection, office, beginning.address, beginning.prisoner_id)
            suppressed = await is_suppressed(connection, office, beginning.address)
    carried = {name: data[name] for name in ("q", "prisoner", "address", "letter_language") if name in data}
    return render(
        request,
        "scanner/from_inside_look.html",
        page=page,
        numbers=numbers,
        prisoner=prisoner,
        address=beginning.address,
        letter_language=beginning.language,
        letter_languages=LANGUAGE_NAMES,
        known=known is not None,
        suppressed=suppressed,
        carried=carried | {f"{PAGE_FIELD}{there[number]}": "1" for number in numbers},
        phrase=new_claim_phrase(beginning.language),
    )


async def _begin(request: web.Request, beginning: Beginning) -> web.Response:
    _ = words(request)
    store, page_id = request.config_dict[STORE], request.match_info["page"]
    async with store.database.reading() as connection:
        following = await heap.next_waiting(connection, page_id)
        prisoner = await directory.by_id(connection, beginning.prisoner_id)
    try:
        await from_inside.begin_conversation(store, request.config_dict[OFFICE_KEY], beginning, request[VOLUNTEER].id)
    except (PageNotOpenError, NotThereError):
        return await show_overview(
            request, 409, _("Somebody decided about these pages meanwhile. Nothing was changed.")
        )
    except SealBrokenError:
        return await show_overview(request, 409, _("This page cannot be opened any more, so it was left as it is."))
    if beginning.address is None:
        return render(request, "scanner/from_inside_words.html", **_on_paper(request, beginning, prisoner))
    following = None if following in beginning.pages else following
    place = path_to(request, "page", page=following) if following else path_to(request, "scans")
    raise web.HTTPSeeOther(f"{place}?decided={page_id}")


def _on_paper(request: web.Request, beginning: Beginning, prisoner: Known) -> dict[str, Any]:
    """What is printed for whoever the letter is for, in their language."""
    _ = catalogue(beginning.language).gettext
    site = request.config_dict[SETTINGS].site
    return {
        "letter_language": beginning.language,
        "heading": _("A letter for you"),
        "what": _("{name} has written a letter to you by hand, from prison. We keep it for you.").format(
            name=prisoner.prisoner.name
        ),
        "how": _("To read it and to write back, open this page and type these words in their order:"),
        "place": f"{site.desk_url}/{beginning.language}/",
        "phrase": beginning.phrase.split(),
        "care": _(
            "Whoever has these words can read the letter: keep this sheet safe. Nobody can find the words again. "
            "If you do not want the letter, you can delete it there."
        ),
    }

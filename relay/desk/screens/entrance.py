"""Find a prisoner; confirm a letter by the link in the mail, or by the claim phrase."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.desk import steps
from relay.domain.lives import LetterState
from relay.store import directory
from relay.store.directory import Known
from relay.web.keys import SETTINGS, STORE
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/", name="home")
async def home(request: web.Request) -> web.Response:
    """Find a prisoner, or open an inbox."""
    search = " ".join(request.query.get("q", "").split())[:100]
    found: list[Known] = []
    if search:
        async with request.config_dict[STORE].database.reading() as connection:
            found = await directory.search(connection, search)
    return render(request, "desk/home.html", search=search, found=found, most=directory.FOUND_AT_MOST)


@ROUTES.get("/{language}/confirm/{token}", name="confirm")
async def ask_confirmation(request: web.Request) -> web.Response:
    """The button that confirms. Mail scanners open links, so opening this one does nothing."""
    try:
        async with request.config_dict[STORE].database.reading() as connection:
            state = await steps.waiting_for_token(connection, request.match_info["token"])
    except steps.NothingToConfirmError:
        return render(request, "desk/confirm.html", 404, state=None)
    return render(request, "desk/confirm.html", state=state)


@ROUTES.post("/{language}/confirm/{token}", name="confirm")
async def confirm(request: web.Request) -> web.Response:
    """Confirm a letter by the link in the mail."""
    try:
        await steps.confirm(request.config_dict[STORE], request.match_info["token"])
    except steps.NothingToConfirmError:
        return render(request, "desk/confirm.html", 404, state=None)
    return render(request, "desk/confirm.html", state=LetterState.QUEUED)


@ROUTES.get("/{language}/phrase", name="phrase")
async def ask_phrase(request: web.Request) -> web.Response:
    """Where a sender without a mail address types the claim phrase back."""
    return render(request, "desk/phrase.html", complaint=None, phrase="")


@ROUTES.post("/{language}/phrase", name="phrase")
async def confirm_phrase(request: web.Request) -> web.Response:
    """Confirm the letters of a claim phrase, and open its inbox."""
    _ = words(request)
    phrase = (await fields_of(request, with_nul=True)).get("phrase", "")
    per_hour = request.config_dict[SETTINGS].letter.confirmations_without_mail_per_hour
    try:
        secret = await steps.confirm_by_phrase(request.config_dict[STORE], phrase, per_hour)
    except steps.NothingToConfirmError:
        complaint = _("These words do not fit. Please compare them one by one; their order counts.")
        return render(request, "desk/phrase.html", 422, complaint=complaint, phrase=phrase)
    except steps.TooManyThisHourError:
        complaint = _("Too many letters without a mail address came in this hour. Yours is kept: try again in an hour.")
        return render(request, "desk/phrase.html", 429, complaint=complaint, phrase=phrase)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))

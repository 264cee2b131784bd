"""The screens of the review."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from censor_queue import steps
from relay.domain.reasons import REFUSALS, Refusal
from relay.store.leases import LeaseLostError
from relay.web.keys import OFFICE_KEY, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/review", name="review")
async def review(request: web.Request) -> web.Response:
    """The next letter to be read, claimed for this volunteer."""
    return await _next(request)


@ROUTES.post("/{language}/review", name="review")
async def decide(request: web.Request) -> web.Response:
    """Approve or refuse the letter that this volunteer holds."""
    _ = words(request)
    store, volunteer = request.config_dict[STORE], request[VOLUNTEER].id
    data = await fields_of(request)
    letter, decision, reason = (data.get(name, "") for name in ("letter", "decision", "reason"))
    try:
        if decision == "approve":
            await steps.approve(store, letter, volunteer)
        elif decision == "refuse" and reason in tuple(Refusal):
            await steps.refuse(store, letter, volunteer, Refusal(reason))
        else:
            return await _next(request, 422, _("Please choose the reason for which this letter is refused."))
    except LeaseLostError:
        complaint = _(
            "This letter was not yours any more: the time was over. Nothing was decided; here is the next one."
        )
        return await _next(request, 409, complaint)
    raise web.HTTPSeeOther(path_to(request, "review"))


async def _next(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    letter = await steps.claim_next(request.config_dict[STORE], request.config_dict[OFFICE_KEY], request[VOLUNTEER].id)
    return render(request, "censor_queue/review.html", status, letter=letter, reasons=REFUSALS, complaint=complaint)

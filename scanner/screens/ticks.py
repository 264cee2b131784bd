"""The screen with what prisoners ask for by the tick boxes of the reply sheet."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.domain.ports import NotPrintedError
from relay.domain.sheet import Tick
from relay.domain.ticks import TICK_WORDS
from relay.store.transitions import NotThereError
from relay.web.keys import REPRINTING, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from scanner import forwarding, replies, tick_steps
from scanner.screens.replies import crop

ROUTES: Final = web.RouteTableDef()
UNCLEAR: Final = {"ticked": True, "not_ticked": False}
"""What a volunteer can say about a box of which it is not clear whether it is ticked."""
CLEAR: Final = ("reprint", "write_again", "forward", "done")
"""What a volunteer can do about one that is."""


def _(sentence: str) -> str:
    return sentence


_SETTLED: Final = _("Somebody has dealt with this meanwhile. Nothing was changed.")
_NOT_PRINTED: Final = _("This letter cannot be printed again. Nothing was changed.")
_WHAT_TO_DO: Final[dict[Tick, str]] = {
    Tick.PLEASE_STOP: _("No letter goes to this prisoner until you decide."),
    Tick.BEING_MOVED: _(
        "Check the address before the next letter goes. If the new one is known, change it in the directory."
    ),
    Tick.PAGES_MISSING: _("The letter can be printed once more. It goes with the next batch of copies."),
    Tick.NEED_PAPER: _("The sender reads this too. Talk to whoever sends parcels."),
    Tick.FORWARD: _(
        "Look at the box first: a stray mark must not show a letter to strangers. The others read that it answers"
        " somebody else."
    ),
}
"""The ticks that ask something, the weightiest first."""


@ROUTES.get("/{language}/ticks", name="ticks")
async def overview(request: web.Request) -> web.Response:
    """What prisoners ask for, and what a volunteer can do about it."""
    return await _overview(request)


async def _overview(request: web.Request, status: int = 200, complaint: str | None = None) -> web.Response:
    async with request.config_dict[STORE].database.reading() as connection:
        found = await replies.open_ticks(connection)
        forwards = {one.reply_id for one in found if one.clear and one.tick is Tick.FORWARD}
        others = {reply_id: len(await forwarding.others(connection, reply_id)) for reply_id in forwards}
    return render(
        request,
        "scanner/ticks.html",
        status,
        unclear=[one for one in found if not one.clear],
        asked=[
            (tick, said, [one for one in found if one.clear and one.tick is tick]) for tick, said in _WHAT_TO_DO.items()
        ],
        tick_words=TICK_WORDS,
        others=others,
        crop=crop,
        complaint=complaint and words(request)(complaint),
    )


@ROUTES.post("/{language}/ticks", name="ticks")
async def settle(request: web.Request) -> web.Response:
    """Settle a tick: say whether the box is ticked, or do what is asked."""
    store, volunteer = request.config_dict[STORE], request[VOLUNTEER].id
    data = await fields_of(request)
    do = data.get("do", "")
    if do not in (*UNCLEAR, *CLEAR):
        raise web.HTTPNotFound
    async with store.database.reading() as connection:
        found = await replies.open_tick(connection, data.get("page", ""), data.get("tick", ""))
    if found is None or found.clear != (do in CLEAR):
        return await _overview(request, 409, _SETTLED)
    try:
        if do == "reprint":
            await request.config_dict[REPRINTING].reprint(found.letter_id, volunteer)
        if do == "forward" and found.tick is Tick.FORWARD:
            await forwarding.forward(store, found.page_id, volunteer)
        elif do == "done" and found.tick is Tick.FORWARD:
            await forwarding.keep(store, found.page_id, volunteer)
        else:
            await tick_steps.settle(
                store, found.page_id, found.tick, volunteer, ticked=UNCLEAR.get(do), write_again=do == "write_again"
            )
    except NotThereError:
        return await _overview(request, 409, _SETTLED)
    except NotPrintedError:
        return await _overview(request, 409, _NOT_PRINTED)
    raise web.HTTPSeeOther(path_to(request, "ticks"))

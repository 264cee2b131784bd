"""What is printed for a batch beside its pages: envelopes, labels, envelopes for the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from print import queue
from print.envelopes import LABELS, envelopes_pdf, labels_pdf, return_envelopes_pdf
from print.fonts import NoGlyphError
from print.mailings import addresses
from print.printing import PRINTING
from print.screens.batch import batch_of, rules_of
from relay.web.site import render, words

ROUTES: Final = web.RouteTableDef()


async def as_pdf(request: web.Request, draw: Callable[[], bytes], name: str) -> web.Response:
    """A document drawn in another process, as a file of this name; or why it cannot be drawn."""
    try:
        data = await request.config_dict[PRINTING].pages.run(draw)
    except NoGlyphError as error:
        _ = words(request)
        sentence = _("A name or an address has a character that cannot be printed: {character}")
        return render(request, "error.html", 422, sentence=sentence.format(character=error.character))
    headers = {"Content-Disposition": f'inline; filename="{name}.pdf"'}
    return web.Response(body=data, content_type="application/pdf", headers=headers)


@ROUTES.get("/{language}/print/{batch}/{paper:envelopes|labels|return-envelopes}.pdf", name="batch_papers")
async def papers(request: web.Request) -> web.Response:
    """One paper of a batch: of its envelopes, in their order."""
    printing, batch, paper = request.config_dict[PRINTING], await batch_of(request), request.match_info["paper"]
    rules = await rules_of(request, batch)
    async with printing.store.database.reading() as connection:
        inside = await queue.recipients_of(connection, batch.id)
    if not inside:
        raise web.HTTPNotFound
    recipients = [addresses(printing, known)[0] for known in inside]
    sender = addresses(printing, inside[0])[1]
    match paper:
        case "labels":
            skip = request.query.get("skip", "0")
            used = int(skip) if skip in {str(number) for number in range(LABELS)} else 0
            draw = partial(labels_pdf, recipients, skip=used)
        case "envelopes":
            draw = partial(envelopes_pdf, recipients, sender, rules.envelope)
        case _ if rules.return_envelope is not None:
            draw = partial(return_envelopes_pdf, len(recipients), sender, rules.return_envelope)
        case _:
            raise web.HTTPNotFound
    return await as_pdf(request, draw, f"{paper}-{batch.id[:8]}")

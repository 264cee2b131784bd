"""The screen on which a volunteer covers words of a letter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Final

from aiohttp import web

from censor_queue import claims, decisions
from censor_queue.claims import LetterToReview
from censor_queue.review import REVIEW
from censor_queue.screens.review import Typed, lost
from relay.domain.letters import whole_text, words_of
from relay.store.leases import LeaseLostError
from relay.web.keys import LANGUAGE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()
_WORD: Final = re.compile(r"w(\d{1,6})")


@ROUTES.get("/{language}/review/{letter}/cover", name="review_cover")
async def show(request: web.Request) -> web.Response:
    """All words of a held letter, to choose those that are not printed."""
    try:
        letter = await claims.held(request.config_dict[REVIEW], request.match_info["letter"], request[VOLUNTEER].id)
    except LeaseLostError:
        raise web.HTTPSeeOther(path_to(request, "review")) from None
    spans, covered = words_of(whole_text(letter.body, letter.treatment)), set(letter.treatment.covered)
    return await _words(request, letter, [number for number, span in enumerate(spans) if span in covered])


@ROUTES.post("/{language}/review/{letter}/cover", name="review_cover")
async def cover(request: web.Request) -> web.Response:
    """Cover the chosen words. What was chosen is not lost with the lease."""
    _ = words(request)
    review, volunteer, letter_id = request.config_dict[REVIEW], request[VOLUNTEER].id, request.match_info["letter"]
    data = await fields_of(request)
    chosen = [int(found[1]) for name in data if (found := _WORD.fullmatch(name))]
    try:
        if "again" in data:
            claimed = await claims.claim_again(review, letter_id, volunteer)
            if claimed is None:
                return await lost(request, letter_id, Typed(), chosen)
            return await _words(request, claimed, chosen)
        letter = await claims.held(review, letter_id, volunteer)
        if data.get("version") != _version(letter):
            complaint = _("The letter has changed since you opened it. Please choose the words again.")
            return await _words(request, letter, (), 409, complaint)
        await decisions.cover(review, letter_id, volunteer, chosen)
    except LeaseLostError:
        return await lost(request, letter_id, Typed(), chosen)
    raise web.HTTPSeeOther(path_to(request, "review"))


async def _words(
    request: web.Request,
    letter: LetterToReview,
    chosen: Collection[int],
    status: int = 200,
    complaint: str | None = None,
) -> web.Response:
    text = whole_text(letter.body, letter.treatment)
    found = await decisions.findings(request.config_dict[REVIEW], letter, request[LANGUAGE])
    spans, chosen = words_of(text), set(chosen)
    starts = [0, *(span.end for span in spans)]
    marked = {place for finding in found for place in range(finding.start, finding.end)}
    toggles = [
        {
            "before": text[before : span.start],
            "word": text[span.start : span.end],
            "chosen": number in chosen,
            "found": not marked.isdisjoint(range(span.start, span.end)),
        }
        for number, (before, span) in enumerate(zip(starts, spans, strict=False))
    ]
    return render(
        request,
        "censor_queue/cover.html",
        status,
        letter=letter,
        toggles=toggles,
        version=_version(letter),
        complaint=complaint,
    )


def _version(letter: LetterToReview) -> str:
    """Of which text the words are counted."""
    return hashlib.sha256(whole_text(letter.body, letter.treatment).encode()).hexdigest()

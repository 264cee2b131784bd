"""The screens of what became of letters: figures, what facilities did, blocked senders."""

from __future__ import annotations

import datetime
import re
from typing import Final

from aiohttp import web

from censor_queue import closeness, outcomes
from censor_queue.outcomes import Fate, NoSuchLetterError, NotPossibleError
from censor_queue.review import REVIEW
from relay.domain.reasons import REVIEW_REASONS
from relay.domain.reply_code import ACCEPTED_REPAIRS, NotAReplyCodeError, ReplyCode, read_code
from relay.domain.review import Outcome
from relay.web.keys import LANGUAGE, STORE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()
PERIODS: Final = {"month": datetime.timedelta(days=30), "year": datetime.timedelta(days=365), "all": None}
RULE_FIELD: Final = "rule."
"""Before the rule in the name of each checkbox: a name stands in a form once."""
_RULE: Final = re.compile(re.escape(RULE_FIELD) + r"([a-z][a-z0-9_]{0,39})")
CODE_MAX: Final = 100


@ROUTES.get("/{language}/figures", name="figures")
async def show(request: web.Request) -> web.Response:
    """What became of the letters to each facility in a period; of one facility also how its rules did."""
    review = request.config_dict[REVIEW]
    period = request.query.get("period", "month")
    if period not in PERIODS:
        raise web.HTTPNotFound
    length = PERIODS[period]
    since = None if length is None else review.store.database.clock() - length
    async with review.store.database.reading() as connection:
        found = await outcomes.facility_figures(connection, since)
        chosen = None
        rules: list[outcomes.RuleFigures] = []
        titles: dict[str, str] = {}
        if slug := request.query.get("facility"):
            found = [figures for figures in found if figures.facility.slug == slug]
            if not found:
                raise web.HTTPNotFound
            chosen = found[0]
            ids = review.screening.rule_ids(chosen.facility)
            rules = await outcomes.rule_figures(connection, chosen.id, ids)
            titles = review.screening.rule_titles(chosen.facility, request[LANGUAGE])
    return render(
        request,
        "censor_queue/figures.html",
        period=period,
        figures=[figures for figures in found if figures.fates or figures is chosen],
        chosen=chosen,
        fates=list(Fate),
        reasons=REVIEW_REASONS,
        rules=rules,
        titles=titles,
    )


@ROUTES.get("/{language}/outcome", name="outcome")
async def ask_outcome(request: web.Request) -> web.Response:
    """Find a letter by its reply code, to say what the facility did with it."""
    return await _outcome(request, request.query.get("code", "")[:CODE_MAX], done="done" in request.query)


@ROUTES.post("/{language}/outcome", name="outcome")
async def tell_outcome(request: web.Request) -> web.Response:
    """Record what the facility did with a letter."""
    _ = words(request)
    data = await fields_of(request)
    code = data.get("code", "")[:CODE_MAX]
    if data.get("outcome") not in tuple(Outcome):
        return await _outcome(request, code, 422, _("Please choose what the facility did."))
    named = [found[1] for name in data if (found := _RULE.fullmatch(name))]
    try:
        await outcomes.record_outcome(
            request.config_dict[REVIEW], data.get("letter", ""), request[VOLUNTEER].id, Outcome(data["outcome"]), named
        )
    except (NoSuchLetterError, NotPossibleError):
        complaint = _("The letter has changed meanwhile, and this cannot have happened to it. Nothing was recorded.")
        return await _outcome(request, code, 409, complaint)
    raise web.HTTPSeeOther(str(_path_of(request, code)))


def _path_of(request: web.Request, code: str) -> str:
    resource = request.app.router["outcome"]
    return str(resource.url_for(language=request[LANGUAGE]).with_query(code=code, done=""))


async def _outcome(
    request: web.Request, typed: str, status: int = 200, complaint: str | None = None, *, done: bool = False
) -> web.Response:
    _ = words(request)
    review, found = request.config_dict[REVIEW], []
    suggested: ReplyCode | None = None
    if typed.strip():
        try:
            read = read_code(typed)
        except NotAReplyCodeError:
            complaint, status = _("This is no reply code. Please compare it with the sheet, symbol by symbol."), 422
        else:
            if read.repaired > ACCEPTED_REPAIRS:
                suggested = read.code
            else:
                async with review.store.database.reading() as connection:
                    found = await outcomes.sent_letters(connection, review.office, read.code)
                if not found:
                    complaint, status = _("No printed letter has this code."), 404
    return render(
        request,
        "censor_queue/outcome.html",
        status,
        typed=typed,
        complaint=complaint,
        suggested=suggested,
        letters=found,
        rules={letter.id: _rules(request, letter) for letter in found},
        field=RULE_FIELD,
        done=done,
    )


def _rules(request: web.Request, letter: outcomes.SentLetter) -> dict[str, str]:
    """What the facility may have named: its rules, and what was named before."""
    screening = request.config_dict[REVIEW].screening
    titles = screening.rule_titles(letter.facility, request[LANGUAGE])
    ids = dict.fromkeys([*screening.rule_ids(letter.facility), *letter.named])
    return {rule: titles.get(rule, rule) for rule in ids}


@ROUTES.get("/{language}/blocks", name="blocks")
async def show_blocks(request: web.Request) -> web.Response:
    """Senders who are blocked: when, by whom and why, but not who they are."""
    async with request.config_dict[STORE].database.reading() as connection:
        found = await closeness.all_blocks(connection)
    return render(request, "censor_queue/blocks.html", blocks=found, reasons=REVIEW_REASONS)


@ROUTES.post("/{language}/blocks", name="blocks")
async def lift(request: web.Request) -> web.Response:
    """Let a blocked sender write again."""
    decision_id = (await fields_of(request)).get("decision", "")
    async with request.config_dict[STORE].database.writing() as connection:
        await closeness.unblock(connection, decision_id)
    raise web.HTTPSeeOther(path_to(request, "blocks"))

"""The screen on which a volunteer reads a letter and decides."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from aiohttp import web
from babel.dates import format_time, format_timedelta

from censor_queue import claims, decisions
from censor_queue.ahead import AHEAD
from censor_queue.claims import LetterToReview
from censor_queue.decisions import ReasonMissingError, TooLateToUndoError
from censor_queue.evening import my_evening, undoable
from censor_queue.marking import pieces, still_open
from censor_queue.review import REVIEW, Review
from censor_queue.spoken import spoken_languages
from relay.domain.letters import printed_text, whole_text
from relay.domain.lives import READING, ForbiddenTransitionError, LetterState
from relay.domain.reasons import ABUSE, FOR_CHANGES, FOR_PARTS, FOR_REFUSAL, REVIEW_REASONS, ReviewReason
from relay.domain.review import Decision, said
from relay.store.leases import LeaseLostError
from relay.web.keys import LANGUAGE, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from relay.web.unprintable import sentence_about_line, sentences

ROUTES: Final = web.RouteTableDef()
FOR_PARTS_OF_TEXT: Final = tuple(reason for reason in FOR_PARTS if reason is not ReviewReason.PHOTO)
UNDO_SHOWN: Final = 20
"""The newest decisions that the screen offers to undo; what was passed on can be undone for hours."""


def _(sentence: str) -> str:
    return sentence


DECIDED: Final[Mapping[Decision, str]] = {
    Decision.APPROVE: _("Approved"),
    Decision.APPROVE_IN_PART: _("Approved in part"),
    Decision.CHANGES: _("Changes asked for"),
    Decision.REFUSE: _("Refused"),
    Decision.SECOND: _("Passed to a second reader"),
    Decision.TRANSLATE: _("Passed to the translators"),
    Decision.TRANSLATED: _("Translated"),
}
_REASON_MISSING: Final = _("Please choose the reason. The sender is told it.")
_BLOCK_FOR_ABUSE: Final = _(
    "A sender is blocked only for threats, insults or spam. Choose such a reason, or do not block."
)
_CHANGED: Final = _("The letter has changed since you opened it. Nothing was decided: please read it again.")
_CANNOT_PRINT: Final = _("This letter cannot be approved as it is: it has characters that cannot be printed.")
_LANGUAGE_MISSING: Final = _("Please choose the language of the letter.")


class IncompleteError(ValueError):
    """A decision lacks something; the message is an English msgid that says what."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a volunteer has chosen and typed in the panel of a decision."""

    panel: str = ""
    reason: str = ""
    note: str = ""
    spoken: str = ""
    block: bool = False
    without_photos: bool = False

    @classmethod
    def of(cls, data: Mapping[str, str]) -> Typed:
        """What stands in a form."""
        return cls(
            panel=data.get("panel", ""),
            reason=data.get("reason", ""),
            note=data.get("note", "").replace("\r\n", "\n"),
            spoken=data.get("spoken", ""),
            block="block" in data,
            without_photos="without_photos" in data,
        )

    def reason_of(self, reasons: Collection[ReviewReason]) -> ReviewReason:
        """The chosen reason. Raises IncompleteError where it is none of these."""
        if self.reason not in reasons:
            raise IncompleteError(_REASON_MISSING)
        return ReviewReason(self.reason)


# --- the decisions


async def _approve(review: Review, letter: str, volunteer: str, typed: Typed) -> None:
    reason = typed.reason_of(FOR_PARTS) if typed.panel == "part" else None
    note, without_photos = typed.note, typed.without_photos
    try:
        await decisions.approve(review, letter, volunteer, without_photos=without_photos, reason=reason, note=note)
    except ReasonMissingError:
        raise IncompleteError(_REASON_MISSING) from None


async def _changes(review: Review, letter: str, volunteer: str, typed: Typed) -> None:
    await decisions.ask_for_changes(review, letter, volunteer, typed.reason_of(FOR_CHANGES), typed.note)


async def _refuse(review: Review, letter: str, volunteer: str, typed: Typed) -> None:
    reason = typed.reason_of(FOR_REFUSAL)
    if typed.block and reason not in ABUSE:
        raise IncompleteError(_BLOCK_FOR_ABUSE)
    await decisions.refuse(review, letter, volunteer, reason, typed.note, block=typed.block)


async def _translate(review: Review, letter: str, volunteer: str, typed: Typed) -> None:
    if typed.spoken not in spoken_languages("en"):
        raise IncompleteError(_LANGUAGE_MISSING)
    await decisions.to_be_translated(review, letter, volunteer, typed.spoken)


_DECISIONS: Final[Mapping[str, Callable[[Review, str, str, Typed], Awaitable[None]]]] = {
    "approve": _approve,
    "changes": _changes,
    "refuse": _refuse,
    "translate": _translate,
    "second": lambda review, letter, volunteer, _typed: decisions.second_reader(review, letter, volunteer),
    "knows": lambda review, letter, volunteer, _typed: claims.knows(review, letter, volunteer),
    "skip": lambda review, letter, volunteer, _typed: claims.skip(review, letter, volunteer),
}


@ROUTES.get("/{language}/review", name="review")
async def show(request: web.Request) -> web.Response:
    """The next letter to be read, claimed for this volunteer."""
    return await _show(request)


@ROUTES.post("/{language}/review", name="review")
async def decide(request: web.Request) -> web.Response:
    """Decide about the letter that this volunteer holds. What was typed is never lost."""
    review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
    data = await fields_of(request)
    letter, decision, typed = data.get("letter", ""), data.get("decision", ""), Typed.of(data)
    if decision == "renew":
        return await _more_time(request, letter, typed)
    if decision == "again":
        return await _again(request, letter, typed)
    if decision not in _DECISIONS:
        raise web.HTTPNotFound
    try:
        held = await claims.held(review, letter, volunteer)
        if data.get("version", held.version) != held.version:
            return await _show(request, 409, words(request)(_CHANGED), typed, held)
        if decision == "approve" and _unprintable(request, held):
            return await _show(request, 422, words(request)(_CANNOT_PRINT), typed, held)
        try:
            await _DECISIONS[decision](review, letter, volunteer, typed)
        except IncompleteError as error:
            # What was typed belongs to this letter: it must not stand under the next one.
            return await _show(request, 422, words(request)(str(error)), typed, held)
    except LeaseLostError:
        return await lost(request, letter, typed)
    except ForbiddenTransitionError:  # the screen offers no such button for this letter
        raise web.HTTPNotFound from None
    request.config_dict[AHEAD].forget(letter)
    known = f"?known={letter}" if decision == "knows" else ""
    raise web.HTTPSeeOther(path_to(request, "review") + known)


async def _more_time(request: web.Request, letter: str, typed: Typed) -> web.Response:
    try:
        renewed = await claims.renew(request.config_dict[REVIEW], letter, request[VOLUNTEER].id)
    except LeaseLostError:
        return await lost(request, letter, typed)
    return await _show(request, typed=typed, letter=renewed)


async def _again(request: web.Request, letter: str, typed: Typed) -> web.Response:
    claimed = await claims.claim_again(request.config_dict[REVIEW], letter, request[VOLUNTEER].id)
    if claimed is None:
        return await lost(request, letter, typed)
    return await _show(request, typed=typed, letter=claimed)


async def lost(request: web.Request, letter: str, typed: Typed, words_marked: Collection[int] = ()) -> web.Response:
    """Say that a letter was not the volunteer's any more, show what was typed, and offer the letter if it is free."""
    review = request.config_dict[REVIEW]
    request.config_dict[AHEAD].forget(letter)
    async with review.store.database.reading() as connection:
        now = review.store.database.clock()
        free = await claims.is_free(connection, letter, request[VOLUNTEER].id, now)
    return render(
        request,
        "censor_queue/lost.html",
        409,
        letter=letter,
        typed=typed,
        reason=REVIEW_REASONS[ReviewReason(typed.reason)] if typed.reason in REVIEW_REASONS else None,
        spoken=spoken_languages(request[LANGUAGE]).get(typed.spoken),
        words_marked=sorted(words_marked),
        free=free,
    )


# --- what is not about one letter


@ROUTES.post("/{language}/review/evening", name="review_evening")
async def evening(request: web.Request) -> web.Response:
    """Undo a decision or let it take effect, get skipped letters again, know somebody after all not, or stop."""
    review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
    data = await fields_of(request)
    match data.get("action", ""):
        case "undo":
            try:
                source = await decisions.undo(review, data.get("decided", ""), volunteer)
            except TooLateToUndoError:
                complaint = words(request)(
                    _("This cannot be undone any more: it has taken effect, or somebody works on the letter already.")
                )
                return await _show(request, 409, complaint)
            if source is LetterState.TRANSLATING:
                raise web.HTTPSeeOther(path_to(request, "translate"))
        case "release":
            await decisions.release(review, [data.get("decided", "")], volunteer)
        case "release_all":
            async with review.store.database.reading() as connection:
                mine = await undoable(connection, volunteer, review.store.database.clock())
            await decisions.release(review, [one.id for one in mine], volunteer)
        case "take_back_skipped":
            await claims.take_back_skipped(review, volunteer)
        case "knows_not":
            with suppress(sa.exc.NoResultFound):  # there is no such letter: nothing to take back
                await claims.knows_not(review, data.get("known", ""), volunteer)
        case "stop":
            await request.config_dict[AHEAD].stop(volunteer)
            await claims.stop(review, volunteer)
            raise web.HTTPSeeOther(path_to(request, "home"))
        case _:
            raise web.HTTPNotFound
    raise web.HTTPSeeOther(path_to(request, "review"))


# --- the screen


@ROUTES.post("/{language}/review/{letter}/renew", name="review_renew")
async def renew(request: web.Request) -> web.Response:
    """Prolong the lease, for the script: how many seconds it lasts, and how many it can last at most."""
    review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
    try:
        letter = await claims.renew(review, request.match_info["letter"], volunteer)
    except LeaseLostError:
        raise web.HTTPConflict from None
    request.config_dict[AHEAD].make_ready(volunteer, letter)
    return web.json_response(_seconds_left(review, letter))


@ROUTES.get(r"/{language}/review/{letter}/{page:\d{1,3}}.png", name="review_page")
async def picture(request: web.Request) -> web.Response:
    """One page of a letter as it will be printed, for who holds the letter."""
    try:
        letter = await claims.held(request.config_dict[REVIEW], request.match_info["letter"], request[VOLUNTEER].id)
    except LeaseLostError:
        raise web.HTTPNotFound from None
    pages, number = await request.config_dict[AHEAD].pages(letter), int(request.match_info["page"])
    if not 1 <= number <= len(pages):
        raise web.HTTPNotFound
    return web.Response(body=pages[number - 1], content_type="image/png")


def _seconds_left(review: Review, letter: LetterToReview) -> dict[str, int]:
    now = review.store.database.clock()
    end = letter.hard_end or letter.held_until
    return {"left": int((letter.held_until - now).total_seconds()), "most": int((end - now).total_seconds())}


async def _show(
    request: web.Request,
    status: int = 200,
    complaint: str | None = None,
    typed: Typed | None = None,
    letter: LetterToReview | None = None,
) -> web.Response:
    review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
    now = review.store.database.clock()
    letter = letter or await claims.claim_next(review, volunteer)
    async with review.store.database.reading() as connection:
        context = {
            "waiting": await claims.waiting(connection, READING, now),
            "counted": claims.COUNTED,
            "evening": await my_evening(connection, volunteer, now),
            "undoable": (await undoable(connection, volunteer, now))[:UNDO_SHOWN],
            "skipped": 0 if letter else await claims.skipped(connection, volunteer),
        }
    context |= {
        "decided": DECIDED,
        "complaint": complaint,
        "typed": typed or Typed(),
        "known": request.query.get("known"),
        "now": now,
        "lasting": lambda seconds: format_timedelta(datetime.timedelta(seconds=seconds), locale=request[LANGUAGE]),
    }
    if letter is None:
        return render(request, "censor_queue/nothing.html", status, **context)
    request.config_dict[AHEAD].make_ready(volunteer, letter)
    return render(request, "censor_queue/review.html", status, **context, **await _about(request, letter))


def _unprintable(request: web.Request, letter: LetterToReview) -> list[str]:
    """What of a letter cannot be printed: a sentence for each character; an upgrade may have changed the fonts."""
    pages, language = request.config_dict[REVIEW].pages, request[LANGUAGE]
    found = sentences(pages.unprintable(printed_text(letter.body, letter.treatment)), language)
    if of_name := pages.unprintable(letter.printed_name):
        found.append(sentence_about_line(of_name, language))
    return found


async def _about(request: web.Request, letter: LetterToReview) -> dict[str, object]:
    """What the screen says about a letter."""
    review, language = request.config_dict[REVIEW], request[LANGUAGE]
    treatment = letter.treatment
    text = whole_text(letter.body, treatment)
    findings = still_open(text, await decisions.findings(review, letter, language), treatment.covered)
    entries = said(findings)
    names = spoken_languages(language)
    rules = review.screening.rules_of(letter.known.facility)
    spoken = review.screening.language_of(letter.text)
    return {
        "letter": letter,
        "pieces": list(pieces(text, findings, treatment.covered)),
        "findings": entries,
        "entry_of": {place: number for number, entry in enumerate(entries, 1) for place in entry.places},
        "unprintable": _unprintable(request, letter),
        "text_pages": review.page_count(letter.known, printed_text(letter.body, treatment)),
        "photos": 0 if treatment.without_photos else len(letter.photos),
        "rules": rules,
        "takes": [names.get(code, code) for code in rules.takes],
        "spoken": spoken,
        "spoken_languages": names,
        "second_follows": rules.second_reader and letter.state is LetterState.QUEUED,
        "can_be_passed_on": letter.state is LetterState.QUEUED,
        "needs_reason": bool(treatment.covered or treatment.without_photos) and treatment.reason is None,
        "for_parts": FOR_PARTS if letter.photos else FOR_PARTS_OF_TEXT,
        "for_changes": FOR_CHANGES,
        "for_refusal": FOR_REFUSAL,
        "abuse": ABUSE,
        "sentences": REVIEW_REASONS,
        "note_max": decisions.NOTE_MAX,
        "clock_time": lambda moment: format_time(moment, "short", locale=language) + " UTC",
        **_seconds_left(review, letter),
    }

"""The screen on which a volunteer translates a letter."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from babel import Locale, UnknownLocaleError
from babel.dates import format_time

from censor_queue import claims, decisions, translations
from censor_queue.claims import LetterToReview
from censor_queue.decisions import TooLateToUndoError
from censor_queue.evening import Decided, undoable
from censor_queue.review import REVIEW
from censor_queue.spoken import spoken_languages
from censor_queue.translations import CannotPrintError, Draft, DraftChangedError, draft_of, mark
from relay.domain.lives import LetterState
from relay.domain.review import Decision
from relay.store import volunteers
from relay.store.leases import LeaseLostError
from relay.web.keys import LANGUAGE, SETTINGS, VOLUNTEER
from relay.web.site import fields_of, path_to, render, words
from relay.web.unprintable import sentences

ROUTES: Final = web.RouteTableDef()


@ROUTES.get("/{language}/translate", name="translate")
async def show(request: web.Request) -> web.Response:
    """The next letter to be translated, claimed for this volunteer."""
    letter = await claims.claim_translation(request.config_dict[REVIEW], request[VOLUNTEER].id)
    return await _screen(request, letter, kept="kept" in request.query)


@ROUTES.post("/{language}/translate", name="translate")
async def act(request: web.Request) -> web.Response:
    """Keep the draft, finish, pass on or skip the letter that this volunteer holds."""
    _ = words(request)
    review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
    letter_id, draft, do = await _typed(request)
    asked = ""
    try:
        match do:
            case "done":
                pages = request.config_dict[SETTINGS].letter.max_pages
                await translations.finish(review, letter_id, volunteer, draft, pages)
            case "not_needed":
                await translations.not_needed(review, letter_id, volunteer)
            case "skip":
                await translations.save_draft(review, letter_id, volunteer, draft)
                await claims.skip(review, letter_id, volunteer)
            case "again":
                await claims.take_back_skipped(review, volunteer)
            case "undo":
                decision_id = (await fields_of(request)).get("decision", "")
                await decisions.undo(review, decision_id, volunteer)
            case _:
                await translations.save_draft(review, letter_id, volunteer, draft)
                asked = "?kept"
    except LeaseLostError:
        return await _lost(request, letter_id, draft)
    except TooLateToUndoError:
        letter = await claims.claim_translation(review, volunteer)
        complaint = _("This cannot be taken back any more: somebody is reading the letter already.")
        return await _screen(request, letter, 409, complaints=[complaint])
    except DraftChangedError as error:
        letter = await claims.held(review, letter_id, volunteer)
        complaint = _(
            "Another window has kept another draft of this letter meanwhile. Both are below: "
            "put together here what you want to keep."
        )
        return await _screen(request, letter, 409, text=draft.text, other=error.other, complaints=[complaint])
    except CannotPrintError as error:
        letter = await claims.held(review, letter_id, volunteer)
        return await _screen(request, letter, 422, text=draft.text, complaints=_complaints(request, error))
    raise web.HTTPSeeOther(path_to(request, "translate") + asked)


@ROUTES.post("/{language}/translate/draft", name="translate_draft")
async def keep(request: web.Request) -> web.Response:
    """Keep the draft as it is typed; answers a script."""
    letter_id, draft, _ = await _typed(request)
    try:
        review, volunteer = request.config_dict[REVIEW], request[VOLUNTEER].id
        until = await translations.save_draft(review, letter_id, volunteer, draft)
    except LeaseLostError:
        return web.json_response({"why": "lost"}, status=409)
    except DraftChangedError:
        return web.json_response({"why": "changed"}, status=409)
    return web.json_response({"begun_with": mark(draft.text), "until": until.isoformat()})


async def _typed(request: web.Request) -> tuple[str, Draft, str]:
    """The id of the letter, what was typed, and what is to be done; a NUL in the text is complained about later."""
    data = await fields_of(request, with_nul=True)
    draft = Draft(data.get("text", "").replace("\r\n", "\n"), data.get("begun_with", ""))
    return data.get("letter", "").replace("\0", ""), draft, data.get("do", "")


async def _lost(request: web.Request, letter_id: str, draft: Draft) -> web.Response:
    """What was typed is never lost: the letter is claimed again where it is free, or else the text is shown beside."""
    _ = words(request)
    letter = await claims.claim_translation(request.config_dict[REVIEW], request[VOLUNTEER].id, letter_id)
    if letter is None or letter.id != letter_id:
        complaint = _("This letter is not yours any more: the time was over. Nothing was done with it.")
        return await _screen(request, letter, 409, typed=draft.text, complaints=[complaint])
    stored = draft_of(letter.treatment)
    other = stored if stored != draft.text and mark(stored) != draft.begun_with else None
    complaint = _("The time for this letter was over; it is yours again now. Your text is below, and not kept yet.")
    return await _screen(request, letter, 409, text=draft.text, other=other, complaints=[complaint])


def _complaints(request: web.Request, error: CannotPrintError) -> list[str]:
    _ = words(request)
    limit = request.config_dict[SETTINGS].letter.max_pages
    if error.pages:
        sentence = _("The translation fills {count} pages; {limit} are possible. It is kept as a draft.")
        return [sentence.format(count=error.pages, limit=limit)]
    if not error.unprintable:
        return [_("The translation is empty.")]
    return sentences(error.unprintable, request[LANGUAGE])


async def _screen(
    request: web.Request,
    letter: LetterToReview | None,
    status: int = 200,
    *,
    text: str | None = None,
    other: str | None = None,
    typed: str = "",
    complaints: list[str] | None = None,
    kept: bool = False,
) -> web.Response:
    """Show a letter: `text` stands in the field, `other` beside it; `typed` belongs to a letter that is gone."""
    review, volunteer, language = request.config_dict[REVIEW], request[VOLUNTEER].id, request[LANGUAGE]
    now = review.store.database.clock()
    async with review.store.database.reading() as connection:
        mine = await volunteers.languages_of(connection, volunteer)
        waiting = await translations.waiting_languages(connection)
        skipped = await claims.skipped(connection, volunteer, [LetterState.TRANSLATING])
        mistakes = await undoable(connection, volunteer, now)
    names = spoken_languages(language)
    stored = draft_of(letter.treatment) if letter else ""
    takes = review.screening.rules_of(letter.known.facility).takes if letter else ()
    return render(
        request,
        "censor_queue/translate.html",
        status,
        letter=letter,
        text=stored if text is None else text,
        begun_with=mark(stored),
        other=other,
        typed=typed,
        complaints=complaints or [],
        kept=kept,
        takes={code: names.get(code, code) for code in takes},
        spoken=names.get(letter.known.prisoner.language, "") if letter else "",
        source=names.get(letter.translate_from or "", letter.translate_from) if letter else "",
        direction=_direction(letter.translate_from) if letter else "auto",
        has_languages=bool(mine),
        mine={names.get(code, code): count for code, count in waiting.items() if code in mine},
        others={names.get(code, code): count for code, count in waiting.items() if code not in mine},
        skipped=skipped,
        clock_time=lambda moment: format_time(moment, "short", locale=language) + " UTC",
        last=_last(mistakes),
    )


def _direction(code: str | None) -> str:
    try:
        return Locale.parse(code or "").text_direction
    except (ValueError, UnknownLocaleError):
        return "auto"


def _last(mistakes: list[Decided]) -> Decided | None:
    """The newest translation that can be taken back."""
    return next((one for one in mistakes if one.decision is Decision.TRANSLATED), None)

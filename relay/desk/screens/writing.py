"""Write a letter and see its pages before it is sent; write back; and change one when the review asks for it.

Between these screens everything travels in the form: until it is sent, nothing of a letter is stored.
"""

from __future__ import annotations

import base64
import datetime
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import transliterate
from aiohttp import web
from babel import Locale
from babel.lists import format_list

from relay.desk import steps
from relay.desk.inbox import NoSuchInboxError, ToBeChanged, addressee, secret_in, to_change
from relay.desk.letter_form import NEW_PHOTOS, ON_A_CARD, Checked, Complaint, LetterForm, Received, check, receive
from relay.desk.marks import marked, remarks, spans_of
from relay.desk.screens.inbox import SENT
from relay.desk.thumbnails import thumbnail
from relay.desk.writing_back import NothingConfirmedError, WritingBack, read_writing_back
from relay.domain.claim_phrase import is_claim_phrase, new_claim_phrase
from relay.domain.directory import PrisonerState
from relay.domain.letter_pages import Greeting, LetterToPrint
from relay.domain.letters import GREETING_CHARACTERS, GREETING_LINES, normal_text
from relay.domain.photos import KeptPhoto
from relay.domain.printing import PrintRules
from relay.domain.reply_code import SPECIMEN, Side
from relay.domain.review import Finding, Severity
from relay.sealing import InboxSecret, SealBrokenError
from relay.store import directory
from relay.store.blobs import BlobMissingError
from relay.store.directory import Known
from relay.store.letters import printable
from relay.store.transitions import NotThereError
from relay.web.keys import DESK, LANGUAGE, LETTER_PAGES, SCREENING, SETTINGS, STORE
from relay.web.site import path_to, render, words

ROUTES: Final = web.RouteTableDef()
NOTHING_WRONG: Final = Checked((), (), None)
SIDES: Final = len(Side)
"""Pages of a reply sheet."""
LANGUAGE_RULE: Final = "language"
"""The rule about languages; what it says of a whole letter the preview says in its own place."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is being written: to whom, and where its form goes."""

    known: Known
    target: str
    change: ToBeChanged | None = None
    """What was asked, where a letter is changed."""
    back: WritingBack | None = None
    """What is known already, where it is the next letter of a conversation."""

    @property
    def first(self) -> bool:
        """Whether its sender is nobody yet."""
        return self.change is None and self.back is None

    @property
    def fields(self) -> tuple[str, ...]:
        """The hidden fields of the preview."""
        written = ("text", "printed_name", "reply_sheets")
        if self.first:
            return *written, "address", "wants", "phrase", "nonce"
        return written if self.back is None else (*written, "nonce")


async def _new(request: web.Request) -> Asked:
    async with request.config_dict[STORE].database.reading() as connection:
        known = await directory.by_slug(connection, request.match_info["slug"])
    if known is None or known.prisoner.state != PrisonerState.ACTIVE:
        raise web.HTTPNotFound
    return Asked(known, path_to(request, "write", slug=known.prisoner.slug))


@ROUTES.get("/{language}/to/{slug}", name="write")
async def write(request: web.Request) -> web.Response:
    """The empty form of a letter."""
    asked = await _new(request)
    return await _form(request, asked, LetterForm().fitted(_rules(request, asked.known)), NOTHING_WRONG)


@ROUTES.post("/{language}/to/{slug}", name="write")
async def send(request: web.Request) -> web.Response:
    """Show the pages, go back to the form, or send."""
    asked = await _new(request)
    received = _transliterated(await receive(request, asked.known))
    checked = await check(request, received, asked.known)
    form = received.form
    if checked.stops or received.action in {"edit", "remove"}:
        return await _form(request, asked, form, checked)
    if received.action != "send" or not is_claim_phrase(form.phrase) or not form.nonce:
        return await _preview(request, asked, form, checked)
    submission = _submission(request, asked, form, checked)
    await steps.submit(request.config_dict[STORE], request.config_dict[DESK], submission)
    return render(request, "desk/sent.html", known=asked.known, form=form)


def _submission(request: web.Request, asked: Asked, form: LetterForm, checked: Checked) -> steps.Submission:
    return steps.Submission(
        nonce=form.nonce,
        phrase=form.phrase,
        prisoner_id=asked.known.prisoner_id,
        language=request[LANGUAGE],
        wants=form.wish,
        body=form.body,
        reply_sheets=form.reply_sheets,
        card=form.card,
        photos=form.jpegs,
        translate_from=checked.translate_from,
    )


@ROUTES.get("/{language}/inbox/{secret}/write/{conversation}", name="write_back")
async def begin_back(request: web.Request) -> web.Response:
    """The form of the next letter of a conversation, with what is known already."""
    try:
        __, asked = await _back(request)
    except NothingConfirmedError:
        return _cannot_write(request, None)
    assert asked.back is not None
    if asked.known.prisoner.state != PrisonerState.ACTIVE:
        return _cannot_write(request, asked.known)
    form = LetterForm(printed_name=asked.back.printed_name).fitted(_rules(request, asked.known))
    return await _form(request, asked, form, NOTHING_WRONG)


@ROUTES.post("/{language}/inbox/{secret}/write/{conversation}", name="write_back")
async def send_back(request: web.Request) -> web.Response:
    """Show the pages of the next letter, go back to the form, or send it: it needs no confirmation."""
    try:
        secret, asked = await _back(request)
    except NothingConfirmedError:
        return _cannot_write(request, None)
    assert asked.back is not None
    address = asked.back.address
    received = _transliterated(await receive(request, asked.known))
    form = received.form.model_copy(update={"address": "", "phrase": ""})
    checked = await check(request, Received(form, received.action, received.complaints), asked.known)
    if asked.known.prisoner.state != PrisonerState.ACTIVE:
        return _cannot_write(request, asked.known, form.text)
    if checked.stops or received.action in {"edit", "remove"}:
        return await _form(request, asked, form, checked)
    if received.action != "send" or not form.nonce:
        return await _preview(request, asked, form, checked)
    submission = replace(
        _submission(request, asked, form, checked),
        # Whatever a browser sends as the name of its form, it is one of this conversation.
        nonce=f"{asked.back.conversation_id} {form.nonce}",
        wants=asked.back.wants,
        body=form.body.model_copy(update={"address": address}),
    )
    per_hour = None if address else request.config_dict[SETTINGS].letter.confirmations_without_mail_per_hour
    try:
        await steps.write_back(request.config_dict[STORE], secret, submission, per_hour=per_hour)
    except NotThereError:
        raise web.HTTPNotFound from None
    except steps.TooManyThisHourError:
        _ = words(request)
        complaint = _("Too many letters without a mail address came in this hour. Yours stands here: try again later.")
        return await _form(request, asked, form, replace(checked, complaints=(Complaint("text", complaint),)), 429)
    raise web.HTTPSeeOther(f"{path_to(request, 'inbox', secret=secret.link)}?{SENT}")


async def _back(request: web.Request) -> tuple[InboxSecret, Asked]:
    conversation = request.match_info["conversation"]
    try:
        secret = secret_in(request.match_info["secret"])
        async with request.config_dict[STORE].database.reading() as connection:
            back = await read_writing_back(connection, secret, conversation)
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    target = path_to(request, "write_back", secret=secret.link, conversation=conversation)
    return secret, Asked(back.known, target, back=back)


def _cannot_write(request: web.Request, known: Known | None, text: str = "") -> web.Response:
    """Says why no letter can be written; None where the inbox has no confirmed one."""
    return render(
        request, "desk/cannot_write.html", 409, known=known, secret=request.match_info["secret"], text=normal_text(text)
    )


@ROUTES.get("/{language}/inbox/{secret}/letter/{letter}/edit", name="edit")
async def edit(request: web.Request) -> web.Response:
    """The form of a letter that is to be changed, as it was sent."""
    asked = await _asked(request)
    assert asked.change is not None
    body = asked.change.body
    photos = tuple(KeptPhoto(*both) for both in zip(asked.change.photos, body.photos, strict=True))
    form = LetterForm(
        text=body.text,
        printed_name=body.printed_name,
        reply_sheets=asked.change.reply_sheets,
        card=asked.change.card,
        photos=photos,
    ).fitted(_rules(request, asked.known))
    return await _form(request, asked, form, await check(request, Received(form, "", ()), asked.known))


@ROUTES.post("/{language}/inbox/{secret}/letter/{letter}/edit", name="edit")
async def change(request: web.Request) -> web.Response:
    """Show the pages of a changed letter, go back to the form, or send it."""
    store, letter_id = request.config_dict[STORE], request.match_info["letter"]
    try:
        secret = secret_in(request.match_info["secret"])
        async with store.database.reading() as connection:
            known = await addressee(connection, secret, letter_id)
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    received = _transliterated(await receive(request, known))
    form = received.form.model_copy(update={"address": ""})  # it cannot be changed here
    checked = await check(request, Received(form, received.action, received.complaints), known)
    if received.action == "send" and not checked.stops:
        try:
            await steps.edit(store, secret, letter_id, _changed(form, checked))
        except (steps.NotToBeChangedError, SealBrokenError):
            return _too_late(request, secret, form)
        raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))
    try:
        asked = await _to_change(request, secret)
    except steps.NotToBeChangedError:
        return _too_late(request, secret, form)
    if checked.stops or received.action in {"edit", "remove"}:
        return await _form(request, asked, form, checked)
    return await _preview(request, asked, form, checked)


def _changed(form: LetterForm, checked: Checked) -> steps.Changed:
    return steps.Changed(form.body, form.jpegs, form.reply_sheets, form.card, checked.translate_from)


async def _asked(request: web.Request) -> Asked:
    try:
        secret = secret_in(request.match_info["secret"])
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    try:
        return await _to_change(request, secret)
    except steps.NotToBeChangedError:
        raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link)) from None


async def _to_change(request: web.Request, secret: InboxSecret) -> Asked:
    letter_id = request.match_info["letter"]
    try:
        found = await to_change(request.config_dict[STORE], secret, letter_id)
    except (NoSuchInboxError, SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None
    return Asked(found.known, path_to(request, "edit", secret=secret.link, letter=letter_id), found)


def _too_late(request: web.Request, secret: InboxSecret, form: LetterForm) -> web.Response:
    return render(request, "desk/too_late.html", 409, secret=secret.link, form=form)


def _transliterated(received: Received) -> Received:
    if received.action != "transliterate":
        return received
    form = received.form.model_copy(update={"printed_name": _cyrillic(received.form.name)})
    return Received(form, received.action, received.complaints)


def _cyrillic(name: str) -> str:
    return str(transliterate.translit(name, "ru"))


async def _form(
    request: web.Request, asked: Asked, form: LetterForm, checked: Checked, status: int | None = None
) -> web.Response:
    text = normal_text(form.text)
    # What is only good to know about the letter as a whole stands beside its pages.
    rules = request.config_dict[SCREENING].rules_of(asked.known.facility)
    findings = [each for each in checked.findings if each.severity is not Severity.INFO or each.start < each.end]
    return render(
        request,
        "desk/write.html",
        status or (422 if checked.stops else 200),
        asked=asked,
        form=form,
        checked=checked,
        remarks=remarks(text, findings),
        marked=marked(text, spans_of(findings)),
        thumbnails=_in_base64([await thumbnail(photo.jpeg) for photo in form.photos]),
        new_photos=NEW_PHOTOS,
        rules=rules,
        on_a_card=ON_A_CARD,
        greeting=(GREETING_CHARACTERS, GREETING_LINES),
        limit=min(request.config_dict[SETTINGS].letter.max_characters, rules.characters),
    )


def _rules(request: web.Request, known: Known) -> PrintRules:
    return request.config_dict[SCREENING].rules_of(known.facility).printing


def _in_base64(pictures: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(picture).decode() for picture in pictures]


async def _preview(request: web.Request, asked: Asked, form: LetterForm, checked: Checked) -> web.Response:
    store, settings, known = request.config_dict[STORE], request.config_dict[SETTINGS], asked.known
    if asked.first and (not is_claim_phrase(form.phrase) or not form.nonce):
        fresh = {"phrase": new_claim_phrase(request[LANGUAGE]), "nonce": secrets.token_urlsafe(16)}
        form = form.model_copy(update=fresh)
    elif not form.nonce:
        form = form.model_copy(update={"nonce": secrets.token_urlsafe(16)})
    written_on: datetime.date = asked.change.written_on if asked.change else store.database.clock().date()
    letter = _specimen(form, known, written_on, settings.site.return_address, _rules(request, known))
    pages = await request.config_dict[LETTER_PAGES].preview(letter)
    of_letter = len(pages) - SIDES * form.reply_sheets
    cyrillic = _cyrillic(form.name) if known.prisoner.language == "ru" else form.name
    findings = [finding for finding in checked.findings if not (checked.translate_from and _of_language(finding))]
    text = normal_text(form.text)
    return render(
        request,
        "desk/preview.html",
        asked=asked,
        form=form,
        remarks=remarks(text, findings),
        marked=marked(text, spans_of(findings)),
        translation=_translation(request, known, checked.translate_from),
        pages=_in_base64(pages[: of_letter + SIDES]),
        on_a_card=ON_A_CARD,
        cyrillic=cyrillic if cyrillic != form.name else None,
    )


def _specimen(
    form: LetterForm, known: Known, written_on: datetime.date, return_address: tuple[str, ...], rules: PrintRules
) -> LetterToPrint:
    letter = printable(known, form.body, SPECIMEN, written_on, return_address, form.reply_sheets, rules, form.jpegs)
    if form.card:
        greeting = Greeting(letter.printed_name, letter.text)
        letter = replace(letter, printed_name="", text="", greetings=(greeting,))
    # Through a window the name and the place are seen as a sender knows them; their address is nobody's business here.
    return replace(letter, address=(known.prisoner.name, known.facility.name) if rules.window else ())


def _of_language(finding: Finding) -> bool:
    whole = finding.start == finding.end
    return whole and finding.rule == LANGUAGE_RULE and finding.severity is not Severity.BLOCK


def _translation(request: web.Request, known: Known, language: str | None) -> tuple[str, str] | None:
    """From which language a letter is translated, and which ones the facility takes, as their names."""
    if language is None:
        return None
    locale = Locale(request[LANGUAGE])
    takes = request.config_dict[SCREENING].rules_of(known.facility).takes
    names = [str(locale.languages.get(code, code)) for code in (language, *takes)]
    return names[0], format_list(names[1:], locale=locale)

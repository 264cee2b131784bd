"""The public site: find a prisoner, write, see the pages, send, confirm, follow, read the reply."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Final

import transliterate
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from relay.desk import steps
from relay.desk.inbox import NoSuchInboxError, check_owner, read_inbox, read_reply, reply_part
from relay.domain.claim_phrase import is_claim_phrase, new_claim_phrase
from relay.domain.directory import PrisonerState
from relay.domain.letters import (
    PRINTED_NAME_MAX,
    AddressRefusedError,
    LetterBody,
    Wants,
    normal_address,
    normal_text,
)
from relay.domain.lives import LetterState
from relay.domain.reply_code import SPECIMEN
from relay.domain.reply_parts import REPLY_PDF, reply_picture_part
from relay.sealing import InboxSecret, SealBrokenError
from relay.store import directory
from relay.store.blobs import BlobMissingError
from relay.store.directory import Known
from relay.store.letters import printable
from relay.web.keys import DESK, LANGUAGE, LETTER_PAGES, SETTINGS, STORE
from relay.web.site import fields_of, path_to, render, words

ROUTES: Final = web.RouteTableDef()
REPLY_SHEETS: Final = 1
UNPRINTABLE_SHOWN: Final = 10


class LetterForm(BaseModel):
    """The form of a letter, as it came from the browser."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str = ""
    printed_name: str = ""
    address: str = ""
    wants: Wants = Wants.FULL
    phrase: str = ""
    nonce: str = ""

    @property
    def body(self) -> LetterBody:
        """What is sealed. Only for a form without complaints."""
        address = normal_address(self.address) if self.address.strip() else None
        return LetterBody(text=normal_text(self.text), printed_name=self.name, address=address)

    @property
    def name(self) -> str:
        """The name to be printed, on one line."""
        return " ".join(self.printed_name.split())

    @property
    def wish(self) -> Wants:
        """What the sender wants by mail; nothing without an address."""
        if not self.address.strip():
            return Wants.NOTHING
        return Wants.NOTICE if self.wants is Wants.NOTICE else Wants.FULL


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one field of the form."""

    field: str
    sentence: str


def _complaints(form: LetterForm, request: web.Request) -> list[Complaint]:
    _ = words(request)
    limits, printer = request.config_dict[SETTINGS].letter, request.config_dict[LETTER_PAGES]
    found: list[Complaint] = []
    text = normal_text(form.text)
    if not text.strip():
        found.append(Complaint("text", _("The letter is empty.")))
    elif len(text) > limits.max_characters:
        sentence = _("The letter has {count} characters; {limit} are possible. Please send it as two letters.")
        found.append(Complaint("text", sentence.format(count=len(text), limit=limits.max_characters)))
    elif unprintable := printer.unprintable(text):
        sentence = _("The character “{character}” ({name}) in line {line}, place {column}, cannot be printed.")
        found += [
            Complaint(
                "text",
                sentence.format(
                    character=character.character if character.character.isprintable() else "\ufffd",
                    name=character.name,
                    line=character.line,
                    column=character.column,
                ),
            )
            for character in unprintable[:UNPRINTABLE_SHOWN]
        ]
    elif (pages := printer.page_count(text)) > limits.max_pages:
        sentence = _("The letter fills {count} pages; {limit} are possible. Please send it as two letters.")
        found.append(Complaint("text", sentence.format(count=pages, limit=limits.max_pages)))
    if not form.name:
        found.append(Complaint("printed_name", _("Please give a name to be printed. It can be a pseudonym.")))
    elif len(form.name) > PRINTED_NAME_MAX:
        found.append(
            Complaint("printed_name", _("At most {limit} characters fit here.").format(limit=PRINTED_NAME_MAX))
        )
    elif printer.unprintable(form.name):
        found.append(Complaint("printed_name", _("This name has characters that cannot be printed.")))
    if form.address.strip():
        try:
            normal_address(form.address)
        except AddressRefusedError:
            found.append(
                Complaint("address", _("This cannot be a mail address. Please correct it, or leave the field empty."))
            )
    return found


async def _form(request: web.Request) -> tuple[LetterForm, str]:
    fields = await fields_of(request, with_nul=True)
    if fields.get("wants") not in tuple(Wants):
        fields.pop("wants", None)
    return LetterForm.model_validate(fields), fields.get("action", "")


async def _prisoner(request: web.Request) -> Known:
    async with request.config_dict[STORE].database.reading() as connection:
        known = await directory.by_slug(connection, request.match_info["slug"])
    if known is None or known.prisoner.state != PrisonerState.ACTIVE:
        raise web.HTTPNotFound
    return known


@ROUTES.get("/{language}/", name="home")
async def home(request: web.Request) -> web.Response:
    """Find a prisoner, or open an inbox."""
    search = " ".join(request.query.get("q", "").split())[:100]
    found: list[Known] = []
    if search:
        async with request.config_dict[STORE].database.reading() as connection:
            found = await directory.search(connection, search)
    return render(request, "desk/home.html", search=search, found=found, most=directory.FOUND_AT_MOST)


@ROUTES.get("/{language}/to/{slug}", name="write")
async def write(request: web.Request) -> web.Response:
    """The empty form of a letter."""
    return _write(request, await _prisoner(request), LetterForm(), [])


def _write(request: web.Request, known: Known, form: LetterForm, complaints: list[Complaint]) -> web.Response:
    limit = request.config_dict[SETTINGS].letter.max_characters
    status = 422 if complaints else 200
    return render(request, "desk/write.html", status, known=known, form=form, complaints=complaints, limit=limit)


@ROUTES.post("/{language}/to/{slug}", name="write")
async def send(request: web.Request) -> web.Response:
    """Show the pages, go back to the form, or send. Until it is sent nothing of a letter is stored."""
    known = await _prisoner(request)
    form, action = await _form(request)
    if action == "transliterate":
        form = form.model_copy(update={"printed_name": _cyrillic(form.name)})
    complaints = _complaints(form, request)
    if complaints or action == "edit":
        return _write(request, known, form, complaints)
    if action == "send" and is_claim_phrase(form.phrase) and form.nonce:
        return await _submit(request, known, form)
    return await _preview(request, known, form)


async def _preview(request: web.Request, known: Known, form: LetterForm) -> web.Response:
    store, settings = request.config_dict[STORE], request.config_dict[SETTINGS]
    if not is_claim_phrase(form.phrase) or not form.nonce:
        fresh = {"phrase": new_claim_phrase(request[LANGUAGE]), "nonce": secrets.token_urlsafe(16)}
        form = form.model_copy(update=fresh)
    today = store.database.clock().date()
    letter = printable(known, form.body, SPECIMEN, today, settings.site.return_address, REPLY_SHEETS)
    pages = await request.config_dict[LETTER_PAGES].preview(letter)
    cyrillic = _cyrillic(form.name) if known.prisoner.language == "ru" else form.name
    return render(
        request,
        "desk/preview.html",
        known=known,
        form=form,
        pages=[base64.b64encode(page).decode() for page in pages],
        cyrillic=cyrillic if cyrillic != form.name else None,
    )


def _cyrillic(name: str) -> str:
    return str(transliterate.translit(name, "ru"))


async def _submit(request: web.Request, known: Known, form: LetterForm) -> web.Response:
    await steps.submit(
        request.config_dict[STORE],
        request.config_dict[DESK],
        steps.Submission(
            nonce=form.nonce,
            phrase=form.phrase,
            prisoner_id=known.prisoner_id,
            language=request[LANGUAGE],
            wants=form.wish,
            body=form.body,
            reply_sheets=REPLY_SHEETS,
        ),
    )
    return render(request, "desk/sent.html", known=known, form=form)


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


@ROUTES.post("/{language}/inbox", name="open_inbox")
async def open_inbox(request: web.Request) -> web.Response:
    """Open an inbox by its claim phrase."""
    secret = InboxSecret.from_phrase((await fields_of(request, with_nul=True)).get("phrase", ""))
    try:
        async with request.config_dict[STORE].database.reading() as connection:
            await read_inbox(connection, secret)
    except NoSuchInboxError:
        return render(request, "desk/no_inbox.html", 404)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


def _secret(request: web.Request) -> InboxSecret:
    """The secret in the address. Raises NoSuchInboxError."""
    try:
        return InboxSecret.from_link(request.match_info["secret"])
    except ValueError:
        raise NoSuchInboxError from None


@ROUTES.get("/{language}/inbox/{secret}", name="inbox")
async def inbox(request: web.Request) -> web.Response:
    """All letters and replies of an inbox."""
    try:
        secret = _secret(request)
        async with request.config_dict[STORE].database.reading() as connection:
            letters = await read_inbox(connection, secret)
    except NoSuchInboxError:
        return render(request, "desk/no_inbox.html", 404)
    return render(request, "desk/inbox.html", letters=letters, secret=secret.link, too_late=False)


@ROUTES.post("/{language}/inbox/{secret}/withdraw/{letter}", name="withdraw")
async def withdraw(request: web.Request) -> web.Response:
    """Take a letter back."""
    store = request.config_dict[STORE]
    try:
        secret = _secret(request)
        async with store.database.reading() as connection:
            await check_owner(connection, secret, request.match_info["letter"])
    except NoSuchInboxError:
        raise web.HTTPNotFound from None
    try:
        await steps.withdraw(store, request.match_info["letter"])
    except steps.TooLateToWithdrawError:
        async with store.database.reading() as connection:
            letters = await read_inbox(connection, secret)
        return render(request, "desk/inbox.html", 409, letters=letters, secret=secret.link, too_late=True)
    raise web.HTTPSeeOther(path_to(request, "inbox", secret=secret.link))


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}", name="reply")
async def reply(request: web.Request) -> web.Response:
    """One reply: its pictures and what was read from them."""
    try:
        secret = _secret(request)
        async with request.config_dict[STORE].database.reading() as connection:
            found = await read_reply(connection, secret, request.match_info["reply"])
    except (NoSuchInboxError, SealBrokenError):
        raise web.HTTPNotFound from None
    return render(request, "desk/reply.html", reply=found, secret=secret.link)


@ROUTES.get("/{language}/inbox/{secret}/reply/{reply}/reply.pdf", name="reply_pdf")
async def reply_pdf(request: web.Request) -> web.Response:
    """The reply as one PDF."""
    return await _serve(request, REPLY_PDF, "application/pdf")


@ROUTES.get(r"/{language}/inbox/{secret}/reply/{reply}/{number:[1-9]\d{0,3}}.jpg", name="reply_picture")
async def reply_picture(request: web.Request) -> web.Response:
    """One page of the reply as a picture."""
    return await _serve(request, reply_picture_part(int(request.match_info["number"])), "image/jpeg")


async def _serve(request: web.Request, part: str, content_type: str) -> web.Response:
    try:
        data = await reply_part(request.config_dict[STORE], _secret(request), request.match_info["reply"], part)
    except (NoSuchInboxError, SealBrokenError, BlobMissingError):
        raise web.HTTPNotFound from None
    return web.Response(body=data, content_type=content_type)

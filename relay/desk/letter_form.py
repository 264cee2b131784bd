"""The form of a letter as a browser sends it, and what is wrong with it.

Photos are read from the stream into memory, decoded where they can do no harm, and travel between the screens in
hidden fields: until a letter is sent, nothing of it is on a disk.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import BadHttpMessage
from pydantic import BaseModel, ConfigDict

from relay.config import LetterSettings
from relay.domain.letters import (
    GREETING_CHARACTERS,
    GREETING_LINES,
    PRINTED_NAME_MAX,
    AddressRefusedError,
    LetterBody,
    Wants,
    empty_lines_before,
    normal_address,
    normal_text,
)
from relay.domain.photos import UPLOAD_BYTES, KeptPhoto, PhotoRefusedError
from relay.domain.ports import LetterPages, Screening
from relay.domain.printing import REPLY_SHEETS_MAX, PrintRules
from relay.domain.review import Draft, Finding, Severity
from relay.locale import catalogue
from relay.store.directory import Known
from relay.web.keys import LANGUAGE, LETTER_PAGES, PHOTOS, SCREENING, SETTINGS
from relay.web.site import FORM_BYTES, fields_of, words
from relay.web.unprintable import sentence_about_line, sentences

FORM_WITH_PHOTOS_BYTES: Final = 100_000_000
"""Largest form: up to here, who chose too many or too large photos is told so at the form, where the text still is."""
FORM_WITH_PHOTOS_SECONDS: Final = 600
"""How long it may take to arrive: enough for two photos of 15 MB at 0.4 Mbit/s."""
CARRIED_BYTES: Final = 2_800_000
"""Characters of a hidden field with a kept photo: 2 MB in base64. What is kept has half a megabyte, rarely more."""
PARTS: Final = 100
"""Fields and files of one form."""
NAME_SHOWN: Final = 60
"""Characters of a file's name in a complaint; it is a label, never a path."""
NEW_PHOTOS: Final = "photos"
"""The field in which photos are chosen."""
CARRIED: Final = re.compile(r"photo-[1-9]\d?")
"""The hidden fields of the photos that were taken."""
REPLY_SHEETS: Final = frozenset(map(str, range(REPLY_SHEETS_MAX + 1)))
"""What a browser sends as the number of reply sheets."""
ON_A_CARD: Final = "yes"
"""What a browser sends where a greeting may stand on a card."""
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with one field of the form."""

    field: str
    sentence: str


class LetterForm(BaseModel):
    """What stands in the form of a letter."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str = ""
    printed_name: str = ""
    address: str = ""
    wants: Wants = Wants.FULL
    phrase: str = ""
    nonce: str = ""
    reply_sheets: int = 1
    card: bool = False
    """Whether it is a short greeting that may stand on a card with others."""
    photos: tuple[KeptPhoto, ...] = ()

    def fitted(self, rules: PrintRules) -> LetterForm:
        """The form with no more reply sheets than the facility takes, and no card where it takes none."""
        sheets = min(self.reply_sheets, rules.reply_sheets)
        return self.model_copy(update={"reply_sheets": sheets, "card": self.card and rules.cards})

    @property
    def body(self) -> LetterBody:
        """What is sealed. Only for a form without complaints."""
        address = normal_address(self.address) if self.address.strip() else None
        about = tuple(photo.about for photo in self.photos)
        return LetterBody(text=normal_text(self.text), printed_name=self.name, address=address, photos=about)

    @property
    def jpegs(self) -> tuple[bytes, ...]:
        """The photos themselves."""
        return tuple(photo.jpeg for photo in self.photos)

    @property
    def carried(self) -> list[str]:
        """The photos as they travel in hidden fields."""
        return [base64.b64encode(photo.jpeg).decode() for photo in self.photos]

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
class Received:
    """A form that came, and which of its buttons was pressed."""

    form: LetterForm
    action: str
    complaints: tuple[Complaint, ...]
    """About photos that could not be taken."""


async def receive(request: web.Request, known: Known) -> Received:
    """Read the form of a letter to this prisoner.

    Raises HTTPBadRequest for what no browser sends, HTTPRequestEntityTooLarge and HTTPRequestTimeout.
    """
    rules = request.config_dict[SCREENING].rules_of(known.facility)
    taking = _Taking(request, rules.photos)
    if request.content_type.startswith("multipart/"):
        try:
            async with asyncio.timeout(FORM_WITH_PHOTOS_SECONDS):
                fields = await _read_parts(request, taking)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        except (ValueError, LookupError, RuntimeError, BadHttpMessage):  # broken parts, characters or base64
            raise web.HTTPBadRequest from None
    else:
        fields = await fields_of(request, with_nul=True)
        for name in filter(CARRIED.fullmatch, fields):
            await taking.take(name, _decoded(fields[name].encode()))
    if fields.get("wants") not in tuple(Wants):
        fields.pop("wants", None)
    if fields.get("reply_sheets") not in REPLY_SHEETS:
        fields.pop("reply_sheets", None)
    action, _, dropped = fields.get("action", "").partition(" ")
    taking.photos.pop(dropped, None)
    card, photos = fields.get("card") == ON_A_CARD, tuple(taking.photos.values())
    form = LetterForm.model_validate({**fields, "card": card, "photos": photos}).fitted(rules.printing)
    return Received(form, action, tuple(Complaint(NEW_PHOTOS, sentence) for sentence in taking.complaints))


@dataclass(slots=True)
class _Taking:
    """The photos of a form, as they come in.

    Also those that were taken before are decoded anew at each screen: a hidden field can hold anything by now, and no
    secret has to be shared by the processes of a desk, or to outlive them.
    """

    request: web.Request
    most: int
    photos: dict[str, KeptPhoto] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def full(self) -> bool:
        """Whether no photo more can go with the letter."""
        return len(self.photos) >= self.most

    async def take(self, name: str, untrusted: bytes, label: str = "") -> None:
        """Keep one photo, or note why it cannot be taken."""
        if self.full:
            self._too_many()
            return
        try:
            self.photos[name] = await self.request.config_dict[PHOTOS].keep(untrusted)
        except PhotoRefusedError as refused:
            sentence = words(self.request)(str(refused))
            self.complaints.append(f"{label}: {sentence}" if label else sentence)

    def _too_many(self) -> None:
        self.refused += 1
        if self.refused == 1:
            self.complaints.append(too_many_photos(self.most, self.request[LANGUAGE]))


def too_many_photos(most: int, language: str) -> str:
    """Says that only so many photos can go with a letter."""
    _, ngettext = catalogue(language).gettext, catalogue(language).ngettext
    sentence = (
        ngettext(
            "At most {limit} photo can go with a letter to this prison.",
            "At most {limit} photos can go with a letter to this prison. The first ones were taken.",
            most,
        )
        if most
        else _("No photos can go with a letter to this prison.")
    )
    return sentence.format(limit=most)


async def _read_parts(request: web.Request, taking: _Taking) -> dict[str, str]:
    # Not request.post(), which writes files to the disk as they are. The reader knows no limits of its own.
    fields: dict[str, str] = {}
    room, count = FORM_BYTES, 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        count += 1
        if count > PARTS or not isinstance(part, BodyPartReader):
            raise web.HTTPBadRequest
        name = part.name or ""
        if name == NEW_PHOTOS:
            label = " ".join((part.filename or "").split())[-NAME_SHOWN:]
            data = await _read(request, part, UPLOAD_BYTES if not taking.full else 1)
            if data or label:  # a field in which nothing was chosen comes too
                await taking.take(f"new-{count}", data, label)
            continue
        if part.filename is not None:
            await _read(request, part, 0)
        elif CARRIED.fullmatch(name):
            data = await _read(request, part, CARRIED_BYTES)
            if len(data) > CARRIED_BYTES:
                raise web.HTTPRequestEntityTooLarge(CARRIED_BYTES, len(data))
            await taking.take(name, _decoded(data))
        else:
            data = await _read(request, part, room)
            if len(data) > room:
                raise web.HTTPRequestEntityTooLarge(FORM_BYTES, len(data))
            room -= len(data)
            fields[name] = data.decode()
    return fields


async def _read(request: web.Request, part: BodyPartReader, most: int) -> bytes:
    """The first bytes of a part: of one that is longer than `most` a little more. All of it is read."""
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        if request.content.total_bytes > FORM_WITH_PHOTOS_BYTES:
            raise web.HTTPRequestEntityTooLarge(FORM_WITH_PHOTOS_BYTES, request.content.total_bytes)
        if len(data) <= most:
            data += chunk
    return bytes(data)


def _decoded(carried: bytes) -> bytes:
    try:
        return base64.b64decode(carried, validate=True)
    except binascii.Error:
        raise web.HTTPBadRequest from None


@dataclass(frozen=True, slots=True)
class Checked:
    """What is to be said about a form."""

    complaints: tuple[Complaint, ...]
    """The letter cannot be sent like this."""
    findings: tuple[Finding, ...]
    """What the rules of the facility say; places are those of the text in its normal form."""
    translate_from: str | None
    """The language of the text, where the facility does not take it."""

    @property
    def stops(self) -> bool:
        """Whether something has to be changed before the letter can go."""
        return bool(self.complaints) or self.blocks

    @property
    def blocks(self) -> bool:
        """Whether words of the letter have to be changed."""
        return any(finding.severity is Severity.BLOCK for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Checker:
    """What letters are checked with, and the language in which is said what is wrong."""

    limits: LetterSettings
    printer: LetterPages
    screening: Screening
    language: str


async def check(request: web.Request, received: Received, known: Known) -> Checked:
    """Look for all that is wrong with a letter to this prisoner, see `check_letter`."""
    config = request.config_dict
    checker = Checker(config[SETTINGS].letter, config[LETTER_PAGES], config[SCREENING], request[LANGUAGE])
    return await check_letter(checker, received.form, received.complaints, known)


async def check_letter(checker: Checker, form: LetterForm, of_photos: Sequence[Complaint], known: Known) -> Checked:
    """Look for all that is wrong with a letter to this prisoner.

    The facility's own rules are asked only about a text that the relay could print: nothing is said twice.
    """
    facility, screening = known.facility, checker.screening
    # In threads: some texts take a second to set, and an installation's own patterns up to their time limit.
    text, of_text = normal_text(form.text), await asyncio.to_thread(_of_text, checker, form, known)
    others = (*_of_name(checker, form), *_of_card(checker, form), *_of_address(checker, form))
    complaints = (*of_text, *others, *of_photos)
    if of_text:
        return Checked(complaints, (), None)
    about = tuple(photo.about for photo in form.photos)
    draft = Draft(text, await asyncio.to_thread(_pages, checker, known, text), form.reply_sheets, about)
    takes, language = screening.rules_of(facility).takes, screening.language_of(text)
    return Checked(
        complaints,
        tuple(await asyncio.to_thread(screening.findings, draft, facility, checker.language)),
        language if takes and language not in takes else None,
    )


def _pages(checker: Checker, known: Known, text: str) -> int:
    rules = checker.screening.rules_of(known.facility).printing
    return checker.printer.page_count(text, known.prisoner.layout, rules)


def _of_text(checker: Checker, form: LetterForm, known: Known) -> list[Complaint]:
    _ = catalogue(checker.language).gettext
    limits, printer = checker.limits, checker.printer
    text = normal_text(form.text)
    if not text.strip():
        return [Complaint("text", _("The letter is empty."))]
    if len(text) > limits.max_characters:
        sentence = _("The letter has {count} characters; {limit} are possible. Please send it as two letters.")
        return [Complaint("text", sentence.format(count=len(text), limit=limits.max_characters))]
    if unprintable := printer.unprintable(text):
        before = empty_lines_before(form.text)
        found = [replace(each, line=each.line + before) for each in unprintable]
        return [Complaint("text", sentence) for sentence in sentences(found, checker.language)]
    lines = text.count("\n") + 1
    if form.card and (len(text) > GREETING_CHARACTERS or lines > GREETING_LINES):
        sentence = _(
            "A greeting on a card has at most {most} characters in {most_lines} lines; this one has {count} in "
            "{lines}. Please shorten it, or send it as a letter of its own."
        )
        limits_of_card = {"most": GREETING_CHARACTERS, "most_lines": GREETING_LINES}
        return [Complaint("text", sentence.format(count=len(text), lines=lines, **limits_of_card))]
    if (pages := _pages(checker, known, text)) > limits.max_pages:
        sentence = _("The letter fills {count} pages; {limit} are possible. Please send it as two letters.")
        return [Complaint("text", sentence.format(count=pages, limit=limits.max_pages))]
    return []


def _of_card(checker: Checker, form: LetterForm) -> list[Complaint]:
    _ = catalogue(checker.language).gettext
    if not form.card or not form.photos:
        return []
    sentence = _("A card cannot have photos. Please remove them, or send a separate letter.")
    return [Complaint("card", sentence)]


def _of_name(checker: Checker, form: LetterForm) -> list[Complaint]:
    _ = catalogue(checker.language).gettext
    if not form.name:
        return [Complaint("printed_name", _("Please give a name to be printed. It can be a pseudonym."))]
    if len(form.name) > PRINTED_NAME_MAX:
        return [Complaint("printed_name", _("At most {limit} characters fit here.").format(limit=PRINTED_NAME_MAX))]
    if unprintable := checker.printer.unprintable(form.name):
        return [Complaint("printed_name", sentence_about_line(unprintable, checker.language))]
    return []


def _of_address(checker: Checker, form: LetterForm) -> list[Complaint]:
    _ = catalogue(checker.language).gettext
    if form.address.strip():
        try:
            normal_address(form.address)
        except AddressRefusedError:
            complaint = _("This cannot be a mail address. Please correct it, or leave the field empty.")
            return [Complaint("address", complaint)]
    return []

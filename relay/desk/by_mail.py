"""What comes in by mail: the answers of senders become their next letters, and what came back is noted."""

from __future__ import annotations

import asyncio
import datetime
import re
from dataclasses import dataclass
from email.message import Message
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.config import Settings
from relay.desk import steps
from relay.desk.letter_form import Checked, Checker, Complaint, LetterForm, check_letter, too_many_photos
from relay.domain.directory import PrisonerState
from relay.domain.letters import AddressRefusedError, LetterBody, Wants, mailbox_of, normal_address
from relay.domain.lives import SENTENCES, LetterState, MailKind
from relay.domain.photos import KeptPhoto, PhotoRefusedError
from relay.domain.ports import LetterPages, Photos, Screening
from relay.domain.reasons import ReviewReason
from relay.domain.review import Severity
from relay.locale import catalogue
from relay.mail.automatic import seems_automatic
from relay.mail.bounces import Bounce
from relay.mail.compose import Own
from relay.mail.contents import Contents, contents
from relay.mail.explaining import Explained, Kind, explain, recipients_of
from relay.mail.incoming import DOUBTS, RAW, Doubt, IncomingState, incoming_context, put
from relay.mail.outbox import add_own_mail, drop_mails
from relay.mail.parsing import addresses, header, parsed
from relay.mail.quoting import own_text
from relay.mail.suppression import note_bounce
from relay.sealing import PrivateKey, SealBrokenError
from relay.store import directory, leases
from relay.store.letters import inbox_secret, read_body, was_confirmed
from relay.store.sealed import Store, open_part
from relay.store.tables import incoming, letters, outbox, reply_order_letters, reply_orders
from relay.store.transitions import NotThereError
from relay.store.work import ChangedMeanwhileError, work_on_next

LOG: Final = structlog.get_logger()
DAY: Final = datetime.timedelta(days=1)
LONGEST: Final = 100_000
"""Characters of a mail that are taken: far more than any letter may have."""
LOGO_PIXELS: Final = 160
"""What stands within the text of a mail and is narrower or lower than this is a logo, and no photo."""
PICTURES: Final = 12
"""Pictures of one mail that are looked at."""
NAMED: Final = 10
"""Files that are named to the sender because they were not taken."""
SUBJECT: Final = 200
"""Characters of a subject that are repeated to the sender."""
_ONCE_A_DAY: Final = frozenset({Doubt.OTHER_SENDER, Doubt.TOO_MANY, Doubt.UNREADABLE})
"""Told once in a day. An address gets around; the rest is about mails that the sender really wrote."""


@dataclass(frozen=True, slots=True)
class Taking:
    """What the steps of the incoming mail stand on."""

    store: Store
    office: PrivateKey
    settings: Settings
    photos: Photos
    pages: LetterPages
    screening: Screening


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest letter of a conversation that can still be opened."""

    id: str
    prisoner_id: str
    language: str
    wants: Wants
    body: LetterBody


class _NotTakenError(Exception):
    """A mail cannot be taken as a letter."""

    def __init__(self, doubt: Doubt, newest: _Newest | None = None) -> None:
        """Take the reason, and the letter to whose sender it is told."""
        super().__init__(doubt)
        self.doubt, self.newest = doubt, newest


async def take_incoming_next(taking: Taking, owner: str) -> bool:
    """Find out what the oldest mail is that came in, and do what follows from it. False where there is none."""

    async def take(incoming_id: str) -> None:
        await _take(taking, owner, incoming_id)

    received = incoming.c.state == IncomingState.RECEIVED
    if await work_on_next(taking.store.database, incoming, received, owner=owner, do=take):
        return True
    return await _leave_to_people(taking.store)


async def _leave_to_people(store: Store) -> bool:
    """Let people have a mail at which workers failed again and again. False where there is none."""
    aside = sa.select(incoming.c.id).where(
        incoming.c.state == IncomingState.RECEIVED, incoming.c.set_aside_at.is_not(None)
    )
    async with store.database.reading() as connection:
        found = (await connection.execute(aside)).scalars().all()
    for incoming_id in found:
        async with store.database.writing() as connection:
            await put(connection, incoming_id, IncomingState.UNKNOWN, store.database.clock(), reason=Doubt.FAILED)
    return bool(found)


async def _take(taking: Taking, owner: str, incoming_id: str) -> None:
    store = taking.store
    async with store.database.reading() as connection:
        row = (await connection.execute(sa.select(incoming).where(incoming.c.id == incoming_id))).one()
    raw = await open_part(store, incoming_context(incoming_id), RAW, taking.office)
    try:
        if row.reason == Doubt.TOO_LARGE:
            message, explained = parsed(raw), None
        else:
            # In a thread: a large mail takes a second.
            message, explained = await asyncio.to_thread(_explain, raw, taking.settings.incoming.address)
            if await _came_back(taking, owner, row, explained):
                return
        await _take_letter(taking, owner, row, message)
    except _NotTakenError as why:
        await _not_taken(taking, owner, row, why)
        LOG.info("mail_not_taken", mail=incoming_id, reason=why.doubt)


def _explain(raw: bytes, mailbox: str) -> tuple[Message | None, Explained]:
    return parsed(raw), explain(raw, mailbox, recipients_of(raw))


async def _came_back(taking: Taking, owner: str, row: sa.Row[Any], explained: Explained) -> bool:
    """Note what a program wrote. False where a person wrote it. Raises _NotTakenError for what nobody understands."""
    store, now = taking.store, taking.store.database.clock()
    async with store.database.reading() as connection:
        query = sa.select(outbox.c.message_id).where(outbox.c.id == row.mail_id)
        about: str | None = (await connection.execute(query)).scalar_one_or_none()
    if explained.kind is Kind.AUTOMATIC and (explained.certain or row.conversation_id is None):
        await _end(taking, owner, row.id, IncomingState.AUTOMATIC)
        return True
    if explained.kind is not Kind.BOUNCE and about is None:
        return False
    about = about or (explained.message_id or "").partition("@")[0]
    bounce = explained.bounce or Bounce(address=None, status=None, permanent=None, message_id=None)
    if not await note_bounce(store, taking.office, about, bounce, now) or explained.kind is not Kind.BOUNCE:
        raise _NotTakenError(Doubt.UNCLEAR)
    async with store.database.reading() as connection:
        mail_id = (await connection.execute(sa.select(outbox.c.id).where(outbox.c.message_id == about))).scalar_one()
    await _end(taking, owner, row.id, IncomingState.BOUNCE, mail_id=mail_id)
    return True


async def _end(taking: Taking, owner: str, incoming_id: str, state: IncomingState, mail_id: str | None = None) -> None:
    now = taking.store.database.clock()
    async with taking.store.database.writing() as connection:
        await leases.check(connection, incoming, incoming_id, owner, now)
        await put(connection, incoming_id, state, now, mail_id=mail_id)


async def _take_letter(taking: Taking, owner: str, row: sa.Row[Any], message: Message | None) -> None:
    """Make the next letter of a mail. Raises _NotTakenError."""
    store, settings = taking.store, taking.settings
    async with store.database.reading() as connection:
        newest = await _newest(connection, taking, row.conversation_id)
        if message is None:
            raise _NotTakenError(Doubt.UNREADABLE, newest)
        if not _is_from(message, newest.body.address):
            raise _NotTakenError(Doubt.OTHER_SENDER, newest)
        if seems_automatic(message):
            raise _NotTakenError(Doubt.SEEMS_AUTOMATIC, newest)
        if row.reason == Doubt.TOO_LARGE:
            raise _NotTakenError(Doubt.TOO_LARGE, newest)
        known = await directory.by_id(connection, newest.prisoner_id)
        if known.prisoner.state in {PrisonerState.RELEASED, PrisonerState.DO_NOT_WRITE}:
            raise _NotTakenError(Doubt.NOT_TO_BE_WRITTEN_TO, newest)
        today = await _taken_today(connection, row, store.database.clock())
        sheets = await _sheets(connection, row.conversation_id)
        secret = await inbox_secret(connection, newest.id, taking.office)
    if today >= settings.incoming.letters_per_day:
        raise _NotTakenError(Doubt.TOO_MANY, newest)
    held = await asyncio.to_thread(contents, message, "cp1251" if newest.language == "ru" else "cp1252")
    text = await asyncio.to_thread(_written, held.text, settings)
    rules = taking.screening.rules_of(known.facility)
    photos, of_photos = await _photos(taking, held, rules.photos, newest.language)
    if not text and not photos and not of_photos:
        raise _NotTakenError(Doubt.EMPTY, newest)
    form = LetterForm(text=text, printed_name=newest.body.printed_name, reply_sheets=sheets, photos=photos)
    form = form.fitted(rules.printing)
    checker = Checker(settings.letter, taking.pages, taking.screening, newest.language)
    checked = await check_letter(checker, form, of_photos, known)
    submission = steps.Submission(
        nonce=f"{row.conversation_id} mail {header(message, 'Message-ID') or header(message, 'Date')}",
        phrase="",
        prisoner_id=newest.prisoner_id,
        language=newest.language,
        wants=newest.wants,
        body=form.body.model_copy(update={"address": newest.body.address}),
        reply_sheets=form.reply_sheets,
        photos=form.jpegs,
        translate_from=checked.translate_from,
    )
    try:
        letter_id = await steps.write_back(store, secret, submission, _refused(taking, form, checked))
    except NotThereError:
        raise ChangedMeanwhileError from None
    own = Own(
        subject=header(message, "Subject")[:SUBJECT],
        sentences=tuple(_told(newest.language, checked, held, len(photos), known.prisoner.state)),
        text=form.body.text,
    )
    await _taken(taking, owner, row, letter_id, own)
    LOG.info("mail_taken", mail=row.id, letter=letter_id)


async def _newest(connection: AsyncConnection, taking: Taking, conversation_id: str | None) -> _Newest:
    """What the next letter goes by. Raises _NotTakenError where nobody can write one."""
    if conversation_id is None:
        raise _NotTakenError(Doubt.NOT_ADDRESSED)
    query = (
        sa.select(letters.c.id, letters.c.prisoner_id, letters.c.language, letters.c.wants)
        .where(letters.c.conversation_id == conversation_id)
        .order_by(letters.c.created_at.desc(), letters.c.id)
    )
    confirmed = (await connection.execute(query.where(was_confirmed()))).all()
    for row in confirmed:
        try:
            body = await read_body(connection, row.id, taking.office)
        except SealBrokenError:
            continue  # it was destroyed
        if body.address:
            return _Newest(row.id, row.prisoner_id, row.language, Wants(row.wants), body)
    raise _NotTakenError(Doubt.ERASED if confirmed else Doubt.NOT_CONFIRMED)


def _is_from(message: Message, address: str | None) -> bool:
    """Whether a mail says that it comes from this address, and from no other."""
    return address is not None and {_mailbox(one) for one in addresses(message, "From")} == {_mailbox(address)}


def _mailbox(address: str) -> str:
    try:
        return mailbox_of(normal_address(address))
    except AddressRefusedError:
        return mailbox_of(address)


async def _taken_today(connection: AsyncConnection, row: sa.Row[Any], now: datetime.datetime) -> int:
    """How many letters the conversation of a mail brought by mail in the last day."""
    taken = (incoming.c.conversation_id == row.conversation_id, incoming.c.state == IncomingState.LETTER)
    count = sa.select(sa.func.count(incoming.c.letter_id.distinct())).where(*taken, incoming.c.state_since > now - DAY)
    found: int = (await connection.execute(count)).scalar_one()
    return found


async def _sheets(connection: AsyncConnection, conversation_id: str) -> int:
    """How many reply sheets went with the newest letter of a conversation."""
    ordered = (
        sa.select(reply_orders.c.sheets)
        .join(reply_order_letters, reply_order_letters.c.code == reply_orders.c.code)
        .join(letters, letters.c.id == reply_order_letters.c.letter_id)
        .where(letters.c.conversation_id == conversation_id)
        .order_by(letters.c.created_at.desc(), letters.c.id)
        .limit(1)
    )
    found: int | None = (await connection.execute(ordered)).scalar_one_or_none()
    return 1 if found is None else found


def _written(text: str, settings: Settings) -> str:
    """What the sender wrote anew. A secret link or address that was quoted must not stand on paper."""
    local, _, domain = settings.incoming.address.rpartition("@")
    ours = (settings.mail.sender, settings.incoming.address, f"{local}+a", settings.site.name, settings.site.desk_url)
    written = own_text(text[: 10 * LONGEST], ours)[:LONGEST]
    link = rf"{re.escape(settings.site.desk_url)}/\w+/(?:inbox|confirm|link)/[^\s<>)\]]*"
    answer = rf"{re.escape(local)}\+[a-z0-9]+@{re.escape(domain)}"
    return re.sub(rf"{link}|{answer}", "[…]", written, flags=re.IGNORECASE)


async def _photos(
    taking: Taking, held: Contents, most: int, language: str
) -> tuple[tuple[KeptPhoto, ...], list[Complaint]]:
    """The pictures of a mail as photos of a letter, and what is wrong with the others."""
    kept: list[KeptPhoto] = []
    sentences: list[str] = []
    for picture in held.pictures[:PICTURES]:
        try:
            photo = await taking.photos.keep(picture.untrusted)
        except PhotoRefusedError as refused:
            if refused.__cause__ is not None:
                raise  # a fault of ours: tried again later
            sentences.append(f"{picture.name}: {catalogue(language).gettext(str(refused))}")
            continue
        if picture.inline and min(photo.about.width, photo.about.height) < LOGO_PIXELS:
            continue
        kept.append(photo)
    if len(kept) > most or len(held.pictures) > PICTURES:
        sentences.append(too_many_photos(most, language))
    return tuple(kept[:most]), [Complaint("photos", sentence) for sentence in sentences]


def _refused(taking: Taking, form: LetterForm, checked: Checked) -> ReviewReason | None:
    """Why the sender is asked to change a letter before it is read."""
    fields = {complaint.field for complaint in checked.complaints}
    if "text" in fields:
        is_short = len(form.text) <= taking.settings.letter.max_characters
        is_unreadable = is_short and (not form.text.strip() or taking.pages.unprintable(form.text))
        return ReviewReason.UNREADABLE if is_unreadable else ReviewReason.TOO_LONG
    if "printed_name" in fields:
        return ReviewReason.UNREADABLE
    if "photos" in fields:
        return ReviewReason.PHOTO
    return ReviewReason.FORBIDDEN_CONTENT if checked.blocks else None


def _told(language: str, checked: Checked, held: Contents, photos: int, prisoner: PrisonerState) -> list[str]:
    """What the sender has to know about a letter that came by mail."""
    _, ngettext = catalogue(language).gettext, catalogue(language).ngettext
    said: list[str] = []
    if checked.stops:
        said.append(_("It cannot go like this. Please change it first, behind the link below:"))
        said += [complaint.sentence for complaint in checked.complaints]
        blocking = (finding.sentence for finding in checked.findings if finding.severity is Severity.BLOCK)
        said += dict.fromkeys(blocking)
    if prisoner is not PrisonerState.ACTIVE:
        said.append(_(SENTENCES[LetterState.HELD]))
    if photos:
        said.append(
            ngettext("{count} picture goes with it.", "{count} pictures go with it.", photos).format(count=photos)
        )
    if held.others:
        names = ", ".join(f"“{name}”" for name in held.others[:NAMED])
        said.append(
            _("Files that are no pictures cannot be printed and do not go with it: {names}.").format(names=names)
        )
    return said


async def _taken(taking: Taking, owner: str, row: sa.Row[Any], letter_id: str, own: Own) -> None:
    """Note that a mail became a letter, and confirm it: once, however often the mail came."""
    now = taking.store.database.clock()
    async with taking.store.database.writing() as connection:
        await leases.check(connection, incoming, row.id, owner, now)
        same = sa.select(incoming.c.id).where(
            incoming.c.conversation_id == row.conversation_id, incoming.c.letter_id == letter_id
        )
        again = (await connection.execute(same)).first() is not None
        await put(connection, row.id, IncomingState.LETTER, now, letter_id=letter_id)
        if not again:
            # The confirmation says the same, and more.
            await drop_mails(connection, letter_id, [MailKind.QUEUED, MailKind.CHANGES], now)
            await add_own_mail(connection, taking.store, MailKind.TAKEN, letter_id, own, now)


async def _not_taken(taking: Taking, owner: str, row: sa.Row[Any], why: _NotTakenError) -> None:
    """Leave a mail to a person, and tell the known sender."""
    store, newest = taking.store, why.newest
    now = store.database.clock()
    async with store.database.writing() as connection:
        await leases.check(connection, incoming, row.id, owner, now)
        if newest is not None and await _may_tell(connection, taking, row, why.doubt, now):
            sentence = catalogue(newest.language).gettext(DOUBTS[why.doubt])
            own = Own(sentences=(sentence,))
            await add_own_mail(connection, store, MailKind.NOT_TAKEN, newest.id, own, now)
        await put(connection, row.id, IncomingState.UNKNOWN, now, reason=why.doubt)


async def _may_tell(
    connection: AsyncConnection, taking: Taking, row: sa.Row[Any], doubt: Doubt, now: datetime.datetime
) -> bool:
    """Whether another mail about mails that were not taken may go: two programs could go on for ever."""
    before = sa.select(sa.func.count()).where(
        incoming.c.conversation_id == row.conversation_id,
        incoming.c.state.in_([IncomingState.UNKNOWN, IncomingState.SETTLED]),
        incoming.c.created_at > now - DAY,
        incoming.c.id != row.id,
    )
    if doubt in _ONCE_A_DAY:
        before, most = before.where(incoming.c.reason == doubt), 1
    else:
        most = taking.settings.incoming.letters_per_day
    count: int = (await connection.execute(before)).scalar_one()
    return count < most

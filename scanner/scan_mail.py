"""Takes mails of a scanner: from it over SMTP, and then apart.

The mail is stored as it came before the scanner hears that it was taken; what is attached becomes scans of their own
later. The lists of senders and recipients keep stray mail out and nobody else: who can reach the port can forge an
address. What is attached is treated like any file from anywhere.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import Final

import sqlalchemy as sa
import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from relay.config import ScanSettings
from relay.domain.lives import WORKER, Record, ScanState
from relay.domain.scan_parts import ORIGINAL
from relay.log import failed
from relay.mail.serving import Connection, serving
from relay.sealing import Context, PrivateKey
from relay.store.sealed import Store, find_blob, load_key
from relay.store.tables import scans
from relay.store.work import work_on_next
from scanner.limits import Limits, NoAttachmentError, ScanRefusedError, TooManyPartsError
from scanner.steps import Source, is_file, note_count, place, reject, take_in

LOG: Final = structlog.get_logger()
MOST_MEGABYTES: Final = 30
"""Size of a mail, in units of 10^6 bytes: most scanners send no larger ones, and it lies in memory several times."""
AT_ONCE: Final = 2
"""Mails that come in at the same time; further ones wait."""

LINES: Final = 1_000_000
"""Lines of a mail that is taken apart. One of MOST_MEGABYTES has 400,000; more only make work."""
CONTAINERS: Final = 20
"""Parts that hold parts. The parser asks for the end of each at every line."""
BOUNDARIES: Final = 1000
"""Lines that could be the end of a part."""
HEADER: Final = 10_000
"""Characters of a header that says what a part is. Taking one apart takes as long as the square of its length."""
NAME_KEPT: Final = 200
"""Characters of a file name that are kept; it is a label, never a path."""

_CONTAINER: Final = re.compile(rb"(?:multipart|message)/[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE)
"""The header of a part that holds parts, from its type on."""
_KINDS: Final = frozenset(
    {
        *("application/pdf", "application/x-pdf", "application/acrobat", "application/octet-stream"),
        *("image/tiff", "image/x-tiff", "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/x-png"),
        *("image/webp", "image/heic", "image/heif"),
    }
)
"""What scans and phones' pictures are called, rightly and wrongly. What they are is found out later."""
_ENDINGS: Final = (".pdf", ".tif", ".tiff", ".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif")


@asynccontextmanager
async def taking_mail(store: Store, settings: ScanSettings) -> AsyncIterator[int]:
    """Take mails until the end of the block, at the port that it gives; 0 where the settings name none.

    Raises OSError where nothing can listen there.
    """
    if settings.mail_port == 0:
        yield 0
        return
    async with _listening(store, settings, settings.mail_port) as port:
        yield port


@asynccontextmanager
async def _listening(store: Store, settings: ScanSettings, port: int) -> AsyncIterator[int]:
    inbox = _Inbox(store, settings)

    def connected(places: asyncio.Semaphore) -> Connection:
        return Connection(inbox, places, MOST_MEGABYTES)

    async with serving(connected, settings.mail_host, port, at_once=AT_ONCE) as taken:
        yield taken


class _Inbox:
    """Who may send to whom, and where mails go. The methods are called by aiosmtpd and answer with a reply line."""

    def __init__(self, store: Store, settings: ScanSettings) -> None:
        self._store, self._settings = store, settings

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session
        if address.lower() not in self._settings.mail_senders:
            LOG.warning("scan_mail_refused", why="sender")
            return "550 5.7.1 Scans are not taken from this address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender is known"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address.lower() not in self._settings.mail_recipients:
            LOG.warning("scan_mail_refused", why="recipient")
            return "550 5.1.1 Scans are not taken for this address"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Scans are taken here"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        del server, session
        assert isinstance(envelope.content, bytes)
        try:
            await take_in(self._store, _pieces(envelope.content), str(envelope.mail_from), WORKER, source=Source.MAIL)
        except Exception as error:  # noqa: BLE001 - whatever it was, the scanner has to keep its mail
            failed("scan_mail_not_stored", error)
            return "451 4.3.0 The mail could not be stored; send it again later"
        return "250 2.0.0 The mail is stored"


async def unpack_next(store: Store, owner: str, office: PrivateKey) -> bool:
    """Take the oldest mail apart that was not yet: what is attached becomes scans. False where there is none.

    The mail itself stays, as a scan of no pages. One without any scan in it is rejected with the reason.
    """

    async def unpack(mail_id: str) -> None:
        try:
            await _unpack(store, owner, office, mail_id)
        except ScanRefusedError as refusal:
            LOG.info("scan_refused", scan=mail_id, reason=refusal.reason)
            await reject(store, mail_id, owner, refusal.reason)

    mails = (scans.c.state == ScanState.RECEIVED, sa.not_(is_file()))
    return await work_on_next(store.database, scans, *mails, owner=owner, do=unpack)


async def _unpack(store: Store, owner: str, office: PrivateKey, mail_id: str) -> None:
    context = Context(Record.SCAN, mail_id)
    async with store.database.reading() as connection:
        key = await load_key(connection, context, office)
        original = await find_blob(connection, context, ORIGINAL)
    attached = await asyncio.to_thread(attachments, await store.blobs.get_bytes(original, key))
    # Should this process end here, the same are found again, and what is stored already is recognised by its bytes.
    for one in attached:
        taken = await take_in(store, _pieces(one.content), one.name, WORKER, source=Source.MAIL, came_in=mail_id)
        LOG.info("scan_mail_unpacked", mail=mail_id, scan=taken.scan_id, known=taken.known)
    await note_count(store, mail_id, 0)
    await place(store, mail_id, owner, key, {})


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something attached to a mail that may be a scan."""

    name: str
    content: bytes


def attachments(mail: bytes) -> list[Attachment]:
    """What may be scans among the parts of a mail, in their order. Raises NoAttachmentError and TooManyPartsError.

    What parsing would cost is measured before, on the bytes: the measures can only be larger than the truth.
    """
    if mail.count(b"\n") > LINES or mail.count(b"\n--") > BOUNDARIES:
        raise TooManyPartsError(Limits())
    for number, header in enumerate(_CONTAINER.finditer(mail), start=1):
        if number > CONTAINERS or len(header.group()) > HEADER:
            raise TooManyPartsError(Limits())
    # The lenient parser: it keeps what it does not understand, and looks into no header that nobody asks for.
    message = message_from_bytes(mail, policy=policy.compat32)
    found = [attachment for part in message.walk() if (attachment := _attachment(part)) is not None]
    if not found:
        raise NoAttachmentError(Limits())
    return found


def _attachment(part: Message) -> Attachment | None:
    if any(len(str(part.get(header, ""))) > HEADER for header in ("Content-Type", "Content-Disposition")):
        raise TooManyPartsError(Limits())
    if part.is_multipart():
        return None
    try:
        name = str(make_header(decode_header(part.get_filename() or "")))
    except (MessageError, LookupError, ValueError, TypeError):
        name = ""
    if part.get_content_type() not in _KINDS and not name.lower().endswith(_ENDINGS):
        return None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)  # only what holds parts has none
    return Attachment(name[-NAME_KEPT:] or "attachment", content)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content

"""The mails to senders, as messages. Nothing here is read or sent."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import Final

from pydantic import BaseModel, ConfigDict

from relay.domain.letters import Transcript, Wants
from relay.domain.lives import MailKind
from relay.domain.reasons import LETTER_REASONS
from relay.domain.sheet import Tick
from relay.domain.ticks import FOR_SENDER, TICK_WORDS
from relay.locale import catalogue


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is written."""
    return sentence


_BY_MACHINE: Final = _(
    "This is what a machine read from the handwriting. It is a guess, often wrong; words followed by a question mark "
    "are doubtful. What counts is the picture."
)
_BY_PERSON: Final = _(
    "This is what a volunteer read from the handwriting. Words followed by a question mark are doubtful. What counts "
    "is the picture."
)
_BY_BOTH: Final = _(
    "This is what a volunteer and a machine read from the handwriting. The machine guesses, and is often wrong; words "
    "followed by a question mark are doubtful. What counts is the picture."
)
_UNREAD: Final = _("A machine could not read the handwriting. Please look at the picture.")


class AddressNotWritableError(ValueError):
    """An address that cannot be written into the head of a mail without becoming another one."""

    def __init__(self) -> None:
        """Do not quote the address: messages get into logs."""
        super().__init__("the address cannot be written into the head of a mail")


class Confirmation(BaseModel):
    """What the desk needs for the mail with which a sender confirms a letter. Sealed until it is sent."""

    model_config = ConfigDict(frozen=True)

    address: str
    token: str
    language: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every mail has: who gets it, in which language, and what makes it the same mail when it is sent again."""

    sender_name: str
    sender: str
    address: str
    language: str
    message_id: str
    written_at: datetime.datetime


def confirmation(envelope: Envelope, link: str, days: int) -> EmailMessage:
    """Asks the sender to confirm a letter by the link."""
    _ = catalogue(envelope.language).gettext
    text = _(
        "You wrote a letter on our site. Please confirm it:\n\n"
        "{link}\n\n"
        "The link opens a page with a button. Without it the letter is not sent, and it is deleted after {days} days.\n"
        "If it was not you, do nothing."
    ).format(link=link, days=days)
    return _message(envelope, _("Please confirm your letter"), text)


@dataclass(frozen=True, slots=True)
class Why:
    """Why a letter, or a part of it, goes no further."""

    reason: str
    """One of `relay.domain.reasons.LETTER_REASONS`."""
    note: str = ""
    """What the volunteer wrote to the sender."""


def notice(envelope: Envelope, kind: MailKind, prisoner: str, link: str, why: Why | None = None) -> EmailMessage:
    """Tells the sender how a letter goes on."""
    _ = catalogue(envelope.language).gettext
    subjects = {
        MailKind.QUEUED: _("Your letter is confirmed"),
        MailKind.CHANGES: _("Please change something in your letter"),
        MailKind.REFUSED: _("Your letter was not accepted"),
        MailKind.PARTLY: _("Your letter was accepted in part"),
        MailKind.RETURNED: _("Your letter came back"),
        MailKind.POSTED: _("Your letter is on its way"),
        MailKind.REPLY: _("You have an answer"),
    }
    sentences = {
        MailKind.QUEUED: _("Your letter to {prisoner} is confirmed. A volunteer will read it before it is printed."),
        MailKind.CHANGES: _("Your letter to {prisoner} can go as soon as you have changed something in it."),
        MailKind.REFUSED: _("A volunteer could not accept your letter to {prisoner}."),
        MailKind.PARTLY: _("Your letter to {prisoner} will be printed, but a part of it was left out."),
        MailKind.RETURNED: _("Your letter to {prisoner} came back to us."),
        MailKind.POSTED: _("Your letter to {prisoner} is printed and posted."),
        MailKind.REPLY: _("{prisoner} has answered your letter."),
    }
    lines = [sentences[kind].format(prisoner=prisoner)]
    if why is not None:
        lines.append(_("The reason: {reason}").format(reason=_(LETTER_REASONS[why.reason])))
        if why.note:
            lines.append(_("The volunteer writes: {note}").format(note=why.note))
    lines += [_("Your letters and the answers are here:"), link, _keep_secret(envelope.language)]
    return _message(envelope, subjects[kind], "\n\n".join(lines))


def reply(
    envelope: Envelope, wants: Wants, prisoner: str, link: str, transcript: Transcript, pdf: bytes
) -> EmailMessage:
    """Brings the sender a reply: the PDF and what was read from it, or only the notice that it is there."""
    if wants is not Wants.FULL:
        return notice(envelope, MailKind.REPLY, prisoner, link)
    _ = catalogue(envelope.language).gettext
    read = transcript.text().strip()
    lines = [
        _("{prisoner} has answered your letter.").format(prisoner=prisoner),
        _("The answer is attached as it was written by hand."),
        *_missing(transcript, envelope.language),
        *_ticked(transcript, prisoner, envelope.language),
        _(_who_read(transcript)) if read else _(_UNREAD),
        *([read] if read else []),
        _("Your letters and the answers are here:"),
        link,
        _keep_secret(envelope.language),
    ]
    message = _message(envelope, _("You have an answer"), "\n\n".join(lines))
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename="reply.pdf")
    return message


def _who_read(transcript: Transcript) -> str:
    by_person = set(transcript.by_person)
    if not by_person:
        return _BY_MACHINE
    written = {number for number, lines in enumerate(transcript.pages, start=1) if lines}
    return _BY_PERSON if written <= by_person else _BY_BOTH


def _missing(transcript: Transcript, language: str) -> list[str]:
    if not transcript.missing:
        return []
    _ = catalogue(language).gettext
    pages = [_("Reply sheet {sheet}, side {side}").format(sheet=sheet, side=side) for sheet, side in transcript.missing]
    return ["\n".join([_("These pages did not come with it. If they come later, you get them too:"), *pages])]


def _ticked(transcript: Transcript, prisoner: str, language: str) -> list[str]:
    if not transcript.ticks:
        return []
    _ = catalogue(language).gettext
    said = [
        f"– {_(TICK_WORDS[tick])}" + (f". {_(FOR_SENDER[tick])}" if tick in FOR_SENDER else "")
        for tick in Tick
        if tick in transcript.ticks
    ]
    return ["\n".join([_("What {prisoner} ticked on the reply sheet:").format(prisoner=prisoner), *said])]


def _keep_secret(language: str) -> str:
    _ = catalogue(language).gettext
    return _("Who has this link can read them: do not pass it on.")


def _message(envelope: Envelope, subject: str, text: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = formataddr((_one_word(envelope.sender_name), envelope.sender))
    _address(message, envelope.address)
    message["Subject"] = subject
    message["Date"] = format_datetime(envelope.written_at)
    message["Message-ID"] = f"<{envelope.message_id}@{envelope.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message["Content-Language"] = envelope.language  # set_content takes away what there was about an older content
    return message


def _one_word(name: str) -> str:
    # Python's email package encodes word by word and leaves ASCII words bare, with commas and brackets that then mean
    # something else. With no spaces there is one word, which is encoded whole.
    return name if name.isascii() else "\N{NO-BREAK SPACE}".join(name.split())


def _address(message: EmailMessage, address: str) -> None:
    try:
        message["To"] = address
        written = [found.addr_spec for found in message["To"].addresses]
    except (ValueError, IndexError):  # what the parser of addresses raises at odd ones
        written = []
    # "=?utf-8?q?x?=@sender.example" is a valid address, but stands for another one in a header.
    if written != [address]:
        raise AddressNotWritableError

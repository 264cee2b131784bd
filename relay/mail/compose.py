"""The mails to senders, as messages. Nothing here is read or sent."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, formataddr
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
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

_SUBJECTS: Final = {
    MailKind.CONFIRM: _("Please confirm your letter"),
    MailKind.QUEUED: _("Your letter is confirmed"),
    MailKind.CHANGES: _("Please change something in your letter"),
    MailKind.REFUSED: _("Your letter was not accepted"),
    MailKind.PARTLY: _("Your letter was accepted in part"),
    MailKind.RETURNED: _("Your letter came back"),
    MailKind.POSTED: _("Your letter is on its way"),
    MailKind.REPLY: _("You have an answer"),
    MailKind.OVERDUE: _("Your letter takes longer than usual"),
    MailKind.TAKEN: _("Your mail was taken as a letter"),
    MailKind.NOT_TAKEN: _("Your mail could not be taken as a letter"),
    MailKind.BEGUN: _("Somebody in prison has written to you"),
    MailKind.LINK_OFFER: _("Do you want a new link to your letters?"),
    MailKind.LINK: _("The new link to your letters"),
}
_STEPS: Final = {
    MailKind.QUEUED: _("Your letter to {prisoner} is confirmed. A volunteer will read it before it is printed."),
    MailKind.CHANGES: _("Your letter to {prisoner} can go as soon as you have changed something in it."),
    MailKind.REFUSED: _("A volunteer could not accept your letter to {prisoner}."),
    MailKind.PARTLY: _("Your letter to {prisoner} will be printed, but a part of it was left out."),
    MailKind.RETURNED: _("Your letter to {prisoner} came back to us."),
    MailKind.POSTED: _("Your letter to {prisoner} is printed and posted."),
    MailKind.OVERDUE: _("Your letter to {prisoner} takes longer than letters to this place usually do."),
    MailKind.BEGUN: _(
        "{prisoner} is in prison and has written to you. The letter came on paper, and we scanned it for you."
    ),
}
_ANSWERED: Final = _("{prisoner} has answered your letter.")
_WRITTEN: Final = _("{prisoner} has written to you.")
_FORWARDED: Final = _("{prisoner} has answered another letter, and asks that you get the answer too.")


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


class Own(BaseModel):
    """What only one mail says, and no row: sealed to the office beside it, erased once it is sent."""

    model_config = ConfigDict(frozen=True)

    token: str = ""
    """Of the button behind the link, for `MailKind.LINK_OFFER`."""
    words: str = ""
    """The new claim phrase, for `MailKind.LINK`."""
    subject: str = ""
    """Of the sender's mail, for `MailKind.TAKEN` and `MailKind.NOT_TAKEN`."""
    sentences: tuple[str, ...] = ()
    """What the sender has to know about it, in the sender's language."""
    text: str = ""
    """What was taken of it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every mail has: who gets it, in which language, and what makes it the same mail when it is sent again."""

    sender_name: str
    sender: str
    address: str
    language: str
    message_id: str
    written_at: datetime.datetime
    reply_to: str = ""
    """Where an answer is taken as the next letter; empty where none is taken."""
    thread: str = ""
    """The same for all mails of a conversation, so that mail programs show them together."""
    choice: str = ""
    """The page on which the sender chooses what comes by mail; empty for mails that come in any case."""


@dataclass(frozen=True, slots=True)
class _Button:
    """A link; in plain text it stands alone, so that no point after it gets into it."""

    address: str
    label: str


@dataclass(frozen=True, slots=True)
class _Quote:
    """What somebody else has written."""

    text: str


_Block = str | _Button | _Quote | Transcript
"""A paragraph of a mail, or what stands in the place of one."""


def confirmation(envelope: Envelope, link: str, days: int) -> EmailMessage:
    """Asks the sender to confirm a letter by the link."""
    _ = catalogue(envelope.language).gettext
    text = _(
        "You wrote a letter on our site. Please confirm it:\n\n"
        "{link}\n\n"
        "The link opens a page with a button. Without it the letter is not sent, and it is deleted after {days} days.\n"
        "If it was not you, do nothing."
    ).format(link="{link}", days=days)
    before, after = text.split("\n\n{link}\n\n")
    return _message(envelope, MailKind.CONFIRM, [before, _Button(link, _("Confirm my letter")), after])


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
    blocks: list[_Block] = [_(_STEPS[kind]).format(prisoner=prisoner)]
    if kind is MailKind.OVERDUE:
        blocks += [
            _("That happens, and it need not mean that it is lost. You need do nothing."),
            _(
                "Where it is now stands in your letters. Once it is posted, you can ask us there to send it again, or "
                "take a ready text with which you ask the prison:"
            ),
            *_to_inbox(envelope.language, link),
        ]
        return _message(envelope, kind, blocks)
    if kind is MailKind.BEGUN:
        blocks += [
            _(
                "We are volunteers who carry letters to people in prison and their answers back. It costs you nothing, "
                "and you need not answer. The letter comes with another mail."
            )
        ]
    if why is not None:
        blocks.append(_("The reason: {reason}").format(reason=_(LETTER_REASONS[why.reason])))
        if why.note:
            blocks.append(_("The volunteer writes: {note}").format(note=why.note))
    return _message(envelope, kind, [*blocks, *_ending(envelope.language, link)])


def reply(
    envelope: Envelope,
    wants: Wants,
    prisoner: str,
    link: str,
    transcript: Transcript,
    pdf: bytes | None,
    *,
    begun: bool = False,
) -> EmailMessage:
    """Brings the sender a reply: the PDF and what was read from it, or only the notice that it is there.

    Without the `pdf`, which may be too large for a mail, it is that notice. `begun`: it answers no letter of the
    sender, but came first.
    """
    _ = catalogue(envelope.language).gettext
    said = _FORWARDED if transcript.forwarded else _WRITTEN if begun else _ANSWERED
    blocks: list[_Block] = [_(said).format(prisoner=prisoner)]
    subject = MailKind.BEGUN if begun else MailKind.REPLY
    ending = _ending(envelope.language, link)
    if envelope.reply_to:
        ending.insert(0, _("You can write back by answering this mail."))
    if wants is not Wants.FULL or pdf is None:
        return _message(envelope, subject, [*blocks, *ending])
    read = bool(transcript.text().strip())
    blocks += [
        _("The answer is attached as it was written by hand."),
        *_missing(transcript, envelope.language),
        *_ticked(transcript, prisoner, envelope.language),
        _(_who_read(transcript)) if read else _(_UNREAD),
        *([transcript] if read else []),
        *ending,
    ]
    message = _message(envelope, subject, blocks)
    message.add_attachment(pdf, maintype="application", subtype="pdf", filename="reply.pdf")
    message.set_boundary(f"{envelope.message_id}-mixed")
    return message


def answer(envelope: Envelope, kind: MailKind, prisoner: str, link: str, own: Own, days: int) -> EmailMessage:
    """Answers what the sender has just done: wrote a mail to us, or lost the link. `days`: how long mails are kept."""
    _ = catalogue(envelope.language).gettext
    blocks: list[_Block]
    match kind:
        case MailKind.TAKEN:
            blocks = [
                _("Your mail was taken as your next letter to {prisoner}.").format(prisoner=prisoner),
                *_about(own, envelope.language),
                _("A volunteer will read this before it is printed:"),
                _Quote(own.text),
                _("As long as it is not printed, you can take it back there:"),
                *_to_inbox(envelope.language, link),
            ]
        case MailKind.NOT_TAKEN:
            kept = catalogue(envelope.language).ngettext(
                "We keep your mail for {days} day; a volunteer can look at it.",
                "We keep your mail for {days} days; a volunteer can look at it.",
                days,
            )
            blocks = [
                _("Your mail could not be taken as a letter to {prisoner}. Nothing of it is sent.").format(
                    prisoner=prisoner
                ),
                *_about(own, envelope.language),
                kept.format(days=days),
                _("You can write there, too:"),
                *_to_inbox(envelope.language, link),
            ]
        case MailKind.LINK_OFFER:
            blocks = [
                _("Somebody has told us that the link to your letters is lost. If that was you:"),
                _Button(link, _("Get a new link")),
                _("It opens a page with a button. The old link and the old words then open nothing any more."),
                _("If it was not you, do nothing. Nothing changes then."),
            ]
        case MailKind.LINK:
            blocks = [
                _("The old link to your letters and the old words open nothing any more. These words open them now:"),
                _Quote(own.words),
                _("Note them down on paper, and tell nobody. This link opens your letters, too:"),
                *_to_inbox(envelope.language, link),
            ]
        case _:
            raise ValueError(f"a mail of the kind {kind} answers nothing")
    return _message(envelope, kind, blocks)


def _about(own: Own, language: str) -> list[str]:
    _ = catalogue(language).gettext
    subject = [_("Subject of your mail: {subject}").format(subject=own.subject)] if own.subject else []
    return [*subject, *own.sentences]


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


def _ending(language: str, link: str) -> list[_Block]:
    _ = catalogue(language).gettext
    return [_("Your letters and the answers are here:"), *_to_inbox(language, link)]


def _to_inbox(language: str, link: str) -> list[_Block]:
    _ = catalogue(language).gettext
    return [_Button(link, _("Open my letters")), _("Who has this link can read them: do not pass it on.")]


class _OneLine(UnstructuredHeader):
    """A header that stays on one line: the library would write a long address in it as encoded words."""

    name: str

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


class _Headers(HeaderRegistry):
    """Makes the class of each header once. The library makes one for each header, which is most of a mail's time."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, type[BaseHeader]] = {}
        for name in ("list-unsubscribe", "references"):
            self.map_to_type(name, _OneLine)  # type: ignore[arg-type]  # such classes are mixed into BaseHeader

    def __getitem__(self, name: str) -> type[BaseHeader]:
        if name not in self._made:
            self._made[name] = super().__getitem__(name)
        return self._made[name]


POLICY: Final = SMTP.clone(header_factory=_Headers())
"""How mails are written."""


def _message(envelope: Envelope, kind: MailKind, blocks: Sequence[_Block]) -> EmailMessage:
    message = EmailMessage(policy=POLICY)
    domain = envelope.sender.rpartition("@")[2]
    subject = catalogue(envelope.language).gettext(_SUBJECTS[kind])
    message["From"] = formataddr((_one_word(envelope.sender_name), envelope.sender))
    _address(message, envelope.address)
    message["Subject"] = subject
    message["Date"] = format_datetime(envelope.written_at)
    message["Message-ID"] = f"<{envelope.message_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if envelope.reply_to:
        message["Reply-To"] = envelope.reply_to
    if envelope.thread:
        message["References"] = f"<{envelope.thread}@{domain}>"
    if envelope.choice:
        message["List-Unsubscribe"] = f"<{envelope.choice}>"
        if envelope.choice.startswith("https://"):  # RFC 8058
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("\n\n".join(map(_plain, blocks)))
    message.add_alternative(_html(envelope.language, subject, blocks), subtype="html")
    message.set_boundary(envelope.message_id)  # not a random one: what is sent again is the same mail
    message["Content-Language"] = envelope.language  # adding a part takes away what stood there about the content
    return message


def _plain(block: _Block) -> str:
    match block:
        case str():
            return block
        case _Button():
            return block.address
        case _Quote():
            return block.text
        case Transcript():
            return block.text().strip()


def _html(language: str, subject: str, blocks: Sequence[_Block]) -> str:
    template = _TEMPLATES.get_template("mail.html")
    return template.render(language=language, subject=subject, blocks=blocks, lines=_broken)


def _broken(text: str) -> Markup:
    """The text with its line breaks; some mail programs know nothing of `white-space`."""
    return Markup("<br>\n").join(escape(line) for line in text.split("\n"))


_TEMPLATES: Final = Environment(
    loader=PackageLoader("relay.mail"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


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

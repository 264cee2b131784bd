"""Says what a mail that came in is: a letter, a bounce, automatic, or unknown; and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.mail.addresses import AnswerTo, ReturnPath, purpose
from relay.mail.automatic import seems_automatic, why_automatic
from relay.mail.bounces import READ, Bounce, recognise
from relay.mail.parsing import addresses, parsed

RECIPIENTS: Final = ("Delivered-To", "X-Original-To", "X-Envelope-To", "Envelope-To", "To", "Cc")
"""Headers that name to whom a mail came, where nobody says so."""


class Kind(StrEnum):
    """What a mail is taken for."""

    LETTER = "letter"
    BOUNCE = "bounce"
    AUTOMATIC = "automatic"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Explained:
    """What a mail is taken for, and why."""

    kind: Kind
    why: tuple[str, ...]
    token: str | None = None
    """Of the conversation to which it was addressed."""
    message_id: str | None = None
    """Of the mail that it is about: as in the outbox where it came to the return path of that, else as it says."""
    bounce: Bounce | None = None
    certain: bool = True
    """False for an automatic one of which only the subject says so: about their holidays people write, too."""

    @property
    def severity(self) -> str | None:
        """The class of a bounce: permanent, temporary, complaint; None where that is unknown."""
        if self.bounce is None or (self.bounce.permanent is None and not self.bounce.complaint):
            return None
        if self.bounce.complaint:
            return "complaint"
        return "permanent" if self.bounce.permanent else "temporary"


def recipients_of(raw: bytes) -> list[str]:
    """To whom a mail came, as its headers say."""
    message = parsed(raw[:READ])
    return [] if message is None else addresses(message, *RECIPIENTS)


def explain(raw: bytes, mailbox: str, recipients: Sequence[str]) -> Explained:
    """What a mail to these recipients is taken for. `mailbox` is our address, empty where that is not known.

    A mail to the return path of one of ours is about that one, whatever it says.
    """
    message = parsed(raw[:READ])
    if message is None:
        return Explained(Kind.UNKNOWN, ("It is no mail, or its parts are too many to be read.",))
    purposes = [found for one in recipients if (found := purpose(mailbox or _mailbox_of(one), one)) is not None]
    token = next((found.token for found in purposes if isinstance(found, AnswerTo)), None)
    about = next((found.message_id for found in purposes if isinstance(found, ReturnPath)), None)
    why = [] if mailbox else ["Which addresses are ours is not known without an installation."]
    if about:
        why.append("It came to the return path of a mail of ours.")
    if token:
        why.append("It came to the address of a conversation.")
    if bounce := recognise(raw, mailbox, recipients):
        return Explained(Kind.BOUNCE, (*why, *bounce.why), token, about or bounce.message_id, bounce)
    if automatic := why_automatic(message, mailbox):
        return Explained(Kind.AUTOMATIC, (*why, automatic), token, about)
    if seems_automatic(message):
        why.append("Its subject is that of an automatic answer.")
        return Explained(Kind.AUTOMATIC, tuple(why), token, about, certain=False)
    if about:
        return Explained(Kind.UNKNOWN, (*why, "What came back cannot be read from it."), token, about)
    if token:
        return Explained(Kind.LETTER, (*why, "Nothing says that a program wrote it."), token)
    if mailbox:
        why.append("It is not addressed to a conversation.")
    return Explained(Kind.UNKNOWN, (*why, "Nothing says that a program wrote it."))


def _mailbox_of(address: str) -> str:
    """The mailbox that an address with something behind a plus would belong to."""
    local, _, domain = address.strip().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"

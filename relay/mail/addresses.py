"""The addresses under which mails come in: for the answers of senders, and for what could not be delivered.

Both are parts of one mailbox, told apart by what stands behind the plus (RFC 5233). Mail servers may change the case of
letters, so nothing depends on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PURPOSES = re.compile(r"(?P<kind>[ab])(?P<token>[0-9a-z]{26,32})")


@dataclass(frozen=True, slots=True)
class AnswerTo:
    """The address to which a sender answers; the token names the conversation."""

    token: str


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """The envelope sender of one mail (VERP): what comes back to it is about that mail."""

    message_id: str
    """The part before the @ of its Message-ID, as it stands in the outbox."""


def answer_address(mailbox: str, token: str) -> str:
    """Where the sender of a conversation answers to."""
    return _with(mailbox, f"a{token}")


def return_path(mailbox: str, message_id: str) -> str:
    """The envelope sender of a mail."""
    return _with(mailbox, f"b{message_id}")


def purpose(mailbox: str, address: str) -> AnswerTo | ReturnPath | None:
    """What an address is for; None where it is none of the mailbox."""
    local, _, domain = mailbox.lower().rpartition("@")
    found_local, _, found_domain = address.strip().lower().rpartition("@")
    begins = f"{local}+"
    if found_domain != domain or not found_local.startswith(begins):
        return None
    found = _PURPOSES.fullmatch(found_local.removeprefix(begins))
    if found is None:
        return None
    return AnswerTo(found["token"]) if found["kind"] == "a" else ReturnPath(found["token"])


def _with(mailbox: str, detail: str) -> str:
    local, _, domain = mailbox.rpartition("@")
    return f"{local}+{detail}@{domain}"

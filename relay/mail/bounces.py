"""Recognises mails that say that one of ours was not delivered, or not wanted.

First what is meant for machines: reports (RFC 3464, read leniently; RFC 5965) and headers. Where a mail has none, it
counts as a bounce only if a mail system sent it, and its words, its codes or the returned mail say so too. A person
who quotes a bounce is no mail system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any, Final

import structlog
from flufl.bounce import all_failures

from relay.mail.addresses import ReturnPath, purpose
from relay.mail.bounce_words import (
    ABOUT_US,
    ANSWER_CODES,
    DAEMON,
    DEAD,
    DELAY,
    ENHANCED,
    FAILED,
    FULL,
    GIVEN_UP,
    MARKED,
    MAY_PASS,
    REPLY,
)
from relay.mail.parsing import ADDRESS, addresses, header, parsed
from relay.mail.report_parts import HEAD, MARKS_OF_WEAK, TEXT, Report, parts_of

LOG: Final = structlog.get_logger()
READ: Final = 1_000_000
"""Bytes of a mail that are read. Reports and the heads of returned mails stand at its beginning."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a mail says about one of ours that was not delivered, or not wanted."""

    address: str | None
    """To which it was not delivered, as the mail says."""
    status: str | None
    """The enhanced status code (RFC 3463)."""
    permanent: bool | None
    """Whether another try is of no use; None where the mail does not tell."""
    message_id: str | None
    """Of the returned mail, without its brackets."""
    why: tuple[str, ...] = ()
    """What showed all this, in sentences."""
    complaint: bool = False
    """Its reader called it spam."""
    delayed: bool = False
    """The other side still tries."""
    refused: bool = False
    """For good, but not because of the address: we, or what we wrote, were not wanted there."""
    dead: bool = False
    """For good because of the address: no other mail will reach it either."""


def recognise(raw: bytes, mailbox: str = "", recipients: Sequence[str] = ()) -> Bounce | None:
    """What a mail from anywhere says about one of ours; None where it is no bounce, or cannot be read.

    `mailbox` and `recipients` are addresses of ours: they are not taken for that to which a mail was not delivered. To
    a return path only systems write, and programs that stand in for a person.
    """
    message = parsed(raw[:READ])
    if message is None:
        return None
    ours = {mailbox.lower(), *(address.lower() for address in recipients)}
    came_back = any(isinstance(purpose(mailbox, address), ReturnPath) for address in recipients)
    try:
        return _recognise(message, ours, came_back=came_back)
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # the library's, for odd mails
        LOG.warning("bounce_not_read", error=type(error).__name__)
        return None


def _recognise(message: Message, ours: set[str], *, came_back: bool) -> Bounce | None:
    if _is_receipt(message):
        return None
    ours = ours | set(addresses(message, "To", "Delivered-To", "X-Original-To"))
    mail = Report.taken_apart(message, ours)
    if found := _complaint(mail) or _notification(mail):
        return found
    least = min(mail.marks_needed, MARKS_OF_WEAK) if came_back else mail.marks_needed
    if mail.reports and (mail.is_report or least <= MARKS_OF_WEAK):
        return _reported(mail, least)
    return _wild(mail, least)


def _is_receipt(message: Message) -> bool:
    """Whether it says that a mail was read, or thrown away unread (RFC 8098)."""
    kind = str(message.get_param("report-type", "")).lower()
    inside = any(part.get_content_type() == "message/disposition-notification" for part in parts_of(message))
    return kind == "disposition-notification" or inside


# --- machine readable: complaints, notifications, reports

_WANTED: Final = {"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list", "miscategorized", ""}
_COMPLAINT_SUBJECT: Final = re.compile(r"\s{0,9}complaint about message from \S{1,80}$", re.IGNORECASE)
_SERVICE: Final = re.compile(r"\bsns\.amazonaws\.com\b", re.IGNORECASE)
_FAILURES: Final = {"failed", "failure", "fail", "bounced", "undeliverable", "expired"}
_DELAYS: Final = {"delayed", "deferred", "delay"}
_SUCCESSES: Final = {"delivered", "relayed", "expanded", "success"}


def _complaint(mail: Report) -> Bounce | None:
    """A feedback report (RFC 5965), or Hotmail's of before."""
    told = mail.feedback
    if told is None:
        if not (_COMPLAINT_SUBJECT.match(mail.subject) and mail.returned):
            return None
        told = {}
    if told.get("feedback-type", "").lower() not in _WANTED:  # "not-spam" praises it, "auth-failure" is about our DNS
        return None
    address = _first_address(told.get("original-rcpt-to") or told.get("removal-recipient") or "", set())
    why = ("It is a report that somebody called a mail spam.",)
    return Bounce(address or _returned_to(mail), None, None, _message_id(mail), why, complaint=True)


def _notification(mail: Report) -> Bounce | None:
    """The notification of a mail service, as JSON."""
    text = mail.text.lstrip()
    if not text.startswith("{") or not _SERVICE.search(header(mail.message, "From")):
        return None
    try:
        told, _ = json.JSONDecoder().raw_decode(text)
        if isinstance(told.get("Message"), str):
            told = json.loads(told["Message"])
    except (ValueError, RecursionError):
        return None
    kind = told.get("notificationType") or told.get("eventType")
    about: dict[str, Any] = told.get("bounce") or told.get("complaint") or {}
    who = (about.get("bouncedRecipients") or about.get("complainedRecipients") or [{}])[0]
    address = str(who.get("emailAddress") or "").lower() or None
    message_id = _plain_id(str(((told.get("mail") or {}).get("commonHeaders") or {}).get("messageId") or ""))
    if kind == "Complaint":
        why = ("It is a mail service's notification that somebody called a mail spam.",)
        return Bounce(address, None, None, message_id, why, complaint=True)
    if kind != "Bounce":
        return None
    diagnostic = str(who.get("diagnosticCode") or "")
    status = _enhanced(str(who.get("status") or "")) or _enhanced(diagnostic)
    permanent = {"Permanent": True, "Transient": False}.get(str(about.get("bounceType")))
    why = ("It is a mail service's notification of a bounce.",)
    return _judged(Bounce(address, status, permanent, message_id, why), diagnostic)


def _reported(mail: Report, least: int) -> Bounce | None:
    """A report about a delivery (RFC 3464), as leniently as it takes."""
    bad = [(action, block) for block in mail.reports if (action := _action(block)) not in _SUCCESSES]
    if not bad:
        return None
    action, block = next((one for one in bad if one[0] in _FAILURES), bad[0])
    stated = _enhanced(block.get("status", ""))
    diagnostic = block.get("diagnostic-code", "")
    status = _precise(stated, diagnostic, mail.text)
    if status is None and action not in _FAILURES | _DELAYS:
        return _wild(mail, least)
    delayed = action in _DELAYS or (action not in _FAILURES and _is_delay(mail, status))
    permanent = False if delayed else _permanent(status, diagnostic)
    if permanent is None:
        permanent = _permanent(None, mail.text)
    named = (_first_address(block.get(name, ""), set()) for name in _RECIPIENTS)
    why = [f"It is a report about a delivery: {action or 'failed'}{f', {stated}' if stated else ''}."]
    if status and status != stated:
        why.append(f"The other server's answer in it says {status}.")
    address = next((found for found in named if found), None) or _address(mail)
    found = Bounce(address, status, permanent, _message_id(mail), tuple(why), delayed=delayed)
    return _judged(found, f"{diagnostic}\n{mail.text}")


_RECIPIENTS: Final = ("original-recipient", "final-recipient", "x-actual-recipient")


def _action(block: dict[str, str]) -> str:
    found = re.match(r"[a-z]+", block.get("action", "").lower())
    return found[0] if found else ""


# --- not machine readable


def _wild(mail: Report, least: int) -> Bounce | None:
    """A bounce that is meant for people, with at least so many marks of one."""
    text = mail.text
    failed_to = header(mail.message, "X-Failed-Recipients")
    status, reply = _code(text)
    marks = {
        "The header X-Failed-Recipients names who did not get it.": bool(failed_to),
        "Its subject is that of a bounce.": bool(FAILED.search(mail.subject) or DELAY.search(mail.subject)),
        "Its words say that a mail was not delivered.": any(words.search(text) for words in (FAILED, DEAD, FULL)),
        f"A mail server's answer stands in it: {status or reply}.": bool(status or reply),
        "It returns a mail.": mail.returned is not None,
    }
    why = [sentence for sentence, there in marks.items() if there]
    if len(why) < least and not (failed_to and mail.by_system):
        return None
    if mail.by_system:
        why.insert(0, "A mail system sent it.")
    said = f"{mail.subject}\n{text}"
    delayed = _is_delay(mail, status or reply)
    permanent = False if delayed else _permanent(status or reply, said)
    address = _first_address(failed_to, set()) or _address(mail)
    if address is None or permanent is None:
        temporary, final = _by_library(mail.message)
        address = address or next(iter([*final, *temporary]), None)
        if permanent is None and (final or temporary):
            permanent = bool(final)
    return _judged(Bounce(address, status, permanent, _message_id(mail), tuple(why), delayed=delayed), said)


def _by_library(message: Message) -> tuple[list[str], list[str]]:
    """The addresses that flufl.bounce finds, for now and for good."""
    try:
        temporary, permanent = all_failures(message)
    except Exception as error:  # noqa: BLE001 - it trusts what it reads
        LOG.debug("bounce_library_failed", error=type(error).__name__)
        return [], []
    return _decoded(temporary), _decoded(permanent)


def _decoded(found: Iterable[bytes]) -> list[str]:
    return sorted(address.decode("ascii", "replace").lower() for address in found if b"@" in address)


def _is_delay(mail: Report, status: str | None) -> bool:
    """Whether the other side still tries."""
    if status and status.startswith("5"):
        return False
    return bool(DELAY.search(mail.subject)) or (
        not FAILED.search(mail.subject) and bool(DELAY.search(mail.text[:3000])) and not GIVEN_UP.search(mail.text)
    )


def _code(text: str) -> tuple[str | None, str | None]:
    """The first enhanced status code, and the first reply code, of a server's answer in a text."""
    found = ANSWER_CODES.search(text) or MARKED.search(text)
    reply = REPLY.search(text)
    return found[1] if found else None, reply[1] if reply else None


def _enhanced(text: str) -> str | None:
    found = ENHANCED.search(text)
    return found[1] if found else None


def _precise(stated: str | None, diagnostic: str, text: str) -> str | None:
    """The status of a report; where that says nothing but its class, what the server's answer says."""
    vague = stated is None or stated.endswith(".0.0")
    if not vague:
        return stated
    told = (
        ANSWER_CODES.search(diagnostic) or ENHANCED.search(diagnostic) or ANSWER_CODES.search(text) or [None, None]
    )[1]
    return told if told and (stated is None or told[0] == stated[0]) else stated


def _permanent(code: str | None, said: str) -> bool | None:
    """Whether a failure is for good: by its code, else by what is said about it."""
    if code:
        return code.startswith("5")
    reply = _code(said)
    if any(reply):
        return str(reply[0] or reply[1]).startswith("5")
    if DEAD.search(said):
        return True
    if MAY_PASS.search(said):
        return False
    return True if ABOUT_US.search(said) else None


def _judged(bounce: Bounce, said: str) -> Bounce:
    """A bounce, with what a failure for good is about: us, the address, or neither of them."""
    if not bounce.permanent:
        return bounce
    said, status = said[:HEAD], bounce.status
    if (status and status[1:3] == ".7") or status in _OUR_ADDRESS:
        return replace(bounce, refused=True)
    if status and status.startswith(_ITS_ADDRESS):
        return replace(bounce, dead=True)
    if status and not status.startswith(_VAGUE):
        return bounce
    if ABOUT_US.search(said):
        return replace(bounce, refused=True)
    return replace(bounce, dead=FULL.search(said) is None)


_OUR_ADDRESS: Final = ("5.1.7", "5.1.8")
"""RFC 3463: the sender's address is bad."""
_ITS_ADDRESS: Final = ("5.1.", "5.2.1", "5.4.4")
"""No such address, closed, no such host."""
_VAGUE: Final = ("5.0.", "5.3.0", "5.4.1", "5.5.0")
"""Says nothing, and is used for everything. Other codes are about full mailboxes, large mails, faults of a server."""


# --- what the mail was

_ID: Final = re.compile(
    r"^[ \t>|]{0,8}(?:X-Original-)?Message-ID:\s{0,80}<?([^\s<>]{3,300}@[^\s<>]{1,250})", re.IGNORECASE | re.MULTILINE
)
_TO: Final = re.compile(r"^[ \t>|]{0,8}To:([^\n]{0,1000})", re.IGNORECASE | re.MULTILINE)


def _first_address(text: str, without: set[str]) -> str | None:
    for found in ADDRESS.finditer(text[:TEXT]):
        address = found[0].lower().strip(".'")
        if address not in without and not DAEMON.search(address):
            return address
    return None


def _returned_to(mail: Report) -> str | None:
    found = _TO.search(mail.returned or "")
    return _first_address(found[1], set()) if found else None


def _address(mail: Report) -> str | None:
    """The address that failed, where no report names it: one to which the returned mail went, else the first."""
    to = _returned_to(mail)
    if to and to in mail.text.lower():
        return to
    return _first_address(mail.text, mail.ours | set(addresses(mail.message, "From", "Sender"))) or to


def _plain_id(text: str) -> str | None:
    found = re.search(r"<?([^\s<>]{1,300}@[^\s<>]{1,250})>?", text)
    return found[1] if found else None


def _message_id(mail: Report) -> str | None:
    """The Message-ID of the returned mail."""
    for text in (mail.returned or "", mail.text):
        if found := _ID.search(text):
            return found[1]
    for name in ("X-Original-Message-ID", "In-Reply-To", "References"):
        if found_id := _plain_id(header(mail.message, name).rpartition(" ")[2]):
            return found_id
    return None

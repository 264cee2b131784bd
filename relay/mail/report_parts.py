"""What a mail consists of that may say what came back: its words, the report for machines, the returned mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import Final

from relay.mail.automatic import ABSENT
from relay.mail.bounce_words import ANSWER, DAEMON, POSTMASTER, RETURNED
from relay.mail.parsing import addresses, header, text_of

TEXT: Final = 30_000
"""Characters of its texts that are read."""
PARTS: Final = 20
"""Parts that are looked into."""
HEAD: Final = 5000
"""Characters at the beginning of a text that tell whether it is the head of a mail, or what a failure is about."""
HEADS: Final = 3
"""So many headers, one below the other, are the head of a mail."""
MARKS: Final = 2
"""So many marks of a bounce does a mail have that is one; none is enough by itself."""
MARKS_OF_WEAK: Final = 3
"""The same where people may write under this sender's name too; or where it came to a return path."""
MARKS_OF_ANYBODY: Final = 4
"""The same where nothing tells who sent it."""
NEVER: Final = 99

_HEADER_LINE: Final = re.compile(r"[ \t>|]{0,8}([A-Za-z][A-Za-z0-9-]{1,60}):(?:\s|$)")
_OF_MAILS: Final = frozenset(
    {
        *("from", "to", "cc", "subject", "date", "sender", "reply-to", "received", "return-path", "message-id"),
        *("mime-version", "content-type", "content-transfer-encoding", "delivered-to", "x-mailer", "user-agent"),
        *("in-reply-to", "references"),
    }
)
"""Headers of which some stand one below the other where a mail is returned within a text."""
_OF_ENDS: Final = frozenset({"received", "message-id", "return-path", "mime-version"})
"""Nobody who only tells about a mail quotes these."""
_FIELDS: Final = re.compile(
    r"^[ \t]{0,8}(Final-Recipient|Original-Recipient|X-Actual-Recipient|Action|Status|Diagnostic-Code|"
    r"X-Original-Message-ID|Reporting-MTA|Remote-MTA)"
    r"[ \t]{0,8}:[ \t]{0,8}([^\n]{0,2000}(?:\n[ \t]+[^\n]{1,1000}){0,20})",
    re.IGNORECASE | re.MULTILINE,
)
_FEEDBACK: Final = re.compile(r"^([A-Za-z-]{1,60}):[ \t]*(.{0,500})", re.MULTILINE)
_KNOWN_HEADERS: Final = re.compile(
    r"^(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version|Content-Type|X-[A-Za-z-]{1,40}):",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(slots=True)
class Report:
    """A mail that may be a bounce, taken apart."""

    message: Message
    ours: set[str]
    texts: list[str] = field(default_factory=list)
    """What stands before the returned mail."""
    reports: list[dict[str, str]] = field(default_factory=list)
    """One for each recipient, with small letters."""
    feedback: dict[str, str] | None = None
    returned: str | None = None
    """The returned mail, or its head."""

    @classmethod
    def taken_apart(cls, message: Message, ours: set[str]) -> Report:
        """The parts of a mail. `ours` are addresses to which it came, and which did not fail."""
        mail = cls(message, ours)
        for part in parts_of(message):
            mail._take(part)
        text = "\n".join(mail.texts)
        if not mail.reports:
            mail.reports = _recipients(_FIELDS.findall(text))
        if mail.returned is None:
            before, mail.returned = _split(text)
            if mail.returned is not None:
                mail.texts = [before]
        return mail

    def _take(self, part: Message) -> None:
        kind = part.get_content_type()
        if kind in {"message/delivery-status", "message/global-delivery-status"}:
            self.reports += _recipients(_FIELDS.findall(_flat(part)))
        elif kind == "message/feedback-report":
            self.feedback = {name.lower(): value.strip() for name, value in _FEEDBACK.findall(_flat(part))}
        elif kind.startswith("message/") or kind in {"text/rfc822-headers", "text/rfc822"}:
            self.returned = self.returned or _flat(part)
        elif kind.startswith("text/") or part is self.message:
            text = text_of(part, TEXT)
            if self.texts and kind == "text/html":  # the same once more
                return
            if self.texts and self.returned is None and len(_KNOWN_HEADERS.findall(text[:HEAD])) > HEADS:
                self.returned = text
            else:
                self.texts.append(text[: TEXT - sum(map(len, self.texts))])

    @property
    def text(self) -> str:
        """The words of the report."""
        return "\n".join(self.texts)

    @property
    def subject(self) -> str:
        """Its subject, as people read it."""
        return header(self.message, "Subject")

    @property
    def is_report(self) -> bool:
        """Whether it says itself that it is a report about a delivery."""
        kind = str(self.message.get_param("report-type", "")).lower()
        return self.message.get_content_type() == "multipart/report" and kind in {"", "delivery-status"}

    @property
    def by_system(self) -> bool:
        """Whether its sender is a mail system, or may be one."""
        return self.marks_needed <= MARKS_OF_WEAK

    @property
    def marks_needed(self) -> int:
        """How many marks make it a bounce: the more, the less it looks as if a mail system had sent it."""
        if ANSWER.match(self.subject) or ABSENT.match(self.subject):
            return NEVER
        sender = header(self.message, "From")
        daemon = bool(DAEMON.search(sender))
        if header(self.message, "Auto-Submitted").lower().startswith("auto-replied") and not self.is_report:
            # RFC 3834 means answers of programs that stand in for a person; some mail systems take it for theirs too.
            return MARKS if daemon or self.message.get("X-Failed-Recipients") else NEVER
        path = str(self.message.get("Return-Path", "")).strip().lower()
        if daemon or path in {"<>", "<null>"} or DAEMON.search(path) or not addresses(self.message, "From"):
            return MARKS
        if any(self.message.get(name) for name in _OF_PEOPLE):
            return NEVER
        return MARKS_OF_WEAK if POSTMASTER.search(sender) else MARKS_OF_ANYBODY


_OF_PEOPLE: Final = ("In-Reply-To", "References", "User-Agent", "List-Id")
"""Headers of what people write, and of lists; no mail system puts them into its reports."""


def parts_of(message: Message) -> Iterator[Message]:
    """The parts up to those of attached mails, which are not gone into."""
    heap, seen = [message], 0
    while heap and seen < PARTS:
        part = heap.pop(0)
        payload = part.get_payload()
        if isinstance(payload, list) and part.get_content_maintype() != "message":
            heap = [one for one in payload if isinstance(one, Message)] + heap
            continue
        seen += 1
        yield part


def _flat(part: Message) -> str:
    """What stands in a part that holds another mail, or blocks of headers."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return text_of(part, TEXT)
    blocks = []
    for one in payload[:PARTS]:
        if isinstance(one, Message):
            blocks.append("".join(f"{name}: {value}\n" for name, value in one.items()))
            if part.get_content_type().endswith("status") or part.get_content_subtype() == "feedback-report":
                blocks.append(text_of(one, TEXT))
        blocks.append("\n")
    return "".join(blocks)[:TEXT]


def _recipients(found: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """The fields of a report by recipient. The order of the fields of one differs from system to system."""
    blocks: list[dict[str, str]] = [{}]
    for name, value in found:
        key = name.lower()
        # A field that stands there already begins the next one.
        if key in blocks[-1]:
            blocks.append({})
        blocks[-1][key] = " ".join(value.split())
    return [block for block in blocks if block.keys() & {"action", "status", "final-recipient", "original-recipient"}]


def _split(text: str) -> tuple[str, str | None]:
    """A text before and from the mail that is returned in it."""
    lines = text.split("\n")
    run: list[int] = []
    names: set[str] = set()
    for number, line in enumerate([*lines, ""]):
        found = _HEADER_LINE.match(line)
        if found and (run or found[1].lower() in _OF_MAILS):
            run.append(number)
            names.add(found[1].lower())
        elif not (run and line[:1] in {" ", "\t", ">"} and line.strip()):
            if len(names & _OF_MAILS) >= HEADS and names & _OF_ENDS:
                return "\n".join(lines[: run[0]]), "\n".join(lines[run[0] :])
            run, names = [], set()
    if headed := RETURNED.search(text):
        return text[: headed.start()], text[headed.start() :]
    return text, None

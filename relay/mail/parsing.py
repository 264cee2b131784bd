"""Takes mails from anywhere apart. What that would cost is measured before, on the bytes."""

from __future__ import annotations

import contextlib
import re
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import Final

from relay.mail.html_text import text_of_html

LINES: Final = 1_000_000
"""Lines of a mail; one of 25 megabytes has 350,000. More only make work."""
CONTAINERS: Final = 30
"""Parts that hold parts. The parser asks for the end of each at every line."""
BOUNDARIES: Final = 1000
"""Lines that could be the end of a part."""
HEADER: Final = 10_000
"""Characters of a header that is looked into. Taking one apart takes as long as the square of its length."""
HEADERS: Final = 2000
"""Headers of a mail; each is a search through all."""

ADDRESS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")
"""What looks like a mail address."""
_KIND: Final = re.compile(rb"content-type:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
"""What a part is; or a line of a text that looks like it."""
_CONTAINER: Final = re.compile(rb"\s*\"?(?:multipart|message)/", re.IGNORECASE)
_CHARSETS: Final = re.compile(
    r"utf-?8|utf-?16(?:le|be)?|iso-?(?:8859|2022)-\w+(?:-\w+)?|windows-?\d+|cp\d+|koi8-\w|"
    r"(?:x-)?mac-?\w+|gb\w+|big5|shift_jis|euc-\w+"
)
"""Charsets of mails. Python knows others that are none, and some of them take a day for a megabyte."""
_OF_EVERY_MAIL: Final = ("From", "To", "Date", "Subject", "Message-ID", "Received", "Return-Path")
"""Headers of which every mail has some."""
_FIELD: Final = re.compile(rb"[!-9;-~]{1,100}:")
_FROM_LINE: Final = re.compile(rb"\s*(?:>?From [^\n]*\n)?")


def parsed(raw: bytes) -> Message | None:
    """A mail taken apart leniently; None where that would cost too much, or where it is no mail at all."""
    measured = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if measured.count(b"\n") > LINES or measured.count(b"\n--") > BOUNDARIES:
        return None
    kinds = _KIND.findall(measured)
    if any(len(kind) > HEADER for kind in kinds) or sum(bool(_CONTAINER.match(kind)) for kind in kinds) > CONTAINERS:
        return None
    start = _FROM_LINE.match(raw)
    body = raw[start.end() :] if start else raw
    if _FIELD.match(body) is None:
        return None
    # It keeps what it does not understand, and looks into no header that nobody asks for.
    try:
        message = message_from_bytes(body, policy=policy.compat32)
    except (MessageError, ValueError, LookupError, TypeError, RecursionError):
        return None
    named = any(message.get(name) is not None for name in _OF_EVERY_MAIL)
    return message if named and len(message) <= HEADERS else None


def header(message: Message, name: str) -> str:
    """A header as people read it, on one line; empty where there is none."""
    raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    # Some systems write UTF-8 into headers as it is.
    text = str(raw)[:HEADER].encode("ascii", "surrogateescape").decode("utf-8", "replace")
    with contextlib.suppress(MessageError, LookupError, ValueError, TypeError):
        text = str(make_header(decode_header(text)))
    # Some charsets can name half a character, which nothing else can hold.
    return " ".join(text.encode(errors="replace").decode().split())


def addresses(message: Message, *names: str) -> list[str]:
    """All that looks like a mail address in these headers, in small letters."""
    values = [str(value)[:HEADER] for name in names for value in message.get_all(name, [])[:50]]
    return [found.lower() for value in values for found in ADDRESS.findall(value)]


def decoded(data: bytes, said: str, otherwise: str) -> str:
    """Bytes of a mail as text: in the charset that it says, or else in UTF-8, or `otherwise`."""
    if _CHARSETS.fullmatch(said):
        try:
            return data.decode(said, "replace")
        except LookupError:
            pass
    # Who says ASCII and sends more has said nothing.
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode(otherwise, "replace")


def text_of(part: Message, most: int) -> str:
    """The text of a part, up to so many characters; markup is taken off."""
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, TypeError, AssertionError, MessageError):
        payload = None
    if not isinstance(payload, bytes):
        payload = str(part.get_payload()).encode(errors="replace") if isinstance(part.get_payload(), str) else b""
    payload = payload[: 4 * most]
    text = decoded(payload, str(part.get_content_charset("")), "latin-1")
    if part.get_content_type() == "text/html":
        text = text_of_html(text)
    return text[:most].replace("\r\n", "\n").replace("\r", "\n")


def readable_text(message: Message, most: int) -> str:
    """What a person would read of a mail, up to so many characters: its plain text, else that of its HTML."""
    texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    for part in message.walk():
        if part.get_content_type() in texts:
            texts[part.get_content_type()].append(text_of(part, most))
    return "\n\n".join(texts["text/plain"] or texts["text/html"]).strip()[:most]

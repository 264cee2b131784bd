"""What a mail holds: its text, its pictures, and the names of everything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import Final

from relay.mail.html_text import text_of_html
from relay.mail.parsing import HEADER, decoded
from relay.mail.quoting import unflowed

TEXT: Final = 2_000_000
"""Bytes of a part with text; what is behind them would be too long for a letter anyway."""
HTML: Final = 1_000_000
"""Characters of a part with HTML."""
NAME: Final = 60
"""Characters of a file name that are kept; it is a label, never a path."""
LOGO_BYTES: Final = 12_000
"""What is shown within the text and is smaller than this is part of a signature, and no photo."""

_PICTURES: Final = frozenset({"jpeg", "jpg", "pjpeg", "png", "x-png", "heic", "heif", "webp"})
_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".heic", ".heif", ".webp")
_OF_PROGRAMS: Final = frozenset({"pgp-signature", "pgp-keys", "pkcs7-signature", "x-pkcs7-signature", "pgp-encrypted"})
"""Parts that programs add, and nobody would miss on paper."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a mail, as it came."""

    name: str
    untrusted: bytes
    inline: bool
    """Whether it stands within the text; then it may be a logo."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a mail holds."""

    text: str
    """Also what is quoted in it, see `relay.mail.quoting.own_text`."""
    pictures: tuple[Picture, ...]
    others: tuple[str, ...]
    """Names of attached files that are no pictures."""


def contents(message: Message, charset: str = "cp1252") -> Contents:
    """What stands in a mail. `charset` is what a text is in that does not say so and is no UTF-8."""
    texts: list[str] = []
    pictures: list[Picture] = []
    others: list[str] = []
    for part, as_text in _leaves(message, as_text=True):
        kind, subtype = part.get_content_maintype(), part.get_content_subtype()
        name, attached = _name(part), part.get_content_disposition() == "attachment"
        if kind == "message":  # a mail that is attached as a whole
            others.append(name or part.get_content_type())
        elif kind == "text" and not attached and (not name or subtype == "html"):
            if as_text:
                texts.append(_text(part, charset))
        elif (kind == "image" and subtype in _PICTURES) or (kind in _CAN_BE and name.lower().endswith(_ENDINGS)):
            picture = Picture(name or subtype, _bytes(part), inline=not attached and "Content-ID" in part)
            if not picture.inline or len(picture.untrusted) >= LOGO_BYTES:
                pictures.append(picture)
        elif subtype not in _OF_PROGRAMS and (attached or kind not in {"image", "text"}):
            others.append(name or part.get_content_type())
    return Contents("\n\n".join(text for text in texts if text.strip()), tuple(pictures), tuple(others))


_CAN_BE: Final = frozenset({"image", "application"})
"""What a picture may be called that has the name of one."""


def _leaves(part: Message, *, as_text: bool) -> Iterator[tuple[Message, bool]]:
    """The parts without parts, each with whether its text is to be read: of alternatives only one is."""
    if not part.is_multipart() or part.get_content_maintype() == "message":
        yield part, as_text
        return
    parts = [each for each in part.get_payload() if isinstance(each, Message)]
    chosen: Message | None = None
    if part.get_content_subtype() == "alternative":
        plain = [each for each in parts if each.get_content_type() == "text/plain"]
        chosen = next((each for each in plain if _bytes(each).strip()), parts[-1] if parts else None)
    for each in parts:
        yield from _leaves(each, as_text=as_text and chosen in {None, each})


def _bytes(part: Message) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, TypeError, AssertionError, MessageError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _name(part: Message) -> str:
    if any(len(str(part.get(header, ""))) > HEADER for header in ("Content-Type", "Content-Disposition")):
        return "…"
    try:
        name = str(make_header(decode_header(part.get_filename() or "")))
    except (MessageError, LookupError, ValueError, TypeError):
        name = "…"
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())[-NAME:]


def _text(part: Message, charset: str) -> str:
    data = _bytes(part)[:TEXT]
    text = decoded(data, _charset(part), charset).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if part.get_content_subtype() == "html":
        return text_of_html(text[:HTML])
    if str(part.get_param("format", "")).lower() == "flowed":
        return unflowed(text, delete_space=str(part.get_param("delsp", "")).lower() == "yes")
    return text


def _charset(part: Message) -> str:
    try:
        return part.get_content_charset("")
    except (LookupError, ValueError, TypeError):
        return ""

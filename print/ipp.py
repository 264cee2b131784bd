"""Messages of the Internet Printing Protocol (RFC 8010): as much of them as somebody needs who prints a PDF."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MEDIA_TYPE: Final = "application/ipp"
VERSION: Final = 0x0101
"""1.1, which every printer takes; a newer one need not be named to use newer attributes."""

Value = str | int


class Operation(IntEnum):
    """RFC 8011, section 5.4.15."""

    CREATE_JOB = 5
    SEND_DOCUMENT = 6
    CANCEL_JOB = 8
    GET_JOB_ATTRIBUTES = 9
    GET_PRINTER_ATTRIBUTES = 11


class Group(IntEnum):
    """What an attribute is about: section 3.5.1."""

    OPERATION = 1
    JOB = 2
    END = 3
    PRINTER = 4


FIRST_VALUE: Final = 0x10
"""Tags below begin a group."""


class Tag(IntEnum):
    """Kinds of values: section 3.5.2."""

    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    COLLECTION = 0x34
    TEXT_WITH_LANGUAGE = 0x35
    NAME_WITH_LANGUAGE = 0x36
    COLLECTION_END = 0x37
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49


NO_VALUE: Final = range(0x10, 0x20)
LONGEST_NUMBER: Final = 4
"""Bytes: section 3.9."""
LONGEST_TEXT: Final = 1023
"""Bytes: RFC 8011, section 5.1."""
NUMBERS: Final = frozenset({Tag.INTEGER, Tag.ENUM, Tag.BOOLEAN})
Attribute = tuple[Tag, str, *tuple[Value, ...]]
"""Its kind, its name and its values."""


class BadMessageError(ValueError):
    """Bytes that are no message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a printer answered."""

    status: int
    """RFC 8011, appendix B; below 256 is success."""
    attributes: dict[str, list[Value]]
    """Those about the operation, the job and the printer, without collections."""


def request(
    operation: Operation,
    printer: str,
    job_id: int | None,
    user: str,
    about: Iterable[Attribute],
    job: Iterable[Attribute],
) -> bytes:
    """A request to the printer with this URI, or to one of its jobs; pages follow right after it.

    `about` are further attributes of the operation, `job` those of a new job.
    """
    first: list[Attribute] = [
        (Tag.CHARSET, "attributes-charset", "utf-8"),
        (Tag.LANGUAGE, "attributes-natural-language", "en"),
        (Tag.URI, "printer-uri", printer),
    ]
    if job_id is not None:
        first.append((Tag.INTEGER, "job-id", job_id))
    first.append((Tag.NAME, "requesting-user-name", user))
    message = struct.pack(">HHiB", VERSION, operation, 1, Group.OPERATION)
    message += b"".join(map(_encoded, [*first, *about]))
    if of_job := b"".join(map(_encoded, job)):
        message += bytes([Group.JOB]) + of_job
    return message + bytes([Group.END])


def _encoded(attribute: Attribute) -> bytes:
    tag, name, *values = attribute
    encoded = b""
    for value in values:
        raw = value.encode() if isinstance(value, str) else value.to_bytes(1 if tag is Tag.BOOLEAN else 4, "big")
        encoded += bytes([tag]) + _with_length(name.encode()) + _with_length(raw)
        name = ""  # further values of the same attribute
    return encoded


def _with_length(raw: bytes) -> bytes:
    return len(raw).to_bytes(2, "big") + raw


def answer(message: bytes) -> Answer:
    """Take an answer apart. Raises BadMessageError."""
    try:
        _, status, _ = struct.unpack_from(">HHi", message)
        return Answer(status, _attributes(message, 8))
    except (IndexError, struct.error):
        raise BadMessageError("it ends too early") from None


def _attributes(message: bytes, at: int) -> dict[str, list[Value]]:
    wanted: dict[str, list[Value]] = {}
    values: list[Value] = []
    keep, depth = False, 0
    while (tag := message[at]) != Group.END:
        at += 1
        if tag < FIRST_VALUE:
            keep = tag in set(Group)  # not those that the printer did not understand
            continue
        name, at = _field(message, at)
        raw, at = _field(message, at)
        if name and not depth:
            values = wanted.setdefault(name.decode(errors="replace"), []) if keep else []
        if tag == Tag.COLLECTION:
            depth += 1
        elif tag == Tag.COLLECTION_END:
            depth -= 1
        elif not depth and tag not in NO_VALUE:
            values.append(_value(tag, raw))
    return wanted


def _field(message: bytes, at: int) -> tuple[bytes, int]:
    start = at + 2
    end = start + int.from_bytes(message[at:start], "big")
    if end > len(message):
        raise IndexError
    return message[start:end], end


def _value(tag: int, raw: bytes) -> Value:
    if tag in NUMBERS:
        if len(raw) > LONGEST_NUMBER:
            raise BadMessageError("a number is too long")
        return int.from_bytes(raw, "big", signed=tag != Tag.BOOLEAN)
    if tag in {Tag.TEXT_WITH_LANGUAGE, Tag.NAME_WITH_LANGUAGE}:
        _, text = _field(raw, 0)
        raw, _ = _field(raw, text)
    words = raw[:LONGEST_TEXT].decode(errors="replace")
    return "".join(character for character in words if character.isprintable())  # no store takes NUL

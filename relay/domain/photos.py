"""A sender's photo: what is kept of it, and why one cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.domain.letters import Photo

UPLOAD_BYTES: Final = 15_000_000
"""Of one photo as a phone sends it."""
LONGEST_SIDE: Final = 1600
"""Pixels of what is kept: 170 to 230 dpi on a page of A4."""


class PhotoRefusedError(Exception):
    """A picture that cannot be taken; the message is an English msgid that says what would pass."""


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A decoded photo and its description."""

    jpeg: bytes
    about: Photo


def photo_part(number: int) -> str:
    """The name of the blob of a letter's photo; the first is 1."""
    return f"photo-{number}"

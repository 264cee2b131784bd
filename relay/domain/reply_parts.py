"""The parts of a reply under which its blobs are stored: the scanner writes them, desk and mail read them."""

from __future__ import annotations

from typing import Final

REPLY_PDF: Final = "reply.pdf"


def reply_picture_part(number: int) -> str:
    """The part that is the picture of the n-th page, counted from 1."""
    return f"{number}.jpg"


def reply_untouched_part(number: int) -> str:
    """The part that is the n-th page as it was scanned, counted from 1; a page with something covered has none."""
    return f"{number}.untouched.jpg"

"""The parts of a scan under which its blobs are stored: the scanner writes them, the retention destroys them."""

from __future__ import annotations

from typing import Final

ORIGINAL: Final = "original"
"""The file as it came."""


def page_picture(number: int) -> str:
    """The part that is the cleaned picture of a page."""
    return f"page-{number}.jpg"


def page_untouched(number: int) -> str:
    """The part that is a page as it came."""
    return f"page-{number}.untouched.jpg"

"""A file with the text of a letter, as commands read it."""

from __future__ import annotations

import sys
from pathlib import Path


class UnreadableLetterError(Exception):
    """A file that holds no text."""


def text_of(file: Path) -> str:
    """The text in a file; - is the standard input. Raises UnreadableLetterError."""
    called = "the standard input" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableLetterError(f"{called} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise UnreadableLetterError(f"{called} cannot be read: {error.strerror}") from error

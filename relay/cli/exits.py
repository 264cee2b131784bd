"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    TOOL_MISSING = 5
    BUSY = 6
    CONFIG = 7

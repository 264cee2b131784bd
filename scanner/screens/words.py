"""How the screens of the scanning say how a code was read, and how a file came."""

from __future__ import annotations

from typing import Final


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


METHODS: Final[dict[str, str]] = {
    "matrix": _("square code"),
    "matrix_scaled": _("square code, on the enlarged page"),
    "matrix_crop": _("square code, in its place on the straightened page"),
    "readable": _("printed symbols"),
    "soft_matrix": _("damaged square code, compared with all that are on their way"),
    "soft_readable": _("damaged printed symbols, compared with all that are on their way"),
}
"""By `scanner.codes.Method`."""
OUTCOMES: Final[dict[str, str]] = {
    "read": _("read"),
    "nothing": _("nothing was found"),
    "doubtful": _("not sure enough"),
}
"""By the outcome of `scanner.ladder.Tried`."""
SOURCES: Final[dict[str, str]] = {
    "upload": _("uploaded"),
    "folder": _("from the folder"),
    "mail": _("by mail"),
    "scanner": _("from the scanner"),
    "command": _("by command"),
}
"""By `scanner.steps.Source`."""

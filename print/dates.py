"""Dates as they are printed."""

from __future__ import annotations

import datetime
from typing import Final

from babel.dates import format_date

_LOCALES: Final = {"en": "en_GB"}
"""Where the language alone would write the month before the day."""


def written_out(day: datetime.date, language: str) -> str:
    """The day with the name of its month: `22 November 2025`."""
    return format_date(day, format="long", locale=_LOCALES.get(language, language))

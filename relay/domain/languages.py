"""The languages of the relay."""

from __future__ import annotations

from typing import Final, Literal, get_args

Language = Literal["ru", "en", "de", "sv"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
LANGUAGE_NAMES: Final[dict[Language, str]] = {"ru": "Русский", "en": "English", "de": "Deutsch", "sv": "Svenska"}

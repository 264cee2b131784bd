"""The languages in which a letter may be written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from babel import Locale
from babel.languages import get_official_languages


@cache
def spoken_languages(language: str) -> Mapping[str, str]:
    """Names by ISO 639 code, in this language and its order: all with two letters, and all official somewhere."""
    here = Locale.parse(language)
    official = {
        code
        for territory in here.territories
        if isinstance(territory, str) and territory.isalpha()
        for code in get_official_languages(territory, regional=True, de_facto=True)
    }
    known = {
        code: name for code, name in here.languages.items() if len(code) == 2 or (len(code) == 3 and code in official)
    }
    return MappingProxyType(dict(sorted(known.items(), key=lambda one: one[1].casefold())))

"""The words of the relay in ru, en, de and sv. The message ids are the English sentences.

The catalogues are kept as text (`<language>.po`) and compiled in memory at the first use, so there is no compiled
file to forget in a wheel.
"""

from __future__ import annotations

import gettext
import io
from functools import cache
from importlib import resources
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from relay.domain.languages import LANGUAGES

SOURCE: Final = "en"


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations into one of LANGUAGES: `catalogue("de").gettext("Yes")`. Raises KeyError for others."""
    if language not in LANGUAGES:
        raise KeyError(language)
    if language == SOURCE:
        return gettext.NullTranslations()
    text = resources.files(__name__).joinpath(f"{language}.po").read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

"""What cannot be printed of a text, in words for the person who can change it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from relay.domain.letter_pages import Unprintable
from relay.locale import catalogue

SHOWN: Final = 10
"""Different characters that are named; who typed more of them has to change more than single characters."""


def sentences(found: Sequence[Unprintable], language: str) -> list[str]:
    """A sentence for each character that cannot be printed, in their order, with its first place in the text."""
    _, ngettext = catalogue(language).gettext, catalogue(language).ngettext
    places: dict[str, list[Unprintable]] = {}
    for each in found:
        places.setdefault(each.character, []).append(each)
    said = []
    for first, *more in list(places.values())[:SHOWN]:
        sentence = (
            ngettext(
                "The character “{character}” ({name}) in line {line}, place {column}, and in {count} more place, "
                "cannot be printed.",
                "The character “{character}” ({name}) in line {line}, place {column}, and in {count} more places, "
                "cannot be printed.",
                len(more),
            )
            if more
            else _("The character “{character}” ({name}) in line {line}, place {column}, cannot be printed.")
        )
        said.append(
            sentence.format(
                character=_shown(first.character),
                name=first.name,
                line=first.line,
                column=first.column,
                count=len(more),
            )
        )
    if (others := len(places) - SHOWN) > 0:
        sentence = ngettext(
            "{count} more character cannot be printed.", "{count} more characters cannot be printed.", others
        )
        said.append(sentence.format(count=others))
    return said


def sentence_about_line(found: Sequence[Unprintable], language: str) -> str:
    """A sentence about a name or an address with characters that cannot be printed."""
    _ = catalogue(language).gettext
    named = dict.fromkeys(f"“{_shown(each.character)}” ({each.name})" for each in found)
    sentence = _("This has characters that cannot be printed: {characters}.")
    return sentence.format(characters=", ".join(list(named)[:SHOWN]))


def _shown(character: str) -> str:
    """A character as it can stand in a sentence: a mark on a circle, and no control characters."""
    if not character.isprintable():
        return "\ufffd"
    return f"\u25cc{character}" if unicodedata.category(character[0]).startswith("M") else character

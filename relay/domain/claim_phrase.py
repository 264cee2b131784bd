"""The claim phrase: the words with which a sender opens their inbox.

A phrase has at least 128 random bits, so it needs no slow hash. What counts is the text of its words, not their place
in a list: a word list may change without closing an inbox.
"""

from __future__ import annotations

import math
import secrets
import unicodedata
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

PHRASE_BITS: Final = 128
SHORTEST_WORD: Final = 3
LONGEST_WORD: Final = 9
_LISTS: Final = {
    "ru": ("mnemonic", "wordlist/russian.txt"),
    "en": ("xkcdpass", "static/eff-long"),
    "de": ("xkcdpass", "static/ger-long"),
    "sv": ("xkcdpass", "static/swe-short"),
}
_SPELLINGS: Final = str.maketrans({"ё": "е", "ß": "ss", "-": " "})


def normal(phrase: str) -> str:
    """The phrase as it counts: lower case, single spaces, one spelling of each letter."""
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().translate(_SPELLINGS).split())


@cache
def _words(language: str) -> tuple[str, ...]:
    package, name = _LISTS[language]
    lines = Path(str(resources.files(package).joinpath(name))).read_text("utf-8").split()
    usable = {normal(word) for word in lines if word.isalpha() and SHORTEST_WORD <= len(word) <= LONGEST_WORD}
    return tuple(sorted(usable))


def word_count(language: str) -> int:
    """How many words a phrase of this language has to have for PHRASE_BITS random bits."""
    return math.ceil(PHRASE_BITS / math.log2(len(_words(language))))


def new_claim_phrase(language: str) -> str:
    """A fresh phrase in ru, en, de or sv, in its normal form. Raises KeyError for another language."""
    return " ".join(secrets.choice(_words(language)) for _ in range(word_count(language)))


def is_claim_phrase(phrase: str) -> bool:
    """Whether a phrase could be one of ours, and not one of own making: enough known words of one language."""
    words = normal(phrase).split()
    return any(len(words) == word_count(language) and set(words) <= set(_words(language)) for language in _LISTS)

"""The languages in which a letter may be written."""

from __future__ import annotations

import pytest

from censor_queue.spoken import spoken_languages
from relay.domain.languages import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_those_with_two_letters_and_those_official_somewhere(language: str) -> None:
    names = spoken_languages(language)
    assert {"ru", "en", "de", "sv", "eo", "tyv", "sah"} <= names.keys()
    assert {len(code) for code in names} == {2, 3}
    # Neither dead ones nor codes for none or for many.
    assert [code for code in ("akk", "mul", "und", "zxx", "root") if code in names] == []
    assert list(names.values()) == sorted(names.values(), key=str.casefold)


def test_languages_are_named_in_the_language_of_the_volunteer() -> None:
    assert [spoken_languages(language)["tyv"] for language in ("en", "de", "ru")] == [
        "Tuvinian",
        "Tuwinisch",
        "тувинский",
    ]

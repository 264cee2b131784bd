"""The catalogues as they are loaded; what is in them is held against the code by the tests of the house."""

from __future__ import annotations

import pytest

from relay.domain.languages import LANGUAGES
from relay.domain.lives import SENTENCES
from relay.locale import SOURCE, catalogue


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != SOURCE])
def test_sender_told_about_every_state_in_their_language(language: str) -> None:
    _ = catalogue(language).gettext
    assert [sentence for sentence in SENTENCES.values() if _(sentence) == sentence] == []


def test_source_says_the_sentences_themselves() -> None:
    _ = catalogue(SOURCE).gettext
    assert [_(sentence) for sentence in SENTENCES.values()] == list(SENTENCES.values())


@pytest.mark.parametrize("language", ["", "fr", "EN", "../ru"])
def test_other_languages_refused(language: str) -> None:
    with pytest.raises(KeyError):
        catalogue(language)

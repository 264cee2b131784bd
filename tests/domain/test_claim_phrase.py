"""Claim phrases: enough random bits, words that stay apart however they are typed, and none of own making."""

from __future__ import annotations

import math
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.claim_phrase import PHRASE_BITS, _words, is_claim_phrase, new_claim_phrase, normal, word_count
from relay.domain.languages import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_phrase_has_the_bits_it_promises(language: str) -> None:
    words = _words(language)
    assert PHRASE_BITS >= 128
    assert word_count(language) * math.log2(len(words)) >= PHRASE_BITS
    assert (word_count(language) - 1) * math.log2(len(words)) < PHRASE_BITS  # and no word more than it takes


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_stay_apart_when_normalised(language: str) -> None:
    words = _words(language)
    assert len({normal(word) for word in words}) == len(words)
    assert all(normal(word) == word and len(word.split()) == 1 for word in words)
    assert all(first < second for first, second in pairwise(words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_new_phrase_is_one_of_ours_and_never_the_same(language: str) -> None:
    phrases = {new_claim_phrase(language) for _ in range(200)}
    assert len(phrases) == 200
    assert all(normal(phrase) == phrase for phrase in phrases)
    assert all(is_claim_phrase(phrase) for phrase in phrases)
    used = {word for phrase in phrases for word in phrase.split()}
    assert len(used) > min(len(_words(language)), 200 * word_count(language)) / 3  # the whole list is drawn from


def test_phrase_of_other_language_refused() -> None:
    with pytest.raises(KeyError):
        new_claim_phrase("fr")


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60))
def test_normal_form_is_stable(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert normal(f"  {text.upper()}\n") == normal(text.upper())


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_phrase_typed_another_way_is_the_same(data: st.DataObject) -> None:
    language = data.draw(st.sampled_from(LANGUAGES))
    count = word_count(language)
    phrase = " ".join(data.draw(st.lists(st.sampled_from(_words(language)), min_size=count, max_size=count)))
    for typed in (
        phrase.upper(),
        phrase.title(),
        phrase.replace(" ", "  \t\n"),
        phrase.replace(" ", "-"),
        phrase.replace("е", "ё"),
        phrase.replace("ss", "ß"),
        unicodedata.normalize("NFD", phrase),
        unicodedata.normalize("NFC", phrase),
        f" {phrase}\u00a0",
    ):
        assert normal(typed) == phrase
        assert is_claim_phrase(typed)


def test_phrase_of_own_making_refused() -> None:
    ours = new_claim_phrase("en")
    words = ours.split()
    for phrase in (
        "",
        "password",
        " ".join(words[:-1]),
        " ".join([*words, words[0]]),
        " ".join([*words[:-1], "qwertyuiop"]),
        " ".join([*words[:-1], new_claim_phrase("ru").split()[0]]),
        "".join(words),
    ):
        assert is_claim_phrase(phrase) is False

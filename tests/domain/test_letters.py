"""What a sender writes: line breaks of every kind, and addresses that can be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.letters import AddressRefusedError, Transcript, Word, normal_address, normal_text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf", "a\nb\nc\nd\ne\nf"),
        ("\n\n  a  \n\n b\t\n\n", "  a\n\n b"),
        (" \n\t\n", ""),
    ],
)
def test_text_gets_one_kind_of_line_break(text: str, normal: str) -> None:
    assert normal_text(text) == normal


@settings(deadline=None)
@given(st.text())
def test_normal_text_stays_as_it_is(text: str) -> None:
    assert normal_text(normal_text(text)) == normal_text(text)


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" Anna@Sender.EXAMPLE.org ", "Anna@sender.example.org"),
        ("анна@почта.example.org", "анна@почта.example.org"),
        ("anna@xn--80a1acny.example.org", "anna@почта.example.org"),
        ("an\u0438\u0306na@example.org", "an\u0439na@example.org"),
    ],
)
def test_address_in_its_normal_form(typed: str, address: str) -> None:
    assert normal_address(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "anna",
        "@example.org",
        "anna@",
        "anna@example",
        "a b@example.org",
        "a@b@example.org",
        "a\nBcc: b@example.org",
        "Anna <anna@example.org>",
        "anna@exa_mple.org",
        "anna@[127.0.0.1]",
        "a\0@example.org",
    ],
)
def test_address_that_cannot_be_refused(typed: str) -> None:
    with pytest.raises(AddressRefusedError):
        normal_address(typed)


def test_transcript_as_text_marks_doubt() -> None:
    sure, doubtful = Word(text="Здравствуй", doubtful=False), Word(text="Анна", doubtful=True)
    transcript = Transcript(pages=(((sure, doubtful), (sure,)), (), ((doubtful,),)))
    assert transcript.text() == "Здравствуй Анна?\nЗдравствуй\n\n\n\nАнна?"
    assert transcript.text("[{}]") == "Здравствуй [Анна]\nЗдравствуй\n\n\n\n[Анна]"

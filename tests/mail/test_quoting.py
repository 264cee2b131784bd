"""What a sender wrote anew: all of it, and nothing of ours."""

from __future__ import annotations

import pytest

from relay.domain.letters import normal_text
from relay.mail.contents import contents
from relay.mail.html_text import text_of_html
from relay.mail.parsing import parsed
from relay.mail.quoting import own_text, unflowed
from tests.mail.answers import ANSWERS, OURS, WRITTEN, html, plain


def read(mail: bytes) -> str:
    """What is new in a mail."""
    message = parsed(mail)
    assert message is not None
    return own_text(contents(message).text, OURS)


def test_there_are_forty_answers_in_four_languages() -> None:
    assert len(ANSWERS) >= 40
    assert {name[:2] for name in ANSWERS} == {"en", "de", "ru", "sv"}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_what_was_written(name: str) -> None:
    assert read(ANSWERS[name].mail) == ANSWERS[name].written


@pytest.mark.parametrize("name", [name for name in ANSWERS if "nothing" not in name and "and is not" not in name])
def test_nothing_new_leaves_nothing(name: str) -> None:
    """The same mails, without what the sender wrote."""
    message = parsed(ANSWERS[name].mail)
    assert message is not None
    text = contents(message).text.replace("\N{NO-BREAK SPACE}", " ")
    for line in ANSWERS[name].written.splitlines():
        text = text.replace(f"{line}\n", "\n", 1)
    left = own_text(text, OURS)
    assert [line for line in left.splitlines() if "relay" in line or "desk.example" in line or ">" in line] == []


def test_quote_of_nobody_we_know_is_kept() -> None:
    text = "Dear John,\n\nOn 12 May 2031, Olga <olga@supporter.example> wrote:\n\nThe boat has arrived.\n\nMary"
    assert own_text(text, OURS) == text


def test_long_text_behind_dashes_is_no_signature() -> None:
    text = "\n".join(["Dear John,", "--", *(f"line {number}" for number in range(12))])
    assert own_text(text, OURS) == text


def test_lines_of_a_flowed_text_are_joined() -> None:
    assert (
        unflowed("a \nb\n> c \n> d\n>> e \n> f\n  indented\n-- \nname")
        == "a b\n> c d\n>> e \n> f\n indented\n-- \nname"
    )
    assert unflowed("one \ntwo", delete_space=True) == "onetwo"


def test_html_reads_as_a_person_sees_it() -> None:
    markup = (
        "<html><head><title>no</title><style>p{}</style></head><body><!-- no --><script>no()</script>"
        "<p>One &amp;\n two<p>three</p><div>four<br>five</div><div><br></div><pre>  six\n    seven</pre>"
        "<ul><li>eight<li>nine</ul><blockquote>ten<blockquote>eleven</blockquote></blockquote>"
        "<table><tr><td>a</td><td>b</td></tr></table>"
    )
    assert text_of_html(markup).split("\n") == [
        *("One & two", "", "three", "four", "five", "", "  six", "    seven", "", "– eight", "– nine", ">"),
        *("> ten", "> > eleven", "", "a b"),
    ]


HOSTILE = {
    "headings": ("On " + "x " * 150 + "\n") * 3000,
    "days": ("1 " * 200 + "\n") * 3000,
    "addresses": ("1 " + "a@b " * 100 + "\n") * 3000,
    "marks": "> " * 200_000,
    "long line": "On " + "wrote " * 100_000,
    "empty lines": "\n" * 200_000,
    "rules": ("-" * 390 + "x\n") * 2000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_text_made_to_keep_the_patterns_busy_is_kept(name: str) -> None:
    """Without the limit some take hours; none of them is quoted from us."""
    marked = HOSTILE[name].startswith(">")
    assert own_text(HOSTILE[name], OURS) == ("" if marked else normal_text(HOSTILE[name]))


HOSTILE_HTML = {
    "comments": "<!--" * 250_000,
    "tags": "<a " * 300_000,
    "name": "<" + "a" * 1_000_000,
    "attributes": "<a " + "x=' " * 200_000,
    "declarations": "<!" * 400_000,
    "ends": "</" * 400_000,
    "entities": "&#" * 400_000,
    "quotes": "<blockquote>" * 80_000,
}


@pytest.mark.parametrize("name", HOSTILE_HTML)
def test_html_made_to_take_long_is_read_at_once(name: str) -> None:
    """The parser of the standard library needs up to seven minutes."""
    assert text_of_html(f"<p>Dear John</p>{HOSTILE_HTML[name]}").split("\n")[0] == "Dear John"


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251", "iso-8859-5", "utf-8"])
def test_charset_that_is_named_is_read(charset: str) -> None:
    assert read(plain("ru", WRITTEN["ru"], charset=charset, cte="8bit")) == WRITTEN["ru"]
    assert read(html("ru", WRITTEN["ru"].replace("\n", "<br>"), charset=charset)) == WRITTEN["ru"]


@pytest.mark.parametrize("said", ["", "; charset=us-ascii", "; charset=nonsense", "; charset=punycode"])
def test_charset_that_is_not_named_is_guessed(said: str) -> None:
    for charset in ("utf-8", "cp1251"):
        head = f"From: a@x.example\r\nContent-Type: text/plain{said}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        message = parsed(head.encode() + WRITTEN["ru"].encode(charset))
        assert message is not None
        assert contents(message, "cp1251").text == WRITTEN["ru"]

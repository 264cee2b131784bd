"""Words of a letter marked in their place, so that its sender sees what is meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from relay.domain.letters import Span
from relay.domain.review import Finding, Severity, said

AROUND: Final = 32
"""Characters shown on each side of quoted words: with them two lines of a phone."""
QUOTES: Final = 5
"""Quotes of one remark; the marked letter shows the others."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text that is marked as a whole, or not at all."""

    text: str
    marked: bool


def marked(text: str, spans: Iterable[Span]) -> list[Piece]:
    """The text cut into pieces. Spans may overlap; what lies outside of the text marks nothing."""
    pieces: list[Piece] = []
    at = 0
    for span in sorted(spans, key=lambda span: span.start):
        start, end = max(at, span.start), min(span.end, len(text))
        if start < end:
            pieces += [Piece(text[at:start], marked=False), Piece(text[start:end], marked=True)]
            at = end
    pieces.append(Piece(text[at:], marked=False))
    return [piece for piece in pieces if piece.text]


@dataclass(frozen=True, slots=True)
class Quote:
    """The exact words that a finding is about, with what stands beside them."""

    line: int
    """Counted from 1."""
    before: str
    words: str
    after: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What a rule says, and all the places where it says it."""

    severity: Severity
    sentence: str
    quotes: tuple[Quote, ...]
    """At most QUOTES; none where it is about the letter as a whole."""
    more: int
    """How many places are not quoted."""


def remarks(text: str, findings: Sequence[Finding]) -> list[Remark]:
    """The findings, those that weigh most first; what is said several times is said once, with all its places."""
    return [
        Remark(
            one.severity,
            one.sentence,
            tuple(quote(text, findings[place - 1].start, findings[place - 1].end) for place in one.places[:QUOTES]),
            len(one.places[QUOTES:]),
        )
        for one in said(findings)
    ]


def quote(text: str, start: int, end: int) -> Quote:
    """The words from `start` up to `end`, with the rest of their lines as far as AROUND."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    before, after = text[line_start:start], text[end : line_end if line_end >= 0 else len(text)]
    if len(before) > AROUND:
        before = "… " + before[-AROUND:].partition(" ")[2]
    if len(after) > AROUND:
        after = after[:AROUND].rpartition(" ")[0] + " …"
    words = text[start:end]
    if len(words) > 4 * AROUND:
        words = words[: 4 * AROUND].rpartition(" ")[0] + " …"
    return Quote(text.count("\n", 0, start) + 1, before, words, after)


def spans_of(findings: Iterable[Finding]) -> list[Span]:
    """The places of findings."""
    return [Span(start=finding.start, end=finding.end) for finding in findings]

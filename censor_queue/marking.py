"""A letter's text in pieces, so that a screen can mark findings on the exact words and cover words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from relay.domain.letters import COVER, Span
from relay.domain.review import Finding, Severity

_WEIGHT: Final = list(Severity)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the text in which nothing begins or ends."""

    text: str
    severity: Severity | None
    """Of the heaviest finding on it; None where there is none."""
    covered: bool
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    """The numbers of the findings, from 1, that begin and end with this piece."""


def pieces(text: str, findings: Sequence[Finding], covered: Sequence[Span]) -> Iterator[Piece]:
    """The text in pieces that do not overlap, whatever the findings do; of a covered word its text is left out.

    Findings about the letter as a whole mark nothing.
    """
    hidden = _by_place(covered)
    places = {
        number: _place(finding, hidden) for number, finding in enumerate(findings, 1) if finding.start < finding.end
    }
    begins, ends = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for number, (start, end) in places.items():
        begins[start].append(number)
        ends[end].append(number)
    cuts = {0, len(text), *(cut for span in covered for cut in (span.start, span.end))}
    on_it: set[int] = set()
    for start, end in pairwise(sorted(cuts.union(begins, ends))):
        on_it.update(begins[start])
        yield Piece(
            text=COVER if start in hidden else text[start:end],
            severity=max((findings[number - 1].severity for number in on_it), key=_WEIGHT.index, default=None),
            covered=start in hidden,
            begins=tuple(begins[start]),
            ends=tuple(ends[end]),
        )
        on_it.difference_update(ends[end])


def still_open(text: str, findings: Sequence[Finding], covered: Sequence[Span]) -> list[Finding]:
    """The findings of which something can still be read: not all of their words are covered."""
    hidden = _by_place(covered)
    return [
        finding
        for finding in findings
        if finding.start == finding.end
        or any(place not in hidden and not text[place].isspace() for place in range(finding.start, finding.end))
    ]


def _by_place(covered: Sequence[Span]) -> dict[int, Span]:
    return {place: span for span in covered for place in range(span.start, span.end)}


def _place(finding: Finding, hidden: Mapping[int, Span]) -> tuple[int, int]:
    # A mark that began or ended inside a covered word would cut its box in two.
    first, last = hidden.get(finding.start), hidden.get(finding.end - 1)
    return first.start if first else finding.start, last.end if last else finding.end

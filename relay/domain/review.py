"""The review of a letter: what a volunteer can decide, what becomes of the letter, and what the screening says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.domain.letters import Photo
from relay.domain.printing import PrintRules, Weight

UNDONE: Final = "undone"
"""Stands as the reason in the event with which a decision is taken back."""


class Decision(StrEnum):
    """What a volunteer did with a letter in the review."""

    APPROVE = "approve"
    APPROVE_IN_PART = "approve_in_part"
    """Without its photos, or with words covered."""
    CHANGES = "changes"
    REFUSE = "refuse"
    SECOND = "second"
    """On to a second reader."""
    TRANSLATE = "translate"
    """On to those who have its language."""
    TRANSLATED = "translated"
    SKIP = "skip"


class Outcome(StrEnum):
    """What the facility did with a letter."""

    PASSED = "passed"
    BLACKED_OUT = "blacked_out"
    PHOTO_REFUSED = "photo_refused"
    REFUSED = "refused"


class Severity(StrEnum):
    """How much a finding weighs. What blocks cannot be sent; the others inform the sender and the reviewer."""

    INFO = "info"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says about a letter."""

    rule: str
    severity: Severity
    start: int
    end: int
    """The place in the text, in characters; equal to `start` where it is about the letter as a whole."""
    sentence: str
    """Why, and what would pass."""


@dataclass(frozen=True, slots=True)
class Said:
    """What several findings say, once."""

    severity: Severity
    sentence: str
    places: tuple[int, ...]
    """The numbers of those findings that point at words, from 1."""


def said(findings: Sequence[Finding]) -> list[Said]:
    """What the findings say, the heaviest first, each sentence once."""
    places: dict[tuple[Severity, str], list[int]] = {}
    for number, finding in enumerate(findings, 1):
        pointing = [number] if finding.start < finding.end else []
        places.setdefault((finding.severity, finding.sentence), []).extend(pointing)
    found = [Said(severity, sentence, tuple(numbers)) for (severity, sentence), numbers in places.items()]
    return sorted(found, key=lambda one: list(Severity).index(one.severity), reverse=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the screening looks at."""

    text: str
    letter_pages: int
    """Printed pages of the text, one to a sheet of paper."""
    reply_sheets: int = 1
    photos: tuple[Photo, ...] = ()


@dataclass(frozen=True, slots=True)
class FacilityRules:
    """What the profile of a facility says beside its screening rules."""

    takes: tuple[str, ...]
    """Languages in which letters pass, as ISO 639-1 codes; empty where all do."""
    second_reader: bool
    """Whether two volunteers have to accept each letter."""
    print_original: bool
    """Whether the original is printed behind its translation."""
    photos: int
    """How many photos may go with a letter."""
    characters: int
    """How long a letter may be."""
    printing: PrintRules
    weight: Weight
    release_unseen: bool = True
    """Whether a reply is released without a look where every code was read in the surest way and no page is missing."""

    def grams(self, sheets: int) -> float:
        """What this many sheets of paper weigh in their envelope, with the one for the answer where it goes along."""
        return self.weight.of(sheets, return_envelope=self.printing.return_envelope is not None)

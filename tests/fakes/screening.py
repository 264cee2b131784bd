"""A screening that says what the test tells it to."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.domain.directory import Facility
from relay.domain.printing import USUAL_RULES, Weight
from relay.domain.review import Draft, FacilityRules, Finding, Severity


@dataclass
class FakeScreening:
    """Finds a word wherever it stands, by a rule of its own name, and knows one set of rules for all facilities."""

    words: tuple[str, ...] = ()
    rules: FacilityRules = field(
        default_factory=lambda: FacilityRules(
            takes=(),
            second_reader=False,
            print_original=False,
            photos=3,
            characters=12000,
            printing=USUAL_RULES,
            weight=Weight(),
        )
    )
    drafts: list[Draft] = field(default_factory=list)
    """What was looked at."""

    def findings(self, draft: Draft, facility: Facility, language: str) -> list[Finding]:
        """The first place of each word."""
        self.drafts.append(draft)
        return [
            Finding(word, Severity.WARN, start, start + len(word), f"{facility.slug} {language}")
            for word in self.words
            if (start := draft.text.find(word)) >= 0
        ]

    def rule_ids(self, facility: Facility) -> tuple[str, ...]:
        """One for each word."""
        return self.words

    def rule_titles(self, facility: Facility, language: str) -> dict[str, str]:
        """The words."""
        return {word: word for word in self.words}

    def rules_of(self, facility: Facility) -> FacilityRules:
        """The same for each facility."""
        return self.rules

    def language_of(self, text: str) -> str | None:
        """Nobody asks the review."""
        raise NotImplementedError

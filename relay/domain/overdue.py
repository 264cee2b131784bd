"""What is usual and what is late: how long the steps of a letter take, and from when on one takes too long."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

from relay.domain.lives import REVIEWED, LetterState


class Step(StrEnum):
    """What a letter on its way waits for."""

    READING = "reading"
    POSTING = "posting"
    """To be printed and posted."""
    ARRIVING = "arriving"
    """To be handed over or answered, whichever is known first."""


STATES: Final[Mapping[Step, tuple[LetterState, ...]]] = {
    Step.READING: REVIEWED,
    Step.POSTING: (LetterState.APPROVED, LetterState.PRINTED),
    Step.ARRIVING: (LetterState.POSTED,),
}
STEP_OF: Final[Mapping[LetterState, Step]] = {state: step for step, states in STATES.items() for state in states}
"""In the other states a letter is at its end, or waits for its sender or for its address, and nothing is usual."""
FROM_TO: Final[Mapping[Step, tuple[LetterState, LetterState]]] = {
    Step.READING: (LetterState.QUEUED, LetterState.APPROVED),
    Step.POSTING: (LetterState.APPROVED, LetterState.POSTED),
    Step.ARRIVING: (LetterState.POSTED, LetterState.DELIVERED),
}
"""The states with which a step begins and ends."""
SENT_AGAIN: Final = (LetterState.PRINTED, LetterState.POSTED)
"""States of a letter of which a copy can be sent when it is late. Of a delivered one a copy is no help."""

LEAST_LETTERS: Final = 5
"""From fewer letters nothing is said about the next one."""
LATELY: Final = datetime.timedelta(days=90)
"""What took longer ago says little: the post, the volunteers and the censors change."""
LATE_WITHOUT_DATA: Final[Mapping[Step, datetime.timedelta]] = {
    # Evenings of review and printing are held once a week: one may fall out.
    Step.READING: datetime.timedelta(days=10),
    Step.POSTING: datetime.timedelta(days=14),
    # To a Russian colony the post takes up to three weeks, its censors up to a week, and the answer as long again.
    Step.ARRIVING: datetime.timedelta(days=60),
}
"""When a letter is late where too few letters went that way to know it better."""
NEVER_LATE_BEFORE: Final[Mapping[Step, datetime.timedelta]] = {
    # A week is the rhythm of an evening; the post of a country takes up to two.
    Step.READING: datetime.timedelta(days=4),
    Step.POSTING: datetime.timedelta(days=8),
    Step.ARRIVING: datetime.timedelta(days=14),
}
"""However quick all others were: who is alarmed for nothing believes no alarm any more."""
LISTED_FOR: Final = datetime.timedelta(days=180)
"""Since when at most the office lists a posted letter as late, and its sender is told of it: many are never answered,
and the list would bury those about which something can be done."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How many days a step took, begun ones counted: eight of ten letters from `low` to `high`, nineteen of twenty at
    most `most`.
    """

    low: int
    median: int
    high: int
    most: int


def usual(letters: Mapping[int, int]) -> Usual | None:
    """What is usual, from how many letters took how many days. None where they are too few."""
    count = sum(letters.values())
    if count < LEAST_LETTERS:
        return None
    days = sorted(letters)
    reached = list(accumulate(letters[each] for each in days))

    def percentile(share: int) -> int:
        return next(each for each, so_far in zip(days, reached, strict=True) if so_far * 100 >= share * count)

    return Usual(percentile(10), percentile(50), percentile(90), percentile(95))


def late_after(step: Step, known: Usual | None) -> datetime.timedelta:
    """After what time a letter is late in a step."""
    if known is None:
        return LATE_WITHOUT_DATA[step]
    return max(datetime.timedelta(days=max(known.most, 2 * known.median)), NEVER_LATE_BEFORE[step])

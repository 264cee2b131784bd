"""The history of a letter as its sender reads it, and how far the letter has come: both out of its events."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import ASKED_AGAIN, COPY_ORDERED, DESTROYED, REPRINTED
from relay.domain.lives import SENTENCES, LetterState, Record
from relay.domain.review import UNDONE
from relay.store.tables import events


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


_OTHER_RULES: Final = _("The prisoner was moved, and another prison has other rules. A volunteer will read it again.")
AGAIN: Final = {
    LetterState.TRANSLATING: _("Back from the translator. A volunteer will read it before it is printed."),
    LetterState.CHANGES_REQUESTED: _("Changed by you. A volunteer will read it next, before all others."),
    LetterState.HELD: _("The prisoner can be written to again. A volunteer will read it before it is printed."),
    LetterState.SECOND_READING: _OTHER_RULES,
    LetterState.APPROVED: _OTHER_RULES,
}
"""What the sender reads about a letter that is queued once more, by where it comes from."""
NOTES: Final = {
    ASKED_AGAIN: _("You asked us to send it again."),
    COPY_ORDERED: _("A copy of it will be printed next."),
    REPRINTED: _("Printed once more, as a copy."),
    DESTROYED: _("The time of this letter is over: what you wrote was destroyed."),
}
"""What the sender reads about events that leave a letter in its state; of others they read nothing."""
REACHED: Final = {
    LetterState.TRANSLATING: 1,
    LetterState.QUEUED: 1,
    LetterState.SECOND_READING: 1,
    LetterState.CHANGES_REQUESTED: 1,
    LetterState.APPROVED: 2,
    LetterState.PRINTED: 3,
    LetterState.POSTED: 4,
    LetterState.DELIVERED: 5,
}
"""How many steps of its way a letter has behind it: confirmed, accepted, printed, posted, delivered."""
STOPPED: Final = (
    LetterState.REFUSED,
    LetterState.WITHDRAWN,
    LetterState.HELD,
    LetterState.RETURNED,
    LetterState.EXPIRED,
    LetterState.ERASED,
)
"""States in which a letter goes no further."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a letter's history, as the sender reads it."""

    at: datetime.datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class Way:
    """How far a letter has come, to be drawn."""

    done: int
    stopped: bool
    steps: ClassVar[int] = max(REACHED.values())


async def pasts_of(
    connection: AsyncConnection, unsettled: Mapping[str, bool]
) -> dict[str, list[sa.Row[*tuple[Any, ...]]]]:
    """The events of letters that their sender sees: not those that were undone, or still can be."""
    shown: dict[str, list[sa.Row[*tuple[Any, ...]]]] = {letter_id: [] for letter_id in unsettled}
    for event in await connection.execute(
        sa.select(events.c.record_id, events.c.at, events.c.source, events.c.target, events.c.reason)
        .where(events.c.record == Record.LETTER, events.c.record_id.in_(unsettled))
        .order_by(events.c.record_id, events.c.number)
    ):
        past = shown[event.record_id]
        if event.reason == UNDONE:
            past.pop()
        elif event.source != event.target or event.reason in NOTES:
            past.append(event)
    return {letter_id: past[:-1] if unsettled[letter_id] else past for letter_id, past in shown.items()}


def history_of(past: Sequence[sa.Row[*tuple[Any, ...]]]) -> tuple[Step, ...]:
    """The lines of a letter's history, out of its events."""
    return tuple(Step(event.at, _sentence(event)) for event in past)


def way_of(past: Sequence[sa.Row[*tuple[Any, ...]]]) -> Way:
    """How far its events have brought a letter."""
    stopped = past[-1].target in STOPPED
    reached = past if stopped else past[-1:]
    return Way(max(REACHED.get(LetterState(event.target), 0) for event in reached), stopped)


def _sentence(step: sa.Row[*tuple[Any, ...]]) -> str:
    if step.source == step.target:
        return NOTES[step.reason]
    if step.target == LetterState.QUEUED and step.source in AGAIN:
        return AGAIN[step.source]
    return SENTENCES[LetterState(step.target)]

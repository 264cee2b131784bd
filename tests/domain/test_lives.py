"""The table of lives: it says what the sender is told, and leaves no letter without a next step by accident."""

from __future__ import annotations

import pytest

from relay.domain.lives import (
    SENTENCES,
    TRANSITIONS,
    WITHDRAWABLE,
    Actor,
    ForbiddenTransitionError,
    LetterState,
    MailKind,
    PageState,
    Record,
    ReplyState,
    ScanState,
    State,
    Who,
    transition,
)

ENDS = {
    Record.LETTER: {LetterState.REFUSED, LetterState.WITHDRAWN, LetterState.EXPIRED, LetterState.DELIVERED},
    Record.BATCH: {"posted"},
    Record.SCAN: {ScanState.SPLIT},
    Record.PAGE: {PageState.PLACED, PageState.VOID},
    Record.REPLY: {ReplyState.RELEASED},
}
"""Where a life may end."""


@pytest.mark.parametrize("record", Record)
def test_life_begins_once_and_ends_only_at_its_ends(record: Record) -> None:
    steps = [step for step in TRANSITIONS.values() if step.record is record]
    assert len([step for step in steps if step.source is None]) == 1
    reached: set[State] = {step.target for step in steps if step.source is None}
    while more := {step.target for step in steps if step.source in reached} - reached:
        reached |= more
    assert {state for state in reached if not any(step.source is state for step in steps)} == ENDS[record]
    assert all(step.by for step in steps)


def test_sender_told_about_every_state() -> None:
    assert set(SENTENCES) == set(LetterState)
    assert len(set(SENTENCES.values())) == len(LetterState)


def test_withdrawable_states_are_those_the_table_has() -> None:
    withdrawn = {step.source: step.by for step in TRANSITIONS.values() if step.target is LetterState.WITHDRAWN}
    assert withdrawn == dict.fromkeys(WITHDRAWABLE, frozenset({Who.SENDER}))


def test_sender_gets_mail_with_these_steps_alone() -> None:
    assert {(step.source, step.target): step.mail for step in TRANSITIONS.values() if step.mail} == {
        (LetterState.UNCONFIRMED, LetterState.QUEUED): MailKind.QUEUED,
        (LetterState.QUEUED, LetterState.REFUSED): MailKind.REFUSED,
        (LetterState.PRINTED, LetterState.POSTED): MailKind.POSTED,
        (ReplyState.CHECKED, ReplyState.RELEASED): MailKind.REPLY,
    }


def test_only_a_volunteer_approves_or_refuses() -> None:
    decisions = {LetterState.APPROVED, LetterState.REFUSED}
    assert {step.by for step in TRANSITIONS.values() if step.target in decisions} == {frozenset({Who.VOLUNTEER})}


def test_forbidden_step_named_in_the_error() -> None:
    with pytest.raises(ForbiddenTransitionError, match=r"^a letter cannot go from queued to approved by a sender$"):
        transition(Record.LETTER, LetterState.QUEUED, LetterState.APPROVED, Who.SENDER)
    with pytest.raises(ForbiddenTransitionError, match=r"^a letter cannot go from nothing to posted by a worker$"):
        transition(Record.LETTER, None, LetterState.POSTED, Who.WORKER)


def test_actor_as_it_stands_in_events() -> None:
    assert [str(Actor(Who.VOLUNTEER, "anna")), str(Actor(Who.WORKER))] == ["volunteer:anna", "worker"]

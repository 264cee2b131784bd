"""The table of lives: it says what the sender is told, and leaves no letter without a next step by accident."""

from __future__ import annotations

import pytest

from relay.domain.lives import (
    DECIDED,
    READING,
    REVIEWED,
    SENTENCES,
    TRANSITIONS,
    WITHDRAWABLE,
    Actor,
    BatchState,
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
    Record.LETTER: {
        LetterState.WITHDRAWN,
        LetterState.EXPIRED,
        LetterState.DELIVERED,
        LetterState.BEGUN,
    },
    Record.BATCH: {"posted"},
    Record.SCAN: {ScanState.SPLIT},
    Record.PAGE: set(),  # put away or placed, a person may take it back to the heap
    Record.REPLY: {ReplyState.RELEASED, ReplyState.VOID},
}
"""Where a life may end. A refused letter is not among them: for some minutes the refusal can be undone; nor one that
came back: its prisoner may be found."""


BEGINNINGS = {
    Record.LETTER: {LetterState.UNCONFIRMED, LetterState.BEGUN},
    Record.BATCH: {BatchState.OPEN},
    Record.SCAN: {ScanState.RECEIVED},
    Record.PAGE: {PageState.WAITING},
    Record.REPLY: {ReplyState.OPEN},
}
ERASED = (LetterState.ERASED, ReplyState.ERASED)


def test_letters_and_replies_can_be_erased_at_any_time_and_never_come_back() -> None:
    for record, erased in zip((Record.LETTER, Record.REPLY), ERASED, strict=True):
        assert {step.source for step in TRANSITIONS.values() if step.target is erased} == set(type(erased)) - {erased}
        assert [step for step in TRANSITIONS.values() if step.record is record and step.source is erased] == []


@pytest.mark.parametrize("record", Record)
def test_life_begins_and_ends_only_at_its_ends(record: Record) -> None:
    steps = [step for step in TRANSITIONS.values() if step.record is record and step.target not in ERASED]
    assert {step.target for step in steps if step.source is None} == BEGINNINGS[record]
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
    told: dict[tuple[State | None, State], MailKind] = {
        (LetterState.UNCONFIRMED, LetterState.QUEUED): MailKind.QUEUED,
        **{(state, LetterState.REFUSED): MailKind.REFUSED for state in REVIEWED},
        **{(state, LetterState.CHANGES_REQUESTED): MailKind.CHANGES for state in REVIEWED},
        **{(state, LetterState.RETURNED): MailKind.RETURNED for state in (LetterState.PRINTED, LetterState.POSTED)},
        (LetterState.PRINTED, LetterState.POSTED): MailKind.POSTED,
        (ReplyState.CHECKED, ReplyState.RELEASED): MailKind.REPLY,
    }
    assert {(step.source, step.target): step.mail for step in TRANSITIONS.values() if step.mail} == told


def test_only_a_volunteer_decides_but_for_blocked_senders_and_unprintable_mails() -> None:
    volunteer, worker = Who.VOLUNTEER, Who.WORKER
    by = {target: {step.by for step in TRANSITIONS.values() if step.target is target} for target in DECIDED}
    assert by == {
        LetterState.APPROVED: {frozenset({volunteer})},
        LetterState.CHANGES_REQUESTED: {frozenset({volunteer, worker})},
        LetterState.REFUSED: {frozenset({volunteer, worker})},
    }


def test_letter_is_approved_by_who_read_it_in_a_language_that_passes() -> None:
    assert {step.source for step in TRANSITIONS.values() if step.target is LetterState.APPROVED} == set(READING)


def test_every_decision_can_be_undone() -> None:
    decisions = {
        (step.source, step.target)
        for step in TRANSITIONS.values()
        if step.source in REVIEWED and step.target in (*DECIDED, *REVIEWED) and Who.VOLUNTEER in step.by
    }
    assert {target for _, target in decisions} == {*DECIDED, *REVIEWED}
    for source, target in decisions:
        assert Who.VOLUNTEER in TRANSITIONS[Record.LETTER, target, source].by


def test_forbidden_step_named_in_the_error() -> None:
    with pytest.raises(ForbiddenTransitionError, match=r"^a letter cannot go from queued to approved by a sender$"):
        transition(Record.LETTER, LetterState.QUEUED, LetterState.APPROVED, Who.SENDER)
    with pytest.raises(ForbiddenTransitionError, match=r"^a letter cannot go from nothing to posted by a worker$"):
        transition(Record.LETTER, None, LetterState.POSTED, Who.WORKER)


def test_actor_as_it_stands_in_events() -> None:
    assert [str(Actor(Who.VOLUNTEER, "anna")), str(Actor(Who.WORKER))] == ["volunteer:anna", "worker"]

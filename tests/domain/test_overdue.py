"""What is usual and what is late."""

from __future__ import annotations

import datetime

import pytest

from relay.domain.lives import LetterState
from relay.domain.overdue import (
    LATE_WITHOUT_DATA,
    LEAST_LETTERS,
    NEVER_LATE_BEFORE,
    STEP_OF,
    Step,
    Usual,
    late_after,
    usual,
)

DAY = datetime.timedelta(days=1)


def test_usual_of_too_few_letters_is_unknown() -> None:
    assert usual({}) is None
    assert usual({3: LEAST_LETTERS - 1}) is None
    assert usual({3: LEAST_LETTERS}) == Usual(3, 3, 3, 3)


def test_usual_leaves_the_quickest_and_the_slowest_out() -> None:
    days = dict.fromkeys(range(1, 101), 1)
    assert usual(days) == Usual(low=10, median=50, high=90, most=95)
    assert usual({1: 1, 5: 98, 400: 1}) == Usual(5, 5, 5, 5)


def test_usual_does_not_depend_on_the_order() -> None:
    assert usual({9: 2, 4: 5, 6: 3}) == usual({4: 5, 6: 3, 9: 2}) == Usual(4, 4, 9, 9)


@pytest.mark.parametrize("step", Step)
def test_late_without_data_after_fixed_days(step: Step) -> None:
    assert late_after(step, None) == LATE_WITHOUT_DATA[step]


def test_late_is_longer_than_nearly_all_and_twice_the_middle() -> None:
    assert late_after(Step.ARRIVING, Usual(10, 20, 30, 45)) == 45 * DAY
    assert late_after(Step.ARRIVING, Usual(18, 20, 22, 23)) == 40 * DAY


@pytest.mark.parametrize("step", Step)
def test_quick_others_alarm_nobody_early(step: Step) -> None:
    assert late_after(step, Usual(1, 1, 1, 1)) == NEVER_LATE_BEFORE[step] < LATE_WITHOUT_DATA[step]


def test_only_what_waits_for_us_or_the_post_can_be_late() -> None:
    assert set(LetterState) - set(STEP_OF) == {
        LetterState.UNCONFIRMED,
        LetterState.CHANGES_REQUESTED,
        LetterState.REFUSED,
        LetterState.DELIVERED,
        LetterState.WITHDRAWN,
        LetterState.HELD,
        LetterState.RETURNED,
        LetterState.EXPIRED,
        LetterState.BEGUN,
        LetterState.ERASED,
    }

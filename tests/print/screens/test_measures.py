"""Weights and ages as they are shown."""

from __future__ import annotations

import datetime

import pytest

from print.screens.measures import HIGHEST, LEAST, Column, ages, weight

NOW = datetime.datetime(2031, 5, 4, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("grams", "language", "expected"),
    [
        (0, "en", "0 g"),
        (14.98, "en", "15 g"),
        (999.4, "de", "999 g"),
        (999.6, "de", "1,0 kg"),
        (1234.5, "en", "1.2 kg"),
        (123456, "sv", "123,5 kg"),
        (20, "ru", "20 г"),
        (2500, "ru", "2,5 кг"),
    ],
)
def test_weight(grams: float, language: str, expected: str) -> None:
    assert weight(grams, language) == expected.replace(" ", "\N{NO-BREAK SPACE}")


def test_ages_are_counted_by_days() -> None:
    hours = [0, 24, 25, 72, 73, 168, 169, 9999]
    columns = ages([NOW - datetime.timedelta(hours=number) for number in hours], NOW)
    assert columns == [Column(2, HIGHEST / 4)] * 4


def test_few_letters_of_many_are_still_seen() -> None:
    days = [0.5] * 199 + [30]
    columns = ages([NOW - datetime.timedelta(days=number) for number in days], NOW)
    assert columns == [Column(199, HIGHEST * 199 / 200), Column(0, 0), Column(0, 0), Column(1, LEAST)]

"""A clock that stands still until a test moves it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass
class FakeClock:
    """The time of day, aware, in UTC; `now` can be set."""

    now: datetime.datetime = datetime.datetime(2031, 5, 4, 12, 30, 15, 250, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        """The time that it is."""
        return self.now

    def advance(self, **by: float) -> None:
        """Let time pass: ``advance(minutes=5)``; the names are those of timedelta."""
        self.now += datetime.timedelta(**by)

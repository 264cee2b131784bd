"""How fast mails go to one domain: large providers refuse those who send faster than they are used to."""

from __future__ import annotations

import datetime
from collections import deque
from typing import Final

MINUTE: Final = datetime.timedelta(minutes=1)
MANY: Final = 1000
"""Domains; when there are more, those of which nothing was sent for a minute are forgotten."""


class Pace:
    """Gives each mail its turn, so that no minute has more mails to one domain than allowed."""

    def __init__(self, per_minute: int) -> None:
        """Take the number of mails to one domain in a minute."""
        self._per_minute = per_minute
        self._turns: dict[str, deque[datetime.datetime]] = {}
        self._promised: set[str] = set()

    def turn(self, mail_id: str, domain: str, now: datetime.datetime) -> datetime.datetime:
        """When a mail may go. One that was told a later time, and comes again then, goes."""
        if mail_id in self._promised:
            self._promised.remove(mail_id)
            return now
        if len(self._turns) > MANY:
            self._turns = {name: turns for name, turns in self._turns.items() if turns[-1] > now - MINUTE}
        turns = self._turns.setdefault(domain, deque(maxlen=self._per_minute))
        full = len(turns) == self._per_minute
        at = max(now, turns[0] + MINUTE) if full else now
        turns.append(at)
        if at > now:
            self._promised.add(mail_id)
        return at

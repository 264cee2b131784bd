"""Events: who did what with a record and when, chained by hash so that none can be changed or dropped unseen."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass
from typing import Final

FIRST: Final = "0" * 64
"""What the first event of a record names as the hash before it."""

REPRINTED: Final = "reprinted"
"""The reason in the event of a letter that was printed again; its state stays."""
ASKED_AGAIN: Final = "asked_again"
"""The reason in the event of a late letter whose sender wants it sent again; its state stays."""
COPY_ORDERED: Final = "copy_ordered"
"""The reason in the event of a letter of which a volunteer ordered the copy that its sender asked for."""
DESTROYED: Final = "destroyed"
"""The reason in the event of a record whose content was destroyed when its time was over; its state stays."""
FORGOTTEN: Final = "forgotten"
"""The reason in the last event of a record whose row is no longer kept."""
SET_ASIDE: Final = "set_aside"
"""The reason in the event of a letter that could not be rendered; its state stays."""


def moment(at: datetime.datetime) -> str:
    """A point in time as it goes into a hash, the same on every engine."""
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a record's life. It carries no content: `reason` is a code."""

    record: str
    record_id: str
    number: int
    """Counted from 1 in each record."""
    at: datetime.datetime
    actor: str
    source: str | None
    target: str
    reason: str | None

    def hash(self, before: str) -> str:
        """The SHA-256 of this event and the hash before it, in hexadecimal."""
        fields = [
            before,
            self.record,
            self.record_id,
            self.number,
            moment(self.at),
            self.actor,
            self.source,
            self.target,
            self.reason,
        ]
        return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()

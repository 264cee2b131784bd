"""The hash of an event: the same for ever, and another one for any other event."""

from __future__ import annotations

import datetime
from dataclasses import replace

from relay.domain.events import FIRST, Event

AT = datetime.datetime(2031, 5, 4, 12, 30, 15, 250, tzinfo=datetime.UTC)
EVENT = Event("letter", "7f3a", 2, AT, "volunteer:анна", "queued", "refused", "spam")


def test_hash_stays_as_it_was() -> None:
    """Histories in installations are chained with it: another formula would make them all look tampered with."""
    assert EVENT.hash(FIRST) == "c1840256366454fb9d4067cd45cf1e721a68334db00efb0028a8411d5a17d90c"


def test_hash_of_same_moment_in_another_zone() -> None:
    elsewhere = AT.astimezone(datetime.timezone(datetime.timedelta(hours=7)))
    assert replace(EVENT, at=elsewhere).hash(FIRST) == EVENT.hash(FIRST)


def test_hash_of_anything_else_differs() -> None:
    others = [
        replace(EVENT, record="reply"),
        replace(EVENT, record_id="7f3b"),
        replace(EVENT, number=3),
        replace(EVENT, at=AT + datetime.timedelta(microseconds=1)),
        replace(EVENT, actor="worker"),
        replace(EVENT, source=None),
        replace(EVENT, source="None"),
        replace(EVENT, target="held"),
        replace(EVENT, reason=None),
        replace(EVENT, source="queuedrefused", target=""),
    ]
    hashes = {event.hash(FIRST) for event in [EVENT, *others]} | {EVENT.hash("1" * 64)}
    assert len(hashes) == len(others) + 2

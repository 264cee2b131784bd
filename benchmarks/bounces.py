"""Bounces: how many real ones are recognised, beside a strict reading and a library, and what is taken for one wrongly.

`benchmarks.delivery` prints these figures. The mails are those in ``../shared/samples``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Final

from flufl.bounce import all_failures

from benchmarks import Figure
from relay.mail.addresses import return_path
from relay.mail.bounces import recognise
from relay.mail.explaining import explain
from tests.mail.incoming import ID, MAILBOX, ORDINARY

BENCH: Final = "delivery"
SAMPLES: Final = Path(__file__).parents[2] / "shared" / "samples"
RECOGNISED: Final = 95.0
"""In 100, as the issue asks."""


def figures() -> Sequence[Figure]:
    """All figures; none where the mails are not there."""
    bounces, others = _mails("bounces"), _mails("not-bounces")
    if not bounces:
        return []
    said = {raw: for_good for raw in bounces if (for_good := _stated(raw)) is not None}
    right = sum((found := recognise(raw)) is not None and found.permanent is said[raw] for raw in said)
    ordinary = [*others, *ORDINARY.values()]
    own = [return_path(MAILBOX, ID)]
    return [
        Figure(
            BENCH,
            "bounces recognised",
            _share(recognise, bounces),
            "in 100",
            RECOGNISED,
            {"strict RFC 3464": _share(_strict, bounces), "flufl.bounce": _share(_by_library, bounces)},
            more_is_better=True,
        ),
        Figure(BENCH, "for good or not, as stated", 100 * right / len(said), "in 100", 100, more_is_better=True),
        Figure(
            BENCH,
            "other mails taken for bounces",
            sum(recognise(raw) is not None for raw in ordinary),
            f"of {len(ordinary)}",
            0,
            {"flufl.bounce": sum(_by_library(raw) for raw in ordinary)},
        ),
        Figure(
            BENCH,
            "attributed by return path",
            _share(lambda raw: explain(raw, MAILBOX, own).message_id == ID, bounces),
            "in 100",
            100,
            more_is_better=True,
        ),
        Figure(
            BENCH, "time of a bounce", _milliseconds(recognise, bounces), "ms",
            peers={"flufl.bounce": _milliseconds(_by_library, bounces)},
        ),
    ]  # fmt: skip


def _mails(folder: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((SAMPLES / folder).glob("*.eml"))]


def _share(says: Callable[[bytes], object], mails: Sequence[bytes]) -> float:
    return 100 * sum(bool(says(raw)) for raw in mails) / len(mails)


def _milliseconds(says: Callable[[bytes], object], mails: Sequence[bytes]) -> float:
    for raw in mails:
        says(raw)
    begun = time.perf_counter()
    for raw in mails:
        says(raw)
    return 1000 * (time.perf_counter() - begun) / len(mails)


def _stated(raw: bytes) -> bool | None:
    """Whether the status that stands in a mail is for good."""
    found = re.search(rb"^Status:\s*([45])\.\d+\.\d+", raw, re.IGNORECASE | re.MULTILINE)
    return None if found is None else found[1] == b"5"


def _strict(raw: bytes) -> bool:
    """Whether a reading by the letter of RFC 3464 gets an action and a recipient."""
    for part in message_from_bytes(raw).walk():
        blocks = part.get_payload()
        if part.get_content_type() == "message/delivery-status" and isinstance(blocks, list):
            return any(_has_both(block) for block in blocks if isinstance(block, Message))
    return False


def _has_both(block: Message) -> bool:
    return "@" in str(block.get("Final-Recipient", "")) and bool(str(block.get("Action", "")).strip())


def _by_library(raw: bytes) -> bool:
    temporary, permanent = all_failures(message_from_bytes(raw))
    return bool(temporary or permanent)

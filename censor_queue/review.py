"""What every step of the review stands on."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from relay.domain.ports import LetterPages, Screening
from relay.sealing import PrivateKey
from relay.store.sealed import Store


@dataclass(frozen=True)
class Review:
    """The store and the key that opens it, what screens letters, what prints them, and the time for an undo."""

    store: Store
    office: PrivateKey
    screening: Screening
    pages: LetterPages
    return_address: tuple[str, ...]
    undo: datetime.timedelta
    """How long the mail about a decision and the letter's place in a batch wait."""


REVIEW: Final = web.AppKey("review", Review)

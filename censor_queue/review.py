"""What every step of the review stands on."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from relay.domain.ports import LetterPages, Screening
from relay.sealing import PrivateKey
from relay.store.directory import Known
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

    def page_count(self, known: Known, text: str) -> int:
        """How many letter pages a text to this prisoner fills, without photos and reply sheets."""
        rules = self.screening.rules_of(known.facility).printing
        return self.pages.page_count(text, known.prisoner.layout, rules)


REVIEW: Final = web.AppKey("review", Review)

"""What the composition hands to the screens."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from relay.config import Settings
from relay.domain.ports import LetterPages, Photos, Reprinting, Screening
from relay.sealing import PrivateKey, PublicKey
from relay.store.durations import Durations
from relay.store.sealed import Store
from relay.store.volunteers import Volunteer

SETTINGS: Final = web.AppKey("settings", Settings)
STORE: Final = web.AppKey("store", Store)
DURATIONS: Final = web.AppKey("durations", Durations)
LETTER_PAGES: Final = web.AppKey("letter_pages", LetterPages)
SCREENING: Final = web.AppKey("screening", Screening)
PHOTOS: Final = web.AppKey("photos", Photos)
REPRINTING: Final = web.AppKey("reprinting", Reprinting)
DESK: Final = web.AppKey("desk", PublicKey)
"""To which the desk seals the mails that it sends itself. On the desk only."""
OFFICE_KEY: Final = web.AppKey("office_key", PrivateKey)
"""Opens what is sealed. In the office only."""

LANGUAGE: Final = web.RequestKey("language", str)
VOLUNTEER: Final = web.RequestKey("volunteer", Volunteer)

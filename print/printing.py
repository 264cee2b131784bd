"""What every step of the printing stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from print.rendering import RenderingPool
from relay.config import Settings
from relay.domain.ports import Screening
from relay.sealing import PrivateKey
from relay.store.sealed import Store


@dataclass(frozen=True)
class Printing:
    """The store and the key that opens it, what knows the facilities' rules, and what renders."""

    store: Store
    office: PrivateKey
    screening: Screening
    pages: RenderingPool
    settings: Settings


PRINTING: Final = web.AppKey("printing", Printing)

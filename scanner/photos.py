"""Senders' photos: decoded in the limited child, and kept as new pictures of which no byte came from the sender."""

from __future__ import annotations

import asyncio
import os
from io import BytesIO
from typing import Final

import structlog
from PIL import Image

from relay.domain.letters import Photo
from relay.domain.photos import UPLOAD_BYTES, KeptPhoto, PhotoRefusedError
from scanner.intake import ChildFailedError, photo
from scanner.limits import Limits, Reason, ScanRefusedError

LOG: Final = structlog.get_logger()
LIMITS: Final = Limits(
    megabytes=UPLOAD_BYTES // 1_000_000,
    pages=1,
    megapixels=64,  # the largest that phones save without being asked to, and their panoramas
    seconds=30,
    seconds_per_page=30,
    memory_megabytes=1500,
)
KEPT_BYTES: Final = 500_000
"""Bytes that a kept photo should stay under: a batch of many letters stays easy to send and to print."""
_QUALITIES: Final = (85, 75, 65, 55, 45, 35)
"""JPEG qualities, tried until the photo is small enough."""


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


EMPTY: Final = _("This file is empty. Choose the photo again.")
NOT_NOW: Final = _("Photos cannot be accepted at the moment. Send the letter without the photo, or try again later.")
_DAMAGED: Final = _("This photo is damaged or not whole. Choose it again, or save it anew as JPEG.")
_TOO_HARD: Final = _("Reading this photo took too much time or memory. Make it smaller, or save it as JPEG.")
SENTENCES: Final[dict[Reason, str]] = {
    Reason.NOT_A_SCAN: _("This is not a photo that can be read: JPEG, PNG, WebP and HEIC are taken. Save it as JPEG."),
    Reason.TOO_LARGE: _("This photo is larger than 15 MB. Make it smaller, or save it as JPEG."),
    Reason.TOO_MANY_PIXELS: _("This photo has more than 64 million pixels. Make it smaller."),
    Reason.DAMAGED: _DAMAGED,
    Reason.TOOK_TOO_LONG: _TOO_HARD,
    Reason.RAN_OUT_OF_MEMORY: _TOO_HARD,
}
"""What a sender is told for each reason that a photo can be refused for."""


class PhotoDecoder:
    """The scanner's `relay.domain.ports.Photos`. At most as many photos are decoded at once as there are cores."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def keep(self, untrusted: bytes) -> KeptPhoto:
        """The photo as a JPEG made anew from its pixels, as `scanner.intake.photo` gives them.

        Waits for its turn. Raises PhotoRefusedError and nothing else, whatever the bytes are.
        """
        if not untrusted:
            raise PhotoRefusedError(EMPTY)
        try:
            async with self._turns:
                picture = await photo(untrusted, LIMITS)
                jpeg = await asyncio.to_thread(_jpeg, picture)
        except ScanRefusedError as refused:
            raise PhotoRefusedError(SENTENCES.get(refused.reason, _DAMAGED)) from None
        except (ChildFailedError, OSError) as error:  # a fault of ours, and no reason to lose the letter
            LOG.warning("photo_failed", error=type(error).__name__)
            raise PhotoRefusedError(NOT_NOW) from error
        return KeptPhoto(jpeg, Photo(width=picture.width, height=picture.height, size=len(jpeg)))


def _jpeg(picture: Image.Image) -> bytes:
    for quality in _QUALITIES:
        encoded = BytesIO()
        picture.save(encoded, "JPEG", quality=quality, optimize=True)
        if encoded.tell() <= KEPT_BYTES:
            break
    return encoded.getvalue()

"""Small pictures of photos: who is on a slow line need not wait for the large ones."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Final

from PIL import Image

THUMBNAIL: Final = 240
"""Pixels of the longer side."""


async def thumbnail(jpeg: bytes) -> bytes:
    """A small picture of a photo that the relay has kept, as JPEG."""
    return await asyncio.to_thread(_smaller, jpeg)


def _smaller(jpeg: bytes) -> bytes:
    small = BytesIO()
    with Image.open(BytesIO(jpeg)) as picture:
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(small, "JPEG")
    return small.getvalue()

"""What was read from a page: it is sealed with the page, and the placing, the screens and the assembly go by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import Record
from relay.domain.sheet import Tick
from relay.sealing import ContentKey, Context, PrivateKey
from relay.store.sealed import load_key
from scanner.codes import PageCodes
from scanner.ladder import Tried
from scanner.suggesting import Suggestion
from scanner.transcript import Lines

Box = tuple[float, float, float, float]
"""Left, top, right and lower edge, as shares of the width and height of the picture of the page."""
_BOXES: Final = TypeAdapter(tuple[Box, ...])


class Reading(BaseModel):
    """What was read from a page, sealed to the office."""

    model_config = ConfigDict(frozen=True)

    lines: Lines
    suggested: tuple[Suggestion, ...] = ()
    """The letters to show to a person, the likeliest first."""
    codes: PageCodes = PageCodes()
    tried: tuple[Tried, ...] = ()
    """How its code was looked for, step by step."""
    ranked: tuple[str, ...] = ()
    """The outstanding codes that the picture looks most like, where none could be read."""
    words: tuple[str, ...] = ()
    """Every word that was recognised at all, until the page is placed: names are looked for in them."""
    ticks: dict[Tick, bool | None] = {}
    """Whether each box is ticked; None where that is not clear. Of a side without boxes there are none."""
    tick_side: bool | None = None
    """Whether the page is printed as the side with the tick boxes, where that can be seen."""
    blank: bool = False
    """Whether nothing is written where it could be."""
    by_person: bool = False
    """Whether a volunteer has read it."""

    @field_validator("suggested", mode="before")
    @classmethod
    def _from_codes(cls, value: Any) -> Any:
        """Before there were reasons, only codes were kept."""
        return [{"code": one, "why": "repaired"} if isinstance(one, str) else one for one in value]

    def sealed(self, key: ContentKey, number: int) -> bytes:
        """As it is stored with the page of this number."""
        return key.encrypt(self.model_dump_json().encode(), f"reading {number}")

    @classmethod
    def opened(cls, sealed: bytes, key: ContentKey, number: int) -> Reading:
        """The reading of the page of this number. Raises SealBrokenError."""
        return cls.model_validate_json(key.decrypt(sealed, f"reading {number}"))


def sealed_boxes(boxes: Sequence[Box], key: ContentKey, number: int) -> bytes | None:
    """What is covered of the page of this number, as it is stored with it."""
    return key.encrypt(_BOXES.dump_json(tuple(boxes)), f"covered {number}") if boxes else None


def opened_boxes(sealed: bytes | None, key: ContentKey, number: int) -> tuple[Box, ...]:
    """What is covered of the page of this number. Raises SealBrokenError."""
    return _BOXES.validate_json(key.decrypt(sealed, f"covered {number}")) if sealed else ()


async def scan_key(connection: AsyncConnection, scan_id: str, office: PrivateKey) -> ContentKey:
    """The key of a scan and of all its pages. Raises SealBrokenError."""
    return await load_key(connection, Context(Record.SCAN, scan_id), office)

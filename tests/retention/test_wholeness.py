"""What was erased or destroyed is no finding of `relay check`."""

from __future__ import annotations

from relay.store import wholeness
from tests.retention.test_clocks import DAYS, after
from tests.retention.test_erasing import erase
from tests.workplaces import ADDRESS, House, sure


async def found(house: House) -> list[wholeness.Finding]:
    """What `relay check` says."""
    return [one async for one in wholeness.findings(house.store, lambda *_: None)]


async def test_nothing_is_found_after_erasing_and_destroying(house: House) -> None:
    erased, kept = await house.posted(address=ADDRESS), await house.posted(address=ADDRESS)
    for sent in (erased, kept):
        await house.replied(sent)
    await house.split(sure(await house.code(erased), 2))
    await erase(house, erased)
    assert await found(house) == []
    for days in (DAYS.scans + 1, DAYS.letters, DAYS.replies, DAYS.records):
        await after(house, days)
        assert await found(house) == []

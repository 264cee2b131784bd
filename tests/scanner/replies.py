"""Replies for the tests of their screens: as they are when something in them needs a person."""

from __future__ import annotations

from collections.abc import Mapping

from relay.domain.letters import Word
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.store import tables
from scanner.codes import CodeRead, Method, PageCodes
from scanner.reading import Reading
from scanner.transcript import Lines
from tests.conftest import CaughtMail
from tests.workplaces import House, Sent

DOUBTED = Word(text="fiend", doubtful=True, box=(0.3, 0.3, 0.38, 0.33))
LINES: Lines = (
    (Word(text="Dear", doubtful=False, box=(0.1, 0.3, 0.2, 0.33)), DOUBTED),
    (
        Word(text="…", doubtful=False, box=(0.1, 0.4, 0.2, 0.43)),
        Word(text="snow", doubtful=False, box=(0.3, 0.4, 0.4, 0.43)),
    ),
)


async def reading(
    house: House,
    sent: Sent,
    *,
    sheet: int | None = 1,
    side: Side | None = Side.A,
    method: Method = Method.MATRIX,
    lines: Lines = LINES,
    ticks: Mapping[Tick, bool | None] | None = None,
) -> Reading:
    """What was read from a page that answers this letter."""
    codes = PageCodes((CodeRead(await house.code(sent), sheet, side, method),))
    return Reading(lines=lines, codes=codes, ticks=dict(ticks or {}))


async def held(house: House, *pages: Reading) -> str:
    """The id of a reply with these pages that waits for a look."""
    scan = await house.split(*pages)
    assert await house.assemble()
    row = await house.row(tables.replies, scan_id=scan, pages_of=None)
    assert row.state == "held"
    return str(row.id)


async def front_only(house: House, sent: Sent) -> str:
    """The id of a reply that waits because the back of its sheet is missing."""
    return await held(house, await reading(house, sent))


async def page_of(house: House, reply: str) -> str:
    """The id of the only page of a reply."""
    return str((await house.row(tables.pages, reply_id=reply)).id)


def text_of(mail: CaughtMail) -> str:
    """The plain part of a mail about a reply."""
    part = mail.message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())

"""Replies as volunteers see them: what waits, what is on their pages, what prisoners ticked, what was corrected."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from relay.domain.letters import Word
from relay.domain.lives import ReplyState
from relay.domain.reasons import ReplyDoubt
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.store import tables
from scanner import replies, reply_steps, tick_steps
from scanner.codes import Method
from scanner.replies import AnsweredLetter, Change, TickOnPage
from tests.scanner.replies import LINES, front_only, held, page_of, reading
from tests.workplaces import RUSSIAN, House, both_engines


@both_engines
async def test_replies_wait_the_oldest_first_with_their_doubt(house: House) -> None:
    mine, other = await house.posted(), await house.posted(RUSSIAN)
    first = await front_only(house, mine)
    house.clock.advance(minutes=1)
    pages = [await reading(house, other, side=side, method=Method.READABLE) for side in Side]
    second = await held(house, *pages)
    async with house.store.database.reading() as connection:
        found = await replies.held(connection)
        assert [(one.id, one.prisoner, one.doubt, one.pages) for one in found] == [
            (first, "John Sample", ReplyDoubt.MISSING, 1),
            (second, RUSSIAN.prisoner.name, ReplyDoubt.METHOD, 2),
        ]
        assert (await replies.held_count(connection)).count == 2


@both_engines
async def test_next_reply_is_the_one_behind_and_then_the_oldest(house: House) -> None:
    ids = [await front_only(house, await house.posted()) for _ in range(3)]
    async with house.store.database.reading() as connection:
        order = [one.id for one in await replies.held(connection)]
        following = [await replies.next_held(connection, one) for one in (None, *order)]
    assert sorted(order) == sorted(ids)
    assert following == [order[0], order[1], order[2], order[0]]


async def test_only_reply_that_waits_has_none_behind_it(house: House) -> None:
    reply = await front_only(house, await house.posted())
    async with house.store.database.reading() as connection:
        assert await replies.next_held(connection, reply) is None


@both_engines
async def test_reply_has_all_that_a_person_compares(house: House) -> None:
    sent = await house.posted(sheets=2, name="Mary")
    back = await reading(house, sent, side=Side.B, lines=(), method=Method.READABLE)
    ticked = {Tick.NEED_PAPER: True, Tick.WRITE_AGAIN: None, Tick.PLEASE_STOP: False}
    front = await reading(house, sent, sheet=2, ticks=ticked)
    reply = await held(house, front, back)
    async with house.store.database.reading() as connection:
        found = await replies.one(connection, reply, house.office_key)
    code = await house.code(sent)
    assert (found.state, found.listed.doubt, found.missing) == (
        ReplyState.HELD,
        ReplyDoubt.METHOD,
        ((1, Side.A), (2, Side.B)),
    )
    assert found.letters == (AnsweredLetter(sent.id, "Mary", house.clock()),)
    assert [(one.page.sheet, one.page.side, one.page.method, one.code, one.shown) for one in found.pages] == [
        (1, Side.B, "readable", code, ()),
        (2, Side.A, "matrix", code, LINES),
    ]
    assert found.pages[1].ticks == (
        TickOnPage(Tick.NEED_PAPER, clear=True, settled=False),
        TickOnPage(Tick.WRITE_AGAIN, clear=False, settled=False),
    )


async def test_covered_words_are_not_shown(house: House) -> None:
    reply = await front_only(house, await house.posted())
    page = await page_of(house, reply)
    boxes = [(0.29, 0.29, 0.4, 0.34)]
    await reply_steps.cover(house.store, house.office_key, page, boxes, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        found, one = await replies.with_page(connection, page, house.office_key)
    assert found.listed.id == reply
    assert [word.text for word in one.shown[0]] == ["Dear", "██████"]
    assert one.page.covered == tuple(boxes)


@pytest.mark.parametrize("which", ["0" * 32, "x"])
async def test_reply_that_is_not_there(house: House, which: str) -> None:
    async with house.store.database.reading() as connection:
        with pytest.raises(replies.NoSuchReplyError):
            await replies.one(connection, which, house.office_key)
        with pytest.raises(replies.NoSuchReplyError):
            await replies.with_page(connection, which, house.office_key)


async def test_released_replies_are_listed_the_newest_first(house: House) -> None:
    first = await house.replied(await house.posted())
    house.clock.advance(minutes=1)
    second = await house.replied(await house.posted(RUSSIAN))
    async with house.store.database.reading() as connection:
        assert [one.id for one in await replies.released(connection)] == [second, first]
        assert await replies.held(connection) == []


# --- ticks


@both_engines
async def test_ticks_wait_until_somebody_sees_to_them(house: House) -> None:
    sent = await house.posted()
    ticked = {Tick.PAGES_MISSING: True, Tick.ALL_PAGES: None, Tick.WRITE_AGAIN: True}
    page = await page_of(house, await held(house, await reading(house, sent, ticks=ticked)))
    async with house.store.database.reading() as connection:
        found = await replies.open_ticks(connection)
        assert await replies.open_tick_count(connection) == 2
        assert await replies.open_tick(connection, page, Tick.WRITE_AGAIN) is None
        assert await replies.open_tick(connection, page, Tick.ALL_PAGES) == found[0]
    assert [(one.tick, one.clear, one.prisoner_slug, one.letter_id) for one in found] == [
        (Tick.ALL_PAGES, False, "john-sample", sent.id),
        (Tick.PAGES_MISSING, True, "john-sample", sent.id),
    ]
    await tick_steps.settle(house.store, page, Tick.PAGES_MISSING, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        assert [one.tick for one in await replies.open_ticks(connection)] == [Tick.ALL_PAGES]


# --- corrections


@both_engines
async def test_history_tells_who_changed_what(house: House) -> None:
    reply = await front_only(house, await house.posted())
    page = await page_of(house, reply)
    friend = Word(text="friend,", doubtful=False, box=LINES[0][1].box)
    versions = [((LINES[0][0], friend), LINES[1]), ((LINES[0][0], friend),)]
    for login, lines in zip(("anna", "boris"), versions, strict=True):
        house.clock.advance(minutes=1)
        await reply_steps.correct(house.store, house.office_key, page, lines, house.volunteers[login])
    async with house.store.database.reading() as connection:
        found, one = await replies.with_page(connection, page, house.office_key)
        history = await replies.history(connection, one.page, found.key)
    assert one.page.reading.by_person
    assert [(past.login, past.changes, past.before.lines) for past in history] == [
        ("boris", (Change("… snow", ""),), versions[0]),
        ("anna", (Change("fiend?", "friend,"),), LINES),
    ]


async def test_page_that_was_only_read_has_no_changes(house: House) -> None:
    page = await page_of(house, await front_only(house, await house.posted()))
    await reply_steps.correct(house.store, house.office_key, page, LINES, house.volunteers["anna"])
    async with house.store.database.reading() as connection:
        found, one = await replies.with_page(connection, page, house.office_key)
        (past,) = await replies.history(connection, one.page, found.key)
        assert (await connection.execute(sa.select(sa.func.count()).select_from(tables.corrections))).scalar_one() == 1
    assert past.changes == ()

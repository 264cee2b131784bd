"""What follows from a tick box."""

from __future__ import annotations

import pytest

from relay.domain.directory import PrisonerState
from relay.domain.sheet import Tick
from relay.store import directory, tables
from relay.store.transitions import NotThereError
from scanner import reply_steps, tick_steps
from scanner.codes import PageCodes
from scanner.reading import Reading
from tests.workplaces import ENGLISH, House, Sent, both_engines, sure


async def ticked(house: House, sent: Sent, ticks: dict[Tick, bool | None]) -> str:
    """The id of a page with these ticks."""
    scan = await house.split(Reading(lines=(), codes=sure(await house.code(sent)), ticks=ticks))
    return str((await house.row(tables.pages, scan_id=scan)).id)


async def prisoner(house: House) -> str:
    return str((await house.row(tables.prisoners, slug=ENGLISH.prisoner.slug)).state)


async def test_ticks_of_a_placed_page_are_noted_and_those_for_the_sender_settled(house: House) -> None:
    sent = await house.posted()
    everything: dict[Tick, bool | None] = dict.fromkeys(Tick, True)
    await ticked(house, sent, everything | {Tick.PLEASE_STOP: False, Tick.BEING_MOVED: None})
    rows = {row.tick: (row.clear, row.settled_at is not None) for row in await house.rows(tables.ticks)}
    assert rows == {
        "all_pages": (True, True),
        "write_again": (True, True),
        "pages_missing": (True, False),
        "need_paper": (True, False),
        "being_moved": (False, False),
        "forward": (True, False),
    }


@both_engines
async def test_who_wants_no_more_letters_gets_none_until_a_person_decides(house: House) -> None:
    sent = await house.posted()
    waiting = await house.queued()
    page = await ticked(house, sent, {Tick.PLEASE_STOP: True})
    assert (await prisoner(house), await house.state(waiting)) == ("do_not_write", "held")
    await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, house.volunteers["anna"], write_again=True)
    assert (await prisoner(house), await house.state(waiting)) == ("active", "queued")
    (row,) = await house.rows(tables.ticks)
    assert row.settled_by == house.volunteers["anna"]


async def test_stop_that_is_meant_stays(house: House) -> None:
    sent = await house.posted()
    waiting = await house.queued()
    page = await ticked(house, sent, {Tick.PLEASE_STOP: True})
    await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, house.volunteers["anna"], write_again=False)
    assert (await prisoner(house), await house.state(waiting)) == ("do_not_write", "held")


async def test_letters_go_on_only_when_no_other_page_asks_to_stop(house: House) -> None:
    letters = [await house.posted(), await house.posted()]
    pages = [await ticked(house, sent, {Tick.PLEASE_STOP: True}) for sent in letters]
    states = []
    for page in pages:
        await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, house.volunteers["anna"], write_again=True)
        states.append(await prisoner(house))
    assert states == ["do_not_write", "active"]


async def test_unclear_stop_holds_nothing_before_a_person_has_seen_it(house: House) -> None:
    sent = await house.posted()
    page = await ticked(house, sent, {Tick.PLEASE_STOP: None})
    assert await prisoner(house) == "active"
    anna = house.volunteers["anna"]
    with pytest.raises(NotThereError):
        await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, anna)
    await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, anna, ticked=True)
    assert await prisoner(house) == "do_not_write"
    await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, anna, write_again=True)
    assert await prisoner(house) == "active"


async def test_unclear_tick_that_is_none_is_settled(house: House) -> None:
    page = await ticked(house, await house.posted(), {Tick.PLEASE_STOP: None})
    await tick_steps.settle(house.store, page, Tick.PLEASE_STOP, house.volunteers["anna"], ticked=False)
    (row,) = await house.rows(tables.ticks)
    assert (row.clear, row.settled_by, await prisoner(house)) == (False, house.volunteers["anna"], "active")


async def test_ticks_of_a_page_that_was_placed_wrongly_are_taken_back(house: House) -> None:
    sent = await house.posted()
    waiting = await house.queued()
    page = await ticked(house, sent, {Tick.PLEASE_STOP: True, Tick.NEED_PAPER: True})
    assert await house.assemble()
    await reply_steps.take_out(house.store, page, house.volunteers["anna"])
    assert await house.rows(tables.ticks) == []
    assert (await prisoner(house), await house.state(waiting)) == ("active", "queued")


async def test_ticks_of_a_page_on_the_heap_change_nothing(house: House) -> None:
    await house.posted()
    await house.split(Reading(lines=(), codes=PageCodes(), ticks=dict.fromkeys(Tick, True)))
    assert (await house.rows(tables.ticks), await prisoner(house)) == ([], "active")


async def test_stop_of_a_page_that_was_placed_wrongly_leaves_what_a_person_had_decided(house: House) -> None:
    sent = await house.posted()
    prisoner_id = (await house.row(tables.letters, id=sent.id)).prisoner_id
    async with house.store.database.writing() as connection:
        await directory.lost(connection, prisoner_id, PrisonerState.DO_NOT_WRITE, by=house.anna, at=house.clock())
    page = await ticked(house, sent, {Tick.PLEASE_STOP: True})
    assert await house.assemble()
    await reply_steps.take_out(house.store, page, house.volunteers["anna"])
    assert await prisoner(house) == "do_not_write"


async def test_letters_go_on_when_both_pages_that_asked_to_stop_were_placed_wrongly(house: House) -> None:
    letters = [await house.posted(), await house.posted()]
    pages = [
        await ticked(house, sent, {Tick.PLEASE_STOP: stop}) for sent, stop in zip(letters, (True, None), strict=True)
    ]
    await tick_steps.settle(house.store, pages[1], Tick.PLEASE_STOP, house.volunteers["anna"], ticked=True)
    assert [await house.assemble(), await house.assemble()] == [True, True]
    states = []
    for page in pages:
        await reply_steps.take_out(house.store, page, house.volunteers["anna"])
        states.append(await prisoner(house))
    assert states == ["do_not_write", "active"]

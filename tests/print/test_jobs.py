"""The worker of the printing: it renders what is open, and one bad batch stops no other."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path

import pytest

from print import jobs, steps
from print.rendering import Rendering, RenderingDiedError, RenderingPool
from relay.desk.steps import withdraw
from relay.domain.letter_pages import Mailing, Manifest
from relay.store import leases, tables
from tests.print.letters import pages_in, text_in
from tests.workplaces import ENGLISH, RUSSIAN, WORKER_NAME, House, both_engines


async def pdf(house: House, batch: str) -> bytes:
    return await steps.batch_pdf(house.store, batch, house.office_key)


def words(data: bytes) -> str:
    return " ".join(text_in(data, page) for page in range(pages_in(data)))


@both_engines
async def test_batch_is_rendered_with_its_letters_in_their_order(house: House) -> None:
    for text in ("The first letter", "The second letter"):
        await house.approved(text=text)
        house.clock.advance(minutes=1)
    batch = await house.rendered()
    data = await pdf(house, batch)
    # the manifest and its blank back; of each letter the page and its blank back, and both sides of a sheet
    assert pages_in(data) == 2 + 2 * (2 + 2)
    found = words(data)
    assert 0 <= found.index("The first letter") < found.index("The second letter")
    row = await house.row(tables.batches)
    assert (row.state, row.lease_owner, row.last_error) == ("rendered", None, None)
    assert not await house.render()


async def test_return_address_of_the_facility_goes_before_the_installations(house: House) -> None:
    await house.approved(RUSSIAN)
    await house.approved(ENGLISH)
    russian, english = await house.batch(RUSSIAN), await house.batch(ENGLISH)
    assert [await house.render(), await house.render()] == [True, True]
    assert "PO Box 9" in words(await pdf(house, english))
    assert "PO Box 9" not in words(await pdf(house, russian))
    assert "А. Я. Вымышленный" in words(await pdf(house, russian))


async def test_nothing_printed_names_the_relay_or_the_senders_address(house: House) -> None:
    await house.approved(address="quokka@sender.example")
    data = await pdf(house, await house.rendered())
    assert [word in words(data) for word in ("Example relay", "quokka", "relay")] == [False] * 3


class _WithdrawsWhileRendering(RenderingPool):
    """The printer, slow enough for a sender who changes their mind."""

    def __init__(self, house: House, letter_id: str) -> None:
        super().__init__()
        self._house, self._letter = house, letter_id
        self.rendered: list[int] = []

    async def render(
        self,
        mailings: AsyncIterable[Mailing],
        manifest: Callable[[Rendering], Manifest],
        into: Path,
        progress: Callable[[int], Awaitable[None]],
    ) -> Rendering:
        done = await self._house.pages.render(mailings, manifest, into, progress)
        self.rendered.append(len(done.mailings))
        await withdraw(self._house.store, self._letter)
        return done


@both_engines
async def test_letter_withdrawn_while_it_is_rendered_is_left_out(house: House) -> None:
    await house.approved(text="It stays here")
    goes = await house.approved(text="It goes away")
    batch = await house.batch()
    printer = _WithdrawsWhileRendering(house, goes.id)
    printing = dataclasses.replace(house.printing, pages=printer)
    assert await jobs.render_next(printing, WORKER_NAME)
    row = await house.row(tables.batches)
    # It was nobody's fault: the next look renders it again, without a delay.
    assert (row.state, row.lease_owner, row.attempts, row.next_try_at) == ("open", None, 0, None)
    assert await jobs.render_next(printing, WORKER_NAME)
    assert printer.rendered == [2, 1]
    found = words(await pdf(house, batch))
    assert ("It stays here" in found, "It goes away" in found) == (True, False)
    assert [row.id for row in await house.rows(tables.letters, batch_id=batch)] != [goes.id]
    assert await house.state(goes) == "withdrawn"


async def test_batch_whose_letters_were_all_withdrawn_is_passed_on_without_pages(house: House) -> None:
    sent = await house.approved()
    batch = await house.batch()
    await withdraw(house.store, sent.id)
    assert await house.render()
    assert (await house.row(tables.batches, id=batch)).state == "rendered"
    with pytest.raises(steps.NotRenderedError):
        await pdf(house, batch)


@both_engines
async def test_letter_that_cannot_be_drawn_is_set_aside_and_the_rest_is_printed(house: House) -> None:
    poison = await house.approved(text="A character without a glyph: \U00012000")
    fine = await house.approved(text="It is printed")
    batch = await house.batch()
    assert await house.render()
    found = words(await pdf(house, batch))
    assert ("It is printed" in found, "without a glyph" in found) == (True, False)
    row = await house.row(tables.letters, id=poison.id)
    assert (row.state, row.batch_id) == ("approved", None)
    assert row.last_error == "No font can print the character CUNEIFORM SIGN A."
    assert [one.letter_id for one in await house.rows(tables.enclosures)] == [fine.id]
    assert not await house.render()
    with pytest.raises(steps.NothingToPrintError):
        await house.batch()


class _Broken(RenderingPool):
    """A printer whose processes die."""

    async def render(self, *given: object) -> Rendering:
        raise RenderingDiedError


@both_engines
async def test_batch_that_cannot_be_rendered_is_set_aside_and_stops_no_other(house: House) -> None:
    await house.approved()
    poison = await house.batch()
    broken = dataclasses.replace(house.printing, pages=_Broken())
    assert await jobs.render_next(broken, WORKER_NAME)
    house.clock.advance(minutes=1)
    await house.approved(RUSSIAN)
    fine = await house.batch(RUSSIAN)
    house.clock.now -= datetime.timedelta(seconds=45)  # not its turn yet
    assert [await house.render(), await house.render()] == [True, False]
    assert (await house.row(tables.batches, id=fine)).state == "rendered"
    for attempt in range(2, leases.ATTEMPTS + 1):
        house.clock.advance(hours=7)
        assert await jobs.render_next(broken, WORKER_NAME)
        assert (await house.row(tables.batches, id=poison)).attempts == attempt
    house.clock.advance(days=30)
    assert not await house.render()
    row = await house.row(tables.batches, id=poison)
    assert (row.state, row.last_error, row.set_aside_at is None) == ("open", "RenderingDiedError", False)


async def test_failure_is_tried_again_later_and_later(house: House) -> None:
    await house.approved()
    await house.batch()
    broken = dataclasses.replace(house.printing, pages=_Broken())
    delays = []
    for _ in range(3):
        assert await jobs.render_next(broken, WORKER_NAME)
        due = (await house.row(tables.batches)).next_try_at
        delays.append((due - house.clock()).total_seconds())
        house.clock.now = due
    assert delays == [30, 60, 120]


async def test_progress_and_manifest_tell_what_was_rendered(house: House) -> None:
    for _ in range(3):
        await house.approved()
    batch = await house.batch()
    assert await house.render()
    assert (await house.row(tables.batches)).progress == 3
    first = text_in(await pdf(house, batch), 0)
    assert (batch[:8] in first, ENGLISH.facility.name in first, ENGLISH.prisoner.name in first) == (True,) * 3


async def test_batch_of_another_worker_is_left_to_it(house: House) -> None:
    await house.approved()
    await house.batch()
    async with house.store.database.writing() as connection:
        await leases.claim(
            connection, tables.batches, owner="another", now=house.clock(), order_by=tables.batches.c.created_at
        )
    assert not await house.render()
    house.clock.now += leases.LEASE
    assert not await house.render()
    house.clock.advance(seconds=1)
    assert await house.render()


@pytest.mark.parametrize("name", ["Анна Вымышленная", "Åsa Påhittad", "Jürgen Ausgedacht"])
async def test_names_of_all_languages_are_printed(house: House, name: str) -> None:
    await house.approved(RUSSIAN, name=name)
    assert name in words(await pdf(house, await house.rendered(RUSSIAN)))

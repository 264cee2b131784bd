"""The worker of the printing: it renders what is open, and one bad batch stops no other."""

from __future__ import annotations

import pytest

from print import jobs, steps
from relay.desk.steps import withdraw
from relay.domain.letter_pages import LetterToPrint
from relay.store import leases, tables
from tests.print.letters import pages_in, text_in
from tests.workplaces import ENGLISH, RUSSIAN, WORKER_NAME, House, both_engines, get, post


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
    assert pages_in(data) == 2 * (2 + 2)  # a letter and its blank back, and both sides of a sheet
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


class _WithdrawsWhileRendering:
    """The printer, slow enough for a sender who changes their mind."""

    def __init__(self, house: House, letter_id: str) -> None:
        self._house, self._letter = house, letter_id
        self.rendered: list[int] = []

    async def render(self, letters: list[LetterToPrint]) -> bytes:
        data = await self._house.pages.render(letters)
        self.rendered.append(len(letters))
        await withdraw(self._house.store, self._letter)
        return data


@both_engines
async def test_letter_withdrawn_while_it_is_rendered_is_left_out(house: House) -> None:
    await house.approved(text="It stays here")
    goes = await house.approved(text="It goes away")
    batch = await house.batch()
    printer = _WithdrawsWhileRendering(house, goes.id)

    async def render() -> bool:
        return await jobs.render_next(house.store, house.settings, WORKER_NAME, house.office_key, printer)  # type: ignore[arg-type]

    assert await render()
    row = await house.row(tables.batches)
    # It was nobody's fault: the next look renders it again, without a delay.
    assert (row.state, row.lease_owner, row.attempts, row.next_try_at) == ("open", None, 0, None)
    assert await render()
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
    office = await house.office()
    screen = (await get(office, "/en/print")).screen
    assert ([link for link in screen.links if link.endswith(".pdf")], screen.forms[-1]) == ([], f"/en/print/{batch}")
    assert (await get(office, f"/en/print/{batch}.pdf")).status == 404


@both_engines
async def test_batch_that_cannot_be_rendered_is_set_aside_and_stops_no_other(house: House) -> None:
    await house.approved(text="A character without a glyph: \U00012000")
    poison = await house.batch()
    house.clock.advance(minutes=1)
    await house.approved(RUSSIAN)
    fine = await house.batch(RUSSIAN)
    assert [await house.render(), await house.render(), await house.render()] == [True, True, False]
    assert (await house.row(tables.batches, id=fine)).state == "rendered"
    for attempt in range(2, leases.ATTEMPTS + 1):
        house.clock.advance(hours=7)
        assert await house.render()
        assert (await house.row(tables.batches, id=poison)).attempts == attempt
    house.clock.advance(days=30)
    assert not await house.render()
    row = await house.row(tables.batches, id=poison)
    assert (row.state, row.last_error, row.set_aside_at is None) == ("open", "NoGlyphError", False)
    office = await house.office()
    screen = (await get(office, "/en/print")).screen
    assert screen.wrong == ["It failed several times and was set aside."]
    assert "set aside. (NoGlyphError)" in screen.text
    answer = await post(office, f"/en/print/{poison}/again")
    assert (answer.status, answer.location) == (303, "/en/print")
    assert await house.render()
    assert (await get(office, "/en/print")).screen.wrong == ["It failed and will be tried again."]


async def test_failure_is_tried_again_later_and_later(house: House) -> None:
    await house.approved(text="\U00012000")
    await house.batch()
    delays = []
    for _ in range(3):
        assert await house.render()
        due = (await house.row(tables.batches)).next_try_at
        delays.append((due - house.clock()).total_seconds())
        house.clock.now = due
    assert delays == [30, 60, 120]


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

"""One batch: what is in it, and its way to the post."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from print import returns, steps
from relay.desk.steps import withdraw
from relay.domain.lives import BatchState
from relay.domain.reasons import ReturnReason
from relay.store import tables
from tests.print.letters import pages_in
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, both_engines, get, post

STATES = [BatchState.PRINTED, BatchState.POSTED]


async def mark(house: House, batch: str, *states: BatchState) -> None:
    for state in states:
        await steps.mark(house.store, batch, state, house.volunteers["anna"])


async def printed(house: House) -> str:
    """A batch of what waits for the English prisoner, on paper."""
    batch = await house.batch()
    await house.on_paper(batch)
    await mark(house, batch, BatchState.PRINTED)
    return batch


async def envelope(house: House, **values: object) -> str:
    return str((await house.row(tables.envelopes, **values)).id)


@both_engines
async def test_evening_from_approved_letters_to_handed_over_ones(house: House, office_client: Client) -> None:
    sent = await house.approved()
    batch = (await post(office_client, "/en/print")).location
    opened = await get(office_client, batch)
    assert (opened.headers["Refresh"], opened.screen.heading) == ("2", "The pages are being made")
    assert (await get(office_client, f"{batch}.pdf")).status == 404
    await house.render()
    screen = await get(office_client, batch)
    assert ("Refresh" in screen.headers, screen.screen.heading) == (False, ENGLISH.facility.name)
    assert pages_in((await get(office_client, f"{batch}.pdf")).body) == 6
    seen = []
    for state in ("printed", "posted", "handed_over"):
        assert f'value="{state}"' in (await get(office_client, batch)).screen.html
        answer = await post(office_client, batch, {"state": state})
        assert (answer.status, answer.location) == (303, batch)
        seen.append(await house.state(sent))
    assert seen == ["printed", "posted", "delivered"]
    assert "handed over" not in (await get(office_client, batch)).screen.text


async def test_buttons_pressed_twice_do_nothing_more(house: House, office_client: Client) -> None:
    sent = await house.approved(address="mary@sender.example")
    batch = await house.rendered()
    for state in ("printed", "posted", "handed_over"):
        answers = await asyncio.gather(*(post(office_client, f"/en/print/{batch}", {"state": state}) for _ in range(3)))
        assert [answer.status for answer in answers] == [303, 303, 303]
    assert await house.state(sent) == "delivered"
    events = await house.rows(tables.events, record="batch")
    assert [row.target for row in events] == ["open", "rendered", "printed", "posted"]
    assert len(await house.rows(tables.outbox, kind="posted")) == 1


@pytest.mark.parametrize("state", ["", "open", "rendered", "burnt", "put_away"])
async def test_mark_that_does_not_exist(house: House, office_client: Client, state: str) -> None:
    await house.approved()
    batch = await house.rendered()
    assert (await post(office_client, f"/en/print/{batch}", {"state": state})).status == 404
    assert (await house.row(tables.batches)).state == "rendered"


@pytest.mark.parametrize("batch", ["0" * 32, "x", "%00", "..%2f..%2fkeys"])
async def test_batch_that_does_not_exist(office_client: Client, batch: str) -> None:
    for path in ("", ".pdf", "/page", "/labels.pdf", "/printer"):
        assert (await get(office_client, f"/en/print/{batch}{path}")).status == 404
    for path in ("", "/tracking", "/copies", "/again", "/printer", f"/printer/{'0' * 32}"):
        assert (await post(office_client, f"/en/print/{batch}{path}", {"state": "printed"})).status == 404


async def test_envelopes_stand_with_codes_weight_and_postage(house: House, office_client: Client) -> None:
    code = await house.code(await house.approved())
    batch = await house.rendered()
    screen = (await get(office_client, f"/en/print/{batch}")).screen
    grouped = f"{code[:4]} {code[4:8]} {code[8:]}"
    assert f"Pages of envelope 1 John Sample {grouped} 2 20 g up to 20 g to be printed" in screen.text
    assert f"/en/print/code?code={code}" in screen.links
    assert f"/en/print/{batch}/page?envelope=1" in screen.links


async def test_envelope_that_no_post_takes_is_marked(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.rendered()
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.envelopes).values(postage=None, grams=2040.0))
    screen = (await get(office_client, f"/en/print/{batch}")).screen
    assert "2.0 kg too heavy to be printed" in screen.text
    assert '<strong class="late">too heavy</strong>' in screen.html


async def test_letter_that_came_back_still_stands_in_its_envelope(house: House, office_client: Client) -> None:
    sent = await house.posted()
    batch = (await house.row(tables.batches)).id
    await post(office_client, "/en/print/code", {"code": await house.code(sent), "reason": "moved"})
    screen = (await get(office_client, f"/en/print/{batch}")).screen
    assert "1 letter 1 envelope" in " ".join(screen.text.replace("·", "").split())
    assert "waits for the address" in screen.text


# --- tracking numbers


@both_engines
async def test_tracking_numbers_are_stored_together(house: House, office_client: Client) -> None:
    for _ in range(2):
        await house.approved()
    batch = await printed(house)
    first, second = [await envelope(house, number=number) for number in (1, 2)]
    form = {f"tracking.{first}": " rr 123 456 785 de", f"tracking.{second}": ""}
    answer = await post(office_client, f"/en/print/{batch}/tracking", form)
    assert (answer.status, answer.location) == (303, f"/en/print/{batch}?stored#tracking")
    assert [row.tracking for row in await house.rows(tables.envelopes)] == ["RR123456785DE", None]
    screen = (await get(office_client, answer.location)).screen
    assert "The tracking numbers are stored." in screen.text
    assert screen.fields[f"tracking.{first}"] == "RR123456785DE"


async def test_tracking_numbers_of_other_batches_stay(house: House, office_client: Client) -> None:
    await house.approved()
    mine = await printed(house)
    await house.approved()
    other = await printed(house)
    foreign = await envelope(house, batch_id=other)
    form = {f"tracking.{foreign}": "RR123456785DE", "tracking.": "X", "tracking.x": "Y"}
    assert (await post(office_client, f"/en/print/{mine}/tracking", form)).status == 303
    assert [row.tracking for row in await house.rows(tables.envelopes)] == [None, None]


# --- copies


@both_engines
async def test_one_envelope_is_printed_again(house: House, office_client: Client) -> None:
    sent, _ = await house.approved(), await house.approved()
    batch = await printed(house)
    number = {row.letter_id: row.envelope_id for row in await house.rows(tables.enclosures)}[sent.id]
    answer = await post(office_client, f"/en/print/{batch}/copies", {"envelope": number})
    copy = await house.row(tables.batches, copy=True)
    assert (answer.status, answer.location) == (303, f"/en/print/{copy.id}")
    assert [row.letter_id for row in await house.rows(tables.reprints)] == [sent.id]
    await house.render()
    screen = (await get(office_client, f"/en/print/{copy.id}")).screen
    assert "copies" in screen.text
    assert "These letters were printed before." in screen.text


async def test_all_envelopes_are_printed_again(house: House, office_client: Client) -> None:
    sent = [await house.approved(), await house.approved()]
    batch = await printed(house)
    await post(office_client, f"/en/print/{batch}/copies")
    assert {row.letter_id for row in await house.rows(tables.reprints)} == {one.id for one in sent}


async def test_copies_are_made_once_however_often_the_button_is_pressed(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await printed(house)
    answers = await asyncio.gather(*(post(office_client, f"/en/print/{batch}/copies") for _ in range(3)))
    copy = await house.row(tables.batches, copy=True)
    assert [answer.location for answer in answers] == [f"/en/print/{copy.id}"] * 3
    await house.render()
    assert (await post(office_client, f"/en/print/{batch}/copies")).location == f"/en/print/{copy.id}"


async def test_copies_that_are_printed_can_be_lost_too(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await printed(house)
    for number in (1, 2):
        await post(office_client, f"/en/print/{batch}/copies")
        await house.render()
        copies = await house.rows(tables.batches, copy=True)
        assert len(copies) == number
        await mark(house, next(copy.id for copy in copies if copy.state == "rendered"), BatchState.PRINTED)


@pytest.mark.parametrize("form", [{}, {"envelope": "0" * 32}])
async def test_what_was_not_printed_is_not_printed_again(
    house: House, office_client: Client, form: dict[str, str]
) -> None:
    await house.approved()
    batch = await house.rendered()
    assert (await post(office_client, f"/en/print/{batch}/copies", form)).status == 404
    assert await house.rows(tables.reprints) == []


async def test_envelope_that_came_back_is_not_offered_to_be_printed_again(house: House, office_client: Client) -> None:
    sent = [await house.approved(), await house.approved()]
    batch = await printed(house)
    offered = []
    for one in sent:
        html = (await get(office_client, f"/en/print/{batch}")).screen.html
        offered.append((html.count(">Print again<"), html.count("Print all as copies")))
        await returns.come_back(house.store, await house.code(one), ReturnReason.REFUSED, house.volunteers["anna"])
    html = (await get(office_client, f"/en/print/{batch}")).screen.html
    assert [*offered, (html.count(">Print again<"), html.count("Print all as copies"))] == [(2, 1), (1, 1), (0, 0)]


async def test_envelope_of_another_batch_is_not_printed_again(house: House, office_client: Client) -> None:
    await house.approved()
    mine = await printed(house)
    await house.approved()
    foreign = await envelope(house, batch_id=await printed(house))
    assert (await post(office_client, f"/en/print/{mine}/copies", {"envelope": foreign})).status == 404


# --- what went wrong


async def test_batch_without_letters_is_put_away(house: House, office_client: Client) -> None:
    sent = await house.approved(RUSSIAN)
    batch = await house.batch(RUSSIAN)
    await withdraw(house.store, sent.id)
    await house.render()
    screen = (await get(office_client, f"/en/print/{batch}")).screen
    assert "Nothing is left to print in this batch" in screen.text
    assert (await get(office_client, f"/en/print/{batch}.pdf")).status == 404
    for _ in range(2):
        assert (await post(office_client, f"/en/print/{batch}", {"state": "put_away"})).status == 303
    assert (await house.row(tables.batches)).state == "posted"


async def test_batch_that_failed_again_and_again_can_be_tried_again(house: House, office_client: Client) -> None:
    await house.approved()
    batch = await house.batch()
    async with house.store.database.writing() as connection:
        failed = {"set_aside_at": house.clock(), "last_error": "RenderingDiedError", "attempts": 8}
        await connection.execute(sa.update(tables.batches).values(failed))
    opened = await get(office_client, f"/en/print/{batch}")
    assert ("Refresh" in opened.headers, opened.screen.heading) == (False, "The pages could not be made")
    assert opened.screen.wrong == ["It failed several times and was set aside."]
    answer = await post(office_client, f"/en/print/{batch}/again")
    assert (answer.status, answer.location) == (303, f"/en/print/{batch}")
    assert await house.render()
    assert (await house.row(tables.batches)).state == "rendered"

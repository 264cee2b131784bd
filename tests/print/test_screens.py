"""The screens of the printing."""

from __future__ import annotations

import asyncio

import pytest

from relay.store import tables
from tests.print.letters import pages_in
from tests.workplaces import ENGLISH, Client, House, both_engines, get, post


async def facility(house: House) -> str:
    return str((await house.row(tables.facilities, slug=ENGLISH.facility.slug)).id)


@both_engines
async def test_evening_from_approved_letters_to_posted_ones(house: House, office_client: Client) -> None:
    sent = await house.approved()
    screen = (await get(office_client, "/en/print")).screen
    assert "HMP Nowhere (an invented prison) 1 0 seconds Make a batch" in screen.text
    assert screen.fields == {"facility": await facility(house)}
    made = await post(office_client, "/en/print", screen.fields)
    assert (made.status, made.location) == (303, "/en/print")
    batch = (await house.row(tables.batches)).id
    screen = (await get(office_client, "/en/print")).screen
    assert "being rendered" in screen.text
    assert (await get(office_client, f"/en/print/{batch}.pdf")).status == 404
    await house.render()
    pdf = await get(office_client, f"/en/print/{batch}.pdf")
    assert (pdf.status, pdf.headers["Content-Type"], pages_in(pdf.body)) == (200, "application/pdf", 4)
    assert pdf.headers["Content-Disposition"] == f'inline; filename="batch-{batch[:8]}.pdf"'
    seen = []
    for state in ("printed", "posted"):
        answer = await post(office_client, f"/en/print/{batch}", {"state": state})
        assert (answer.status, answer.location) == (303, "/en/print")
        seen.append(await house.state(sent))
    assert seen == ["printed", "posted"]
    assert "It is posted" not in (await get(office_client, "/en/print")).screen.text


async def test_buttons_pressed_twice_do_nothing_more(house: House, office_client: Client) -> None:
    sent = await house.approved(address="mary@sender.example")
    form = {"facility": await facility(house)}
    answers = await asyncio.gather(*(post(office_client, "/en/print", form) for _ in range(3)))
    assert [answer.status for answer in answers] == [303, 303, 303]
    (batch,) = await house.rows(tables.batches)
    await house.render()
    for state in ("printed", "posted"):
        for _ in range(3):
            assert (await post(office_client, f"/en/print/{batch.id}", {"state": state})).status == 303
    assert await house.state(sent) == "posted"
    events = await house.rows(tables.events, record="batch")
    assert [row.target for row in events] == ["open", "rendered", "printed", "posted"]
    assert len(await house.rows(tables.outbox, kind="posted")) == 1


@pytest.mark.parametrize("state", ["", "open", "rendered", "burnt"])
async def test_mark_that_does_not_exist(house: House, office_client: Client, state: str) -> None:
    await house.approved()
    batch = await house.rendered()
    assert (await post(office_client, f"/en/print/{batch}", {"state": state})).status == 404
    assert (await house.row(tables.batches)).state == "rendered"


@pytest.mark.parametrize("batch", ["0" * 32, "x", "%00", "..%2f..%2fkeys"])
async def test_batch_that_does_not_exist(office_client: Client, batch: str) -> None:
    assert (await get(office_client, f"/en/print/{batch}.pdf")).status == 404
    assert (await post(office_client, f"/en/print/{batch}", {"state": "printed"})).status == 404


async def test_batch_of_nothing_is_not_made(house: House, office_client: Client) -> None:
    await house.queued()
    for form in ({"facility": await facility(house)}, {"facility": "nowhere"}, {}):
        assert (await post(office_client, "/en/print", form)).status == 303
    assert await house.rows(tables.batches) == []
    assert "Nothing is waiting." in (await get(office_client, "/en/print")).screen.text

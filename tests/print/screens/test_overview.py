"""What waits to be printed, and the batches."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from relay.store import tables
from tests.workplaces import ENGLISH, RUSSIAN, Answer, Client, House, both_engines, get, post


async def facility(house: House, slug: str = ENGLISH.facility.slug) -> str:
    return str((await house.row(tables.facilities, slug=slug)).id)


async def set_aside(house: House, reason: str) -> None:
    async with house.store.database.writing() as connection:
        values = {"set_aside_at": house.clock(), "last_error": reason}
        await connection.execute(sa.update(tables.letters).values(values))


def refreshed(answer: Answer) -> bool:
    return "Refresh" in answer.headers


@both_engines
async def test_waiting_letters_stand_by_facility_the_oldest_first(house: House) -> None:
    await house.approved(RUSSIAN)
    house.clock.advance(days=2)
    await house.approved()
    await house.approved()
    screen = (await get(await house.office(), "/en/print")).screen
    assert "3 letters to 2 facilities, about 60 g" in screen.text
    first, second = RUSSIAN.facility.name, ENGLISH.facility.name
    assert f"{first} 1 20 g ≤ 1 1 ≤ 3 ≤ 7 > 7 2 days Print these {first}" in screen.text
    assert f"{second} 2 40 g 2 ≤ 1 ≤ 3 ≤ 7 > 7 1 minute Print these {second}" in screen.text
    drawn = "up to 1 day: 0; up to 3 days: 1; up to 7 days: 0; longer: 0"
    assert drawn in screen.html


async def test_nothing_waits(house: House, office_client: Client) -> None:
    await house.queued()
    screen = (await get(office_client, "/en/print")).screen
    assert "Nothing is waiting." in screen.text
    assert "No batch was made yet." in screen.text
    assert screen.forms == ["/en/log-out"]


@both_engines
async def test_everything_that_waits_is_printed_with_one_press(house: House, office_client: Client) -> None:
    sent = [await house.approved(person) for person in (ENGLISH, RUSSIAN, ENGLISH)]
    made = await post(office_client, "/en/print")
    assert (made.status, made.location) == (303, "/en/print/progress")
    english, russian, again = [(await house.row(tables.letters, id=one.id)).batch_id for one in sent]
    assert (english == again, english == russian, None in {english, russian}) == (True, False, False)


async def test_one_facility_leads_to_its_batch(house: House, office_client: Client) -> None:
    await house.approved()
    left = await house.approved(RUSSIAN)
    made = await post(office_client, "/en/print", {"facility": await facility(house)})
    (batch,) = await house.rows(tables.batches)
    assert (made.status, made.location) == (303, f"/en/print/{batch.id}")
    assert (await house.row(tables.letters, id=left.id)).batch_id is None


async def test_button_pressed_three_times_makes_one_batch(house: House, office_client: Client) -> None:
    await house.approved()
    answers = await asyncio.gather(*(post(office_client, "/en/print") for _ in range(3)))
    (batch,) = await house.rows(tables.batches)
    assert sorted(answer.location for answer in answers) == ["/en/print", "/en/print", f"/en/print/{batch.id}"]


async def test_batch_of_nothing_is_not_made(house: House, office_client: Client) -> None:
    await house.queued()
    for form in ({"facility": await facility(house)}, {"facility": "nowhere"}, {"facility": ""}, {}):
        answer = await post(office_client, "/en/print", form)
        assert (answer.status, answer.location) == (303, "/en/print")
    assert await house.rows(tables.batches) == []


async def test_empty_facility_prints_nothing(house: House, office_client: Client) -> None:
    await house.approved()
    assert (await post(office_client, "/en/print", {"facility": ""})).location == "/en/print"
    assert await house.rows(tables.batches) == []


async def test_looking_changes_nothing(house: House, office_client: Client) -> None:
    sent = await house.approved()
    batch = await house.rendered()
    before = (await house.count(), await house.row(tables.batches), await house.row(tables.letters))
    paths = ["", "/progress", f"/{batch}", f"/{batch}.pdf", f"/{batch}/page", f"/{batch}/labels.pdf"]
    paths += [f"/code?code={await house.code(sent)}", "/who-wrote?who=john", "/who-wrote/john-sample"]
    for path in paths:
        assert (await get(office_client, f"/en/print{path}")).status in {200, 303}
    assert (await house.count(), await house.row(tables.batches), await house.row(tables.letters)) == before


# --- set aside


async def test_letter_that_was_set_aside_is_shown_with_its_reason(house: House) -> None:
    sent = await house.approved()
    await set_aside(house, "No font can print the character CUNEIFORM SIGN A.")
    house.clock.advance(days=2)
    screen = (await get(await house.office(), "/en/print")).screen
    code = await house.code(sent)
    grouped = f"{code[:4]} {code[4:8]} {code[8:]}"
    assert "1 letter could not be printed" in screen.text
    row = f"{sent.person.prisoner.name} {sent.person.facility.name} {grouped}"
    assert f"{row} No font can print the character CUNEIFORM SIGN A. 2 days Back to the review {grouped}" in screen.text
    assert "Nothing is waiting." in screen.text


async def test_place_of_what_cannot_be_printed_is_named(house: House, office_client: Client) -> None:
    await house.approved(text="One\ntwo \U00012000\nthree")
    await house.rendered()
    screen = (await get(office_client, "/en/print")).screen
    assert "Characters in it cannot be printed: line 2, character 5: CUNEIFORM SIGN A" in screen.text


async def test_letter_that_was_set_aside_waits_again(house: House, office_client: Client) -> None:
    sent = await house.approved()
    await set_aside(house, "a reason")
    answer = await post(office_client, f"/en/print/letter/{sent.id}/again")
    assert (answer.status, answer.location) == (303, "/en/print")
    screen = (await get(office_client, "/en/print")).screen
    assert ("1 letter to 1 facility" in screen.text, "could not be printed" in screen.text) == (True, False)


async def test_unknown_letter_is_not_tried_again(house: House, office_client: Client) -> None:
    await house.approved()
    await set_aside(house, "a reason")
    assert (await post(office_client, f"/en/print/letter/{'0' * 32}/again")).status == 303
    assert (await house.row(tables.letters)).last_error == "a reason"


# --- progress


async def test_progress_looks_again_by_itself_until_all_is_rendered(house: House, office_client: Client) -> None:
    for person in (ENGLISH, RUSSIAN):
        await house.approved(person)
    await post(office_client, "/en/print")
    async with house.store.database.writing() as connection:
        english = tables.batches.c.facility_id == await facility(house)
        await connection.execute(sa.update(tables.batches).where(english).values(progress=1))
    answer = await get(office_client, "/en/print/progress")
    assert (answer.status, answer.headers["Refresh"]) == (200, "2")
    assert "1 of 1 letters are ready" in answer.screen.text
    assert "0 of 1 letters are ready" in answer.screen.text
    assert "<title>1 of 2 letters are ready</title>" in answer.screen.html
    await house.render()
    answer = await get(office_client, "/en/print/progress")
    assert (refreshed(answer), "ready to print" in answer.screen.text) == (True, True)
    await house.render()
    answer = await get(office_client, "/en/print/progress")
    assert (answer.status, answer.location, refreshed(answer)) == (303, "/en/print", False)


async def test_progress_keeps_still_where_it_is_asked_to(house: House, office_client: Client) -> None:
    await house.approved()
    await house.batch()
    answer = await get(office_client, "/en/print/progress?still")
    assert (answer.status, refreshed(answer)) == (200, False)
    assert "This page does not reload by itself." in answer.screen.text


async def test_overview_is_never_reloaded_under_the_hands(house: House, office_client: Client) -> None:
    await house.approved()
    await house.batch()
    answer = await get(office_client, "/en/print")
    assert (answer.status, refreshed(answer)) == (200, False)
    assert "0 of 1 letters are ready" in answer.screen.text

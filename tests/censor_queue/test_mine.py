"""The volunteer's own page: languages, own mail addresses, the evening."""

from __future__ import annotations

import pytest

from censor_queue import claims, decisions
from censor_queue.closeness import own_address_tag
from relay.store import tables, volunteers
from tests.censor_queue.letters import next_id, take, with_photos
from tests.workplaces import ADDRESS, RUSSIAN, Client, House, Screen, both_engines, get, post


async def mine(client: Client, form: dict[str, str]) -> Screen:
    """Send a form of the page; the screen after it."""
    answer = await post(client, "/en/mine", form)
    assert answer.status == 303
    return (await get(client, answer.location)).screen


@both_engines
async def test_languages_are_chosen_and_given_up(house: House) -> None:
    client = await house.office("anna")
    form = {"do": "languages", "language.es": "on", "language.ar": "on", "language.nothing": "on"}
    screen = await mine(client, form)
    assert "Your languages are stored." in screen.text
    async with house.store.database.reading() as connection:
        assert await volunteers.languages_of(connection, house.volunteers["anna"]) == {"es", "ar"}
        assert await volunteers.languages_of(connection, house.volunteers["boris"]) == set()
    assert screen.html.count("checked") == 2
    await mine(client, {"do": "languages", "language.tr": "on"})
    assert [row.language for row in await house.rows(tables.volunteer_languages)] == ["tr"]
    await mine(client, {"do": "languages"})
    assert await house.rows(tables.volunteer_languages) == []


async def test_languages_of_waiting_letters_stand_first(house: House, office_client: Client) -> None:
    await with_photos(house, RUSSIAN, photos=0, text="nieve", translate_from="es")
    names = [name for name in (await get(office_client, "/de/mine")).screen.fields if name.startswith("language.")]
    assert names[0] == "language.es"
    assert 55 <= len(names) <= 70
    assert len(set(names)) == len(names)
    assert "Spanisch (1)" in (await get(office_client, "/de/mine")).screen.text


@both_engines
async def test_own_address_is_kept_as_a_fingerprint_only(house: House) -> None:
    client = await house.office("anna")
    screen = await mine(client, {"do": "add", "address": f" {ADDRESS} "})
    assert "Registered: 1." in screen.text
    assert ADDRESS not in screen.html
    (row,) = await house.rows(tables.volunteer_addresses)
    assert row.tag == own_address_tag(house.office_key, house.volunteers["anna"], ADDRESS)
    again = await mine(client, {"do": "add", "address": ADDRESS.upper()})
    assert "Registered: 1." in again.text
    assert "Registered: 0." in (await get(await house.office("boris"), "/en/mine")).screen.text


async def test_own_letter_goes_to_somebody_else(house: House, office_client: Client) -> None:
    await mine(office_client, {"do": "add", "address": "mary+letters@sender.example"})
    sent = await house.queued(address=ADDRESS)
    assert await next_id(house.review, house.volunteers["anna"]) is None
    assert await next_id(house.review, house.volunteers["boris"]) == sent.id


@both_engines
async def test_own_addresses_are_removed_one_by_one_or_all(house: House) -> None:
    client, other = await house.office("anna"), await house.office("boris")
    await mine(other, {"do": "add", "address": ADDRESS})
    for address in (ADDRESS, "second@sender.example", "third@sender.example"):
        await mine(client, {"do": "add", "address": address})
    screen = await mine(client, {"do": "remove", "address": ADDRESS})
    assert "Registered: 2." in screen.text
    answer = await post(client, "/en/mine", {"do": "remove", "address": ADDRESS})
    assert (answer.status, answer.screen.wrong) == (422, ["This address is not among yours."])
    assert answer.screen.fields["address"] == ADDRESS
    assert "Registered: 0." in (await mine(client, {"do": "remove_all"})).text
    assert len(await house.rows(tables.volunteer_addresses)) == 1


@pytest.mark.parametrize("do", ["add", "remove"])
@pytest.mark.parametrize("address", ["", "nowhere", "a@b@c"])
async def test_what_is_no_address_is_said(house: House, office_client: Client, do: str, address: str) -> None:
    answer = await post(office_client, "/en/mine", {"do": do, "address": address})
    assert (answer.status, answer.screen.wrong) == (422, ["This cannot be a mail address. Please correct it."])
    assert await house.rows(tables.volunteer_addresses) == []


async def test_unknown_request_is_refused(office_client: Client) -> None:
    assert (await post(office_client, "/en/mine", {"do": "dance"})).status == 400


async def test_evening_is_counted(house: House, office_client: Client) -> None:
    anna = house.volunteers["anna"]
    assert "No letter decided in the last twelve hours." in (await get(office_client, "/en/mine")).screen.text
    for _ in range(2):
        await house.queued()
        letter = await take(house.review, anna)
        house.clock.advance(minutes=3)
        await decisions.approve(house.review, letter.id, anna)
    await house.queued()
    assert await claims.claim_next(house.review, anna)
    text = (await get(office_client, "/en/mine")).screen.text
    assert "Letters decided: 2. Minutes with them: 6. Thank you." in text

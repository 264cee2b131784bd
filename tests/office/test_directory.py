"""Adding and correcting prisoners and facilities in the office."""

from __future__ import annotations

import datetime

import pytest

from censor_queue import claims, decisions
from relay.domain.reasons import ReviewReason
from relay.store import tables
from tests.workplaces import Client, House, both_engines, get, post

PRISONER = {
    "slug": "new-example",
    "name": "  New   Example ",
    "birth_year": "1970",
    "language": "sv",
    "state": "active",
    "name_on_envelope": "",
    "facility": "hmp-nowhere",
}
FACILITY = {
    "slug": "new-place",
    "name": "New Place (invented)",
    "country": "se",
    "street": "",
    "town": "",
    "region": "",
    "postcode": "",
    "address": "Sagov\u00e4gen 2\r\n\r\n  000 00   P\u00e5hittad ",
    "return_address": "",
    "review_days": "7",
}
NOTHING_STORED = "Nothing was stored yet: please correct what is marked."
SLUG = "Small Latin letters and digits, joined by hyphens: anna-example."
ADDRESS = "Please give the postal address, in the four fields or line by line."
NAME = "Please give a name of at most 200 characters."
YEAR = "A year with four digits, or nothing."


@both_engines
async def test_prisoner_is_added_and_can_be_written_to(house: House, office_client: Client) -> None:
    answer = await post(office_client, "/en/directory/prisoner", PRISONER)
    assert (answer.status, answer.location) == (303, "/en/directory")
    row = await house.row(tables.prisoners, slug="new-example")
    assert (row.name, row.birth_year, row.language, row.state) == ("New Example", 1970, "sv", "active")
    assert "New Example, 1970 HMP Nowhere (an invented prison) can be written to" in (
        (await get(office_client, "/en/directory")).screen.text
    )
    assert (await get(await house.desk(), "/en/to/new-example")).status == 200


async def test_prisoner_is_corrected_and_not_doubled(house: House, office_client: Client) -> None:
    before = await house.count()
    shown = (await get(office_client, "/en/directory/prisoner?slug=john-sample")).screen.fields
    assert shown == {"name": "John Sample", "birth_year": "1980", "name_on_envelope": "", "known": "john-sample"}
    form = PRISONER | shown | {"name": "Jon Sample", "birth_year": "", "facility": "jva-musterstadt"}
    assert (await post(office_client, "/en/directory/prisoner", form)).status == 303
    row = await house.row(tables.prisoners, slug="john-sample")
    place = await house.row(tables.facilities, id=row.facility_id)
    assert (row.name, row.birth_year, place.slug) == ("Jon Sample", None, "jva-musterstadt")
    assert await house.count() == before


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        ({"name": ""}, [NAME]),
        ({"name": "N" * 201}, [NAME]),
        ({"birth_year": "abc"}, [YEAR]),
        ({"birth_year": "70"}, [YEAR]),
        ({"slug": ""}, [SLUG]),
        ({"slug": "New Example"}, [SLUG]),
        ({"slug": "../etc"}, [SLUG]),
        ({"slug": "a" * 81}, [SLUG]),
        ({"facility": "nowhere"}, ["Please choose a facility."]),
        ({"facility": ""}, ["Please choose a facility."]),
        ({"language": "fr"}, []),
        ({"state": "gone"}, []),
        ({"evil": "field"}, []),
        ({"name": "", "birth_year": "x", "slug": "", "facility": ""}, [NAME, YEAR, SLUG, "Please choose a facility."]),
    ],
    ids=str,
)
async def test_bad_prisoner_is_not_stored_and_nothing_typed_is_lost(
    house: House, office_client: Client, changes: dict[str, str], complaints: list[str]
) -> None:
    before = await house.count()
    form = PRISONER | {"name": "New Example"} | changes
    answer = await post(office_client, "/en/directory/prisoner", form)
    assert (answer.status, answer.screen.wrong) == (422, [NOTHING_STORED, *complaints])
    shown = {name: form[name] for name in ("name", "birth_year", "name_on_envelope", "slug")}
    assert answer.screen.fields == shown
    assert await house.count() == before


@pytest.mark.parametrize("path", ["prisoner", "facility"])
async def test_empty_form_of_a_program_gets_an_answer(office_client: Client, path: str) -> None:
    assert (await post(office_client, f"/en/directory/{path}")).status == 422


async def test_facility_is_added_and_corrected(house: House, office_client: Client) -> None:
    answer = await post(office_client, "/en/directory/facility", FACILITY)
    assert (answer.status, answer.location) == (303, "/en/directory")
    row = await house.row(tables.facilities, slug="new-place")
    assert (row.country, row.address, row.return_address) == ("SE", "Sagov\u00e4gen 2\n000 00 P\u00e5hittad", "")
    assert row.review_days == 7
    shown = (await get(office_client, "/en/directory/facility?slug=new-place")).screen.fields
    expected = FACILITY | {"country": "SE", "address": row.address, "known": "new-place"}
    del expected["slug"]
    assert shown == expected
    await post(office_client, "/en/directory/facility", shown | {"return_address": "PO Box 1\r\nPlace"})
    assert (await house.row(tables.facilities, slug="new-place")).return_address == "PO Box 1\nPlace"


async def test_adding_under_a_taken_short_name_overwrites_nobody(house: House, office_client: Client) -> None:
    for path, form in (
        ("prisoner", PRISONER | {"slug": "john-sample"}),
        ("facility", FACILITY | {"slug": "hmp-nowhere"}),
    ):
        answer = await post(office_client, f"/en/directory/{path}", form)
        assert answer.status == 422
        assert answer.screen.wrong == [NOTHING_STORED, "This short name is taken. Add a year or a number."]
    assert (await house.row(tables.prisoners, slug="john-sample")).name == "John Sample"
    assert (await house.row(tables.facilities, slug="hmp-nowhere")).country == "GB"


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        ({"country": "Sweden"}, ["Two letters: RU, DE, SE, GB."]),
        ({"country": ""}, ["Two letters: RU, DE, SE, GB."]),
        ({"address": " \r\n "}, [ADDRESS]),
        ({"address": "a" * 1001}, [ADDRESS]),
        ({"name": ""}, [NAME]),
        ({"slug": "new place"}, [SLUG]),
        ({"return_address": "a" * 1001}, ["This cannot be stored."]),
        *(({"review_days": days}, ["A number of days from 0 to 90."]) for days in ("", "soon", "-1", "91")),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_facility_is_not_stored(
    house: House, office_client: Client, changes: dict[str, str], complaints: list[str]
) -> None:
    before = await house.count()
    answer = await post(office_client, "/en/directory/facility", FACILITY | changes)
    assert (answer.status, answer.screen.wrong) == (422, [NOTHING_STORED, *complaints])
    assert await house.count() == before


@pytest.mark.parametrize("path", ["prisoner?slug=nobody", "facility?slug=nowhere"])
async def test_form_of_what_is_not_there(office_client: Client, path: str) -> None:
    assert (await get(office_client, f"/en/directory/{path}")).status == 404


@both_engines
async def test_letters_are_held_while_the_prisoner_cannot_be_written_to(house: House, office_client: Client) -> None:
    approved, queued = await house.approved(), await house.queued()
    shown = (await get(office_client, "/en/directory/prisoner?slug=john-sample")).screen.fields
    await post(office_client, "/en/directory/prisoner", PRISONER | shown | {"state": "moved"})
    assert [await house.state(sent) for sent in (approved, queued)] == ["held", "held"]
    assert "2 letters held because of the address" in (await get(office_client, "/en/")).screen.text
    await post(office_client, "/en/directory/prisoner", PRISONER | shown | {"state": "active"})
    assert [await house.state(sent) for sent in (approved, queued)] == ["queued", "queued"]


async def test_new_facility_of_who_was_moved_lets_the_letters_go_on(house: House, office_client: Client) -> None:
    sent = await house.approved()
    shown = (await get(office_client, "/en/directory/prisoner?slug=john-sample")).screen.fields
    moved = PRISONER | shown | {"state": "moved"}
    await post(office_client, "/en/directory/prisoner", moved)
    assert (await house.row(tables.prisoners, slug="john-sample")).state == "moved"
    await post(office_client, "/en/directory/prisoner", moved | {"facility": "jva-musterstadt"})
    assert (await house.row(tables.prisoners, slug="john-sample")).state == "active"
    assert await house.state(sent) == "queued"


async def test_address_in_parts_is_shown_in_the_order_of_the_country(house: House, office_client: Client) -> None:
    parts = {"address": "", "street": "Sagovägen 2", "town": "Påhittad", "postcode": "000 00"}
    assert (await post(office_client, "/en/directory/facility", FACILITY | parts)).status == 303
    assert "Sagovägen 2, SE-000 00 Påhittad" in (await get(office_client, "/en/directory")).screen.text


@pytest.mark.parametrize("kind", ["prisoner", "facility"])
async def test_name_that_cannot_be_printed_is_not_stored(house: House, office_client: Client, kind: str) -> None:
    form = (PRISONER if kind == "prisoner" else FACILITY) | {"name": "\U00012000 Example"}
    answer = await post(office_client, f"/en/directory/{kind}", form)
    said = "This has characters that cannot be printed: “\U00012000” (CUNEIFORM SIGN A)."
    assert (answer.status, answer.screen.wrong) == (422, [NOTHING_STORED, said])


async def test_layout_of_a_prisoner_is_stored(house: House, office_client: Client) -> None:
    form = PRISONER | {"layout": "large", "name_on_envelope": "Новому Примеру"}
    assert (await post(office_client, "/en/directory/prisoner", form)).status == 303
    row = await house.row(tables.prisoners, slug="new-example")
    assert (row.layout, row.name_on_envelope) == ("large", "Новому Примеру")


async def test_what_waits_is_counted_with_its_age(house: House, office_client: Client) -> None:
    empty = (await get(office_client, "/en/")).screen
    assert empty.text.count("nothing waits") == 20
    await house.queued()
    house.clock.advance(hours=3)
    await house.queued(address="mary@sender.example")
    text = (await get(office_client, "/en/")).screen.text
    assert "2 letters to be read the oldest for 3 hours" in text
    assert "1 mails not sent yet the oldest for 1 minute" in text
    assert text.count("nothing waits") == 18


async def test_letters_with_the_review_are_counted_by_where_they_are(house: House, office_client: Client) -> None:
    anna = house.volunteers["anna"]

    async def next_letter() -> str:
        await house.queued()
        letter = await claims.claim_next(house.review, anna)
        assert letter is not None
        return letter.id

    await decisions.second_reader(house.review, await next_letter(), anna)
    await decisions.to_be_translated(house.review, await next_letter(), anna, "es")
    await decisions.ask_for_changes(house.review, await next_letter(), anna, ReviewReason.TOO_LONG)
    text = (await get(office_client, "/en/")).screen.text
    assert text.count("the oldest for 1 minute") == 3
    for tile in ("to be read a second time", "to be translated", "that their senders change"):
        assert f"1 letters {tile} the oldest for 1 minute" in text


async def test_form_of_a_new_facility_begins_with_the_usual_days(office_client: Client) -> None:
    assert (await get(office_client, "/en/directory/facility")).screen.fields["review_days"] == "3"


async def test_days_of_review_count_for_the_next_letter(house: House, office_client: Client) -> None:
    shown = (await get(office_client, "/en/directory/facility?slug=hmp-nowhere")).screen.fields
    await post(office_client, "/en/directory/facility", shown | {"review_days": "1"})
    sent = await house.queued()
    due = (await house.row(tables.letters, id=sent.id)).due_at
    assert due == house.clock() + datetime.timedelta(days=1)

"""Who gets into the office, and for how long."""

from __future__ import annotations

import datetime
from collections import defaultdict

import pytest

from relay.store import tables, volunteers
from tests.workplaces import PASSWORD, Client, House, both_engines, get, post

DO_NOT_FIT = "Login and password do not fit."
ANNA = {"login": "anna", "password": PASSWORD}


async def places(house: House) -> list[tuple[str, str]]:
    """Every address of the office with its method, but those that are open to all."""
    site = (await house.office(None)).app
    assert site is not None
    found = []
    for route in site.router.routes():
        resource = route.resource
        if resource is None or resource.name in {"log_in", "static"} or resource.canonical == "/":
            continue
        parts = defaultdict(lambda: "1", language="en")
        found.append((route.method, resource.canonical.format_map(parts)))
    return found


async def test_every_screen_sends_strangers_to_the_log_in(house: House) -> None:
    stranger = await house.office(None)
    all_places = await places(house)
    assert len(all_places) > 20
    for method, path in [*all_places, ("GET", "/en/nothing"), ("POST", "/en/nothing")]:
        answer = await stranger.request(method, path, allow_redirects=False)
        assert (method, path, answer.status, answer.headers.get("Location")) == (method, path, 303, "/en/log-in")


@pytest.mark.parametrize("cookie", ["", "wrong", "a" * 43, "%00"])
async def test_cookie_of_own_making_opens_nothing(house: House, cookie: str) -> None:
    stranger = await house.office(None)
    answer = await get(stranger, "/en/", headers={"Cookie": f"relay-office={cookie}"})
    assert (answer.status, answer.location) == (303, "/en/log-in")


@both_engines
async def test_login_and_password_open_the_office(house: House) -> None:
    client = await house.office(None)
    assert (await get(client, "/en/log-in")).screen.heading == "Log in"
    answer = await post(client, "/en/log-in", {"login": " anna ", "password": PASSWORD})
    assert (answer.status, answer.location) == (303, "/en/")
    screen = (await get(client, "/en/")).screen
    assert screen.heading == "What waits"
    assert "Log out anna" in screen.html


@pytest.mark.parametrize(
    "typed",
    [
        {"login": "anna", "password": "wrong"},
        {"login": "anna", "password": ""},
        {"login": "anna", "password": PASSWORD + " "},
        {"login": "ANNA", "password": PASSWORD},
        {"login": "nobody", "password": PASSWORD},
        {"login": "", "password": ""},
        {},
    ],
    ids=str,
)
async def test_what_does_not_fit_opens_nothing(house: House, typed: dict[str, str]) -> None:
    client = await house.office(None)
    answer = await post(client, "/en/log-in", typed)
    # The same sentence for a wrong password and an unknown login.
    assert (answer.status, answer.screen.wrong) == (401, [DO_NOT_FIT])
    assert (answer.screen.fields["login"], answer.screen.fields["password"]) == (typed.get("login", ""), "")
    assert "Set-Cookie" not in answer.headers
    assert await house.rows(tables.sessions) == []


async def test_disabled_volunteer_cannot_log_in_and_is_out_at_once(house: House, office_client: Client) -> None:
    assert (await get(office_client, "/en/review")).status == 200
    async with house.store.database.writing() as connection:
        await volunteers.change(connection, "anna", disabled=True)
    assert (await get(office_client, "/en/review")).status == 303
    answer = await post(office_client, "/en/log-in", ANNA)
    assert (answer.status, answer.screen.wrong) == (401, [DO_NOT_FIT])


async def test_volunteer_disabled_behind_the_back_of_a_session_is_out(house: House, office_client: Client) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(tables.volunteers.update().values(disabled=True))
    assert (await get(office_client, "/en/")).status == 303


async def test_new_password_ends_the_sessions_of_this_volunteer_only(house: House, office_client: Client) -> None:
    boris = await house.office("boris")
    async with house.store.database.writing() as connection:
        await volunteers.change(connection, "anna", password_hash=volunteers.hash_password("another"))
    assert [(await get(client, "/en/")).status for client in (office_client, boris)] == [303, 200]


async def test_log_out_ends_the_session_and_not_only_the_cookie(house: House) -> None:
    client = await house.office(None)
    logged_in = await post(client, "/en/log-in", ANNA)
    cookie = logged_in.headers["Set-Cookie"].partition(";")[0]
    answer = await post(client, "/en/log-out")
    assert (answer.status, answer.location) == (303, "/en/log-in")
    stranger = await house.office(None)
    assert (await get(stranger, "/en/", headers={"Cookie": cookie})).status == 303
    assert await house.rows(tables.sessions) == []


async def test_session_lasts_an_evening(house: House, office_client: Client) -> None:
    house.clock.advance(hours=12)
    assert (await get(office_client, "/en/")).status == 200
    house.clock.now += datetime.timedelta(microseconds=1)
    assert (await get(office_client, "/en/")).status == 303


async def test_token_of_a_session_is_stored_hashed(house: House) -> None:
    client = await house.office(None)
    answer = await post(client, "/en/log-in", ANNA)
    token = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    row = await house.row(tables.sessions)
    assert token not in {str(value) for value in row}
    assert PASSWORD not in str(await house.rows(tables.volunteers))


async def test_logging_in_can_not_be_done_by_opening_an_address(house: House) -> None:
    client = await house.office(None)
    await get(client, "/en/log-in", params=ANNA)
    assert await house.rows(tables.sessions) == []
    assert (await client.get("/en/log-out", allow_redirects=False)).status == 303

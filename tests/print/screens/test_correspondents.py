"""The sheet "who wrote to me"."""

from __future__ import annotations

import pytest

from relay.store import tables
from tests.print.letters import pages_in, text_in
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, get, post

SLUG = ENGLISH.prisoner.slug
PLACE = f"/en/print/who-wrote/{SLUG}"


async def goes_along(house: House) -> bool:
    return bool((await house.row(tables.prisoners, slug=SLUG)).tell_correspondents)


@pytest.mark.parametrize("typed", [SLUG, "john", "John Sample", " SAMPLE nowhere "])
async def test_one_prisoner_is_shown_at_once(office_client: Client, typed: str) -> None:
    answer = await get(office_client, "/en/print/who-wrote", params={"who": typed})
    assert (answer.status, answer.location) == (303, PLACE)


async def test_several_prisoners_are_listed(office_client: Client) -> None:
    answer = await get(office_client, "/en/print/who-wrote?who=e")
    links = [link for link in answer.screen.links if link.startswith("/en/print/who-wrote/")]
    assert (answer.status, PLACE in links, f"/en/print/who-wrote/{RUSSIAN.prisoner.slug}" in links) == (200, True, True)


async def test_nobody_of_this_name(office_client: Client) -> None:
    answer = await get(office_client, "/en/print/who-wrote", params={"who": '"><b>nobody'})
    assert (answer.status, answer.screen.fields["who"]) == (404, '"><b>nobody')
    assert answer.screen.wrong == ["Nobody with this name can be written to. Try a part of the name."]


async def test_sheet_names_who_wrote(house: House, office_client: Client) -> None:
    first = await house.posted(name="Mary")
    await house.posted(name="Boris")
    assert "the names of 2 people who wrote" in (await get(office_client, PLACE)).screen.text
    answer = await get(office_client, f"{PLACE}.pdf")
    assert answer.headers["Content-Disposition"] == f'inline; filename="who-wrote-{SLUG}.pdf"'
    said, code = text_in(answer.body, 0), await house.code(first)
    found = [words in said for words in ("Mary", "Boris", f"{code[:4]} {code[4:8]} {code[8:]}", "PO Box 9")]
    assert (pages_in(answer.body), found) == (1, [True] * 4)


async def test_sheet_goes_into_the_next_envelope(house: House, office_client: Client) -> None:
    await house.posted()
    seen = []
    for do in ("put", "put", "leave", "put"):
        answer = await post(office_client, PLACE, {"do": do})
        assert (answer.status, answer.location) == (303, PLACE)
        said = "goes along in the next envelope" in (await get(office_client, PLACE)).screen.text
        seen.append((await goes_along(house), said))
    assert seen == [(True, True), (True, True), (False, False), (True, True)]
    await house.approved()
    await house.rendered()
    assert not await goes_along(house)


async def test_nobody_wrote_yet(house: House, office_client: Client) -> None:
    await house.approved()
    screen = (await get(office_client, PLACE)).screen
    assert ("there is nobody to name" in screen.text, screen.forms) == (True, ["/en/log-out"])
    assert (await get(office_client, f"{PLACE}.pdf")).status == 404


@pytest.mark.parametrize("do", ["", "burn"])
async def test_other_things_cannot_be_done(house: House, office_client: Client, do: str) -> None:
    assert (await post(office_client, PLACE, {"do": do})).status == 404
    assert not await goes_along(house)


async def test_prisoner_who_does_not_exist(office_client: Client) -> None:
    for path in ("nobody", "nobody.pdf"):
        assert (await get(office_client, f"/en/print/who-wrote/{path}")).status == 404
    assert (await post(office_client, "/en/print/who-wrote/nobody", {"do": "put"})).status == 404

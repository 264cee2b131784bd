"""Forms that another site makes a browser send change nothing."""

from __future__ import annotations

import pytest

from relay.store import tables
from tests.desk.letters import ask
from tests.workplaces import ADDRESS, PASSWORD, Client, House, get, post

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": "http://127.0.0.1"},  # the same machine on another port
]
REFUSED = "This form was not sent from this site. Nothing was done. Go back, reload the page and try again."


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_forged_forms_of_the_desk_change_nothing(house: House, desk: Client, headers: dict[str, str]) -> None:
    with_address, without = await house.submit(address=ADDRESS), await house.submit()
    asked, queued = await house.queued(), await house.queued()
    await ask(house, asked)
    before = await house.count()
    for path, form in [
        (f"/en/confirm/{await house.token(with_address.id)}", {}),
        ("/en/phrase", {"phrase": without.phrase}),
        ("/en/inbox", {"phrase": without.phrase}),
        (f"{queued.inbox}/withdraw/{queued.id}", {}),
        (f"{asked.inbox}/letter/{asked.id}/edit", {"text": "Hello", "printed_name": "Mary", "action": "send"}),
        ("/en/to/john-sample", {"text": "Hello", "printed_name": "Mary", "action": "preview"}),
    ]:
        answer = await post(desk, path, form, headers=headers)
        assert (answer.status, answer.screen.heading) == (403, "That did not work")
        assert REFUSED in answer.screen.text
    assert [await house.state(sent) for sent in (with_address, without, queued, asked)] == [
        "unconfirmed",
        "unconfirmed",
        "queued",
        "changes_requested",
    ]
    assert await house.count() == before


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_forged_forms_of_the_office_change_nothing(
    house: House, office_client: Client, headers: dict[str, str]
) -> None:
    sent = await house.queued()
    await get(office_client, "/en/review")
    facility = await house.row(tables.facilities, slug="hmp-nowhere")
    before = await house.count()
    for path, form in [
        ("/en/review", {"letter": sent.id, "decision": "approve"}),
        ("/en/print", {"facility": facility.id}),
        ("/en/log-out", {}),
        ("/en/log-in", {"login": "anna", "password": PASSWORD}),
        ("/en/directory/facility", {"slug": "evil", "name": "Evil", "country": "XX", "address": "x"}),
    ]:
        answer = await post(office_client, path, form, headers=headers)
        assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    assert await house.state(sent) == "queued"
    assert await house.count() == before
    assert (await get(office_client, "/en/")).status == 200  # still logged in


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}, {"Origin": "own"}]
)
async def test_own_forms_are_taken(house: House, desk: Client, headers: dict[str, str]) -> None:
    sent = await house.submit()
    own = {name: str(desk.make_url("/").origin()) if value == "own" else value for name, value in headers.items()}
    assert (await post(desk, "/en/phrase", {"phrase": sent.phrase}, headers=own)).status == 303


async def test_links_from_other_sites_are_followed(house: House, desk: Client) -> None:
    sent = await house.queued()
    assert (await get(desk, sent.inbox, headers={"Sec-Fetch-Site": "cross-site"})).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(desk: Client, method: str) -> None:
    assert (await desk.request(method, "/en/phrase")).status == 405
    assert (await desk.request(method, "/en/phrase", headers={"Origin": "https://evil.example"})).status == 403

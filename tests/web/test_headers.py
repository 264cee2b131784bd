"""What every answer of both sites carries, and what the office's cookie is like."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from yarl import URL

from tests.workplaces import PASSWORD, Client, House, get, post

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
KEPT_NOWHERE = "no-store"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def protecting(answer: object) -> dict[str, str | None]:
    headers = getattr(answer, "headers")  # noqa: B009 - of whatever came
    return {name: headers.get(name) for name in EXPECTED}


EXPECTED = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": KEPT_NOWHERE,
}
IN_THE_OFFICE = EXPECTED | {"Content-Security-Policy": f"{POLICY}; script-src 'self'; connect-src 'self'"}
SCRIPT = re.compile(r'<script type="module" src="/static/[a-z]+\.js"></script>')


async def test_every_kind_of_answer_of_the_desk_is_protected(house: House, desk: Client) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    answers = {
        200: await get(desk, "/en/"),
        303: await post(desk, "/en/inbox", {"phrase": sent.phrase}),
        403: await post(desk, "/en/inbox", {"phrase": sent.phrase}, headers={"Sec-Fetch-Site": "cross-site"}),
        404: await get(desk, "/en/no/such/thing"),
        405: await post(desk, "/en/"),
        413: await post(desk, "/en/phrase", BytesIO(b"a" * 1_100_000), headers=FORM),
        422: await post(desk, "/en/phrase"),
    }
    assert {status: answer.status for status, answer in answers.items()} == {status: status for status in answers}
    answers[1] = await get(desk, f"{sent.inbox}/reply/{reply}/reply.pdf")
    answers[2] = await get(desk, "/")
    assert {status: protecting(answer) for status, answer in answers.items()} == dict.fromkeys(answers, EXPECTED)
    assert [status for status, answer in answers.items() if "Set-Cookie" in answer.headers] == []


async def test_every_kind_of_answer_of_the_office_is_protected(house: House, office_client: Client) -> None:
    stranger = await house.office(None)
    answers = [
        await get(office_client, "/en/"),
        await get(stranger, "/en/"),
        await get(stranger, "/"),
        await get(office_client, "/en/nothing"),
        await post(office_client, "/en/review", headers={"Sec-Fetch-Site": "cross-site"}),
        await post(stranger, "/en/log-in", {"login": "anna", "password": "wrong"}),
        await post(stranger, "/en/log-in", {"login": "anna", "password": PASSWORD}),
    ]
    assert [answer.status for answer in answers] == [200, 303, 303, 404, 403, 401, 303]
    assert [protecting(answer) for answer in answers] == [IN_THE_OFFICE] * 7


async def test_error_in_a_screen_is_protected_and_says_nothing(
    house: House, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret of quokka@sender.example")

    monkeypatch.setattr("relay.store.directory.search", broken)
    answer = await get(desk, "/de/?q=anna")
    assert (answer.status, answer.screen.language, protecting(answer)) == (500, "de", EXPECTED)
    assert b"quokka" not in answer.body


async def test_stylesheet_may_be_kept_by_the_browser(desk: Client) -> None:
    answer = await get(desk, "/static/style.css")
    assert (answer.status, "Cache-Control" in answer.headers) == (200, False)
    assert protecting(answer) | {"Cache-Control": KEPT_NOWHERE} == EXPECTED


@pytest.mark.parametrize(
    "path", ["none.css", "../templates/layout.html", "%2e%2e/site.py", "..%2fsite.py", "%2fetc/passwd"]
)
async def test_nothing_but_the_files_of_the_folder_is_served(desk: Client, path: str) -> None:
    answer = await desk.session.get(URL(f"{desk.make_url('/static/')}{path}", encoded=True))
    assert (answer.status, b"{%" in await answer.read()) == (404, False)


async def test_folder_of_static_files_is_not_listed(desk: Client) -> None:
    assert (await get(desk, "/static/")).status == 403


@pytest.mark.parametrize("path", ["/en/", "/en/to/john-sample", "/en/phrase", "/static/style.css"])
async def test_head_is_answered_like_get_without_a_body(desk: Client, path: str) -> None:
    shown, asked = await get(desk, path), await desk.head(path)
    assert (asked.status, await asked.read()) == (200, b"")
    assert asked.headers["Content-Length"] == str(len(shown.body))
    assert asked.headers["Content-Security-Policy"] == POLICY


async def test_no_screen_refers_to_another_host_or_runs_foreign_scripts(
    house: House, desk: Client, office_client: Client
) -> None:
    sent = await house.posted()
    reply = await house.replied(sent)
    await house.queued()
    outside = ["/ru/", "/de/?q=a", "/sv/to/john-sample", "/en/phrase", sent.inbox, f"{sent.inbox}/reply/{reply}"]
    public = [await get(desk, path) for path in outside]
    inside = ["", "review", "translate", "figures", "outcome", "blocks", "mine", "print", "scan", "directory"]
    internal = [await get(office_client, f"/en/{path}") for path in inside]
    for answer in public + internal:
        assert answer.status == 200
        assert not {"iframe", "object", "embed", "base"} & answer.screen.tags
        places = answer.screen.links + answer.screen.images + answer.screen.forms
        assert [place for place in places if "//" in place] == []
    assert [b"<script" in answer.body for answer in public] == [False] * len(public)
    scripts = [answer.body.count(b"<script") for answer in internal]
    assert [len(SCRIPT.findall(answer.body.decode())) for answer in internal] == scripts
    assert scripts[1] == 1  # the review has one


# --- the cookie


async def cookie(house: House) -> str:
    answer = await post(await house.office(None), "/en/log-in", {"login": "anna", "password": PASSWORD})
    (line,) = answer.headers.getall("Set-Cookie")
    name, _, rest = line.partition("=")
    token, _, attributes = rest.partition("; ")
    assert (name, len(token)) == ("relay-office", 43)
    return str(attributes)


async def test_cookie_is_kept_from_scripts_and_other_sites(house: House) -> None:
    assert await cookie(house) == "HttpOnly; Max-Age=43200; Path=/; SameSite=Strict"


@pytest.mark.parametrize("config", ['[site]\noffice_url = "https://office.example"\n'])
async def test_cookie_is_for_encrypted_connections_only_where_the_office_has_one(house: House) -> None:
    assert await cookie(house) == "HttpOnly; Max-Age=43200; Path=/; SameSite=Strict; Secure"


async def test_log_out_takes_the_cookie_away(office_client: Client) -> None:
    answer = await post(office_client, "/en/log-out")
    (line,) = answer.headers.getall("Set-Cookie")
    assert line.startswith('relay-office=""; ')
    assert "Max-Age=0; Path=/" in line

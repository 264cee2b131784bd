"""Which language a screen has, and how to change it."""

from __future__ import annotations

import pytest

from relay.domain.languages import LANGUAGES
from relay.locale import catalogue
from tests.workplaces import Client, House, get, post

HERE = ["ru", "de", "sv"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("de-CH, ru;q=0.5", "de"),
        ("fr, sv;q=0.9, de;q=0.8", "sv"),
        ("de;q=0.3, sv;q=0.7", "sv"),
        ("sv, de", "sv"),
        ("ru; q=0.4, de; q=0.6", "de"),
        ("de;q=0, ru;q=0.1", "ru"),
        ("de;q=0", "en"),
        ("fr, it", "en"),
        ("de;q=nonsense, ru;q=0.2", "ru"),
        ("ru;q=nan", "en"),
        (",;=,de", "de"),
        ("*", "en"),
    ],
)
async def test_first_screen_has_the_language_that_the_browser_likes_best(
    desk: Client, header: str | None, language: str
) -> None:
    headers = {} if header is None else {"Accept-Language": header}
    answer = await get(desk, "/", headers=headers)
    assert (answer.status, answer.location) == (303, f"/{language}/")


@pytest.mark.parametrize("config", ['[site]\nlanguage = "sv"\n'])
async def test_site_speaks_its_own_language_to_browsers_that_like_none_of_ours(desk: Client) -> None:
    assert (await get(desk, "/", headers={"Accept-Language": "fr"})).location == "/sv/"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_address_decides_and_not_the_browser(desk: Client, language: str) -> None:
    _ = catalogue(language).gettext
    answer = await get(desk, f"/{language}/", headers={"Accept-Language": "de"})
    assert (answer.screen.language, answer.screen.heading) == (language, _("Write to someone in prison"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["nothing", "nothing/at/all", "to/nobody", "confirm", "inbox/x/reply/y"])
async def test_what_is_not_there_is_said_in_the_language_of_the_address(desk: Client, language: str, path: str) -> None:
    _ = catalogue(language).gettext
    answer = await get(desk, f"/{language}/{path}", headers={"Accept-Language": "en"})
    assert (answer.status, answer.screen.language, answer.screen.heading) == (404, language, _("That did not work"))
    assert _("There is nothing at this address.") in answer.screen.text


@pytest.mark.parametrize("path", ["/fr/", "/fr/phrase", "/nothing", "/EN/", "/e/"])
async def test_what_is_not_there_without_a_language_is_said_in_the_browsers(desk: Client, path: str) -> None:
    answer = await get(desk, path, headers={"Accept-Language": "ru"})
    assert (answer.status, answer.screen.language) == (404, "ru")


async def test_language_switch_keeps_the_place(house: House, desk: Client) -> None:
    sent = await house.submit(address="mary@sender.example")
    token = await house.token(sent.id)
    posted = await house.posted()
    reply = await house.replied(posted)
    for place in (
        "",
        "?q=%D0%BF%D1%91%D1%82%D1%80&other=%26",
        "to/john-sample",
        "phrase",
        f"confirm/{token}",
        sent.inbox.removeprefix("/en/"),
        f"{posted.inbox.removeprefix('/en/')}/reply/{reply}",
    ):
        screen = (await get(desk, f"/en/{place}")).screen
        switch = [link for link in screen.links if link[:4] in {f"/{language}/" for language in HERE}]
        assert sorted(switch) == sorted(f"/{language}/{place}" for language in HERE)
        for link in switch:
            assert (await get(desk, link)).screen.language == link[1:3]


@pytest.mark.parametrize(
    ("path", "form", "place"),
    [
        ("to/john-sample", {"text": "", "action": "preview"}, "to/john-sample"),
        ("phrase", {"phrase": "wrong"}, "phrase"),
        ("inbox", {"phrase": "wrong"}, ""),
        ("inbox/x/withdraw/y", {}, ""),
        ("nothing", {}, ""),
    ],
)
async def test_language_switch_after_a_form_leads_to_what_can_be_opened(
    desk: Client, path: str, form: dict[str, str], place: str
) -> None:
    screen = (await post(desk, f"/en/{path}", form)).screen
    assert [link for link in screen.links if link.startswith("/ru/")] == [f"/ru/{place}"]
    assert (await get(desk, f"/ru/{place}")).status == 200


async def test_office_speaks_all_languages_too(house: House, office_client: Client) -> None:
    for language in LANGUAGES:
        for path in ("", "review", "print", "scan", "directory", "directory/prisoner", "directory/facility"):
            answer = await get(office_client, f"/{language}/{path}")
            assert (answer.status, answer.screen.language) == (200, language)
    assert (await get(await house.office(None), "/sv/print")).location == "/sv/log-in"

"""Text from senders, volunteers and files is text on every screen, whatever it looks like."""

from __future__ import annotations

import dataclasses
from html import escape

import aiohttp
import pytest

from relay.desk.steps import withdraw
from relay.domain.directory import Entry
from relay.domain.lives import WORKER
from relay.store import directory, tables
from scanner.codes import PageCodes
from tests.desk.inboxes import writing_back
from tests.desk.letters import ask
from tests.workplaces import ENGLISH, Client, House, Screen, get, post, sure

MARK = "<script>alert(1)</script>"
QUOTE = "\"'><img src=x onerror=alert(1)>"
HOSTILE = MARK + QUOTE


def evil() -> Entry:
    """A prisoner whose names and address are hostile."""
    prisoner = ENGLISH.prisoner.model_copy(update={"name": f"P {HOSTILE}"})
    facility = ENGLISH.facility.model_copy(update={"name": f"F {HOSTILE}", "address": f"A {HOSTILE}"})
    return dataclasses.replace(ENGLISH, prisoner=prisoner, facility=facility)


@pytest.fixture
async def hostile(house: House) -> House:
    """A house in which everything that can be named has a hostile name."""
    async with house.store.database.writing() as connection:
        await directory.save(connection, [evil()], by=WORKER, at=house.clock())
    return house


def check(screen: Screen, *shown: str) -> None:
    """Nothing became markup, and everything that should be shown is, as text."""
    # The office has scripts of its own; they come from files.
    assert screen.html.count("<script") == screen.html.count('<script type="module" src="/static/')
    assert [image for image in screen.images if not image.startswith(("data:", "/"))] == []
    assert "alert(1)>" not in screen.html
    for text in shown:
        assert f"{text}{HOSTILE}" in "\n".join([screen.text, *screen.fields.values()])
    assert screen.html.count(MARK) == 0


def upload(name: str) -> aiohttp.FormData:
    """A form with one file of this name, written as browsers do."""
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files", b"not a scan", filename=name, content_type="image/jpeg")
    return form


async def test_search_and_names_on_the_desk(hostile: House, desk: Client) -> None:
    check((await get(desk, "/en/", params={"q": HOSTILE})).screen, "", "P ", "F ")
    check((await get(desk, "/en/to/john-sample")).screen, "A letter to P ", "F ")


async def test_form_and_preview(hostile: House, desk: Client) -> None:
    form = {name: f"{name} {HOSTILE}" for name in ("text", "printed_name", "address", "phrase", "nonce", "wants")}
    refused = await post(desk, "/en/to/john-sample", form | {"action": "preview"})
    assert refused.status == 422
    for name in ("text", "printed_name", "address", "phrase", "nonce"):
        assert refused.screen.fields[name] == form[name]
    check(refused.screen, "P ", "F ")
    fine = {"text": f"T {HOSTILE}", "printed_name": MARK}
    preview = await post(desk, "/en/to/john-sample", fine | {"action": "preview"})
    assert (preview.status, preview.screen.fields["text"]) == (200, fine["text"])
    check(preview.screen)
    sent = await post(desk, "/en/to/john-sample", preview.screen.fields | {"action": "send"})
    assert sent.status == 200
    check(sent.screen)


async def test_offered_name(house: House, desk: Client) -> None:
    form = {"text": "Hello", "printed_name": MARK, "action": "preview"}
    screen = (await post(desk, "/en/to/pyotr-primerov", form)).screen
    assert "instead of “<script>alert(1)</script>”?" in screen.text
    check(screen)


@pytest.mark.parametrize("path", [f"/en/{HOSTILE}", f"/en/?q=a&x={HOSTILE}", f"/en/confirm/{MARK}?a={HOSTILE}"])
async def test_addresses(desk: Client, path: str) -> None:
    check((await get(desk, path)).screen)


async def test_inbox_and_reply(hostile: House, desk: Client) -> None:
    sent = await hostile.posted(evil(), text=f"T {HOSTILE}", name=f"N {HOSTILE}")
    reply = await hostile.replied(sent, "W " + HOSTILE, "D " + HOSTILE)
    check((await get(desk, sent.inbox)).screen, "P ", "F ", "T ", "N ")
    check((await get(desk, await writing_back(hostile, sent))).screen, "A letter to P ", "F ", "N ")
    check((await get(desk, f"{sent.inbox}/reply/{reply}")).screen, "The answer of P ", "W ", "D ")


async def test_letter_to_be_changed(hostile: House, desk: Client) -> None:
    sent = await hostile.queued(evil(), text=f"T {HOSTILE}", name=f"N {HOSTILE}")
    await ask(hostile, sent, note=f"V {HOSTILE}")
    check((await get(desk, sent.inbox)).screen, "V ", "T ", "N ")
    form = f"{sent.inbox}/letter/{sent.id}/edit"
    screen = (await get(desk, form)).screen
    check(screen, "P ", "F ", "V ", "T ", "N ")
    await withdraw(hostile.store, sent.id)
    too_late = await post(desk, form, screen.fields | {"action": "send"})
    assert too_late.status == 409
    check(too_late.screen, "T ")


async def test_review(hostile: House, office_client: Client) -> None:
    await hostile.queued(evil(), text=f"T {HOSTILE}", name=f"N {HOSTILE}")
    check((await get(office_client, "/en/review")).screen, "To P ", "F ", "T ", "N ")


async def test_print(hostile: House, office_client: Client) -> None:
    await hostile.approved(evil())
    check((await get(office_client, "/en/print")).screen, "F ")
    await hostile.batch(evil())
    async with hostile.store.database.writing() as connection:
        await connection.execute(tables.batches.update().values(last_error=f"E {HOSTILE}"))
    check((await get(office_client, "/en/print")).screen, "F ", "E ")


async def test_scans_and_pages(hostile: House, office_client: Client) -> None:
    sent = await hostile.posted(evil(), name=f"N {HOSTILE}")
    assert (await post(office_client, "/en/scan", upload(f"../../file {MARK}"))).status == 303
    screen = (await get(office_client, "/en/scan")).screen
    assert f"../../file {MARK}" in screen.text
    check(screen)
    await hostile.split(PageCodes(foreign=(HOSTILE,)), PageCodes())
    page = (await hostile.rows(tables.pages))[0]
    check((await get(office_client, f"/en/scan/page/{page.id}", params={"q": HOSTILE})).screen, "")
    found = (await get(office_client, f"/en/scan/page/{page.id}", params={"q": await hostile.code(sent)})).screen
    check(found, "P ", "F ", "N ")


async def test_file_too_large_is_named(hostile: House, office_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = hostile.settings.scan.model_copy(update={"max_megabytes": 0})
    monkeypatch.setattr(hostile.relay, "settings", hostile.settings.model_copy(update={"scan": settings}))
    client = await hostile.office()
    answer = await post(client, "/en/scan", upload(f"file {MARK}"))
    assert answer.status == 413
    check(answer.screen)
    assert answer.screen.wrong == [f"file {MARK}: This file is larger than 0 MB. Scan fewer pages at once."]


async def test_directory_and_its_forms(hostile: House, office_client: Client) -> None:
    check((await get(office_client, "/en/directory")).screen, "P ", "F ", "A ")
    check((await get(office_client, "/en/directory/prisoner?slug=john-sample")).screen, "P ", "F ")
    facility = (await get(office_client, "/en/directory/facility?slug=hmp-nowhere")).screen
    assert (facility.fields["name"], facility.fields["address"]) == (f"F {HOSTILE}", f"A {HOSTILE}")
    check(facility)
    names = ("slug", "name", "country", "street", "town", "region", "postcode", "address", "return_address")
    form = {name: f"{name} {HOSTILE}" for name in (*names, "review_days")}
    refused = await post(office_client, "/en/directory/facility", form)
    assert (refused.status, refused.screen.fields) == (422, form)
    check(refused.screen)
    form = {name: f"{name} {HOSTILE}" for name in ("slug", "name", "birth_year", "language", "state", "facility")}
    refused = await post(office_client, "/en/directory/prisoner", form)
    assert refused.status == 422
    check(refused.screen, "name ", "slug ", "birth_year ")


async def test_log_in(house: House) -> None:
    client = await house.office(None)
    refused = await post(client, "/en/log-in", {"login": HOSTILE, "password": HOSTILE})
    assert (refused.status, refused.screen.fields["login"]) == (401, HOSTILE)
    check(refused.screen)


async def test_name_of_the_volunteer_and_of_the_site(house: House) -> None:
    async with house.store.database.writing() as connection:
        await connection.execute(
            tables.volunteers.update().where(tables.volunteers.c.login == "anna").values(login=HOSTILE[:40])
        )
    screen = (await get(await house.office(), "/en/")).screen
    assert escape(HOSTILE[:40], quote=False)[:20] in screen.html
    check(screen)


async def test_code_that_is_not_ours_is_never_followed_or_shown(house: House, office_client: Client) -> None:
    await house.split(PageCodes(foreign=("https://evil.example/",)), sure(await house.code(await house.queued())))
    for page in await house.rows(tables.pages):
        screen = (await get(office_client, f"/en/scan/page/{page.id}")).screen
        assert "evil.example" not in screen.html

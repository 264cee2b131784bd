"""Letters that begin inside, and answers that are shown to others, in a browser: by phone and by key."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, ViewportSize

from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.mail.suppression import address_tag
from relay.sealing import InboxSecret
from relay.store import tables
from scanner.codes import PageCodes
from scanner.reading import Reading
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.workplaces import House, config, engine, filled_file, house, rendering_pool, sure

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser

MOTHER = "mother@supporter.example"


@pytest.fixture
async def office(house: House, browser: Browser) -> Office:
    return Office(house, await house.office(), browser, "/scan")


async def known_by(house: House, address: str) -> None:
    """Let every inbox be known by an address."""
    async with house.store.database.writing() as connection:
        tag = address_tag(house.office_key, address)
        await connection.execute(sa.update(tables.inboxes).values(address_tag=tag))


@pytest.mark.parametrize(
    ("size", "scripts"), [(PHONE, False), (DESKTOP, True)], ids=["phone without scripts", "desktop with scripts"]
)
async def test_letter_from_inside_becomes_a_conversation(
    office: Office, accessibility_faults: AccessibilityFaults, size: ViewportSize, scripts: bool
) -> None:
    house = office.house
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    await house.posted(address=MOTHER)
    await known_by(house, MOTHER)
    await house.split(*[PageCodes()] * 3)
    page = await office.page(size, java_script_enabled=scripts)
    await page.get_by_role("link", name="Begin with the oldest").click()
    await look(page, "page of the heap")
    await leaving(page, page.get_by_role("link", name="It begins a conversation").click)
    await look(page, "empty form")
    await leaving(page, page.get_by_role("button", name="Go on").click)
    await look(page, "form with faults")
    await page.get_by_label("Who has written it? Search by name").fill("nobody")
    await leaving(page, page.get_by_role("button", name="Find").click)
    await look(page, "nobody is found")
    await page.get_by_label("Who has written it? Search by name").fill("sample")
    await leaving(page, page.get_by_role("button", name="Find").click)
    await page.get_by_label("Page 2").check()
    await page.get_by_label("The mail address").fill(MOTHER)
    await look(page, "form")
    await leaving(page, page.get_by_role("button", name="Go on").click)
    await look(page, "known address")
    await leaving(page, page.get_by_role("button", name="Back, change something").click)
    assert await page.get_by_label("Page 2").is_checked()
    await page.get_by_label("The mail address").fill("sister@supporter.example")
    await leaving(page, page.get_by_role("button", name="Go on").click)
    await look(page, "new address")
    await leaving(page, page.get_by_role("button", name="Yes, send it").click)
    await page.get_by_text("Page 1 is now in the reply of John Sample.").wait_for()
    rows = sorted(await house.rows(tables.pages), key=lambda row: row.number)
    assert [row.state for row in rows] == ["placed", "placed", "unmatched"]
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_words_for_somebody_without_a_mail_address(
    office: Office, accessibility_faults: AccessibilityFaults
) -> None:
    house = office.house
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    await house.split(PageCodes())
    page = await office.page(DESKTOP)
    await leaving(page, page.get_by_role("link", name="Begin with the oldest").click)
    await leaving(page, lambda: page.keyboard.press("b"))
    await page.get_by_label("Who has written it? Search by name").fill("sample")
    await leaving(page, page.get_by_role("button", name="Find").click)
    await page.get_by_label("The language of whoever").select_option("sv")
    await leaving(page, page.get_by_role("button", name="Go on").click)
    await look(page, "no address")
    await leaving(page, lambda: page.keyboard.press("y"))
    await look(page, "words")
    phrase = " ".join(await page.locator(".numbered li").all_inner_texts())
    secret = InboxSecret.from_phrase(phrase)
    assert len(await house.rows(tables.inboxes, lookup_hash=secret.lookup_hash)) == 1
    await page.emulate_media(media="print")
    seen = await page.locator("body").inner_text()
    assert (seen.count("shown only this once"), "/sv/" in seen) == (0, True)
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_answer_is_shown_to_others_with_one_tap(
    office: Office, accessibility_faults: AccessibilityFaults
) -> None:
    house = office.house
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    sent = [await house.posted(name=name) for name in ("Mary", "Tom", "Eve")]
    code = await house.code(sent[0])
    ticked: dict[Tick, bool | None] = {Tick.FORWARD: True}
    await house.split(Reading(lines=(), codes=sure(code), ticks=ticked), sure(code, side=Side.B))
    await house.release()
    page = await office.page(PHONE, java_script_enabled=False)
    await page.goto(office.url().replace("/scan", "/ticks"))
    await look(page, "ticks")
    await leaving(page, page.get_by_role("button", name="Show this answer to 2 other correspondents").click)
    await page.get_by_text("Nothing waits.").wait_for()
    reply = await house.row(tables.replies, letter_id=sent[0].id)
    await page.goto(office.url().replace("/scan", f"/replies/{reply.id}"))
    await look(page, "reply")
    assert [len(await house.rows(tables.replies, letter_id=one.id, forwarded=True)) for one in sent] == [0, 1, 1]
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_screens_fit_a_small_phone_in_all_languages(office: Office) -> None:
    house = office.house
    await house.split(*[PageCodes()] * 2)
    waits = await house.row(tables.pages, number=1)
    page = await office.page(NARROWEST, java_script_enabled=False)
    widths = {}
    for language in LANGUAGES:
        await page.goto(office.url(f"/page/{waits.id}/begin", language))
        widths[language] = await page.evaluate(WIDTH)
    assert widths == dict.fromkeys(widths, NARROWEST["width"])

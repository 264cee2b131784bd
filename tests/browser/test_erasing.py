"""Privacy, a lost link and the end of a conversation, on a phone and without scripts."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from relay.domain.languages import LANGUAGES
from relay.store import tables
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import NARROWEST, PHONE, WIDTH, Inspector
from tests.browser.test_round_trip import press
from tests.desk.test_lost_link import ask, own_of
from tests.workplaces import (
    ADDRESS,
    RUSSIAN,
    Client,
    House,
    config,
    desk,
    engine,
    filled_file,
    house,
    rendering_pool,
)

__all__ = ["config", "desk", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser


async def test_conversation_is_erased_with_two_taps(
    house: House, desk: Client, browser: Browser, accessibility_faults: AccessibilityFaults
) -> None:
    sent = await house.posted(address=ADDRESS)
    await house.replied(sent)
    await house.queued(RUSSIAN, phrase=sent.phrase, address=ADDRESS)
    page = await browser.new_page(viewport=PHONE, java_script_enabled=False)
    look = Inspector(await browser.new_page(), accessibility_faults)
    await page.goto(str(desk.make_url(sent.inbox)))
    for left in (1, 0):
        await page.get_by_role("link", name="Erase this conversation").last.click()
        await look(page, f"erase, {left} left")
        await press(page, "Erase it all now")
        assert len(await house.rows(tables.inboxes, lookup_hash=sent.secret.lookup_hash)) == left
    await look(page, "erased")
    assert await page.get_by_role("heading").all_inner_texts() == ["Erased"]
    assert {row.state for row in await house.rows(tables.letters)} == {"erased"}
    assert look.found == {"erase, 1 left": [], "erase, 0 left": [], "erased": []}


async def test_lost_link_is_replaced(
    house: House, desk: Client, browser: Browser, accessibility_faults: AccessibilityFaults
) -> None:
    await house.queued(address=ADDRESS)
    page = await browser.new_page(viewport=PHONE, java_script_enabled=False)
    look = Inspector(await browser.new_page(), accessibility_faults)
    await page.goto(str(desk.make_url("/en/")))
    await page.get_by_role("link", name="Words and link are lost").click()
    await look(page, "lost link")
    await page.get_by_label("Your mail address").fill(ADDRESS)
    await press(page, "Send me a mail")
    await look(page, "asked")
    await ask(house, desk, "else@sender.example")
    ((_, own),) = await own_of(house, "link_offer")
    await page.goto(str(desk.make_url(f"/en/link/{own.token}")))
    await look(page, "offer")
    await press(page, "Send me a new link")
    await look(page, "on its way")
    assert [row.state for row in await house.rows(tables.link_requests)] == ["confirmed"]
    assert set(map(tuple, look.found.values())) == {()}


async def test_privacy_page(desk: Client, browser: Browser, accessibility_faults: AccessibilityFaults) -> None:
    page = await browser.new_page(viewport=PHONE, java_script_enabled=False)
    look = Inspector(await browser.new_page(), accessibility_faults)
    await page.goto(str(desk.make_url("/en/")))
    await page.get_by_role("contentinfo").get_by_role("link").click()
    await look(page, "privacy")
    assert look.found == {"privacy": []}
    await page.set_viewport_size(NARROWEST)
    for language in LANGUAGES:
        await page.goto(str(desk.make_url(f"/{language}/privacy")))
        assert await page.evaluate(WIDTH) == NARROWEST["width"]

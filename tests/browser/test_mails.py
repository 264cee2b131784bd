"""The office's screen of the mails in a browser without scripts."""

from __future__ import annotations

import datetime

import pytest
from playwright.async_api import Browser, ViewportSize

from relay.domain.languages import LANGUAGES
from relay.mail.suppression import index_addresses_next, note_bounce
from relay.store import tables
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.mail.incoming import by
from tests.mail.test_suppression import DEAD, REFUSED, put, sent_mail
from tests.office.test_mails import untaken
from tests.workplaces import ADDRESS, RUSSIAN, House, config, engine, filled_file, house, rendering_pool

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser

LETTER = "Дорогой Пётр,\n\nспасибо за письмо.\n\nhttps://supporter.example/" + "long" * 60 + "\n\nMaria"


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_mails(
    house: House, browser: Browser, accessibility_faults: AccessibilityFaults, size: ViewportSize
) -> None:
    look = Inspector(await browser.new_page(), accessibility_faults)
    office = Office(house, await house.office(), browser, "/mails")
    volunteer = await office.page(size, java_script_enabled=False)
    await look(volunteer, "no mails")
    first = await house.queued(address=ADDRESS)
    await house.queued(RUSSIAN, address=ADDRESS)
    other = await house.queued(RUSSIAN, address="olga@supporter.example")
    late = await house.queued(address="late@supporter.example")
    await index_addresses_next(house.store, house.office_key)
    await note_bounce(house.store, house.office_key, await sent_mail(house, first), DEAD, house.clock())
    await note_bounce(house.store, house.office_key, await sent_mail(house, other), REFUSED, house.clock())
    row = await house.row(tables.outbox, letter_id=late.id, kind="queued")
    await put(house, row.id, last_error="SMTPDataError 451")
    given_up = await house.row(tables.outbox, letter_id=other.id, kind="queued")
    await put(house, given_up.id, state="gave_up", last_error="SMTPRecipientsRefused 554")
    await untaken(house, by(text=LETTER, subject="Re: Ответ от Петра " + "и дальше " * 12))
    house.clock.now += datetime.timedelta(hours=5)
    await volunteer.goto(office.url())
    await look(volunteer, "mails")
    for language in LANGUAGES:
        await volunteer.goto(office.url(language=language))
        await volunteer.set_viewport_size(NARROWEST)
        assert await volunteer.evaluate(WIDTH) <= NARROWEST["width"]
        await volunteer.set_viewport_size(size)
    await volunteer.goto(office.url())
    await leaving(volunteer, volunteer.locator(".mails a").first.click)
    await look(volunteer, "mail that nobody could take")
    await leaving(volunteer, volunteer.get_by_role("button", name="Put away").click)
    assert await volunteer.locator(".mails").count() == 0
    await leaving(volunteer, volunteer.get_by_role("button", name="Let mails go again").click)
    assert await house.rows(tables.suppressions) == []
    assert look.found == {name: [] for name in look.found}

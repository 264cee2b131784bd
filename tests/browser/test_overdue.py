"""A late letter in a browser without scripts: its sender asks for a copy and for a text, the office orders the copy."""

from __future__ import annotations

import pypdfium2
import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, ViewportSize

from relay.domain.languages import LANGUAGES
from relay.domain.lives import WORKER, LetterState, Record
from relay.store import tables
from relay.store.durations import KEPT_FOR
from relay.store.transitions import move
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.workplaces import ENGLISH, RUSSIAN, House, engine, filled_file, house, rendering_pool

__all__ = ["engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser


@pytest.fixture
def config() -> str:
    """The config of `house`."""
    site = '[site]\nname = "Example relay"\nreturn_address = ["PO Box 9", "00000 Nowhere"]\n'
    return f"{site}[review]\nundo_minutes = 0\n"


async def answered(house: House, *days: int) -> None:
    """Letters to the Russian facility that were answered after so many days."""
    for each in days:
        sent = await house.posted(RUSSIAN)
        house.clock.advance(days=each - 0.5)
        async with house.store.database.writing() as connection:
            now = house.clock()
            await move(connection, Record.LETTER, sent.id, LetterState.DELIVERED, by=WORKER, at=now)
    house.clock.now += KEPT_FOR


async def press(page: Page, name: str) -> None:
    """Press the first button, or follow the first link, of this name."""
    await leaving(page, page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).first.click)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_late_letter(
    house: House, browser: Browser, accessibility_faults: AccessibilityFaults, size: ViewportSize
) -> None:
    look = Inspector(await browser.new_page(), accessibility_faults)
    await answered(house, 4, 6, 7, 8, 12, 9)
    waits = await house.posted(RUSSIAN)
    house.clock.advance(days=12)
    await house.posted(RUSSIAN, name="Anton", address="anton@sender.example")
    house.clock.advance(days=16)
    await house.posted(ENGLISH)
    sent = await house.posted(RUSSIAN, phrase=waits.phrase)
    house.clock.advance(hours=2)
    client = await house.desk()
    sender = await (await browser.new_context(viewport=size, java_script_enabled=False)).new_page()
    await sender.goto(str(client.make_url(waits.inbox)))
    assert await sender.locator(".late-letter").count() == 1
    assert await sender.locator(".usual").count() == 1
    await look(sender, "inbox with a late letter")
    await press(sender, "Ask the prison")
    await look(sender, "text to ask the prison")
    (paper,) = pypdfium2.PdfDocument(await sender.pdf(format="A4", display_header_footer=True))
    printed = paper.get_textpage().get_text_range()
    assert "Имя отправителя в письме: Mary" in printed
    assert [word for word in (waits.secret.link[:20], "inbox", "Example relay", "http") if word in printed] == []
    for language in LANGUAGES:
        await sender.goto(str(client.make_url(f"/{language}/inbox/{waits.secret.link}/letter/{waits.id}/complaint")))
        await sender.set_viewport_size(NARROWEST)
        assert await sender.evaluate(WIDTH) <= NARROWEST["width"]
        await sender.set_viewport_size(size)
    await sender.goto(str(client.make_url(waits.inbox)))
    await press(sender, "Send it again")
    await look(sender, "inbox with a letter that was asked for again")
    assert await house.state(sent) == "posted"

    office = Office(house, await house.office(), browser, "/overdue")
    volunteer = await office.page(size, java_script_enabled=False)
    await look(volunteer, "overdue letters")
    for language in LANGUAGES:
        await volunteer.goto(office.url(language=language))
        await volunteer.set_viewport_size(NARROWEST)
        assert await volunteer.evaluate(WIDTH) <= NARROWEST["width"]
        await volunteer.set_viewport_size(size)
    await volunteer.goto(office.url())
    await press(volunteer, "Print a copy")
    assert "The copy is ordered." in await volunteer.get_by_role("status").inner_text()
    await look(volunteer, "ordered copy")
    async with house.store.database.reading() as connection:
        copied = await connection.scalars(sa.select(tables.reprints.c.letter_id))
        assert copied.all() == [waits.id]
    await sender.reload()
    assert "A copy of it will be printed next." in await sender.locator("main").inner_text()
    assert {name: faults for name, faults in look.found.items() if faults} == {}

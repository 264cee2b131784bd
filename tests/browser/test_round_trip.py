"""People go all the way round with a browser that runs no scripts: senders on a phone, volunteers at a desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pypdfium2
import pytest
from playwright.async_api import Browser, Locator, Page, ViewportSize

from relay.demo.paper import hand_written
from relay.demo.setting import ANY_PORTS, Setting, playing
from relay.domain.languages import LANGUAGES
from relay.domain.lives import SENTENCES, LetterState
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector, Look
from tests.fakes.handwriting import WRITTEN, write_answer

pytestmark = pytest.mark.browser

PRISONER: Final = "Примеров Пётр Вымыслович"
TEXT: Final = "Здравствуйте, Пётр!\n\nУ нас выпал первый снег."
PATIENCE: Final = 300
"""How often a screen is loaded again until it shows what is waited for; each takes at least LOOK_EVERY."""
LOOK_EVERY: Final = 100
"""Milliseconds."""


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    """The running demo, empty."""
    async with playing(tmp_path / "relay", ANY_PORTS) as running:
        yield running


@pytest.fixture
async def look(page: Page, accessibility_faults: AccessibilityFaults) -> AsyncIterator[Look]:
    """Looks at screens; the test fails with all that was wrong with them."""
    inspector = Inspector(page, accessibility_faults)
    yield inspector
    assert {name: faults for name, faults in inspector.found.items() if faults} == {}


@asynccontextmanager
async def person(browser: Browser, size: ViewportSize) -> AsyncIterator[Page]:
    """Somebody with a browser of their own, without scripts."""
    context = await browser.new_context(java_script_enabled=False, viewport=size, locale="en-GB")
    yield await context.new_page()
    await context.close()


async def press(page: Page, name: str) -> None:
    """Press the only button, or follow the only link, of this name."""
    await page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).click()


async def wait_for(page: Page, what: Locator) -> None:
    """Load the screen again and again until it shows something; there are no scripts to do it."""
    for _ in range(PATIENCE):
        if await what.count():
            return
        await page.wait_for_timeout(LOOK_EVERY)
        await page.reload()
    raise AssertionError(f"{page.url} never showed {what}")


async def pictures(page: Page) -> list[bool]:
    """Of each picture on the screen, whether it is there."""
    await page.wait_for_load_state("load")
    loaded = "pictures => pictures.map(picture => picture.complete && picture.naturalWidth > 100)"
    shown: list[bool] = await page.locator("img").evaluate_all(loaded)
    return shown


async def follow_mail(page: Page, setting: Setting, subject: str) -> None:
    """Open the newest caught mail, once it has this subject, and follow its link."""
    await page.goto(setting.mails)
    await wait_for(page, page.locator("li:first-child", has_text=subject))
    await press(page, subject)
    await page.get_by_role("link", name=setting.desk).click()


async def log_in(page: Page, setting: Setting) -> None:
    """Become a volunteer."""
    await page.goto(setting.office)
    login, password = next(iter(setting.passwords.items()))
    await page.get_by_label("Login").fill(login)
    await page.get_by_label("Password").fill(password)
    await press(page, "Log in")


async def release(page: Page, setting: Setting) -> None:
    """Look at the only reply that is held, and let it go."""
    await page.goto(f"{setting.office}/en/replies")
    await wait_for(page, page.get_by_role("link", name="Look them over"))
    await press(page, "Look them over")
    await page.locator("button[value=release]").click()
    await page.get_by_text("None. Every reply is on its way to its sender.").wait_for()
    await page.get_by_role("link", name="Scan", exact=True).click()


async def write(page: Page, setting: Setting, address: str, look: Look) -> str:
    """Find the prisoner, write, look at the pages, send. Returns the claim phrase."""
    await page.goto(setting.desk)
    await look(page, "home")
    await page.get_by_label("To whom?").fill("примеров")
    await press(page, "Find")
    await look(page, "found")
    await press(page, PRISONER)
    await look(page, "write")
    await page.get_by_label("Your letter").fill(TEXT)
    await page.get_by_label("Name to be printed").fill("Maria")
    await page.get_by_label("Your mail address").fill(address)
    await press(page, "See the pages")
    await press(page, "Yes, print “Мариа”")
    await look(page, "preview")
    assert await pictures(page) == [True, True, True]
    await page.get_by_role("button", name="Send").click()
    await look(page, f"sent {'with' if address else 'without'} an address")
    return await page.locator(".phrase").inner_text()


async def test_letter_all_the_way_round(browser: Browser, setting: Setting, look: Look, tmp_path: Path) -> None:
    async with person(browser, PHONE) as sender, person(browser, DESKTOP) as volunteer:
        await write(sender, setting, "maria@supporter.example", look)
        await follow_mail(sender, setting, "Please confirm your letter")
        await look(sender, "confirm")
        await press(sender, "Confirm my letter")
        await look(sender, "confirmed")

        await volunteer.goto(setting.office)
        await look(volunteer, "log in")
        await log_in(volunteer, setting)
        await look(volunteer, "what waits")
        await press(volunteer, "Review")
        assert TEXT in await volunteer.locator("main").inner_text()
        await look(volunteer, "review")
        assert await pictures(volunteer) == [True]
        await press(volunteer, "Approve")
        await look(volunteer, "review with nothing left")
        await volunteer.get_by_role("link", name="Print", exact=True).click()
        await look(volunteer, "print")
        await press(volunteer, "Print everything that waits")
        pages = volunteer.get_by_role("link", name="Pages (PDF)")
        await pages.wait_for()  # the screen looks again by itself
        await look(volunteer, "rendered batch")
        printed = await (await volunteer.request.get(f"{setting.office}{await pages.get_attribute('href')}")).body()
        await press(volunteer, "It is printed")
        await press(volunteer, "It is posted")
        await look(volunteer, "posted batch")

        with pypdfium2.PdfDocument(printed) as document:
            sheet = len(document) - 4  # the last sheet is the slip for the censor
        scan = hand_written(printed, sheet, write_answer(tmp_path / "answer.png"))
        await volunteer.get_by_role("link", name="Scan", exact=True).click()
        await look(volunteer, "scan")
        await volunteer.get_by_label("Files, with the pages in any order").set_input_files(
            {"name": "scan.jpg", "mimeType": "image/jpeg", "buffer": scan}
        )
        await press(volunteer, "Take in")
        await wait_for(volunteer, volunteer.get_by_role("cell", name="1 page placed"))
        await look(volunteer, "scan with a file")
        await release(volunteer, setting)

        await follow_mail(sender, setting, "You have an answer")
        await look(sender, "inbox")
        inbox = sender.url
        await press(sender, "Read the answer")
        await look(sender, "reply")
        assert await pictures(sender) == [True]
        transcript = await sender.locator(".transcript").inner_text()
        assert [words for words in WRITTEN if words not in transcript] == []

        await volunteer.get_by_label("Files, with the pages in any order").set_input_files(tmp_path / "answer.png")
        await press(volunteer, "Take in")
        await wait_for(volunteer, volunteer.get_by_role("link", name="Begin with the oldest"))
        await press(volunteer, "Begin with the oldest")
        await volunteer.get_by_label("The code on the page or a part of it").fill("Примеров")
        await press(volunteer, "Find")
        await look(volunteer, "page that waits, with a letter that fits")
        await press(volunteer, f"This is the reply of {PRISONER} to Мариа")
        await release(volunteer, setting)
        await sender.goto(inbox)
        second = sender.get_by_role("link", name="Read the answer").nth(1)
        await wait_for(sender, second)
        await second.click()
        assert await pictures(sender) == [True]


async def test_letter_without_an_address(browser: Browser, setting: Setting, look: Look) -> None:
    async with person(browser, PHONE) as sender:
        phrase = await write(sender, setting, "", look)
        await press(sender, "I have noted them")
        await look(sender, "phrase")
        await sender.get_by_label("The words that you noted").fill(phrase.upper() + " x")
        await press(sender, "Confirm my letter")
        await look(sender, "phrase that does not fit")
        await sender.get_by_label("The words that you noted").fill(phrase.upper())
        await press(sender, "Confirm my letter")
        history = sender.locator(".history li")
        assert await history.locator("span").all_inner_texts() == [
            SENTENCES[LetterState.UNCONFIRMED],
            SENTENCES[LetterState.QUEUED],
        ]
        inbox = sender.url

        await sender.goto(setting.desk)
        await sender.get_by_label("Your words").fill(phrase)
        await press(sender, "Open my letters")
        assert sender.url == inbox
        await press(sender, "Take this letter back")
        await look(sender, "inbox with a letter that was taken back")
        assert await history.last.locator("span").inner_text() == SENTENCES[LetterState.WITHDRAWN]


async def test_screens_of_refusals(browser: Browser, setting: Setting, look: Look) -> None:
    async with person(browser, PHONE) as sender:
        await sender.goto(f"{setting.desk}/en/?q=nobody")
        await look(sender, "nobody found")
        await sender.goto(f"{setting.desk}/en/to/nobody")
        await look(sender, "nothing there")
        await sender.goto(f"{setting.desk}/en/confirm/expired")
        await look(sender, "nothing to confirm")
        await sender.goto(setting.desk)
        await sender.get_by_label("Your words").fill("these are not the words")
        await press(sender, "Open my letters")
        await look(sender, "words that open nothing")
        await sender.goto(f"{setting.desk}/en/to/pyotr-primerov")
        await sender.get_by_label("Your letter").fill("one\ue000\ntwo \ue001")
        await sender.get_by_label("Name to be printed").fill(" ")
        await sender.get_by_label("Your mail address").fill("nowhere")
        await press(sender, "See the pages")
        assert await sender.locator("main .wrong[id]").count() == 4
        await look(sender, "letter that cannot be printed")


async def test_screens_of_the_office(browser: Browser, setting: Setting, look: Look, tmp_path: Path) -> None:
    async with person(browser, DESKTOP) as volunteer:
        await volunteer.goto(setting.office)
        await volunteer.get_by_label("Login").fill("nobody")
        await volunteer.get_by_label("Password").fill("wrong")
        await press(volunteer, "Log in")
        await look(volunteer, "log in refused")
        await log_in(volunteer, setting)
        await volunteer.goto(f"{setting.office}/en/nothing")
        await look(volunteer, "nothing there, in the office")
        await press(volunteer, "Directory")
        await look(volunteer, "directory")
        await press(volunteer, PRISONER)
        await look(volunteer, "prisoner")
        await volunteer.get_by_label("Year of birth").fill("x")
        await press(volunteer, "Save")
        await look(volunteer, "prisoner that cannot be stored")
        await volunteer.get_by_label("Year of birth").fill("1986")
        await press(volunteer, "Save")
        await press(volunteer, "Add a facility")
        await look(volunteer, "facility")
        await press(volunteer, "Save")
        await look(volunteer, "facility that cannot be stored")

        await volunteer.get_by_role("link", name="Scan", exact=True).click()
        await look(volunteer, "scan with nothing")
        no_scan = tmp_path / "letter.doc"
        no_scan.write_bytes(b"no scan")
        for file in (write_answer(tmp_path / "page without a code.png"), no_scan):
            await volunteer.get_by_label("Files, with the pages in any order").set_input_files(file)
            await press(volunteer, "Take in")
        begin = volunteer.get_by_role("link", name="Begin with the oldest")
        await wait_for(volunteer, begin)
        await wait_for(volunteer, volunteer.get_by_text("This is not a scan"))
        await look(volunteer, "scan with a page that waits")
        await begin.click()
        await look(volunteer, "page that waits")
        assert await pictures(volunteer) == [True, True]  # the page, and it again among those of its file
        await volunteer.get_by_label("The code on the page or a part of it").fill("Примеров")
        await press(volunteer, "Find")
        await look(volunteer, "page that waits, without a letter that fits")
        await press(volunteer, "It is nobody's answer")
        assert await volunteer.get_by_text("None. Every page found its letter.").count() == 1


SCREENS: Final = {
    "desk": ("", "?q=primerov", "to/pyotr-primerov", "phrase", "confirm/expired", "inbox/unknown"),
    "office": ("log-in", "", "review", "print", "scan", "directory", "directory/prisoner", "directory/facility"),
    "mails": ("",),
}


async def test_screens_in_all_languages(browser: Browser, setting: Setting) -> None:
    async with person(browser, NARROWEST) as page:
        await log_in(page, setting)
        sites = {"desk": setting.desk, "office": setting.office, "mails": setting.mails}
        addresses = [
            f"{sites[site]}/{language}/{path}"
            for site, paths in SCREENS.items()
            for path in paths
            for language in LANGUAGES
        ]
        widths = {}
        for address in addresses:
            await page.goto(address)
            widths[address] = await page.evaluate(WIDTH)
        assert widths == dict.fromkeys(addresses, NARROWEST["width"])

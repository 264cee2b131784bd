"""A sender meets the rules of a prison and the review, on a phone and without scripts: findings, photos, changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, FilePayload, Page, ViewportSize

from censor_queue import claims, decisions
from censor_queue.review import Review
from print.rendering import RenderingPool
from relay.demo.setting import ANY_PORTS, Setting, playing
from relay.domain.reasons import ReviewReason
from relay.store import volunteers
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import DESKTOP, PHONE, Inspector, Look
from tests.browser.test_round_trip import person, pictures, press
from tests.desk.letters import GIRAFFES, PROFILE, ZEBRAS, photo

pytestmark = pytest.mark.browser

TEXT: Final = (
    "Dear John,\n\nthank you for your letter! It took three weeks, and I have read it five times.\n\n"
    "On Sunday we went to the zoo with the children. They liked the {animal} best, and they have drawn one for you; "
    "it now hangs over the kitchen table, between the calendar and the clock that is always late.\n\n"
    "How is your back? Write soon,\nMary"
)
NOTE: Final = "Your friend Anton is named on the first page. Could you leave his name out?\nEverything else is lovely!"


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    """The running demo, empty; HMP Nowhere has strict rules."""
    profiles = tmp_path / "relay" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "strict.toml").write_text(PROFILE, "utf-8")
    async with playing(tmp_path / "relay", ANY_PORTS) as running:
        yield running


@pytest.fixture
async def look(page: Page, accessibility_faults: AccessibilityFaults) -> AsyncIterator[Look]:
    """Looks at screens; the test fails with all that was wrong with them."""
    inspector = Inspector(page, accessibility_faults)
    yield inspector
    assert {name: faults for name, faults in inspector.found.items() if faults} == {}


@pytest.fixture
async def review(setting: Setting) -> AsyncIterator[Review]:
    """The review, which a volunteer does elsewhere."""
    pages = RenderingPool()
    yield setting.relay.review(pages)
    await pages.close()


async def read(review: Review) -> tuple[str, str]:
    """Put the next letter on the screen of anna; the letter's id and hers."""
    async with review.store.database.reading() as connection:
        anna = await volunteers.find(connection, "anna")
    assert anna is not None
    letter = await claims.claim_next(review, anna.id)
    assert letter is not None
    return letter.id, anna.id


def chosen(*colours: str) -> list[FilePayload]:
    """Photos as they are chosen in a browser."""
    return [
        {"name": f"{colour}.jpg", "mimeType": "image/jpeg", "buffer": photo(colour, (800, 600))} for colour in colours
    ]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_findings_photos_and_changes(
    browser: Browser, setting: Setting, review: Review, look: Look, size: ViewportSize
) -> None:
    async with person(browser, size) as sender:
        # what the rules say before anything is sent
        await sender.goto(f"{setting.desk}/en/to/john-sample")
        await look(sender, "empty form")
        await sender.get_by_label("Your letter").fill(TEXT.format(animal="zebras"))
        await sender.get_by_label("Name to be printed").fill("Mary")
        await sender.get_by_label("Choose photos").set_input_files(chosen("steelblue"))
        await press_main(sender)
        box = sender.locator(".remarks")
        assert ZEBRAS in await box.inner_text()
        assert await box.locator(".quote mark").all_inner_texts() == ["zebras"]
        await box.locator("summary").click()
        await look(sender, "form with a finding that blocks")
        assert await pictures(sender) == [True], "the photo is still there"

        await sender.get_by_label("Your letter").fill(TEXT.format(animal="giraffes"))
        await sender.get_by_label("Add photos").set_input_files(chosen("seagreen"))
        await press_main(sender)
        assert GIRAFFES in await sender.locator(".remarks").inner_text()
        assert await pictures(sender) == [True] * 5
        await look(sender, "preview with a finding and photos")
        await press(sender, "Change something")
        await press(sender, "Remove photo 1")
        assert await pictures(sender) == [True]
        await look(sender, "form with a photo removed")
        await sender.get_by_label("Name to be printed").press("Enter")
        assert await pictures(sender) == [True] * 4, "the key shows the pages and removes nothing"
        await sender.get_by_role("button", name="Send").click()

        phrase = await sender.locator(".phrase").inner_text()
        await press(sender, "I have noted them")
        await sender.get_by_label("The words that you noted").fill(phrase)
        await press(sender, "Confirm my letter")
        await sender.get_by_text("What you wrote").click()
        assert await pictures(sender) == [True]
        await look(sender, "inbox with a letter and a photo")

        # a volunteer wants a change
        letter, anna = await read(review)
        await decisions.ask_for_changes(review, letter, anna, ReviewReason.OTHER_PEOPLE, NOTE)
        await sender.reload()
        await look(sender, "inbox with a letter to be changed")
        inbox = sender.url
        await press(sender, "Change the letter")
        assert NOTE in await sender.locator(".note").inner_text()
        await look(sender, "form of a letter to be changed")
        changed = sender.url
        await sender.get_by_label("Your letter").fill(TEXT.format(animal="monkeys"))
        await press_main(sender)
        assert await pictures(sender) == [True] * 4
        await sender.get_by_role("button", name="Send").click()
        assert sender.url == inbox
        steps = sender.locator(".history li span")
        assert (await steps.all_inner_texts())[-1].startswith("Changed by you.")
        await look(sender, "inbox with a changed letter")
        await sender.goto(changed)
        assert sender.url == inbox, "there is nothing to change any more"

        # and covers a word of it
        letter, anna = await read(review)
        await decisions.cover(review, letter, anna, [1])
        await decisions.approve(
            review, letter, anna, without_photos=True, reason=ReviewReason.OTHER_PEOPLE, note="It is safer."
        )
        await sender.reload()
        await sender.get_by_text("What you wrote").click()
        assert await sender.locator("del").all_inner_texts() == ["John,"]
        await look(sender, "inbox with a letter accepted in part")


async def test_letter_that_will_be_translated_and_photos_that_cannot_be_taken(
    browser: Browser, setting: Setting, look: Look
) -> None:
    async with person(browser, PHONE) as sender:
        await sender.goto(f"{setting.desk}/en/to/john-sample")
        await sender.get_by_label("Your letter").fill("Здравствуйте! У нас выпал первый снег, и дети лепят снеговика.")
        await sender.get_by_label("Name to be printed").fill("Maria")
        bad: FilePayload = {"name": "IMG_0001.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"}
        await sender.get_by_label("Choose photos").set_input_files([bad, *chosen("red", "green", "blue")])
        await press_main(sender)
        assert await sender.locator("#photos-1, #photos-2").count() == 2
        await look(sender, "form with photos that cannot be taken")
        await press_main(sender)
        assert "a volunteer will translate it first" in await sender.locator(".note").first.inner_text()
        await look(sender, "preview of a letter that will be translated")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_card_reply_sheets_and_characters_that_cannot_be_printed(
    browser: Browser, setting: Setting, look: Look, size: ViewportSize
) -> None:
    async with person(browser, size) as sender:
        await sender.goto(f"{setting.desk}/en/to/john-sample")
        text, sheets = sender.get_by_label("Your letter"), sender.get_by_label("How many reply sheets?")
        await text.fill("Happy \U00012000 birthday\nto \U00012000 you \ue000!")
        await sender.get_by_label("Name to be printed").fill("Mary \U00012000")
        await sender.get_by_label("as a short greeting on a card with others").check()
        await sender.get_by_label("Choose photos").set_input_files(chosen("steelblue"))
        await sheets.select_option("3")
        await press_main(sender)
        assert await sender.locator("#text-1, #text-2, #printed_name-1, #card-1").count() == 4
        assert await sheets.input_value() == "3"
        await look(sender, "form with characters that cannot be printed, and a photo for a card")

        await press(sender, "Remove photo 1")
        await text.fill("Happy birthday\n" * 13)
        await sender.get_by_label("Name to be printed").fill("Mary")
        await press_main(sender)
        assert "this one has 194 in 13" in await sender.locator("#text-1").inner_text()
        await text.fill("Happy birthday!\nWe sing for you on Sunday.")
        await press_main(sender)
        assert await pictures(sender) == [True] * 3
        assert "3 such sheets go along" in await sender.locator("main > p").first.inner_text()
        await look(sender, "preview of a card")
        await sender.get_by_role("button", name="Send").click()

        phrase = await sender.locator(".phrase").inner_text()
        await press(sender, "I have noted them")
        await sender.get_by_label("The words that you noted").fill(phrase)
        await press(sender, "Confirm my letter")
        await sender.get_by_text("What you wrote").click()
        assert "With 3 sheets for the answer." in await sender.locator("article").inner_text()
        await look(sender, "inbox with a greeting")


async def press_main(page: Page) -> None:
    """Press the button that people see; the one for the Enter key has the same name."""
    await page.locator("button.main").click()

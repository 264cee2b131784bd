"""The inbox after some months, on a phone and without scripts: follow, read the answers, write back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Locator, ViewportSize

from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import Side
from relay.store import tables
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.browser.test_round_trip import person, press
from tests.desk.inboxes import begun, put_beside, writing_back
from tests.desk.letters import ask
from tests.workplaces import (
    ADDRESS,
    ENGLISH,
    RUSSIAN,
    Client,
    House,
    Sent,
    config,
    desk,
    engine,
    filled_file,
    house,
    rendering_pool,
    sure,
)

__all__ = ["config", "desk", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser


@dataclass
class Months:
    """An inbox with two conversations, one of them long, and where its screens are."""

    house: House
    desk: Client
    first: Sent
    reply: str
    """Of two pages."""
    begun: Sent

    def url(self, path: str = "", language: str = "en") -> str:
        """The address of a screen of the inbox."""
        return str(self.desk.make_url(self.first.inbox.replace("/en/", f"/{language}/") + path))


@pytest.fixture
async def months(house: House, desk: Client) -> Months:
    first = await house.posted(address=ADDRESS, sheets=2)
    house.clock.advance(days=9)
    code = await house.code(first)
    scan = await house.split(sure(code), sure(code, side=Side.B), words=("Dear", "fiend"))
    await house.release()
    reply = (await house.row(tables.replies, scan_id=scan)).id
    for _ in range(3):
        house.clock.advance(days=9)
        letter = await house.posted(phrase=first.phrase, address=ADDRESS)
    house.clock.advance(days=9)
    beside = await house.replied(letter)
    house.clock.advance(days=1)
    await put_beside(house, beside, letter, forwarded=True)
    await ask(house, await house.queued(phrase=first.phrase, address=ADDRESS))
    house.clock.advance(days=1)
    from_prison = await begun(house, RUSSIAN, phrase=first.phrase, address=ADDRESS)
    return Months(house, desk, first, reply, from_prison)


async def box(of: Locator) -> tuple[float, float]:
    """Width and height of what is shown."""
    found = await of.bounding_box()
    assert found is not None
    return round(found["width"]), round(found["height"])


async def test_months_of_letters_without_scripts(
    browser: Browser, months: Months, accessibility_faults: AccessibilityFaults
) -> None:
    look = Inspector(await browser.new_page(), accessibility_faults)
    async with person(browser, PHONE) as sender:
        await sender.goto(months.url())
        await look(sender, "inbox")
        assert await sender.locator("article").count() == 2
        assert await sender.locator("img").count() == 0, "nothing large before somebody asks for it"
        await sender.locator(".folded").last.click()
        await look(sender, "inbox with an old letter")
        opened = sender.locator(f"[id='{months.first.id}'] article")
        await opened.get_by_text("What you wrote").click()
        assert "the snow came early" in await opened.inner_text()
        await press(sender, "Show all letters whole")
        assert await sender.locator(".folded").count() == 0
        await look(sender, "inbox with all letters")

        await sender.get_by_role("link", name="Read the answer").last.click()
        await look(sender, "reply")
        assert await sender.locator(".transcript mark").count() == 1
        await sender.get_by_role("link", name="Next page").first.click()
        await look(sender, "second page of the reply")
        assert await sender.get_by_text("Page 2 of 2").count() == 2
        await sender.get_by_role("link", name="The next answer").click()
        await look(sender, "forwarded reply")
        assert await sender.get_by_text("asked us to show you this answer").count() == 1

        await press(sender, "Write back")
        await look(sender, "writing back")
        assert await sender.get_by_label("Your mail address").count() == 0
        await sender.get_by_label("Your letter").fill("Dear John, thank you!")
        await sender.locator("button.main").click()
        await look(sender, "preview of what is written back")
        await sender.get_by_role("button", name="Send").click()
        await look(sender, "inbox with what was just sent")
        assert await sender.get_by_role("status").inner_text() == (
            "Sent. Your letter is with the volunteers now; here you can follow it."
        )
        newest = sender.locator("article").first
        assert (await newest.locator(".history li span").all_inner_texts())[-1].startswith("Confirmed.")

        await press(sender, "What comes by mail")
        await look(sender, "choice of mails")
        await sender.get_by_label("send me nothing by mail").check()
        await press(sender, "Save")
        await look(sender, "choice of mails, saved")
        assert await sender.get_by_label("send me nothing by mail").is_checked()
        async with months.house.store.database.writing() as connection:
            await connection.execute(tables.prisoners.update().values(state="moved"))
        await sender.goto(months.url())
        await look(sender, "inbox of somebody who was moved")
        place = await writing_back(months.house, months.first)
        await sender.goto(str(months.desk.make_url(place)))
        await look(sender, "no letter can go")
    assert {name: faults for name, faults in look.found.items() if faults} == {}


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_page_is_enlarged_and_turned_where_it_stands(
    browser: Browser, months: Months, size: ViewportSize
) -> None:
    """The picture comes once, and no script is needed."""
    asked: list[str] = []
    async with person(browser, size) as sender:
        sender.on("request", lambda request: asked.append(request.url))
        await sender.goto(months.url(f"/reply/{months.reply}"))
        await sender.wait_for_load_state("load")
        asked.clear()
        picture, stage = sender.locator(".stage img"), sender.locator(".stage")
        width, height = await box(picture)
        assert (await box(stage))[0] - width <= 2
        await sender.get_by_label("2×").check()
        assert await box(picture) == pytest.approx((2 * width, 2 * height), abs=2)
        await sender.get_by_label("1×").check()
        for turn in ("90°", "270°"):
            await sender.get_by_label(turn, exact=True).check()
            turned = await box(picture)
            assert turned == pytest.approx((width, width * width / height), abs=2), "it fills the width"
        await sender.get_by_label("180°").check()
        assert await box(picture) == pytest.approx((width, height), abs=1)
        await sender.get_by_label("2×").focus()
        await sender.keyboard.press("ArrowRight")
        assert await box(picture) == pytest.approx((3 * width, 3 * height), abs=3), "arrow keys do it, too"
        assert asked == []


async def test_transcript_stands_beside_the_page_and_on_a_phone_below_it(browser: Browser, months: Months) -> None:
    places = []
    for size in (DESKTOP, PHONE):
        async with person(browser, size) as sender:
            await sender.goto(months.url(f"/reply/{months.reply}"))
            boxes = [await sender.locator(part).bounding_box() for part in (".stage", ".transcript")]
            stage, transcript = (found for found in boxes if found)
            places.append((transcript["x"] > stage["x"] + 100, transcript["y"] > stage["y"] + stage["height"]))
    assert places == [(True, False), (False, True)]


async def test_words_are_numbered_and_copied_without_their_numbers(
    browser: Browser, desk: Client, accessibility_faults: AccessibilityFaults
) -> None:
    look = Inspector(await browser.new_page(), accessibility_faults)
    for language in LANGUAGES:
        async with person(browser, NARROWEST) as sender:
            await sender.goto(str(desk.make_url(f"/{language}/to/{ENGLISH.prisoner.slug}")))
            await sender.locator("#text").fill("Hello")
            await sender.locator("#printed_name").fill("Mary")
            await sender.locator("button.main").click()
            await sender.locator("button[value=send]").click()
            await look(sender, f"words in {language}")
            phrase = await sender.locator(".phrase").inner_text()
            words = await sender.locator(".phrase span").all_inner_texts()
            assert (phrase.split(), len(words) >= 10) == (words, True)
            await sender.emulate_media(media="print")
            shown = [await sender.locator(part).is_visible() for part in (".phrase", "header", ".button")]
            assert shown == [True, False, False]
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_screens_fit_a_small_phone_in_all_languages(browser: Browser, months: Months) -> None:
    writing = (await writing_back(months.house, months.first)).removeprefix(months.first.inbox)
    wide = {}
    async with person(browser, NARROWEST) as sender:
        for language in LANGUAGES:
            for path in (
                "",
                "?letter=all",
                f"/reply/{months.reply}",
                f"/reply/{months.reply}?page=2",
                "/mails",
                writing,
            ):
                await sender.goto(months.url(path, language))
                if (width := await sender.evaluate(WIDTH)) > NARROWEST["width"]:
                    wide[language, path] = width
    assert wide == {}


async def test_old_inbox_is_light(browser: Browser, months: Months) -> None:
    """Many letters more cost a line each, and their texts do not travel."""
    house = months.house
    text = "The snow came early this year. " * 60
    async with person(browser, PHONE) as sender:
        for _ in range(20):
            house.clock.advance(days=1)
            await house.queued(phrase=months.first.phrase, text=text)
        await sender.goto(months.url())
        assert await sender.locator(".folded").count() == 22
        assert (await sender.content()).count(text.strip()) == 2

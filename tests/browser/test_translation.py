"""Translating in a browser, with and without the script; how the screens of figures and of one's own page look."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize

from censor_queue import claims, decisions, outcomes, translations
from censor_queue.claims import LEASE
from censor_queue.translations import Draft, draft_of, mark
from relay.domain.reasons import ReviewReason
from relay.domain.review import Outcome
from relay.store import tables
from relay.store.letters import read_treatment
from relay.web.sessions import COOKIE
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector, Look
from tests.censor_queue.letters import take, volunteer, with_photos
from tests.workplaces import ADDRESS, ENGLISH, RUSSIAN, House, Sent, config, engine, filled_file, house, rendering_pool

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser

TEXT: Final = (
    "Querida amiga:\n\nla nieve llegó temprano este año, y pienso en ti cada mañana cuando limpio el patio. "
    "Mi hermana pinta la cocina de amarillo.\n\nUn abrazo"
)
TYPED: Final = "Дорогая подруга!\n\nСнег выпал рано."
SAVED: Final = re.compile(r"Saved at \d")


@pytest.fixture
async def look(page: Page, accessibility_faults: AccessibilityFaults) -> AsyncIterator[Look]:
    """Looks at screens; the test fails with all that was wrong with them."""
    inspector = Inspector(page, accessibility_faults)
    yield inspector
    assert {name: faults for name, faults in inspector.found.items() if faults} == {}


@asynccontextmanager
async def anna(browser: Browser, house: House, size: ViewportSize, *, scripts: bool) -> AsyncIterator[Page]:
    """The browser of somebody who has Spanish."""
    client = await house.office("anna")
    (cookie,) = client.session.cookie_jar
    context = await browser.new_context(
        java_script_enabled=scripts, viewport=size, locale="en-GB", base_url=str(client.make_url("/"))
    )
    await context.add_cookies([{"name": COOKIE, "value": cookie.value, "url": str(client.make_url("/"))}])
    yield await context.new_page()
    await context.close()


@pytest.fixture
async def sent(house: House) -> Sent:
    """A letter that waits for somebody who has Spanish."""
    await volunteer(house, "anna", "es")
    return await with_photos(house, RUSSIAN, photos=0, text=TEXT, translate_from="es")


async def stored(house: House, sent: Sent) -> str:
    """The draft as it is stored."""
    async with house.store.database.reading() as connection:
        return draft_of(await read_treatment(connection, sent.id, house.office_key))


async def test_translation_without_a_script(browser: Browser, house: House, sent: Sent, look: Look) -> None:
    async with anna(browser, house, PHONE, scripts=False) as page:
        await page.goto("/en/translate")
        await look(page, "letter to translate")
        field = page.get_by_label("Your translation")
        await field.fill(TYPED)
        await page.get_by_role("button", name="Keep the draft").click()
        await look(page, "draft kept")
        assert await field.input_value() == TYPED
        await field.fill(" ")
        await page.get_by_role("button", name="Done").click()
        await look(page, "empty translation")
        assert await page.get_by_role("alert").inner_text() == "The translation is empty."
        await field.fill(TYPED)
        house.clock.now += LEASE * 1.01
        await page.get_by_role("button", name="Done").click()
        await look(page, "lost and claimed again")
        assert await field.input_value() == TYPED
        await page.get_by_role("button", name="Done").click()
        await look(page, "nothing left, one can be taken back")
        assert await house.state(sent) == "queued"
        await page.get_by_role("button", name="Take it back").click()
        assert await field.input_value() == TYPED


async def test_draft_is_kept_as_it_is_typed(browser: Browser, house: House, sent: Sent, look: Look) -> None:
    async with anna(browser, house, DESKTOP, scripts=True) as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto("/en/translate")
        field, said = page.get_by_label("Your translation"), page.locator("form.translation [role=status]")
        await field.press_sequentially("Снег")
        await said.filter(has_text=SAVED).wait_for()
        assert await stored(house, sent) == "Снег"
        house.clock.advance(minutes=7)
        async with page.expect_response("**/translate/draft"):
            await field.press_sequentially(" выпал")
        assert await stored(house, sent) == "Снег выпал"
        until = (await house.row(tables.letters, id=sent.id)).lease_until
        shown = "moment => new Date(moment).toLocaleTimeString('en', { timeStyle: 'short' })"
        moment = await page.evaluate(shown, until.isoformat())
        await page.get_by_text(f"The letter is yours until {moment}.").wait_for()
        await look(page, "saved as typed")
        await page.reload()
        assert await field.input_value() == "Снег выпал"
        await field.press_sequentially(" рано")
        await page.get_by_role("button", name="Done").click()
        await page.get_by_text("Nothing is waiting in your languages.").wait_for()
        assert (await house.state(sent), errors) == ("queued", [])


async def test_text_stays_and_is_tried_again_without_a_connection(
    browser: Browser, house: House, sent: Sent, look: Look
) -> None:
    async with anna(browser, house, DESKTOP, scripts=True) as page:
        await page.clock.install()
        await page.goto("/en/translate")

        async def fail(route: Route) -> None:
            await route.abort()

        await page.route("**/translate/draft", fail)
        field, said = page.get_by_label("Your translation"), page.locator("form.translation [role=status]")
        await field.fill("Снег")
        await page.clock.run_for(2000)
        await said.filter(has_text="Not saved. Your text stays here, and it will be tried again.").wait_for()
        await look(page, "not saved")
        await page.unroute("**/translate/draft")
        await page.clock.run_for(11_000)
        await said.filter(has_text=SAVED).wait_for()
        assert await stored(house, sent) == "Снег"


async def test_script_says_when_the_letter_is_lost_and_the_button_brings_it_back(
    browser: Browser, house: House, sent: Sent
) -> None:
    async with anna(browser, house, DESKTOP, scripts=True) as page:
        await page.goto("/en/translate")
        house.clock.now += LEASE * 1.01
        field, said = page.get_by_label("Your translation"), page.locator("form.translation [role=status]")
        await field.press_sequentially("Снег")
        await said.filter(has_text="Not saved: the time for this letter was over.").wait_for()
        await page.get_by_role("button", name="Keep the draft").click()
        await page.get_by_text("it is yours again now").wait_for()
        assert await field.input_value() == "Снег"
        await page.get_by_role("button", name="Keep the draft").click()
        await page.get_by_text("Your draft is kept.").wait_for()
        assert await stored(house, sent) == "Снег"


async def test_second_window_shows_both_drafts(browser: Browser, house: House, sent: Sent, look: Look) -> None:
    async with anna(browser, house, DESKTOP, scripts=True) as page:
        await page.goto("/en/translate")
        await translations.save_draft(house.review, sent.id, house.volunteers["anna"], Draft("Другой", mark("")))
        field, said = page.get_by_label("Your translation"), page.locator("form.translation [role=status]")
        await field.press_sequentially("Снег")
        await said.filter(has_text="Not saved: another window has kept another draft.").wait_for()
        await page.get_by_role("button", name="Keep the draft").click()
        await page.get_by_text("Другой").wait_for()
        assert await field.input_value() == "Снег"
        await look(page, "two drafts")
        await page.get_by_role("button", name="Keep the draft").click()
        await page.get_by_text("Your draft is kept.").wait_for()
        assert await stored(house, sent) == "Снег"


async def lived_in(house: House) -> str:
    """Fill the figures, the blocks and a volunteer's evening. Returns the code of a letter that was posted."""
    review, me = house.review, house.volunteers["anna"]
    for number, reason in enumerate((ReviewReason.THREAT, ReviewReason.SPAM, ReviewReason.SPAM)):
        letter = await house.queued(RUSSIAN, address=f"{number}{ADDRESS}")
        await take(review, me)
        await decisions.refuse(review, letter.id, me, reason, block=number < 2)
    for reason in (ReviewReason.TOO_LONG, ReviewReason.CASE_DETAILS):
        letter = await house.queued()
        await take(review, me)
        await decisions.ask_for_changes(review, letter.id, me, reason)
    posted = [await house.posted(text="Is the war over, and what about the criminal case?") for _ in range(3)]
    rules = review.screening.rule_ids(ENGLISH.facility)
    await outcomes.record_outcome(review, posted[0].id, me, Outcome.REFUSED, rules[:2])
    await outcomes.record_outcome(review, posted[1].id, me, Outcome.PASSED)
    assert await claims.claim_next(review, me) is None
    return str(await house.code(posted[2]))


async def test_other_screens_of_the_review(browser: Browser, house: House, sent: Sent, look: Look) -> None:
    code = await lived_in(house)
    async with anna(browser, house, PHONE, scripts=False) as page:
        await page.goto("/en/mine")
        await page.get_by_label("A mail address of yours").fill("nowhere")
        await page.get_by_role("button", name="Add it").click()
        await look(page, "my page with a complaint")
        await page.get_by_label("A mail address of yours").fill(ADDRESS)
        await page.get_by_role("button", name="Add it").click()
        await page.get_by_label("Turkish").check()
        await page.get_by_role("button", name="Store my languages").click()
        await look(page, "my page")
        assert await page.get_by_label("Turkish").is_checked()

        await page.get_by_role("link", name="Figures").click()
        await look(page, "figures")
        await page.get_by_role("link", name=ENGLISH.facility.name).click()
        await look(page, "figures of a facility")

        await page.get_by_role("link", name="Say what a facility did").click()
        await page.get_by_label("The reply code of the letter").fill(code)
        await page.get_by_role("button", name="Find").click()
        await page.get_by_text("Did the facility say why?").click()
        await look(page, "outcome")
        await page.get_by_label("It blacked words out").check()
        await page.get_by_role("button", name="Record").click()
        await look(page, "outcome recorded")
        assert await page.get_by_label("It blacked words out").is_checked()
        await page.get_by_label("The reply code of the letter").fill("nothing")
        await page.get_by_role("button", name="Find").click()
        await look(page, "no code")

        await page.goto("/en/blocks")
        await look(page, "blocks")
        for left in (1, 0):
            await page.get_by_role("button", name="Lift").first.click()
            assert await page.get_by_role("button", name="Lift").count() == left
        await look(page, "nobody is blocked")


async def test_screens_fit_a_small_phone_in_all_languages(browser: Browser, house: House, sent: Sent) -> None:
    code = await lived_in(house)
    places = (
        "",
        "translate",
        "mine",
        "figures",
        f"figures?facility={ENGLISH.facility.slug}",
        f"outcome?code={code}",
        "blocks",
    )
    async with anna(browser, house, NARROWEST, scripts=False) as page:
        widths = {}
        for place in places:
            for language in ("ru", "en", "de", "sv"):
                await page.goto(f"/{language}/{place}")
                widths[language, place] = await page.evaluate(WIDTH)
    assert widths == dict.fromkeys(widths, NARROWEST["width"])

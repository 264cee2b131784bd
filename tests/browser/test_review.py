"""The review in a browser: by key, by thumb, without scripts, and in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize

from censor_queue.claims import LEASE
from relay.store import tables, volunteers
from relay.web.sessions import COOKIE
from tests.browser.conftest import AccessibilityFaults
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, SCHEMES, WIDTH
from tests.censor_queue.letters import SECOND, with_photos
from tests.workplaces import Client, House, Sent, engine, filled_file, house, rendering_pool

__all__ = ["engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser

TEXT: Final = (
    "Dear John,\n\nmy phone is +44 20 7946 0000, or look at https://snow.example.\n\n"
    + "It snowed today, and the whole yard went out to build a snowman.\n" * 45
)
FOCUSED: Final = (
    "document.activeElement.matches('input, select, button') && document.activeElement.closest('details')?.id"
)
OPEN: Final = "[...document.querySelectorAll('details.panel[open]')].map(panel => panel.id)"
HIDDEN_FOCUS: Final = """() => {
  const box = document.activeElement.getBoundingClientRect(), bar = document.querySelector('.bar');
  if (bar.contains(document.activeElement) || document.activeElement === document.body) return false;
  return box.top + Math.min(box.height, 24) > bar.getBoundingClientRect().top || box.bottom < 1;
}"""


@pytest.fixture
def config() -> str:
    """The config of `house`, with time for an undo."""
    return '[site]\nname = "Example relay"\n[review]\nundo_minutes = 10\n'


@dataclass
class Office:
    """The office of a house, as volunteers reach it by their browsers."""

    house: House
    client: Client
    browser: Browser

    @property
    def url(self) -> str:
        return str(self.client.make_url("/en/review"))

    async def page(self, size: ViewportSize = DESKTOP, **options: Any) -> Page:
        """Anna's browser on the review."""
        context: BrowserContext = await self.browser.new_context(viewport=size, locale="en-GB", **options)
        async with self.house.store.database.writing() as connection:
            token = await volunteers.start_session(connection, self.house.volunteers["anna"], self.house.clock())
        await context.add_cookies([{"name": COOKIE, "value": token, "url": self.url}])
        page = await context.new_page()
        await page.goto(self.url)
        return page

    async def letter(self, page: Page) -> str | None:
        """The id of the letter on the screen."""
        field = page.locator("input[name=letter]").first
        return await field.get_attribute("value") if await field.count() else None


@pytest.fixture
async def office(house: House, browser: Browser) -> Office:
    return Office(house, await house.office(), browser)


Act = Callable[[], Awaitable[Any]]


async def leaving(page: Page, act: Act) -> None:
    """Do what leads to another screen, and wait for that."""
    async with page.expect_navigation():
        await act()


# --- every state, for everybody


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_every_state_is_accessible(
    office: Office, accessibility_faults: AccessibilityFaults, size: ViewportSize
) -> None:
    await office.house.queued(text="A short one")
    await with_photos(office.house, text=TEXT)
    page = await office.page(size)
    found: dict[str, list[str]] = {}

    async def look(name: str) -> None:
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            found[f"{name}, {scheme}"] = await accessibility_faults(page)
        await page.set_viewport_size(NARROWEST)
        if (width := await page.evaluate(WIDTH)) > NARROWEST["width"]:
            found[f"{name}, narrow"] = [f"{width} pixels wide"]
        await page.set_viewport_size(size)

    await look("letter without findings")
    await leaving(page, lambda: page.keyboard.press("a"))
    await look("letter with findings and a photo, and an undo")
    for key in "pcrtm":
        await page.keyboard.press(key)
        await look(f"panel {key}")
        await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await look("keys")
    await page.keyboard.press("Escape")
    await leaving(page, lambda: page.keyboard.press("w"))
    await page.get_by_text("Dear", exact=True).click()
    await look("cover")
    await leaving(page, lambda: page.get_by_role("button", name="Save and go back").click())
    await look("letter with a covered word")
    office.house.clock.now += LEASE + SECOND
    await page.keyboard.press("c")
    await page.locator("#changes").get_by_label("It is longer").check()
    await page.locator("#note-changes").fill("Too long")
    await leaving(page, lambda: page.get_by_role("button", name="Ask for changes").click())
    await look("letter that was lost")
    await leaving(page, lambda: page.get_by_role("button", name="Take it back").click())
    await look("letter taken back")
    await page.keyboard.press("Escape")
    await leaving(page, lambda: page.keyboard.press("n"))
    await look("nothing left")
    assert {name: faults for name, faults in found.items() if faults} == {}


# --- by key


@dataclass
class Desk:
    """A page on the first of two letters."""

    office: Office
    page: Page
    first: Sent
    second: Sent

    async def state(self) -> str:
        """Where the first letter is."""
        return await self.office.house.state(self.first)


@pytest.fixture
async def desk(office: Office) -> Desk:
    first, second = await with_photos(office.house, text=TEXT), await office.house.queued(text="two")
    page = await office.page()
    assert await office.letter(page) == first.id
    return Desk(office, page, first, second)


async def test_key_approves_at_once_and_another_undoes_it(desk: Desk) -> None:
    page = desk.page
    await leaving(page, lambda: page.keyboard.press("a"))
    assert (await desk.state(), await desk.office.letter(page)) == ("approved", desk.second.id)
    await leaving(page, lambda: page.keyboard.press("u"))
    assert (await desk.state(), await desk.office.letter(page)) == ("queued", desk.first.id)


@pytest.mark.parametrize(
    ("key", "panel"), [("p", "part"), ("c", "changes"), ("r", "refuse"), ("t", "translate"), ("m", "more")]
)
async def test_key_opens_its_panel_alone_and_escape_closes_it(desk: Desk, key: str, panel: str) -> None:
    page = desk.page
    await page.get_by_text("More…").click()
    await page.keyboard.press(key)
    assert (await page.evaluate(OPEN), await page.evaluate(FOCUSED)) == ([panel], panel)
    if panel != "more":  # In a field keys are what is typed.
        for other in "an":
            await page.keyboard.press(other)
    await page.keyboard.press("Escape")
    assert (await page.evaluate(OPEN), await desk.state()) == ([], "queued")


async def test_enter_sends_the_open_panel(desk: Desk) -> None:
    page = desk.page
    await page.keyboard.press("c")
    await page.keyboard.press("ArrowDown")
    await leaving(page, lambda: page.keyboard.press("Enter"))
    row = await desk.office.house.row(tables.letters, id=desk.first.id)
    assert (row.state, row.reason) == ("changes_requested", "case_details")


async def test_control_and_enter_send_from_the_note(desk: Desk) -> None:
    page = desk.page
    await page.keyboard.press("r")
    await page.keyboard.press("Space")
    await page.locator("#note-refuse").fill("a note")
    await page.keyboard.press("Enter")
    await page.keyboard.type("an")
    assert await page.locator("#note-refuse").input_value() == "a note\nan"
    await leaving(page, lambda: page.keyboard.press("Control+Enter"))
    row = await desk.office.house.row(tables.letters, id=desk.first.id)
    assert (row.state, row.reason) == ("refused", "forbidden_content")


async def test_key_shows_the_next_letter(desk: Desk) -> None:
    await leaving(desk.page, lambda: desk.page.keyboard.press("n"))
    assert (await desk.state(), await desk.office.letter(desk.page)) == ("queued", desk.second.id)


async def test_help_names_the_keys_and_stops_them(desk: Desk) -> None:
    page = desk.page
    await page.keyboard.press("?")
    keys = await page.locator("dialog[open] kbd").all_inner_texts()
    assert keys == ["a", "p", "c", "r", "t", "w", "n", "u", "m", "Enter", "Esc", "?"]
    await page.keyboard.press("a")
    await page.keyboard.press("Escape")
    assert (await page.locator("dialog[open]").count(), await desk.state()) == (0, "queued")


@pytest.mark.parametrize("key", ["Control+a", "Alt+a", "Meta+a"])
async def test_keys_of_the_browser_are_left_alone(desk: Desk, key: str) -> None:
    await desk.page.keyboard.press(key)
    assert (await desk.state(), await desk.office.letter(desk.page)) == ("queued", desk.first.id)


async def test_keys_are_turned_off_for_good(desk: Desk) -> None:
    page = desk.page
    await page.keyboard.press("?")
    await page.get_by_label("Use these keys").uncheck()
    await page.get_by_role("button", name="Close").click()
    await page.reload()
    await page.keyboard.press("a")
    await page.keyboard.press("c")
    assert (await desk.state(), await page.evaluate(OPEN)) == ("queued", [])
    await page.keyboard.press("?")
    assert not await page.get_by_label("Use these keys").is_checked()


async def test_keys_work_on_a_cyrillic_keyboard(desk: Desk) -> None:
    pressed = "dispatchEvent(new KeyboardEvent('keydown', {key: 'ф', code: 'KeyA', bubbles: true}))"
    await leaving(desk.page, lambda: desk.page.evaluate(f"document.body.{pressed}"))
    assert await desk.state() == "approved"


async def test_button_pressed_twice_decides_once(desk: Desk) -> None:
    twice = "button => { button.click(); button.click(); }"
    await leaving(desk.page, lambda: desk.page.get_by_role("button", name="Approve").evaluate(twice))
    assert await desk.office.letter(desk.page) == desk.second.id
    assert len(await desk.office.house.rows(tables.decisions)) == 1


# --- by thumb


async def test_decision_is_in_reach_on_a_phone_and_hides_nothing(office: Office) -> None:
    await with_photos(office.house, text=TEXT)
    page = await office.page(PHONE, has_touch=True, is_mobile=True)
    approve = page.get_by_role("button", name="Approve")
    box = await approve.bounding_box()
    assert box is not None
    assert (box["y"] > PHONE["height"] / 2, box["y"] + box["height"] <= PHONE["height"]) == (True, True)
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    last, bar = await page.locator("figure").last.bounding_box(), await page.locator(".bar").bounding_box()
    assert last is not None
    assert bar is not None
    assert last["y"] + last["height"] <= bar["y"]
    await leaving(page, approve.tap)
    assert {row.decision for row in await office.house.rows(tables.decisions)} == {"approve"}


@pytest.mark.parametrize("panel", ["", "c"])
async def test_focus_is_never_under_the_bar(office: Office, panel: str) -> None:
    await office.house.queued(text=TEXT)
    page = await office.page(PHONE)
    if panel:
        await page.keyboard.press(panel)
    hidden = []
    for key in ("Tab", "Shift+Tab"):
        for _ in range(40):
            await page.keyboard.press(key)
            if await page.evaluate(HIDDEN_FOCUS):
                hidden.append(await page.evaluate("document.activeElement.outerHTML"))
    assert hidden == []


# --- without scripts


async def test_everything_works_without_scripts(office: Office) -> None:
    house = office.house
    sent = [await house.queued(text=f"letter {number} ends") for number in range(4)]
    page = await office.page(PHONE, java_script_enabled=False)
    await page.get_by_role("link", name="Cover words").click()
    await page.get_by_text("ends").click()
    await page.get_by_role("button", name="Save and go back").click()
    await page.get_by_text("Approve…").click()
    await page.locator("#part").get_by_label("It names or describes other people").check()
    await page.get_by_role("button", name="Approve the rest").click()
    await page.get_by_text("Changes…").click()
    await page.locator("#changes").get_by_label("It is longer").check()
    await page.locator("#note-changes").fill("Please say it in one page")
    await page.locator("#changes").get_by_role("button", name="I need more time").click()
    assert await page.locator("#note-changes").input_value() == "Please say it in one page"
    await page.get_by_role("button", name="Ask for changes").click()
    await page.get_by_text("Refuse…").click()
    await page.locator("#refuse").get_by_label("It is advertising").check()
    await page.get_by_role("button", name="Refuse the letter").click()
    await page.get_by_role("button", name="Approve").click()
    states = ["approved", "changes_requested", "refused", "approved"]
    assert [await house.state(one) for one in sent] == states
    await page.get_by_role("button", name="Undo").first.click()
    assert (await house.state(sent[3]), await office.letter(page)) == ("queued", sent[3].id)


# --- in time

SOON: Final = "This letter is yours for two more minutes. Press any key, or “I need more time”, to keep it."
LAST: Final = "This letter goes back in two minutes. Please decide now."
OVER: Final = "This letter is not yours any more. What you typed can still be copied."


async def pass_time(desk: Desk, minutes: float) -> None:
    """Let time pass for the office and for the browser."""
    desk.office.house.clock.advance(minutes=minutes)
    await desk.page.clock.run_for(int(minutes * 60_000))


async def said(desk: Desk) -> str:
    """What the screen says about the time."""
    return await desk.page.locator("#lease [role=status]").inner_text()


async def test_time_is_prolonged_while_the_screen_is_used(desk: Desk) -> None:
    page, house = desk.page, desk.office.house
    await page.clock.install()
    await page.reload()
    began = (await house.row(tables.letters, id=desk.first.id)).lease_until
    await page.keyboard.press("Shift")
    async with page.expect_response("**/renew") as answer:
        await pass_time(desk, 4.5)
    assert (await answer.value).status == 200
    renewed = (await house.row(tables.letters, id=desk.first.id)).lease_until
    assert renewed > began
    # Nobody touches it any more.
    await pass_time(desk, 12)
    assert await said(desk) == ""
    await pass_time(desk, 1.2)
    assert (await said(desk), (await house.row(tables.letters, id=desk.first.id)).lease_until) == (SOON, renewed)
    async with page.expect_response("**/renew"):
        await page.get_by_text("More…").click()
        await page.get_by_role("button", name="I need more time").click()
    await page.wait_for_function("document.querySelector('#lease [role=status]').textContent === ''")
    await pass_time(desk, 16)
    assert await said(desk) == OVER


async def test_hard_end_is_said_two_minutes_before(desk: Desk) -> None:
    house, letter = desk.office.house, desk.first.id
    for _ in range(4):
        house.clock.advance(minutes=14)
        assert (await desk.office.client.post(f"/en/review/{letter}/renew")).status == 200
    await desk.page.clock.install()
    await desk.page.reload()
    await pass_time(desk, 1.5)
    assert await said(desk) == ""
    await pass_time(desk, 1)
    assert await said(desk) == LAST
    await pass_time(desk, 2)
    assert await said(desk) == OVER


async def test_screen_says_when_the_letter_was_decided_elsewhere(desk: Desk) -> None:
    page = desk.page
    await page.locator("#changes summary").click()
    await page.locator("#note-changes").fill("half a note")
    done = await desk.office.client.post(
        "/en/review", data={"letter": desk.first.id, "decision": "approve"}, allow_redirects=False
    )
    assert done.status == 303
    await page.locator("#changes summary").click()
    await page.get_by_text("More…").click()
    await page.get_by_role("button", name="I need more time").click()
    await page.get_by_text(OVER).wait_for()
    assert await page.locator("#note-changes").input_value() == "half a note"


# --- covering


async def test_words_are_covered_by_drawing_over_them(office: Office) -> None:
    sent = await office.house.queued(text="one two three four")
    page = await office.page()
    await page.goto(office.url + f"/{sent.id}/cover")
    chosen = "[...document.querySelectorAll('.words :checked')].map(box => box.name)"
    for word in ("two", "four"):
        await page.get_by_text(word).hover()
        await (page.mouse.down() if word == "two" else page.mouse.up())
        await page.get_by_text("three").hover()
    assert await page.evaluate(chosen) == ["w1", "w2", "w3"]
    await page.get_by_text("three").click()
    await page.get_by_text("one").focus()
    assert await page.evaluate(chosen) == ["w1", "w3"]
    await page.locator("input[name=w0]").focus()
    await page.keyboard.press("Space")
    assert await page.evaluate(chosen) == ["w0", "w1", "w3"]

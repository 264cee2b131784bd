"""The screens of the replies in a browser: by phone without scripts, and by keyboard."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page

from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import Side
from relay.domain.sheet import Tick
from relay.store import tables
from scanner import replies
from scanner.codes import Method
from scanner.replies import CheckedPage
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.scanner.replies import front_only, held, page_of, reading
from tests.workplaces import RUSSIAN, House, config, engine, filled_file, house, rendering_pool

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser


class RepliesOffice(Office):
    """The office, and what it has stored."""

    async def one(self, page: str) -> CheckedPage:
        """A page as it is stored now."""
        async with self.house.store.database.reading() as connection:
            return (await replies.with_page(connection, page, self.house.office_key))[1]


@pytest.fixture
async def office(house: House, browser: Browser) -> RepliesOffice:
    return RepliesOffice(house, await house.office(), browser)


async def press(page: Page, name: str) -> None:
    """Press the first button, or follow the first link, of this name."""
    await leaving(page, page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).first.click)


ALL_ASKED = {
    Tick.PAGES_MISSING: True,
    Tick.NEED_PAPER: True,
    Tick.BEING_MOVED: True,
    Tick.PLEASE_STOP: True,
    Tick.WRITE_AGAIN: None,
}


async def test_evening_of_replies_on_a_phone_without_scripts(
    office: RepliesOffice, accessibility_faults: AccessibilityFaults
) -> None:
    house = office.house
    sent = await house.posted(sheets=2)
    front = await reading(house, sent, ticks=ALL_ASKED)
    back = await reading(house, sent, side=Side.B, method=Method.READABLE, lines=())
    reply = await held(house, front, back)
    house.clock.advance(minutes=1)
    await front_only(house, await house.posted(RUSSIAN))
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    page = await office.page(PHONE, java_script_enabled=False)
    await page.goto(office.url("/replies"))
    await look(page, "replies that wait")
    await press(page, "Look them over")
    await look(page, "reply")
    await press(page, "It is not ticked")

    await press(page, "Put the words right")
    await look(page, "transcript")
    await page.get_by_label("Line 1, word 2, doubtful").fill("friend")
    await press(page, "Add a line below line 2")
    await page.get_by_label("A new line").fill("Yours Pyotr")
    await press(page, "Save doubtful words stay marked")
    (row,) = await house.rows(tables.pages, reply_id=reply, side="A")
    texts = [[word.text for word in line] for line in (await office.one(row.id)).page.reading.lines]
    assert texts == [["Dear", "friend"], ["…", "snow"], ["Yours", "Pyotr"]]
    await press(page, "Put the words right")
    await look(page, "transcript with history")
    await page.go_back()

    await press(page, "Cover something")
    await look(page, "covering")
    picture = page.get_by_role("button", name="The page: press on a corner").locator("visible=true")
    await leaving(page, lambda: picture.click(position={"x": 32, "y": 100}))
    await look(page, "covering, one corner")
    await leaving(page, lambda: picture.click(position={"x": 160, "y": 200}))
    await look(page, "covering, one place")
    left, _, right, _ = (await office.one(row.id)).page.covered[0]
    assert (round(left, 1), round(right, 1)) == (0.1, 0.5)
    await press(page, "Uncover place 1")
    assert (await office.one(row.id)).page.covered == ()
    await press(page, "Done")

    await press(page, "Release")
    said = await page.get_by_role("status").inner_text()
    assert said == "The reply before this one was released. Here is the next one."
    await press(page, "This page does not belong here: take it out")
    await look(page, "no reply waits")
    assert {row.state for row in await house.rows(tables.replies)} == {"checked", "void"}

    await page.goto(office.url("/ticks"))
    await look(page, "ticks")
    for answer in ("Go on sending letters", "The address is right", "Print the letter again", "Done with"):
        await press(page, answer)
    assert await page.get_by_text("Nothing waits.").count() == 1
    assert await house.assemble()
    desk = await house.desk()
    await page.goto(str(desk.make_url(f"{sent.inbox}/reply/{reply}")))
    await look(page, "reply in the inbox")
    assert await page.get_by_text("What a volunteer read, page 1").count() == 1
    assert {name: faults for name, faults in look.found.items() if faults} == {}


@pytest.mark.parametrize("key", ["r", "Enter"])
async def test_reply_is_released_by_one_key(office: RepliesOffice, key: str) -> None:
    house = office.house
    reply = await front_only(house, await house.posted())
    page = await office.page(DESKTOP)
    await page.goto(office.url(f"/replies/{reply}"))
    await page.get_by_role("button", name="Keys").wait_for()
    await leaving(page, lambda: page.keyboard.press(key))
    assert (await house.row(tables.replies)).state == "checked"


async def test_enter_on_a_link_follows_it_and_releases_nothing(office: RepliesOffice) -> None:
    reply = await front_only(office.house, await office.house.posted())
    page = await office.page(DESKTOP)
    await page.goto(office.url(f"/replies/{reply}"))
    await page.get_by_role("button", name="Keys").wait_for()
    await page.get_by_role("link", name="Put the words right").focus()
    await leaving(page, lambda: page.keyboard.press("Enter"))
    assert page.url.endswith("/transcript")
    assert (await office.house.row(tables.replies)).state == "held"


async def test_rectangle_is_drawn_over_what_is_covered(office: RepliesOffice) -> None:
    page_id = await page_of(office.house, await front_only(office.house, await office.house.posted()))
    page = await office.page(DESKTOP)
    await page.goto(office.url(f"/replies/page/{page_id}/cover"))
    await page.get_by_text("Draw a rectangle").wait_for()
    picture = await page.locator(".pointing.w640").bounding_box()
    assert picture is not None
    x, y, width, height = (picture[name] for name in ("x", "y", "width", "height"))
    await page.mouse.move(x + 0.5 * width, y + 0.4 * height)
    await page.mouse.down()
    await page.mouse.move(x + 0.2 * width, y + 0.3 * height)
    await leaving(page, page.mouse.up)
    (box,) = (await office.one(page_id)).page.covered
    assert [round(share, 2) for share in box] == [0.2, 0.3, 0.5, 0.4]
    assert await page.get_by_role("button", name="Uncover place 1").count() == 1


async def test_transcript_is_put_right_from_doubt_to_doubt_by_enter(office: RepliesOffice) -> None:
    page_id = await page_of(office.house, await front_only(office.house, await office.house.posted()))
    page = await office.page(DESKTOP)
    await page.goto(office.url(f"/replies/page/{page_id}/transcript"))
    doubtful = page.locator('input[data-word="0.1"]:focus')
    await doubtful.wait_for()
    assert await page.locator('rect.here[data-word="0.1"]').count() == 2, "in the line and in the page"
    await page.keyboard.press("Enter")  # the word is right as it is
    await page.locator('input[data-word="1.0"]:focus').wait_for()
    await page.keyboard.type("the first")
    await page.keyboard.press("Enter")
    await page.locator("button.main:focus").wait_for()
    await leaving(page, lambda: page.keyboard.press("Enter"))
    lines = (await office.one(page_id)).page.reading.lines
    assert [[(word.text, word.doubtful) for word in line] for line in lines] == [
        [("Dear", False), ("fiend", False)],
        [("the", False), ("first", False), ("snow", False)],
    ]


async def test_screens_fit_a_small_phone_in_all_languages(office: RepliesOffice) -> None:
    house = office.house
    reply = await held(house, await reading(house, await house.posted(), method=Method.READABLE, ticks=ALL_ASKED))
    page_id = await page_of(house, reply)
    page = await office.page(NARROWEST, java_script_enabled=False)
    wide = {}
    for language in LANGUAGES:
        for path in (
            "/replies",
            f"/replies/{reply}",
            f"/replies/page/{page_id}/transcript",
            f"/replies/page/{page_id}/cover",
            "/ticks",
        ):
            await page.goto(office.url(path, language))
            if (width := await page.evaluate(WIDTH)) > NARROWEST["width"]:
                wide[language, path] = width
    assert wide == {}

"""The screens of the scanning in a browser: an evening with the heap, by phone and by key, with and without scripts."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, FilePayload, Page, ViewportSize

from relay.domain.languages import LANGUAGES
from relay.store import tables
from scanner import steps
from scanner.codes import Method, PageCodes
from scanner.ladder import Tried
from scanner.limits import Reason
from scanner.reading import Reading
from scanner.suggesting import Suggestion, Why
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.workplaces import (
    ENGLISH,
    RUSSIAN,
    House,
    config,
    engine,
    filled_file,
    house,
    pieces,
    rendering_pool,
    sure,
)

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser

DROP = """names => {
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File([name], name, {type: "application/pdf"}));
  for (const kind of ["dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
  }
}"""


@pytest.fixture
async def office(house: House, browser: Browser) -> Office:
    return Office(house, await house.office(), browser, "/scan")


async def press(page: Page, name: str) -> None:
    """Press the first button, or follow the first link, of this name."""
    await leaving(page, page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).first.click)


def unplaced(*codes: str) -> Reading:
    """A page for which these codes are suggested."""
    suggested = tuple(
        Suggestion(code=code, why=why, points=1 / place)
        for place, (code, why) in enumerate(zip(codes, (Why.BACK, Why.NAME, Why.SCORE), strict=False), start=1)
    )
    tried = (Tried(method=Method.MATRIX, outcome="nothing"), Tried(method=Method.READABLE, outcome="doubtful"))
    return Reading(lines=(), suggested=suggested, tried=tried, codes=PageCodes(foreign=("https://example.org/" * 9,)))


async def states(house: House) -> list[str]:
    return [row.state for row in sorted(await house.rows(tables.pages), key=lambda row: row.number)]


@pytest.mark.parametrize(
    ("size", "scripts"), [(PHONE, False), (DESKTOP, True)], ids=["phone without scripts", "desktop with scripts"]
)
async def test_evening_of_scanning(
    office: Office, accessibility_faults: AccessibilityFaults, size: ViewportSize, scripts: bool
) -> None:
    house = office.house
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    sent = [await house.posted(name="Mary"), await house.posted(RUSSIAN), await house.posted(name="Tom")]
    codes = [await house.code(one) for one in sent]
    page = await office.page(size, java_script_enabled=scripts)
    await look(page, "nothing came")

    await page.get_by_label("All pages are from").select_option(label=ENGLISH.facility.name)
    await page.get_by_label("Files, with the pages in any order").set_input_files(
        FilePayload(name="pile of Monday.pdf", mimeType="application/pdf", buffer=b"a pile")
    )
    await page.get_by_role("button", name="Take in").click()
    await page.get_by_role("link", name="pile of Monday.pdf").wait_for()
    if not scripts:
        assert page.url.endswith("?watch")
    scan = await house.row(tables.scans)
    await steps.note_count(house.store, scan.id, 5)
    await page.goto(office.url("?watch"))
    await look(page, "a file is read")
    await page.goto(office.url(f"/{scan.id}?still"))
    await look(page, "one file is read")
    async with house.store.database.writing() as connection:
        await connection.execute(sa.update(tables.scans).values(facility_id=None))
    await house.split_into(
        scan.id, sure(codes[0]), unplaced(*codes), PageCodes(), Reading(lines=(), blank=True), sure(codes[0])
    )
    refused = await steps.take_in(house.store, pieces(b"refused"), "holiday.pdf", house.anna)
    async with house.store.database.writing() as connection:
        values = {"state": "rejected", "reason": Reason.TOOK_TOO_LONG}
        await connection.execute(sa.update(tables.scans).where(tables.scans.c.id == refused.scan_id).values(**values))
    house.clock.advance(hours=3)

    await page.goto(office.url())
    await look(page, "three pages wait")
    await press(page, "Begin with the oldest")
    await page.get_by_text("How its code was looked for").click()
    await look(page, "page with suggestions")
    width = await page.locator(".zoom img").evaluate("image => image.clientWidth")
    await page.get_by_label("Larger").check()
    assert await page.locator(".zoom img").evaluate("image => image.clientWidth") > 2 * width
    await look(page, "page, larger")
    await press(page, "This is the reply of John Sample to Mary")
    assert await states(house) == ["placed", "placed", "unmatched", "void", "held"]

    await page.get_by_text("Page 2 is now in the reply of John Sample.").wait_for()
    await look(page, "the next page")
    await page.get_by_label("The code on the page or a part of it").fill("primerov")
    await press(page, "Find")
    await look(page, "letters are found")
    await page.goto(page.url.replace("primerov", "nobody"))
    await look(page, "no letter is found")
    await press(page, "It is nobody's answer")
    assert await states(house) == ["placed", "placed", "void", "void", "held"]
    await look(page, "a page was put away")
    await press(page, "Undo")
    assert await states(house) == ["placed", "placed", "unmatched", "void", "held"]

    await press(page, "pile of Monday.pdf")
    await look(page, "one file")
    await press(page, "Back to the pages that wait 4")
    assert await states(house) == ["placed", "placed", "unmatched", "unmatched", "held"]
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_heap_is_worked_off_by_keys(office: Office) -> None:
    house = office.house
    sent = [await house.posted(name="Mary"), await house.posted(RUSSIAN)]
    codes = [await house.code(one) for one in sent]
    await house.split(unplaced(*codes), unplaced(*codes), PageCodes(), PageCodes())
    page = await office.page(DESKTOP)
    await press(page, "Begin with the oldest")
    await leaving(page, lambda: page.keyboard.press("2"))
    await leaving(page, lambda: page.keyboard.press("1"))
    await leaving(page, lambda: page.keyboard.press("n"))
    await leaving(page, lambda: page.keyboard.press("v"))
    assert await states(house) == ["placed", "placed", "unmatched", "void"]
    rows = {row.number: row.reply_id for row in await house.rows(tables.pages)}
    replies = {row.id: row.letter_id for row in await house.rows(tables.replies)}
    assert [replies[rows[1]], replies[rows[2]]] == [sent[1].id, sent[0].id]


async def test_keys_are_only_letters_in_the_search_and_where_they_are_switched_off(office: Office) -> None:
    house = office.house
    code = await house.code(await house.posted())
    await house.split(unplaced(code), PageCodes())
    page = await office.page(DESKTOP)
    await press(page, "Begin with the oldest")
    await page.get_by_label("The code on the page or a part of it").focus()
    await page.keyboard.type("1vn")
    await page.get_by_role("button", name="Keys").click()
    await page.get_by_label("Use these keys on this device").uncheck()
    await page.get_by_role("button", name="Close").click()
    await page.keyboard.press("1")
    await page.wait_for_timeout(300)
    assert await states(house) == ["unmatched", "unmatched"]


async def test_dropped_files_are_sent_one_by_one_and_told(office: Office) -> None:
    house = office.house
    known = await house.received(b"b.pdf", "first.pdf")
    page = await office.page(DESKTOP)
    await page.evaluate(DROP, ["a.pdf", "b.pdf", "c.pdf"])
    uploads = page.locator(".uploads li")
    await uploads.nth(2).get_by_text("taken").wait_for()
    await uploads.nth(1).get_by_role("link", name="had come before").wait_for()
    assert await uploads.all_inner_texts() == ["a.pdf\ntaken", "b.pdf\nhad come before", "c.pdf\ntaken"]
    link = page.get_by_role("link", name="had come before")
    assert await link.get_attribute("href") == f"/en/scan/{known}"
    # The list of files is brought up to date without a reload.
    for name in ("a.pdf", "c.pdf", "first.pdf"):
        await page.locator("#files-that-came").get_by_text(name).wait_for()
    assert len(await house.rows(tables.scans)) == 3


async def test_reading_is_followed_by_script_without_a_reload(office: Office) -> None:
    house = office.house
    code = await house.code(await house.posted())
    scan = await house.received(name="pile.pdf")
    await steps.note_count(house.store, scan, 2)
    page = await office.page(DESKTOP)
    await page.evaluate("window.same = true")
    await page.get_by_text("0 of 2 pages read").wait_for()
    await house.split_into(scan, sure(code), PageCodes())
    await page.get_by_role("link", name="Begin with the oldest").wait_for()
    await page.get_by_text("1 page placed").wait_for()
    assert await page.evaluate("window.same")


async def test_file_that_does_not_arrive_is_said(office: Office) -> None:
    page = await office.page(DESKTOP)
    await page.route("**/en/scan", lambda route: route.abort())
    await page.evaluate(DROP, ["a.pdf"])
    assert await page.locator(".uploads .wrong").inner_text() == "It did not arrive. Choose it again."


async def test_screens_fit_a_small_phone_in_all_languages(office: Office) -> None:
    house = office.house
    codes = [await house.code(await house.posted(name="Mary")), await house.code(await house.posted(RUSSIAN))]
    long = await house.received(name="a_name_without_spaces_as_scanners_give_them_2031_05_04_12_30_15_0001.pdf")
    await house.split_into(long, sure(codes[0]), unplaced(*codes), Reading(lines=(), blank=True))
    page = await office.page(NARROWEST, java_script_enabled=False)
    waits = await house.row(tables.pages, number=2)
    widths = {}
    for language in LANGUAGES:
        for path in ("", f"/{long}", f"/page/{waits.id}", f"/page/{waits.id}?q=sample"):
            await page.goto(office.url(path, language))
            widths[language, path] = await page.evaluate(WIDTH)
    assert widths == dict.fromkeys(widths, NARROWEST["width"])

"""The screens of the printing in a browser, which run no scripts: by phone, by keyboard, and with a hand scanner."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, ViewportSize

from print import print_jobs, steps
from print.print_jobs import PrintJobState
from relay.domain.languages import LANGUAGES
from relay.domain.lives import BatchState
from relay.domain.reply_code import MatrixCode, Side
from relay.store import tables
from tests.browser.conftest import AccessibilityFaults
from tests.browser.offices import Office, leaving
from tests.browser.screens import DESKTOP, NARROWEST, PHONE, WIDTH, Inspector
from tests.workplaces import ENGLISH, RUSSIAN, House, engine, filled_file, house, rendering_pool

__all__ = ["engine", "filled_file", "house", "rendering_pool"]

pytestmark = pytest.mark.browser


@pytest.fixture
def config() -> str:
    """The config of `house`, with a printer that is switched off."""
    site = '[site]\nname = "Example relay"\nreturn_address = ["PO Box 9", "00000 Nowhere"]\n'
    printer = '[[print.printers]]\nname = "Office"\nuri = "ipp://127.0.0.1:9/ipp/print"\n'
    return f"{site}[review]\nundo_minutes = 0\n{printer}"


@pytest.fixture
async def office(house: House, browser: Browser) -> Office:
    return Office(house, await house.office(), browser, "/print")


async def press(page: Page, name: str) -> None:
    """Press the only button, or follow the only link, of this name."""
    await leaving(page, page.get_by_role("button", name=name).or_(page.get_by_role("link", name=name)).click)


@pytest.mark.parametrize(
    ("size", "scripts"), [(PHONE, False), (DESKTOP, True)], ids=["phone without scripts", "desktop with scripts"]
)
async def test_evening_of_printing(
    office: Office, accessibility_faults: AccessibilityFaults, size: ViewportSize, scripts: bool
) -> None:
    house = office.house
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    page = await office.page(size, java_script_enabled=scripts)
    await look(page, "nothing waits")
    sent = await house.approved()
    await house.approved(RUSSIAN)
    async with house.store.database.writing() as connection:
        aside = {"set_aside_at": house.clock(), "last_error": "No font can print the character CUNEIFORM SIGN A."}
        await connection.execute(sa.update(tables.letters).where(tables.letters.c.id == sent.id).values(aside))
    await page.reload()
    await look(page, "one waits, one is set aside")
    await press(page, "Try again")

    await press(page, "Print everything that waits")
    assert await page.get_by_role("progressbar").count() == 2
    await press(page, "Stop the page from reloading")
    await look(page, "two batches are rendered")
    await press(page, "Look again")
    assert await house.render()
    assert await house.render()
    await page.wait_for_url(office.url())
    await look(page, "two batches are ready")

    await leaving(page, page.get_by_role("link", name=f"Print it {ENGLISH.facility.name}").click)
    await look(page, "rendered batch")
    batch = page.url.rpartition("/")[2]
    await press(page, "Look at the pages")
    await press(page, "Next")
    await page.get_by_label("Page", exact=True).fill("3")
    await press(page, "Go to page")
    assert await page.locator("h1").inner_text() == "Page 3 of 6"
    await look(page, "page of a batch")
    await press(page, f"← {ENGLISH.facility.name}")
    await press(page, "Send to Office")
    await press(page, "Stop the page from reloading")
    await look(page, "batch on its way to a printer")
    await press(page, "Cancel")
    await look(page, "cancelled job")
    await press(page, "Back to the batch")
    await press(page, "It is printed")
    await look(page, "printed batch")
    await page.get_by_label("Tracking number of envelope 1").fill("RR123456785GB")
    await leaving(page, lambda: page.keyboard.press("Enter"))
    assert await page.get_by_role("status").inner_text() == "The tracking numbers are stored."
    await press(page, "It is posted")
    await look(page, "posted batch")
    assert await house.state(sent) == "posted"

    await page.locator("tbody a.code").click()
    await look(page, "envelope found by its code")
    await press(page, "Who wrote to this prisoner")
    await press(page, "Put it into the next envelope")
    await look(page, "who wrote to a prisoner")
    await page.goto(office.url("/who-wrote?who=nobody"))
    await look(page, "nobody of this name")
    await page.goto(office.url("/who-wrote?who=e"))
    await look(page, "several prisoners")
    await page.goto(office.url("/code?code=xyz"))
    await look(page, "wrong code")

    await page.goto(office.url(f"/{batch}"))
    await press(page, "Print all as copies")
    assert await house.render()
    await page.get_by_text("These letters were printed before.").wait_for()
    await look(page, "batch of copies")
    assert {name: faults for name, faults in look.found.items() if faults} == {}


async def test_printer_that_fails_is_accessible(office: Office, accessibility_faults: AccessibilityFaults) -> None:
    house = office.house
    await house.approved()
    batch = await house.rendered()
    look = Inspector(await office.browser.new_page(), accessibility_faults)
    page = await office.page(PHONE, java_script_enabled=False)
    for state in (PrintJobState.UNKNOWN, PrintJobState.FAILED):
        job = await print_jobs.send_batch(house.store, house.settings, batch, "Office")
        async with house.store.database.writing() as connection:
            failed = {"state": state, "detail": "Paper is jammed.\nIt is stopped."}
            await connection.execute(
                sa.update(tables.print_jobs).where(tables.print_jobs.c.id == job).values(**failed, pages_done=17)
            )
        for path in ("", f"/{batch}", f"/{batch}/printer"):
            await page.goto(office.url(path))
            await look(page, f"{state} {path[:2]}{path[-8:]}")
        await page.goto(office.url(f"/{batch}/printer"))
        if state is PrintJobState.UNKNOWN:
            await press(page, "Pages are missing")
    assert {name: faults for name, faults in look.found.items() if faults} == {}


# --- an evening of returned mail


@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
async def test_returned_mail_is_recorded_by_keys_and_scanner_alone(office: Office, scripts: bool) -> None:
    house = office.house
    sent = [await house.posted(), await house.posted(RUSSIAN), await house.posted()]
    codes = [await house.code(one) for one in sent]
    page = await office.page(DESKTOP, java_script_enabled=scripts)
    await page.goto(office.url("/code"))
    typed = [str(MatrixCode(codes[0], 1, Side.A)), codes[1].lower(), codes[2]]
    # Space takes the first reason, an arrow each of the next.
    for code, reason in zip(typed, ["Space", "ArrowDown", "ArrowUp"], strict=True):
        await page.locator("[name=code]:focus").wait_for()
        await page.keyboard.type(code)
        await leaving(page, lambda: page.keyboard.press("Enter"))
        await page.locator("[name=reason]:focus").wait_for()
        await page.keyboard.press(reason)
        await leaving(page, lambda: page.keyboard.press("Enter"))
        await page.get_by_role("status").wait_for()
    rows = {row.id: row for row in await house.rows(tables.letters)}
    assert [(rows[one.id].state, rows[one.id].reason) for one in sent] == [
        ("held", "moved"),
        ("returned", "released"),
        ("returned", "not_accepted"),
    ]


async def test_enter_alone_records_nothing(office: Office) -> None:
    sent = await office.house.posted()
    page = await office.page(DESKTOP)
    await page.goto(office.url("/code"))
    await page.locator("[name=code]:focus").wait_for()
    await page.keyboard.type(await office.house.code(sent))
    await leaving(page, lambda: page.keyboard.press("Enter"))
    await page.locator("[name=reason][value=moved]:focus").wait_for()
    await page.keyboard.press("Enter")
    await page.wait_for_timeout(300)
    assert await page.get_by_text("Why did it come back?").count() == 1
    assert await office.house.state(sent) == "posted"


# --- everything fits


async def test_screens_fit_a_small_phone_in_all_languages(office: Office) -> None:
    house = office.house
    sent = [await house.approved(), await house.approved(RUSSIAN)]
    batch = await house.rendered()
    await steps.mark(house.store, batch, BatchState.PRINTED, house.volunteers["anna"])
    page = await office.page(NARROWEST, java_script_enabled=False)
    code = await house.code(sent[0])
    slug = ENGLISH.prisoner.slug
    paths = ["", f"/{batch}", f"/{batch}/page", "/code", f"/code?code={code}", "/who-wrote", f"/who-wrote/{slug}"]
    widths = {}
    for language in LANGUAGES:
        for path in paths:
            await page.goto(office.url(path, language))
            widths[language, path] = await page.evaluate(WIDTH)
    assert widths == dict.fromkeys(widths, NARROWEST["width"])

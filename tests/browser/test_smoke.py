"""That chromium starts, shows a page, and that axe sees what is wrong with one."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.browser.conftest import AccessibilityFaults

pytestmark = pytest.mark.browser

GOOD = "data:text/html;charset=utf-8,<!doctype html><html lang=ru><title>Письмо</title><main><h1>Письмо</h1></main>"
BAD = GOOD + "<img src=data:,>"


async def test_page_without_faults(page: Page, accessibility_faults: AccessibilityFaults) -> None:
    await page.goto(GOOD)
    assert await page.inner_text("h1") == "Письмо"
    assert await accessibility_faults(page) == []


async def test_page_with_picture_without_text(page: Page, accessibility_faults: AccessibilityFaults) -> None:
    await page.goto(BAD)
    assert await accessibility_faults(page) == ['image-alt: <img src="data:,">']


async def test_page_outside_this_machine(page: Page) -> None:
    with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
        await page.goto("http://example.org/")

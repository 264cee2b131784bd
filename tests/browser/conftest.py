"""Debian's chromium, driven through playwright, and axe for the accessibility of what it shows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""The tags of axe's rules that together are WCAG 2.2 AA."""

AccessibilityFaults = Callable[[Page], Awaitable[list[str]]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A new chromium that resolves no names and so reaches nothing but addresses of this machine."""
    if not CHROMIUM.exists():
        pytest.fail("chromium is missing: `./dev test` installs it, or: apt-get install chromium", pytrace=False)
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # chromium refuses to start as root with it
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        await chromium.close()


@pytest.fixture
async def page(browser: Browser) -> Page:
    """An empty page of that browser."""
    return await browser.new_page()


@pytest.fixture
def accessibility_faults() -> AccessibilityFaults:
    """`await accessibility_faults(page)`: a line for each element that breaks WCAG 2.2 AA, as far as axe can see."""

    async def faults(page: Page) -> list[str]:
        results = await Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
        return [
            f"{violation['id']}: {node['html']}"
            for violation in results.response["violations"]
            for node in violation["nodes"]
        ]

    return faults

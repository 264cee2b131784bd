"""The office of a house, as volunteers reach it by their browsers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, Page, ViewportSize

from relay.store import volunteers
from relay.web.sessions import COOKIE
from tests.workplaces import Client, House


@dataclass
class Office:
    """The office, or one part of it, whose overview is what browsers show first."""

    house: House
    client: Client
    browser: Browser
    part: str = ""
    """Where its screens begin, as in ``/print``."""

    def url(self, path: str = "", language: str = "en") -> str:
        """The address of a screen."""
        return str(self.client.make_url(f"/{language}{self.part}{path}"))

    async def page(self, size: ViewportSize, **options: Any) -> Page:
        """Anna's browser, on the overview of the part."""
        context = await self.browser.new_context(viewport=size, locale="en-GB", **options)
        async with self.house.store.database.writing() as connection:
            token = await volunteers.start_session(connection, self.house.volunteers["anna"], self.house.clock())
        await context.add_cookies([{"name": COOKIE, "value": token, "url": str(self.client.make_url("/"))}])
        page = await context.new_page()
        if self.part:
            await page.goto(self.url())
        return page


async def leaving(page: Page, act: Callable[[], Awaitable[Any]]) -> None:
    """Do what leads to another screen, and wait for that."""
    async with page.expect_navigation():
        await act()

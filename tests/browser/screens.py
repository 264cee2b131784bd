"""What every screen must be: without faults that axe sees, in light and in dark, and no wider than a small phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from playwright.async_api import Page, Route, ViewportSize

from tests.browser.conftest import AccessibilityFaults

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
NARROWEST: ViewportSize = {"width": 360, "height": 640}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH = "document.documentElement.scrollWidth"


class Look(Protocol):
    """Looks at the screen that a page shows now, and leaves it as it was."""

    async def __call__(self, page: Page, name: str) -> None:
        """Look at the screen of this name."""


@dataclass
class Inspector:
    """Collects the faults of screens, of each name once.

    The pages that people use here run no scripts, and axe is one. So it sees a copy: the same markup at the same
    address, in a page of its own.
    """

    page: Page
    accessibility_faults: AccessibilityFaults
    found: dict[str, list[str]] = field(default_factory=dict)

    async def __call__(self, page: Page, name: str) -> None:
        """Look at a screen."""
        if name in self.found:
            return
        faults = self.found[name] = []
        size = page.viewport_size
        assert size is not None
        await page.set_viewport_size(NARROWEST)
        if (width := await page.evaluate(WIDTH)) > NARROWEST["width"]:
            faults.append(f"{width} pixels wide")
        await page.set_viewport_size(size)
        markup = await page.content()

        async def copy(route: Route) -> None:
            await route.fulfill(body=markup, content_type="text/html; charset=utf-8")

        await self.page.set_viewport_size(size)
        await self.page.route(page.url, copy)
        await self.page.goto(page.url)
        for scheme in SCHEMES:
            await self.page.emulate_media(color_scheme=scheme)
            faults += [f"{scheme}: {fault}" for fault in await self.accessibility_faults(self.page)]
        await self.page.unroute(page.url)

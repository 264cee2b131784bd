"""What the tests of the scanner share: a private folder and a file in it, and the workplaces as they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from scanner.intake import PageFile, split
from scanner.limits import Limits
from tests.scanner.sheets import DPI
from tests.workplaces import config, engine, filled_file, house, office_client, rendering_pool

__all__ = ["config", "engine", "filled_file", "house", "office_client", "rendering_pool", "scan", "work"]

Scan = Callable[..., Awaitable[PageFile]]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The private folder that pages are written to."""
    folder = tmp_path / "work"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def scan(tmp_path: Path, work: Path) -> Scan:
    """Takes a picture in as a JPEG of one page, the way a scanner sends it."""

    async def scan(picture: Image.Image, dpi: int = DPI) -> PageFile:
        path = tmp_path / "scan.jpg"
        picture.save(path, quality=75, dpi=(dpi, dpi))
        (page,) = await split(path, work, Limits())
        return page

    return scan

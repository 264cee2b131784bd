"""One call for all engines: what is given to them, and where their words stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from scanner.recognition import Box, Failure, Recognised, Word, recognise


class Engine:
    """Reads one word in the middle of any picture and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self.asked: list[tuple[Sequence[str], int]] = []

    async def __call__(self, pgm: Path, languages: Sequence[str], dpi: int) -> Recognised:
        with Image.open(pgm) as picture:
            self.shown.append((picture.size, picture.convert("L").getextrema()))  # type: ignore[arg-type]
        self.asked.append((languages, dpi))
        return Recognised((Word("bread", 80, (10, 20, 30, 40), 0), Word("good", 70, (50, 20, 60, 40), 0)))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A grey page with a white area from (20, 30) to (70, 80)."""
    path = tmp_path / "0001.pgm"
    picture = Image.new("L", (100, 100), 128)
    picture.paste(255, (20, 30, 70, 80))
    picture.save(path)
    return path


async def test_recognise_shows_an_engine_the_whole_page(page: Path) -> None:
    engine = Engine()
    found = await recognise(engine, page, ("ru", "en"), 300)
    assert [word.box for word in found.words] == [(10, 20, 30, 40), (50, 20, 60, 40)]
    assert (engine.shown, engine.asked) == ([((100, 100), (128, 255))], [(("ru", "en"), 300)])


async def test_recognise_shows_an_engine_nothing_outside_the_area_and_finds_words_where_they_are(page: Path) -> None:
    engine = Engine()
    found = await recognise(engine, page, ("sv",), 200, (20, 30, 70, 80))
    assert found == Recognised((Word("bread", 80, (30, 50, 50, 70), 0), Word("good", 70, (70, 50, 80, 70), 0)))
    assert (engine.shown, engine.asked) == ([((50, 50), (255, 255))], [(("sv",), 200)])
    assert [path.name for path in page.parent.iterdir()] == ["0001.pgm"]


@pytest.mark.parametrize("area", [None, (0, 0, 50, 50)])
async def test_recognise_tells_why_an_engine_failed(page: Path, area: Box | None) -> None:
    async def failing(pgm: Path, languages: Sequence[str], dpi: int) -> Recognised:
        return Recognised(failure=Failure.TOOK_TOO_LONG)

    assert await recognise(failing, page, ("en",), 300, area) == Recognised((), Failure.TOOK_TOO_LONG)
    assert [path.name for path in page.parent.iterdir()] == ["0001.pgm"]

"""The optional engine: its account of a page, its failures, and the real one where it is installed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from scanner.kraken import NotAltoError, read_page, words_of
from scanner.recognition import Failure, Recognised, Word

ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
  <Layout><Page WIDTH="2480" HEIGHT="3508"><PrintSpace>
    <TextBlock>
      <TextLine HPOS="100" VPOS="90" WIDTH="400" HEIGHT="70">
        <String CONTENT="Привет," HPOS="100" VPOS="100" WIDTH="200" HEIGHT="50" WC="0.875">
          <Glyph CONTENT="П" HPOS="100" VPOS="100" WIDTH="20" HEIGHT="50" GC="0.9"/>
        </String>
        <SP/>
        <String CONTENT="&lt;друг&gt;" HPOS="320.4" VPOS="99.6" WIDTH="180" HEIGHT="50" WC="0.25"/>
      </TextLine>
      <TextLine HPOS="0" VPOS="0" WIDTH="1" HEIGHT="1"><String CONTENT=" " HPOS="0" VPOS="0" WIDTH="1" HEIGHT="1"/>
      </TextLine>
    </TextBlock>
    <TextBlock>
      <TextLine><String CONTENT="unsure" HPOS="100" VPOS="200" WIDTH="30" HEIGHT="40"/></TextLine>
      <TextLine><String CONTENT="besides" HPOS="300" VPOS="215" WIDTH="30" HEIGHT="50" WC="1"/></TextLine>
      <TextLine><String CONTENT="below" HPOS="400" VPOS="260" WIDTH="30" HEIGHT="40" WC="1"/></TextLine>
      <TextLine><String CONTENT="before" HPOS="100" VPOS="260" WIDTH="30" HEIGHT="40" WC="1"/></TextLine>
    </TextBlock>
  </PrintSpace></Page></Layout>
</alto>
"""
WORDS = (
    Word("Привет,", 87.5, (100, 100, 300, 150), 0),
    Word("<друг>", 25, (320, 100, 500, 150), 0),
    Word("unsure", 0, (100, 200, 130, 240), 1),
    Word("besides", 100, (300, 215, 330, 265), 1),
    Word("below", 100, (400, 260, 430, 300), 2),
    Word("before", 100, (100, 260, 130, 300), 3),
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """An empty page alone in a private folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    Image.new("L", (100, 100), 255).save(folder / "0001.pgm")
    return folder / "0001.pgm"


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called kraken, which the test still has to write; nothing else is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "kraken"
    path.touch()
    path.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return path


def test_words_of_alto_have_places_lines_and_confidences() -> None:
    assert words_of(ALTO.encode()) == WORDS


@pytest.mark.parametrize(
    "alto",
    [
        b"",
        b"Killed",
        ALTO.encode()[:-20],
        ALTO.replace('HPOS="100" VPOS="100" ', "").encode(),
        ALTO.replace('WIDTH="200"', 'WIDTH="wide"').encode(),
        ALTO.replace('WIDTH="200"', 'WIDTH="inf"').encode(),
    ],
)
def test_words_of_what_is_no_alto_is_an_error(alto: bytes) -> None:
    with pytest.raises(NotAltoError):
        words_of(alto)


async def test_read_page_gives_the_tool_the_page_and_the_model(page: Path, tool: Path, tmp_path: Path) -> None:
    (tmp_path / "said.xml").write_text(ALTO)
    tool.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {tmp_path}/said.xml {page.with_suffix(".alto.xml")}\n'
    )
    assert await read_page(page, ("ru",), 300, model=tmp_path / "hands.safetensors") == Recognised(WORDS)
    assert (tmp_path / "asked").read_text().split() == [
        *("--raise-on-error", "--alto", "--device", "cpu", "--threads", "1"),
        *("--input", str(page), str(page.with_suffix(".alto.xml")), "segment", "--baseline"),
        *("ocr", "--model", str(tmp_path / "hands.safetensors"), "--num-line-workers", "0"),
    ]
    assert list(page.parent.iterdir()) == [page]


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("exit 1", Failure.FAILED),
        ("exit 0", Failure.FAILED),
        ("echo nonsense > {alto}", Failure.FAILED),
        ("echo half > {alto}; exec sleep 60", Failure.TOOK_TOO_LONG),
    ],
)
async def test_read_page_by_a_tool_that_fails_has_no_words_and_the_reason(
    page: Path, tool: Path, script: str, failure: Failure
) -> None:
    tool.write_text(f"#!/bin/sh\n{script.format(alto=page.with_suffix('.alto.xml'))}\n")
    assert await read_page(page, ("ru",), 300, model="hands", seconds=1) == Recognised(failure=failure)
    assert list(page.parent.iterdir()) == [page]


async def test_read_page_without_the_tool_has_no_words_and_the_reason(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert await read_page(page, ("ru",), 300, model="hands") == Recognised(failure=Failure.MISSING)


async def test_read_page_by_the_real_tool_has_words_where_they_stand(page: Path) -> None:
    model = os.environ.get("KRAKEN_MODEL")
    if model is None or shutil.which("kraken") is None:
        pytest.skip("kraken is not in PATH, or KRAKEN_MODEL does not name a model that reads print")
    picture = Image.new("L", (1400, 600), 255)
    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 55)
    for top, text in ((100, "bread water salt"), (350, "good friend letter")):
        ImageDraw.Draw(picture).text((100, top), text, 0, font)
    picture.save(page)
    found = await read_page(page, ("en",), 300, model=model)
    rows = [word.box[1] // 225 for word in found.words]
    assert (found.failure, rows == sorted(rows), set(rows)) == (None, True, {0, 1})
    assert all(0 < word.confidence <= 100 for word in found.words)

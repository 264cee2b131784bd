"""Text recognition by the real tool, and what happens when it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pypdfium2
import pytesseract
import pytest
from PIL import Image

from relay.domain.reply_code import Side
from scanner.assembly import AssembledPage, assemble
from scanner.recognition import Failure, Recognised, recognise
from scanner.tesseract import MissingToolError, probe, read_page
from scanner.transcript import Lines, transcript, writing_area
from tests.scanner.conftest import Scan
from tests.scanner.sheets import SAMPLES, scanned, sheet

WORDS = "The weather is good\nand the bread is warm"


def lines_of(found: Lines) -> list[str]:
    """The lines of a transcript as text."""
    return [" ".join(word.text for word in line) for line in found]


async def test_sheet_is_transcribed_without_what_is_printed_on_it(scan: Scan, work: Path) -> None:
    page = await scan(scanned(sheet(words=WORDS), degrees=2, dpi=200), 200)
    before = {path.name for path in work.iterdir()}
    area = writing_area(page.geometry, Side.A)
    found = await recognise(read_page, page.pgm, ("en",), page.dpi, area)
    assert lines_of(transcript(found.words, (page.width, page.height))) == WORDS.splitlines()
    assert {path.name for path in work.iterdir()} == before


async def test_sheet_read_as_a_whole_has_what_is_printed_in_its_words_but_not_in_its_transcript(scan: Scan) -> None:
    page = await scan(scanned(sheet(words=WORDS), degrees=2, dpi=200), 200)
    found = await recognise(read_page, page.pgm, ("en",), page.dpi)
    assert {"Vymyshlenny", "page", "ABCD"} <= {word.text for word in found.words}
    area = writing_area(page.geometry, Side.A)
    assert lines_of(transcript(found.words, (page.width, page.height), area)) == WORDS.splitlines()


async def test_words_stand_where_they_were_written(scan: Scan) -> None:
    page = await scan(scanned(sheet(words="weather")))
    found = await recognise(read_page, page.pgm, ("en",), page.dpi, writing_area(page.geometry, Side.A))
    (word,) = [word for word in found.words if word.text == "weather"]
    left, top, right, bottom = word.box
    drawn = sheet(words="weather").crop((left, top, right, bottom))
    assert (right - left < 400, bottom - top < 100, drawn.getextrema()[0]) == (True, True, 30)


async def test_reply_is_searchable_where_it_is_written(scan: Scan) -> None:
    page = await scan(scanned(sheet(words=WORDS)))
    found = await recognise(read_page, page.pgm, ("en",), page.dpi, writing_area(page.geometry, Side.A))
    lines = transcript(found.words, (page.width, page.height))
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(page.jpeg.read_bytes(), lines)]))
    width, height = pdf[0].get_size()
    assert (round(width), round(height)) == (595, 842)
    text = pdf[0].get_textpage()
    assert text.get_text_range().split() == WORDS.split()
    left, bottom, right, top = text.get_charbox(text.get_text_range().index("weather"))
    drawn = pdf[0].render(scale=300 / 72).to_pil().convert("L")
    box = left, height - top, right, height - bottom
    assert drawn.crop(tuple(round(edge * 300 / 72) for edge in box)).getextrema()[0] < 100


@pytest.mark.parametrize(("language", "name"), [("sv", "sv/pages/so.jpg"), ("ru", "ru/pages/ex3.jpg")])
async def test_handwriting_gives_words_with_honest_confidence(scan: Scan, language: str, name: str) -> None:
    path = SAMPLES / "handwriting" / name
    if not path.is_file():
        pytest.skip(f"the sample is not there: {path}")
    with Image.open(path) as picture:
        page = await scan(picture.convert("RGB"), 72)
    found = await read_page(page.pgm, (language,), page.dpi)
    assert (len(found.words) > 50, found.failure) == (True, None)
    assert all(0 <= word.confidence <= 100 for word in found.words)


async def test_recognition_out_of_time_gives_an_empty_result_with_the_reason(work: Path) -> None:
    pgm = work / "0001.pgm"
    Image.effect_noise((6000, 8000), 120).save(pgm)
    assert await read_page(pgm, ("ru", "en"), 300, seconds=1) == Recognised(failure=Failure.TOOK_TOO_LONG)
    assert [path.name for path in work.iterdir()] == ["0001.pgm"]


async def test_recognition_of_nonsense_gives_an_empty_result_with_the_reason(work: Path) -> None:
    pgm = work / "0001.pgm"
    pgm.write_bytes(b"P5\n10 10\n255\n")
    assert await read_page(pgm, ("en",), 300) == Recognised(failure=Failure.FAILED)


async def test_recognition_without_the_tool_gives_an_empty_result_with_the_reason(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    Image.new("L", (10, 10)).save(work / "0001.pgm")
    assert await read_page(work / "0001.pgm", ("en",), 300) == Recognised(failure=Failure.MISSING)


async def test_recognition_in_what_is_no_language_of_the_relay_is_an_error(work: Path) -> None:
    with pytest.raises(KeyError, match="eng --oem 0"):
        await read_page(work / "0001.pgm", ("eng --oem 0",), 300)


def test_probe_names_what_is_installed() -> None:
    info = probe()
    assert (int(info.version.split(".")[0]) >= 4, {"rus", "eng", "deu", "swe"} <= set(info.languages)) == (True, True)


def test_probe_without_the_tool_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError) as missing:
        probe()
    assert str(missing.value) == (
        "tesseract, which reads the pages, is not installed: apt-get install tesseract-ocr tesseract-ocr-rus "
        "tesseract-ocr-eng tesseract-ocr-deu tesseract-ocr-swe"
    )


def test_probe_without_a_language_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytesseract, "get_languages", lambda: ["eng", "osd", "rus"])
    with pytest.raises(MissingToolError) as missing:
        probe()
    assert str(missing.value) == ("tesseract lacks languages: apt-get install tesseract-ocr-deu tesseract-ocr-swe")


def test_one_page_is_recognised_by_one_thread() -> None:
    assert os.environ["OMP_THREAD_LIMIT"] == "1"

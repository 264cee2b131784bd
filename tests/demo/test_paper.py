"""The demo's scan: a printed sheet with handwriting on it, askew, and still readable."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from PIL import Image, ImageDraw

from print.rendering import render
from relay.demo import paper
from relay.demo.paper import MissingHandwritingFontError, hand_written
from relay.domain.reply_code import MatrixCode, Side
from relay.domain.sheet import WRITING
from tests.print.letters import letter, page_of_sheet

SAMPLES = Path(__file__).parents[3] / "shared/samples/handwriting"
LETTER = letter(sheet_language="ru")
PDF = render([LETTER])
SHEET = page_of_sheet(LETTER)


def blue_ink(scan: bytes) -> float:
    """The part of the writing area that a blue pen has touched."""
    picture = np.asarray(Image.open(io.BytesIO(scan)), np.int16)
    return float((picture[..., 2] - picture[..., 0] > 30).sum() / (WRITING.width * WRITING.height / 25.4**2 * 300**2))


def check_scan(scan: bytes) -> None:
    picture = Image.open(io.BytesIO(scan))
    assert (picture.format, picture.info["dpi"]) == ("JPEG", (300, 300))
    found = zxingcpp.read_barcodes(picture)
    assert [code.text for code in found] == [str(MatrixCode(LETTER.code, 1, Side.A))] * 2
    assert {abs(code.orientation) for code in found} == {1}


def test_text_is_written_by_hand_on_the_sheet() -> None:
    scan = hand_written(PDF, SHEET, None)
    check_scan(scan)
    assert 0.01 < blue_ink(scan) < 0.2
    assert blue_ink(hand_written(PDF, SHEET, None, text="")) < 0.0001


def test_same_input_gives_the_same_scan() -> None:
    assert hand_written(PDF, SHEET, None) == hand_written(PDF, SHEET, None)


@pytest.mark.parametrize("page", ["ru/pages/ex2.jpg", "ru/pages/ex3.jpg", "ru/pages/hand1.jpg", "sv/pages/so.jpg"])
def test_photographed_handwriting_is_put_on_the_sheet(page: str) -> None:
    if not (SAMPLES / page).is_file():
        pytest.skip(f"the sample {page} is not here")
    scan = hand_written(PDF, SHEET, SAMPLES / page)
    check_scan(scan)
    assert 0.01 < blue_ink(scan) < 0.2


def test_shade_and_frame_of_a_photo_are_taken_away(tmp_path: Path) -> None:
    shade = np.tile(np.linspace(90, 250, 900, dtype=np.uint8), (1200, 1))
    photo = Image.fromarray(shade)
    pen = ImageDraw.Draw(photo)
    pen.rectangle((0, 0, 899, 1199), outline=0, width=20)
    pen.line((200, 300, 500, 300), fill=20, width=6)
    photo.save(tmp_path / "photo.png")
    # The one stroke is left, as large as the area is wide.
    assert 0.005 < blue_ink(hand_written(PDF, SHEET, tmp_path / "photo.png")) < 0.04


def test_white_page_writes_nothing(tmp_path: Path) -> None:
    Image.new("L", (300, 400), 255).save(tmp_path / "white.png")
    assert blue_ink(hand_written(PDF, SHEET, tmp_path / "white.png")) < 0.0001


def test_missing_handwriting_font_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "HANDWRITING_FONT", tmp_path / "none.ttf")
    with pytest.raises(MissingHandwritingFontError, match="apt-get install fonts-sjfonts"):
        hand_written(PDF, SHEET, None)

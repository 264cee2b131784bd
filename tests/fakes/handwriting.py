"""An answer that tesseract reads without fault, so that a test can look for its words."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from print.fonts import FOLDER

WRITTEN = ("Письмо получил", "спасибо за него")
"""The lines of the answer; few, so that a round is quick."""


def write_answer(file: Path) -> Path:
    """Make the picture of a page with the answer. Returns `file`."""
    paper = Image.new("L", (1200, 500), 250)
    pen = ImageDraw.Draw(paper)
    font = ImageFont.truetype(FOLDER / "paratype/PTF55F.ttf", 90)
    for line, words in enumerate(WRITTEN):
        pen.text((60, 60 + 160 * line), words, font=font, fill=30)
    paper.save(file)
    return file

"""The awkward letters of docs/awkward-letters, and the contact sheet of their first pages.

`python -m tests.print.awkward` draws docs/images/awkward-letters.png anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

from print.fonts import FOLDER, unprintable
from print.rendering import render
from tests.print.letters import letter

ROOT: Final = Path(__file__).parents[2]
FILES: Final = sorted((ROOT / "docs/awkward-letters").glob("*.txt"))
SHEET: Final = ROOT / "docs/images/awkward-letters.png"
COLUMNS: Final = 8
DPI: Final = 80
GREYS: Final = 16
CELL: Final = (664, 962)
"""Pixels: a page of A4 at this resolution, and its name above it."""
NAME: Final = 20


def text_of(file: Path) -> str:
    """The letter as it was typed, with its own line ends."""
    return file.read_bytes().decode()


def rendered(text: str) -> bytes:
    """The letter as PDF, without reply sheets."""
    language = "ru" if "ы" in text else "en"
    return render([letter(text, reply_sheets=0, sheet_language=language)])


def _first_page(text: str) -> Image.Image:
    with pypdfium2.PdfDocument(rendered(text)) as document:
        page: Image.Image = document[0].render(scale=DPI / 72, grayscale=True).to_pil()
        return page


def _cell(file: Path) -> Image.Image:
    cell = Image.new("L", CELL, 255)
    draw = ImageDraw.Draw(cell)
    font = ImageFont.truetype(FOLDER / "paratype/PTS55F.ttf", NAME)
    draw.text((2, 0), file.stem, 0, font)
    if found := unprintable(text_of(file)):
        words = [f"line {each.line}, column {each.column}:\n    {each.name}" for each in found]
        draw.text((40, 80), "\n".join(["Refused:", *words]), 0, font)
    else:
        cell.paste(_first_page(text_of(file)), (0, NAME + 6))
    draw.rectangle((0, NAME + 6, CELL[0] - 2, CELL[1] - 2), outline=128)
    return cell


def main() -> None:
    rows = -(-len(FILES) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * CELL[0], rows * CELL[1]), 255)
    for place, file in enumerate(FILES):
        sheet.paste(_cell(file), (place % COLUMNS * CELL[0], place // COLUMNS * CELL[1]))
    sheet.quantize(GREYS).save(SHEET, optimize=True)


if __name__ == "__main__":
    main()

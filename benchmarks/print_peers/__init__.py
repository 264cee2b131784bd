"""The same pages made by other programs: a letter of one page, its blank back, and both sides of its reply sheet.

Each draws them by its own means, as quick as its documentation shows: the matrix codes come as ready pixels, one small
picture for each side, drawn twice. Positions, words and fonts are those of the relay; hair's breadths may differ.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader
from PIL import Image

from print.fonts import FOLDER as FONTS
from print.reply_sheet import instructions, matrix_modules, words_of_ticks
from relay.domain import sheet
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import MatrixCode, Side, grouped

HERE: Final = Path(__file__).parent
LANGUAGE: Final = "ru"
FONT_FILES: Final = {
    ("sans", ""): "paratype/PTS55F.ttf",
    ("sans", "B"): "paratype/PTS75F.ttf",
    ("serif", ""): "paratype/PTF55F.ttf",
    ("mono", "B"): "dejavu/DejaVuSansMono-Bold.ttf",
}

Batch = Mapping[str, Any]
"""What stands where: words and numbers as JSON has them."""


def batch_of(letters: Sequence[LetterToPrint]) -> Batch:
    """What the peers print for these letters, each of which has one page and one reply sheet."""
    hole = sheet.MARKS[sheet.HOLLOW_MARK].grown((sheet.MARK_HOLE - sheet.MARK) / 2)
    return {
        "page": (sheet.PAGE.width, sheet.PAGE.height),
        "modules": sheet.MATRIX_MODULES,
        "marks": [(mark.x, mark.y) for mark in sheet.MARKS],
        "mark": sheet.MARK,
        "hole": (hole.x, hole.y),
        "matrices": [(place.x, place.y) for place in sheet.MATRICES],
        "readable": [(place.x, place.y + (place.height + sheet.CODE_HEIGHT) / 2) for place in sheet.READABLE],
        "address": [
            {"at": (sheet.RETURN_ADDRESS.x, sheet.RETURN_ADDRESS.y + 3 + 4.6 * number), "words": words}
            for number, words in enumerate(("Пожалуйста, пришлите этот бланк по адресу:", *letters[0].return_address))
        ],
        "words": {
            "page": "страница 1 из 1",
            "date": "22 ноября 2025 г.",
            "sender": f"От кого: {letters[0].printed_name}",
            "code": "Код для ответа",
        },
        "sides": [_side(side) for side in Side],
        "letters": [
            {
                "prisoner": letter.prisoner_name,
                "text": letter.text,
                "code": grouped(letter.code),
                "matrices": [_pixels(letter, side).ravel().tolist() for side in Side],
            }
            for letter in letters
        ],
    }


def _side(side: Side) -> Batch:
    area, first = sheet.writing(side), sheet.INSTRUCTIONS
    return {
        "place": f"Бланк для ответа 1 из 1, сторона {side} (страница {list(Side).index(side) + 1} из 2)",
        "instructions": [
            {"at": (first.x + place % 2 * first.width / 2, first.y + 5 + place // 2 * 7), "words": f"• {words}"}
            for place, words in enumerate(instructions(LANGUAGE, side))
        ],
        "rules": [area.y + line * sheet.RULE for line in range(1, int(area.height / sheet.RULE) + 1)],
        "ticks": [
            {"at": (sheet.tick_box(tick).x, sheet.tick_box(tick).y), "words": words}
            for tick, words in words_of_ticks(LANGUAGE).items()
            if side is sheet.TICK_SIDE
        ],
    }


def _pixels(letter: LetterToPrint, side: Side) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.where(matrix_modules(MatrixCode(letter.code, 1, side)), 0, 255).astype(np.uint8)


def _picture(pixels: Sequence[int]) -> Image.Image:
    return Image.frombytes("L", (sheet.MATRIX_MODULES, sheet.MATRIX_MODULES), bytes(pixels))


def with_typst(batch: Batch) -> bytes:
    """The PDF of one call of typst, which uses all cores; without tags, as the relay's."""
    import typst  # noqa: PLC0415 - only for benchmarks, and so are the others

    letters = [
        {name: value for name, value in letter.items() if name != "matrices"} | {"number": number}
        for number, letter in enumerate(batch["letters"])
    ]
    matrices = b"".join(bytes(pixels) for letter in batch["letters"] for pixels in letter["matrices"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "batch.json").write_text(json.dumps(dict(batch) | {"letters": letters}), "utf-8")
        (Path(folder) / "matrices").write_bytes(matrices)
        shutil.copy(HERE / "batch.typ", folder)
        pdf: bytes = typst.compile(
            f"{folder}/batch.typ",
            font_paths=[str(FONTS / "paratype"), str(FONTS / "dejavu")],
            ignore_system_fonts=True,
            pdf_tags=False,
        )
    return pdf


def with_weasyprint(batch: Batch) -> bytes:
    """The PDF that WeasyPrint makes of a page of HTML."""
    import weasyprint  # noqa: PLC0415

    letters = [
        letter | {"pictures": [_as_link(_picture(pixels)) for pixels in letter["matrices"]]}
        for letter in batch["letters"]
    ]
    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True)
    html = templates.get_template("batch.html").render(dict(batch) | {"letters": letters})
    pdf: bytes = weasyprint.HTML(string=html).write_pdf()
    return pdf


def _as_link(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def with_fpdf2(batch: Batch) -> bytes:
    """The PDF that fpdf2 makes, drawn step by step."""
    import fpdf  # noqa: PLC0415

    pdf = fpdf.FPDF(unit="mm", format="A4")
    pdf.set_auto_page_break(False)
    pdf.set_margin(0)
    pdf.c_margin = 0
    for (family, style), file in FONT_FILES.items():
        pdf.add_font(family, style, FONTS / file)

    def word(at: Sequence[float], size: float, words: str, family: str = "sans", style: str = "") -> None:
        pdf.set_font(family, style, size)
        pdf.text(at[0], at[1], words)

    def ending(x: float, y: float, size: float, words: str, family: str = "sans", style: str = "") -> None:
        pdf.set_font(family, style, size)
        pdf.text(x - pdf.get_string_width(words), y, words)

    for letter in batch["letters"]:
        pdf.add_page()
        word((25, 24), 10.5, letter["prisoner"], style="B")
        ending(185, 24, 10.5, batch["words"]["page"])
        pdf.set_line_width(0.18)
        pdf.line(25, 27.5, 185, 27.5)
        ending(185, 38, 12, batch["words"]["date"], "serif")
        pdf.set_font("serif", "", 12)
        pdf.set_xy(25, 46)
        pdf.multi_cell(160, 6, letter["text"], align="L")
        word((25, pdf.get_y() + 10), 10.5, batch["words"]["sender"])
        word((25, 277), 10.5, batch["words"]["code"])
        ending(185, 277, 10.5, letter["code"], "mono", "B")
        pdf.add_page()
        for side, pixels in zip(batch["sides"], letter["matrices"], strict=True):
            pdf.add_page()
            _draw_side(pdf, batch, letter, side, word)
            picture = _picture(pixels)
            for x, y in batch["matrices"]:
                pdf.image(picture, x, y, batch["modules"], batch["modules"])
    return bytes(pdf.output())


def _draw_side(pdf: Any, batch: Batch, letter: Batch, side: Batch, word: Callable[..., None]) -> None:
    for x, y in batch["marks"]:
        pdf.rect(x, y, batch["mark"], batch["mark"], "F")
    pdf.set_fill_color(255)
    pdf.rect(*batch["hole"], 3, 3, "F")
    pdf.set_fill_color(0)
    for one in side["instructions"]:
        word(one["at"], 11.5, one["words"])
    pdf.set_draw_color(158)
    pdf.set_line_width(0.2)
    for y in side["rules"]:
        pdf.line(15, y, 195, y)
    pdf.set_draw_color(0)
    pdf.set_line_width(0.4)
    for one in side["ticks"]:
        pdf.rect(*one["at"], 5, 5)
        word((one["at"][0] + 8, one["at"][1] + 3.9), 11.5, one["words"])
    word((20, 15), 15, letter["prisoner"], style="B")
    word((20, 20.5), 10.5, side["place"])
    pdf.set_char_spacing(1 / 25.4 * 72)
    for place in batch["readable"]:
        word(place, 19.44, letter["code"], "mono", "B")
    pdf.set_char_spacing(0)
    for one in batch["address"]:
        word(one["at"], 11, one["words"])


PEERS: Final[Mapping[str, Callable[[Batch], bytes]]] = {
    "typst": with_typst,
    "fpdf2": with_fpdf2,
    "WeasyPrint": with_weasyprint,
}

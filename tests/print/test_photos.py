"""Photos on paper: each on a page of its own, upright, as large as it fits, in the frame of the letter's pages."""

from __future__ import annotations

import io

import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image

from print.letter_pages import FOOTER_BASELINE, HEADER_RULE, MARGIN, PHOTO, PHOTO_DPI, WIDTH, page_count
from print.rendering import RenderingPool, page_of_sheet, preview, render
from relay.domain.letter_pages import LetterToPrint
from relay.domain.reply_code import new_reply_code
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import POINTS, letter, pages_in, picture_of, text_in

HEADER = Rect(0, 0, PAGE.width, HEADER_RULE)
FOOTER = Rect(0, FOOTER_BASELINE - 5, PAGE.width, 15)
RED, BLUE = (220, 30, 30), (30, 40, 220)


def photo(width: int, height: int) -> bytes:
    """A photo that is red above and blue below."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    written = io.BytesIO()
    image.save(written, "JPEG")
    return written.getvalue()


LANDSCAPE, PORTRAIT = photo(1600, 1200), photo(1200, 1600)


def with_photos(*photos: bytes, **changes: object) -> LetterToPrint:
    """A letter of one page with these photos."""
    return letter(**({"photos": photos} | changes))  # type: ignore[arg-type]


def places_of(pdf: bytes) -> list[list[Rect]]:
    """Where photos lie, page by page."""
    found = []
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            pictures = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])
            edges = [[edge / POINTS for edge in picture.get_bounds()] for picture in pictures]
            found.append([Rect(x, PAGE.height - top, right - x, top - bottom) for x, bottom, right, top in edges])
    return found


def test_photos_come_between_the_text_and_the_sheets_and_have_blank_backs() -> None:
    one = letter("word " * 1000, photos=(LANDSCAPE, PORTRAIT), reply_sheets=2)
    pdf = render([one, with_photos(code=new_reply_code())])
    blank = [text_in(pdf, page) == "" and picture_of(pdf, page).min() == 255 for page in range(pages_in(pdf))]
    letter_page, sheet = [False, True], [False, False]
    assert blank == letter_page * 4 + sheet * 2 + letter_page + sheet
    assert (page_count(one), page_of_sheet(one), page_of_sheet(one, 2)) == (4, 8, 10)
    assert [len(places) for places in places_of(pdf)] == [0, 0, 0, 0, 1, 0, 1, 0] + [0] * 8


def test_frame_counts_the_photos_as_pages() -> None:
    pdf = render([letter("word " * 1000, photos=(LANDSCAPE, PORTRAIT))])
    assert [text_in(pdf, page, HEADER) for page in (0, 2, 4, 6)] == [
        f"Max Example page {number} of 4" for number in (1, 2, 3, 4)
    ]
    assert [text_in(pdf, page, FOOTER) for page in (0, 2, 4, 6)] == ["Reply code 2222 2222 2222"] * 4


def test_page_of_a_photo_says_nothing_but_its_frame() -> None:
    words = text_in(render([with_photos(LANDSCAPE)]), 2)
    assert words == "Max Example page 2 of 2 Reply code 2222 2222 2222"


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        ((1600, 1200), (WIDTH, WIDTH * 3 / 4)),
        ((1200, 1600), (WIDTH, WIDTH * 4 / 3)),
        ((1600, 267), (WIDTH, WIDTH * 267 / 1600)),
        ((400, 1600), (PHOTO.height / 4, PHOTO.height)),
        ((120, 90), (120 / PHOTO_DPI * 25.4, 90 / PHOTO_DPI * 25.4)),
        ((1, 1), (25.4 / PHOTO_DPI, 25.4 / PHOTO_DPI)),
        ((1600, 1), (WIDTH, WIDTH / 1600)),
    ],
    ids=["landscape", "portrait", "panorama", "tower", "tiny", "dot", "line"],
)
def test_photo_is_as_large_as_it_fits_and_not_coarser_than_it_may_be(
    pixels: tuple[int, int], size: tuple[float, float]
) -> None:
    (place,) = places_of(render([with_photos(photo(*pixels))]))[2]
    assert (place.width, place.height) == pytest.approx(size, abs=0.02)
    assert place.x + place.width / 2 == pytest.approx(PAGE.width / 2, abs=0.02)
    assert place.y == pytest.approx(PHOTO.y, abs=0.02)


def test_room_of_a_photo_keeps_clear_of_the_frame() -> None:
    assert (PHOTO.x, PHOTO.right) == (MARGIN, PAGE.width - MARGIN)
    assert (PHOTO.y - HEADER_RULE > 4, FOOTER_BASELINE - PHOTO.bottom > 5) == (True, True)


def test_photo_stands_upright_and_in_its_colours() -> None:
    with pypdfium2.PdfDocument(render([with_photos(PORTRAIT)])) as document:
        page = document[2].render(scale=100 / 72).to_pil().convert("RGB")
    middle = PHOTO.x + PHOTO.width / 2
    places = [(middle, PHOTO.y + down) for down in (WIDTH / 3, WIDTH)]
    found = [page.getpixel((round(x * 100 / 25.4), round(y * 100 / 25.4))) for x, y in places]
    assert found == [pytest.approx(RED, abs=8), pytest.approx(BLUE, abs=8)]


def test_photo_is_in_the_file_as_it_was_kept_and_once() -> None:
    pdf = render([with_photos(LANDSCAPE), with_photos(LANDSCAPE, PORTRAIT, code=new_reply_code())])
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert document.check_pdf_syntax() == []
        streams = [one for one in document.objects if isinstance(one, pikepdf.Stream)]
        kept = [bytes(one.read_raw_bytes()) for one in streams if one.get("/Subtype") == "/Image"]
    assert sorted(kept) == sorted([LANDSCAPE, PORTRAIT])


def test_same_photos_give_the_same_bytes() -> None:
    assert render([with_photos(LANDSCAPE, PORTRAIT)]) == render([with_photos(LANDSCAPE, PORTRAIT)])


async def test_other_process_gives_the_same_bytes_with_photos() -> None:
    pool = RenderingPool()
    try:
        assert await pool.render([with_photos(LANDSCAPE)]) == render([with_photos(LANDSCAPE)])
        assert pool.page_count("word " * 1000) == 2
    finally:
        await pool.close()


def test_preview_without_sheets_shows_the_pages_of_the_letter_and_its_photos() -> None:
    shown = [Image.open(io.BytesIO(page)) for page in preview(with_photos(LANDSCAPE, PORTRAIT, reply_sheets=0))]
    assert [one.mode for one in shown] == ["L"] * 3
    shades = {round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in (RED, BLUE)}
    for one in shown[1:]:
        count = np.bincount(np.asarray(one).ravel(), minlength=256)
        assert [count[shade - 4 : shade + 5].sum() > 50_000 for shade in shades] == [True, True]

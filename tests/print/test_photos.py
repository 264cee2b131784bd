"""Photos on paper: one, two or four to a page, upright, as large as they may be, in the frame of the letter's pages."""

from __future__ import annotations

import io

import numpy as np
import pikepdf
import pypdfium2
import pytest
from PIL import Image

from print.layouts import FOOTER_BASELINE, HEADER_RULE, SETTINGS
from print.letter_pages import page_count
from print.photos import GAP, PHOTO, PHOTO_DPI
from print.rendering import preview
from relay.domain.letter_pages import LetterToPrint
from relay.domain.printing import Layout, PrintRules
from relay.domain.sheet import PAGE, Rect
from tests.print.letter_pdf import drawn, pictures_of
from tests.print.letters import letter, text_in

HEADER = Rect(0, 0, PAGE.width, HEADER_RULE)
FOOTER = Rect(0, FOOTER_BASELINE - 5, PAGE.width, 15)
RED, BLUE = (220, 30, 30), (30, 40, 220)
WIDTH, HALF = PHOTO.width, (PHOTO.height - GAP) / 2
COLUMN = (PHOTO.width - GAP) / 2


def photo(width: int, height: int) -> bytes:
    """A photo that is red above and blue below."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    written = io.BytesIO()
    image.save(written, "JPEG")
    return written.getvalue()


LANDSCAPE, PORTRAIT, PANORAMA, TINY = photo(1600, 1200), photo(1200, 1600), photo(1600, 267), photo(120, 90)


def with_photos(*photos: bytes, **changes: object) -> LetterToPrint:
    """A letter of one page with these photos."""
    return letter(**({"photos": photos} | changes))  # type: ignore[arg-type]


def several(to_a_page: int, *photos: bytes, **rules: object) -> list[list[Rect]]:
    """Where photos lie on the pages after the letter's, so many to a page."""
    chosen = PrintRules.model_validate({"photos_per_page": to_a_page} | rules)
    return pictures_of(drawn(with_photos(*photos, rules=chosen)))[1:]


def size_of(place: Rect) -> tuple[float, float]:
    return place.width, place.height


def test_photos_come_after_the_text() -> None:
    one = letter("word " * 1000, photos=(LANDSCAPE, PORTRAIT))
    assert [len(places) for places in pictures_of(drawn(one))] == [0, 0, 1, 1]
    assert page_count(one) == 4


@pytest.mark.parametrize(
    ("to_a_page", "count", "pages"),
    [(1, 3, [1, 1, 1]), (2, 3, [2, 1]), (2, 4, [2, 2]), (4, 3, [3]), (4, 5, [4, 1]), (4, 8, [4, 4])],
)
def test_so_many_photos_stand_on_a_page_as_the_facility_wants(to_a_page: int, count: int, pages: list[int]) -> None:
    photos = [photo(800, 600 + number) for number in range(count)]
    assert [len(places) for places in several(to_a_page, *photos)] == pages
    rules = PrintRules.model_validate({"photos_per_page": to_a_page})
    assert page_count(with_photos(*photos, rules=rules)) == 1 + len(pages)


def test_frame_counts_the_photos_as_pages() -> None:
    pdf = drawn(letter("word " * 1000, photos=(LANDSCAPE, PORTRAIT)))
    assert [text_in(pdf, page, HEADER) for page in range(4)] == [
        f"Max Example page {number} of 4" for number in (1, 2, 3, 4)
    ]
    assert [text_in(pdf, page, FOOTER) for page in range(4)] == ["Reply code 2222 2222 2222"] * 4


def test_page_of_a_photo_says_nothing_but_its_frame() -> None:
    words = text_in(drawn(with_photos(LANDSCAPE)), 1)
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
    ((place,),) = several(1, photo(*pixels))
    assert size_of(place) == pytest.approx(size, abs=0.02)
    assert place.centre[0] == pytest.approx(PAGE.width / 2, abs=0.02)
    assert place.y == pytest.approx(PHOTO.y, abs=0.02)


def test_two_photos_stand_one_under_the_other_in_the_middle_of_the_page() -> None:
    ((upper, lower),) = several(2, LANDSCAPE, PORTRAIT)
    assert [size_of(upper), size_of(lower)] == [
        pytest.approx((HALF * 4 / 3, HALF), abs=0.02),
        pytest.approx((HALF * 3 / 4, HALF), abs=0.02),
    ]
    assert [place.centre[0] for place in (upper, lower)] == pytest.approx([PAGE.width / 2] * 2, abs=0.02)
    assert (upper.y, lower.y - upper.bottom) == pytest.approx((PHOTO.y, GAP), abs=0.02)


def test_four_photos_stand_in_two_rows_and_two_columns() -> None:
    ((one, two, three, four),) = several(4, LANDSCAPE, PORTRAIT, PANORAMA, TINY)
    assert [place.width for place in (one, two, three)] == pytest.approx([COLUMN] * 3, abs=0.02)
    assert [place.centre[0] for place in (three, four)] == pytest.approx(
        [place.centre[0] for place in (one, two)], abs=0.02
    )
    assert [one.centre[1], three.centre[1]] == pytest.approx([two.centre[1], four.centre[1]], abs=0.02)
    assert two.x - one.right == pytest.approx(GAP, abs=0.02)
    assert three.centre[1] > two.bottom + GAP


@pytest.mark.parametrize(
    ("pixels", "size"),
    [((1600, 1200), (100, 75)), ((1200, 1600), (75, 100)), ((1600, 1600), (80, 80)), ((1600, 400), (100, 25))],
    ids=["landscape", "portrait", "square", "panorama"],
)
@pytest.mark.parametrize("to_a_page", [1, 2])
def test_photo_is_never_larger_than_the_facility_takes(
    to_a_page: int, pixels: tuple[int, int], size: tuple[float, float]
) -> None:
    ((place,),) = several(to_a_page, photo(*pixels), photo_mm=(100, 80))
    assert size_of(place) == pytest.approx(size, abs=0.02)


def test_large_limit_of_the_facility_makes_no_photo_larger() -> None:
    assert several(1, TINY, photo_mm=(500, 500)) == several(1, TINY)


@pytest.mark.parametrize("to_a_page", [1, 2, 4])
def test_photos_stay_in_their_room_clear_of_the_frame(to_a_page: int) -> None:
    tower = photo(400, 1600)
    for places in several(to_a_page, tower, PORTRAIT, LANDSCAPE, PANORAMA, PORTRAIT, tower):
        for place in places:
            assert PHOTO.x - 0.02 <= place.x < place.right <= PHOTO.right + 0.02
            assert PHOTO.y - 0.02 <= place.y < place.bottom <= PHOTO.bottom + 0.02
    largest = max(setting.small for setting in SETTINGS.values()) / 72 * 25.4
    assert (PHOTO.y - HEADER_RULE > 4, FOOTER_BASELINE - largest - PHOTO.bottom > 4) == (True, True)


def picture_in_colour(pdf: bytes, page: int) -> Image.Image:
    with pypdfium2.PdfDocument(pdf) as document:
        picture: Image.Image = document[page].render(scale=100 / 72).to_pil().convert("RGB")
    return picture


@pytest.mark.parametrize(("grey", "shades"), [(False, [RED, BLUE]), (True, [(87,) * 3, (58,) * 3])])
def test_photo_stands_upright_in_its_colours_or_in_grey(grey: bool, shades: list[tuple[int, int, int]]) -> None:
    page = picture_in_colour(drawn(with_photos(PORTRAIT, rules=PrintRules(grey=grey))), 1)
    places = [(PHOTO.centre[0], PHOTO.y + down) for down in (WIDTH / 3, WIDTH)]
    found = [page.getpixel((round(x * 100 / 25.4), round(y * 100 / 25.4))) for x, y in places]
    assert found == [pytest.approx(shade, abs=8) for shade in shades]


def pictures_in(pdf: bytes) -> list[tuple[str, bytes]]:
    """Colours and bytes of each picture that the file holds."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert document.check_pdf_syntax() == []
        streams = [one for one in document.objects if isinstance(one, pikepdf.Stream)]
        return [
            (str(one.ColorSpace), bytes(one.read_raw_bytes())) for one in streams if one.get("/Subtype") == "/Image"
        ]


def test_photo_is_in_the_file_as_it_was_kept_and_once() -> None:
    pdf = drawn(with_photos(LANDSCAPE, PORTRAIT, LANDSCAPE))
    assert sorted(pictures_in(pdf)) == sorted([("/DeviceRGB", LANDSCAPE), ("/DeviceRGB", PORTRAIT)])


def test_grey_photo_has_no_colours_in_the_file_and_is_there_once() -> None:
    pdf = drawn(with_photos(LANDSCAPE, LANDSCAPE, rules=PrintRules(grey=True)))
    assert [colours for colours, _ in pictures_in(pdf)] == ["/DeviceGray"]


@pytest.mark.parametrize("grey", [False, True])
def test_same_photos_give_the_same_bytes(grey: bool) -> None:
    one = with_photos(LANDSCAPE, PORTRAIT, rules=PrintRules(grey=grey))
    assert drawn(one) == drawn(one)


@pytest.mark.parametrize("layout", Layout)
def test_photos_stand_where_they_stand_in_every_layout(layout: Layout) -> None:
    assert pictures_of(drawn(with_photos(LANDSCAPE, layout=layout))) == pictures_of(drawn(with_photos(LANDSCAPE)))


def test_preview_without_sheets_shows_the_pages_of_the_letter_and_its_photos() -> None:
    shown = [Image.open(io.BytesIO(page)) for page in preview(with_photos(LANDSCAPE, PORTRAIT, reply_sheets=0))]
    assert [one.mode for one in shown] == ["L"] * 3
    shades = {round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in (RED, BLUE)}
    for one in shown[1:]:
        count = np.bincount(np.asarray(one).ravel(), minlength=256)
        assert [count[shade - 4 : shade + 5].sum() > 50_000 for shade in shades] == [True, True]

"""Covered parts of a page: whatever could leak is there before, and must not be there after."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pypdfium2
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from relay.domain.letters import COVER, Word
from scanner.assembly import AssembledPage, assemble
from scanner.covering import Box, CoverFailedError, cover, without_covered

SIZE = (1653, 2339)
NAME: Box = (0.3, 0.4, 0.55, 0.425)
"""Where the name stands that must not be seen."""


def page(mode: str, secret: str, quality: int = 75) -> bytes:
    """A picture with a sentence, a secret in the place of NAME, and everything in the file that could tell it too."""
    picture = Image.new(mode, SIZE, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 38)
    draw.text((200, 800), "Greetings from", "black", font)
    draw.text((NAME[0] * SIZE[0] + 4, NAME[1] * SIZE[1]), secret, "blue" if mode == "RGB" else "black", font)
    exif = Image.Exif()
    exif[0x010E] = secret
    written = BytesIO()
    picture.save(written, "JPEG", quality=quality, dpi=(200, 200), exif=exif, comment=secret, icc_profile=b"profile")
    return written.getvalue()


def pixels(jpeg: bytes) -> NDArray[np.uint8]:
    """The pixels of a picture, in colour."""
    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"))


def inside(jpeg: bytes, box: Box) -> NDArray[np.uint8]:
    """The pixels of a place."""
    left, top, right, bottom = box
    return pixels(jpeg)[round(top * SIZE[1]) : round(bottom * SIZE[1]), round(left * SIZE[0]) : round(right * SIZE[0])]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [35, 75, 95])
def test_cover_gives_the_same_bytes_whatever_stood_there(mode: str, quality: int) -> None:
    one, other = page(mode, "Ivan Vymyshlenny", quality), page(mode, "O. Primer", quality)
    assert one != other
    assert inside(one, NAME).min() < 100
    assert cover(one, [NAME]) == cover(other, [NAME])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_cover_makes_the_place_black_and_leaves_the_rest(mode: str) -> None:
    before = page(mode, "Ivan Vymyshlenny")
    after = cover(before, [NAME])
    assert (inside(after, NAME).max() <= 8, Image.open(BytesIO(after)).mode) == (True, mode)
    written = (200 / SIZE[0], 0.33, 0.6, 0.38)
    change = np.abs(inside(after, written).astype(int) - inside(before, written))
    assert (inside(before, written).min() < 50, change.max() < 60, change.mean() < 1) == (True, True, True)
    black = (pixels(after).max(axis=2) <= 8).sum() / (SIZE[0] * SIZE[1])
    share = (NAME[2] - NAME[0]) * (NAME[3] - NAME[1])
    assert share < black < 2 * share + 0.01


def test_cover_keeps_the_resolution_and_nothing_else_of_the_file() -> None:
    before, after = (Image.open(BytesIO(jpeg)) for jpeg in (page("L", "S"), cover(page("L", "S"), [NAME])))
    assert {"exif", "comment", "icc_profile"} <= set(before.info)
    assert sorted(after.info) == ["dpi", "jfif", "jfif_density", "jfif_unit", "jfif_version"]
    assert after.info["dpi"] == (200, 200)


def test_cover_at_the_edges_of_the_page_stays_within_it() -> None:
    corners: list[Box] = [(0, 0, 0.1, 0.1), (0.9, 0.9, 1, 1)]
    after = cover(page("RGB", "S"), corners)
    assert (pixels(after).shape, [int(inside(after, corner).max()) for corner in corners]) == ((*SIZE[::-1], 3), [0, 0])


def test_cover_does_not_make_a_page_much_larger() -> None:
    before = page("L", "Ivan Vymyshlenny", quality=40)
    assert len(cover(before, [NAME])) < 1.05 * len(before)


@pytest.mark.parametrize(
    "box",
    [
        (0.3, 0.4, 0.3, 0.5),
        (0.5, 0.4, 0.3, 0.5),
        (-0.1, 0.4, 0.3, 0.5),
        (0.3, 0.4, 0.5, 1.2),
        (float("nan"), 0.4, 0.5, 0.6),
    ],
)
def test_cover_of_a_place_that_is_none_is_an_error(box: Box) -> None:
    with pytest.raises(CoverFailedError) as error:
        cover(page("L", "S"), [NAME, box])
    assert str(error.value) == "What was marked could not be covered safely. The page is not sent."


@pytest.mark.parametrize("jpeg", [b"", b"\xff\xd8\xff", page("L", "S")[:5000]])
def test_cover_of_what_is_no_whole_picture_is_an_error(jpeg: bytes) -> None:
    with pytest.raises(CoverFailedError):
        cover(jpeg, [NAME])


def test_cover_that_does_not_come_out_black_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = page("L", "S")
    rectangle = ImageDraw.ImageDraw.rectangle
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "rectangle", lambda draw, place, fill: rectangle(draw, place, fill=fill + 20)
    )
    with pytest.raises(CoverFailedError):
        cover(jpeg, [NAME])


# --- the words


def word(text: str, left: float, top: float) -> Word:
    """A word of a tenth of the width and a fiftieth of the height."""
    return Word(text=text, doubtful=False, box=(left, top, left + 0.1, top + 0.02))


def typed(text: str) -> Word:
    """A word that a person added."""
    return Word(text=text, doubtful=False)


def texts(lines: tuple[tuple[Word, ...], ...]) -> list[str]:
    """Lines of words as text."""
    return [" ".join(word.text for word in line) for line in lines]


LINES = (
    (word("Greetings", 0.1, 0.40), word("from", 0.19, 0.40), word("Ivan", 0.3, 0.40), word("Vymyshlenny", 0.4, 0.40)),
    (word("and", 0.1, 0.45), word("Primer", 0.31, 0.45)),
)


def test_words_that_are_covered_are_in_neither_transcript_nor_pdf() -> None:
    lines = without_covered(LINES, [NAME])
    assert texts(lines) == [f"Greetings from {COVER}", "and Primer"]
    pdf = assemble([AssembledPage(cover(page("L", "Ivan Vymyshlenny"), [NAME]), lines)])
    text = pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_range()
    assert text.split() == ["Greetings", "from", "and", "Primer"]
    assert [name in pdf for name in (b"Ivan", b"Vymyshlenny")] == [False, False]


def test_words_that_are_touched_at_an_edge_are_covered() -> None:
    assert texts(without_covered(LINES, [(0.29, 0.41, 0.301, 0.46)])) == [
        f"Greetings {COVER} Vymyshlenny",
        "and Primer",
    ]
    assert texts(without_covered(LINES, [(0.35, 0.30, 0.36, 0.4001)])) == [
        f"Greetings from {COVER} Vymyshlenny",
        "and Primer",
    ]
    assert texts(without_covered(LINES, [(0.0, 0.30, 1.0, 0.39), (0.0, 0.425, 1.0, 0.445)])) == texts(LINES)


def test_words_how_many_are_covered_is_not_told() -> None:
    (one, *_), (several, *_) = (without_covered(LINES, [(0.1, 0.4, right, 0.42)]) for right in (0.15, 0.5))
    assert (one[0].text, several) == (COVER, (LINES[0][0].model_copy(update={"text": COVER}),))


def test_words_without_a_place_are_covered_where_they_may_stand_in_it() -> None:
    first, second = LINES
    lines = (
        (typed("Once"), *first[:2], typed("uncle"), *first[2:], typed("jun.")),
        (typed("yes"), *second),
        (typed("end"), typed("of")),
    )
    assert texts(without_covered(lines, [NAME])) == [f"{COVER} Greetings from {COVER}", f"{COVER} and Primer", "end of"]


def test_words_of_a_page_typed_by_a_person_are_all_covered_with_any_part_of_it() -> None:
    lines = ((typed("all"), typed("of")), (typed("it"),))
    assert texts(without_covered(lines, [(0.9, 0.9, 0.95, 0.95)])) == [COVER, COVER]


def test_words_of_a_page_with_nothing_covered_stay() -> None:
    lines = (*LINES, (typed("end"),))
    assert without_covered(lines, []) == lines

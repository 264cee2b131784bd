"""Replies as PDF: what is seen, what can be searched, what is said about missing pages."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from relay.domain.letters import COVER, Word
from scanner import assembly
from scanner.assembly import AssembledPage, FontMissingError, assemble
from scanner.transcript import GAP, Lines

WRITTEN = (
    "Привет, дорогой друг! Ёлка № 5",
    "The weather is good today",
    "Grüße aus „München“, schön",
    "Hälsningar från Malmö åäö",
)
"""One line in each language of the relay."""


def jpeg(mode: str = "L", shade: int | tuple[int, int, int] = 128, size: tuple[int, int] = (1653, 2339)) -> bytes:
    """A picture as intake makes it."""
    written = BytesIO()
    Image.new(mode, size, shade).save(written, "JPEG", dpi=(200, 200))
    return written.getvalue()


def line(text: str, top: float, doubtful: str = "") -> tuple[Word, ...]:
    """A line of words, as wide as they are long; letters that go up or down make boxes of their own heights."""
    words, left = [], 0.1
    for word in text.split():
        right = left + 0.013 * len(word)
        up, down = (0.0, 0.004) if set(word) & set("ybpgру") else (0.005, 0.0)
        box = (left, top + up, right, top + 0.02 + down)
        words.append(Word(text=word, doubtful=word == doubtful, box=box))
        left = right + 0.013
    return tuple(words)


def found(pdf: bytes, page: int = 0) -> list[str]:
    """The lines of text that a viewer finds on a page."""
    text: str = pypdfium2.PdfDocument(pdf)[page].get_textpage().get_text_range()
    return [found.strip() for found in text.splitlines()]


def found_by_poppler(pdf: bytes, tmp_path: Path) -> list[str]:
    """The lines of text that another program finds, which goes by where the words stand."""
    path = tmp_path / "reply.pdf"
    path.write_bytes(pdf)
    text = subprocess.run(["pdftotext", "-layout", path, "-"], check=True, capture_output=True, text=True).stdout
    return [" ".join(line.split()) for line in text.splitlines() if line.split()]


def test_assemble_keeps_order_and_colours() -> None:
    pictures = [jpeg("L", 40), jpeg("RGB", (200, 30, 30)), jpeg("L", 220)]
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(picture) for picture in pictures]))
    middles = [page.render(scale=0.1).to_pil().convert("RGB").getpixel((30, 40)) for page in pdf]
    close = [
        max(abs(a - b) for a, b in zip(seen, drawn, strict=True)) <= 3
        for seen, drawn in zip(middles, [(40,) * 3, (200, 30, 30), (220,) * 3], strict=True)
    ]
    assert close == [True, True, True]


def test_assemble_has_the_size_of_the_paper() -> None:
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(jpeg()), AssembledPage(jpeg(size=(800, 400)))]))
    assert [[round(edge) for edge in page.get_size()] for page in pdf] == [[595, 842], [288, 144]]


def test_assemble_keeps_the_bytes_of_the_picture() -> None:
    picture = jpeg()
    with pikepdf.open(BytesIO(assemble([AssembledPage(picture)]))) as pdf:
        (image,) = pdf.pages[0].get_images().values()
        assert image.read_raw_bytes() == picture


def test_assemble_text_of_all_languages_is_found_line_by_line(tmp_path: Path) -> None:
    lines = tuple(line(text, 0.1 + place * 0.03) for place, text in enumerate(WRITTEN))
    pdf = assemble([AssembledPage(jpeg(), lines)])
    assert found(pdf) == list(WRITTEN)
    assert found_by_poppler(pdf, tmp_path) == list(WRITTEN)


def test_assemble_text_is_found_on_its_own_page() -> None:
    pages = [AssembledPage(jpeg(), (line(text, 0.2),)) for text in WRITTEN]
    pdf = assemble(pages)
    assert [found(pdf, number) for number in range(4)] == [[text] for text in WRITTEN]


def test_assemble_text_stands_where_it_was_written() -> None:
    words = line("bread weather soup", 0.5)
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(jpeg(), (words,))]))
    text, (width, height) = pdf[0].get_textpage(), pdf[0].get_size()
    first = text.get_text_range().index("weather")
    edges = [text.get_charbox(place, loose=True) for place in (first, first + len("weather") - 1)]
    left, right = edges[0][0] / width, edges[1][2] / width
    lower, upper = 1 - edges[0][1] / height, 1 - edges[0][3] / height
    box = words[1].box
    assert box is not None
    assert (left, right) == pytest.approx((box[0], box[2]), abs=0.005)
    assert (upper, lower) == pytest.approx((box[1], box[3]), abs=0.008)


def test_assemble_text_is_not_seen() -> None:
    with_words = assemble([AssembledPage(jpeg("L", 255), (line("weather", 0.5),))])
    shown = pypdfium2.PdfDocument(with_words)[0].render(scale=1).to_pil().convert("L")
    assert shown.getextrema()[0] >= 254


def test_assemble_text_has_doubtful_words_but_no_gaps_and_covered_ones() -> None:
    words: Lines = (
        (
            *line("the doubtful", 0.2, doubtful="doubtful"),
            Word(text=GAP, doubtful=False, box=(0.5, 0.2, 0.6, 0.22)),
            Word(text=COVER, doubtful=False, box=(0.6, 0.2, 0.7, 0.22)),
            Word(text="word", doubtful=False, box=(0.7, 0.2, 0.75, 0.22)),
        ),
        (Word(text=COVER, doubtful=False, box=(0.1, 0.3, 0.7, 0.32)),),
    )
    assert found(assemble([AssembledPage(jpeg(), words)])) == ["the doubtful word"]


def test_assemble_text_of_words_without_a_place_stands_with_the_word_before() -> None:
    def typed(text: str) -> tuple[Word, ...]:
        return tuple(Word(text=word, doubtful=False) for word in text.split())

    first, second = line("one", 0.2), line("four", 0.3)
    words = (typed("zero"), first + typed("two three"), second, typed("five six"))
    text = " ".join(found(assemble([AssembledPage(jpeg(), words)])))
    assert text == "zero one two three four five six"
    assert found(assemble([AssembledPage(jpeg(), (typed("only typed"),))])) == ["only typed"]


def test_assemble_text_leaves_out_what_no_font_has() -> None:
    words = line("bread \U000f0000\U0010ffff good\ufffe", 0.2)
    assert found(assemble([AssembledPage(jpeg(), (words,))])) == ["bread good"]


def test_assemble_markup_in_words_is_only_text() -> None:
    words = line("<b>(bread)</b> \\ %PDF", 0.2)
    assert found(assemble([AssembledPage(jpeg(), (words,))])) == ["<b>(bread)</b> \\ %PDF"]


def test_assemble_names_missing_pages_on_a_last_page() -> None:
    pdf = assemble([AssembledPage(jpeg())], [(1, "B"), (12, "A")])
    assert found(pdf, 1) == [
        "These pages of the reply are missing. If they come later, you get them too:",
        "Reply sheet 1, side B",
        "Reply sheet 12, side A",
    ]
    seen = pypdfium2.PdfDocument(pdf)[1].render(scale=1).to_pil().convert("L")
    assert (seen.getextrema()[0] < 50, seen.getextrema()[1]) == (True, 255)


@pytest.mark.parametrize("language", ["ru", "en", "de", "sv"])
def test_assemble_names_many_missing_pages_in_each_language_within_the_paper(language: str) -> None:
    missing = [(sheet, side) for sheet in range(1, 41) for side in "AB"]
    pdf = pypdfium2.PdfDocument(assemble([AssembledPage(jpeg())], missing, language))
    assert len(pdf) == 4
    texts = [page.get_textpage() for page in pdf]
    boxes = [text.get_charbox(place) for text in texts[1:] for place in range(text.count_chars())]
    assert (min(box[0] for box in boxes) > 60, max(box[2] for box in boxes) < 535) == (True, True)
    assert (min(box[1] for box in boxes) > 60, max(box[3] for box in boxes) < 780) == (True, True)


def test_assemble_twice_gives_the_same_bytes() -> None:
    def assembled() -> bytes:
        lines = tuple(line(text, 0.1 + place * 0.03) for place, text in enumerate(WRITTEN))
        return assemble([AssembledPage(jpeg(), lines), AssembledPage(jpeg("RGB", (1, 2, 3)))], [(2, "A")], "ru")

    assert assembled() == assembled()


def test_assemble_says_nothing_about_the_program_and_the_time() -> None:
    with pikepdf.open(BytesIO(assemble([AssembledPage(jpeg(), (line("bread", 0.2),))]))) as pdf:
        assert ("/Info" in pdf.trailer, "/Metadata" in pdf.Root, list(pdf.docinfo)) == (False, False, [])


def test_assemble_adds_little_to_the_pictures() -> None:
    lines = tuple(line(text, 0.1 + place * 0.03) for place, text in enumerate(WRITTEN * 5))
    pages = [AssembledPage(jpeg(), lines) for _ in range(10)]
    assert len(assemble(pages)) - sum(len(page.jpeg) for page in pages) < 60_000


def test_assemble_without_pages_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one page"):
        assemble([])


def test_assemble_without_the_font_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assembly._have_font.cache_clear()
    monkeypatch.setattr(assembly, "_FONT_FILE", Path("/nowhere/DejaVuSans.ttf"))
    with pytest.raises(FontMissingError) as error:
        assemble([AssembledPage(jpeg())])
    assert str(error.value) == "DejaVu Sans, the font of replies, is not installed: apt-get install fonts-dejavu-core"

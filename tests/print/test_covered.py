"""Covered words on paper: a black box, and nothing of the word anywhere in the file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

import pikepdf
import pypdfium2
import pytest

from print.fonts import unprintable
from print.layouts import FOOTER_BASELINE, HEADER_RULE
from print.rendering import preview, render
from relay.domain.letters import COVER, LetterBody, Span, Translation, Treatment, printed_text, whole_text, words_of
from relay.domain.sheet import PAGE, Rect
from tests.print.letters import POINTS, letter, pages_in, text_in

SECRET = "Жёлтыйфонарь"
OTHER = "щука"
BODY = Rect(0, HEADER_RULE, PAGE.width, FOOTER_BASELINE - 5 - HEADER_RULE)


def covered(text: str, *words: str, translation: Translation | None = None) -> str:
    """What is printed of a text in which these words are covered, wherever they stand."""
    body = LetterBody(text=text, printed_name="Anna Invented", address=None)
    whole = whole_text(body, Treatment(translation=translation))
    spans = tuple(span for span in words_of(whole) if whole[span.start : span.end] in words)
    assert spans
    return printed_text(body, Treatment(translation=translation, covered=spans))


def contents_of(pdf: bytes) -> Iterable[bytes]:
    """Every stream of the file, decompressed, and every other object as it is written."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        for one in document.objects:
            if isinstance(one, pikepdf.Stream):
                yield one.read_bytes()
            else:
                yield one.unparse(resolved=True)


def characters_of(pdf: bytes) -> set[str]:
    """The characters that the fonts of the file know by their Unicode numbers."""
    maps = [content for content in contents_of(pdf) if b"beginbfrange" in content or b"beginbfchar" in content]
    assert maps
    return {chr(int(number, 16)) for content in maps for number in re.findall(rb"<([0-9A-Fa-f]{4})>", content)}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (f"{SECRET} begins.", "██████ begins."),
        (f"It {SECRET} stands.", "It ██████ stands."),
        (f"The end is {SECRET}", "The end is ██████"),
        (f"Twice {SECRET} {SECRET} side by side.", "Twice ██████ ██████ side by side."),
        (f"One {SECRET}\n{SECRET} under the other.", "One ██████ ██████ under the other."),
        (f"{SECRET}", "██████"),
    ],
    ids=["start", "middle", "end", "adjacent", "lines", "alone"],
)
def test_covered_word_is_printed_as_a_box(text: str, printed: str) -> None:
    pdf = render([letter(covered(text, SECRET))])
    assert text_in(pdf, 0, BODY) == f"22 November 2025 {printed} Letter from Anna Invented"


@pytest.mark.parametrize("other", ["щ", "Ѫ" * 300, "cafe\u0301", "e\u0301\u0323\u0308", "zero\u200bwidth", "漢字"])
def test_file_is_the_same_whatever_word_was_covered(other: str) -> None:
    text = "A {0} in the middle, {0} {0} and\n{0}"
    pdfs = [render([letter(covered(text.format(word), word, f"{word},"))]) for word in (SECRET, other)]
    assert pdfs[0] == pdfs[1]


def test_nothing_of_a_covered_word_is_in_the_file() -> None:
    text = f"Before {SECRET} after. " * 20
    open_pdf, pdf = render([letter(text)]), render([letter(covered(text, SECRET))])
    assert set(SECRET) <= characters_of(open_pdf)
    assert characters_of(pdf) & set(SECRET) == set()
    assert "█" in characters_of(pdf)
    forms = [SECRET.encode(coding) for coding in ("utf-8", "utf-16-be", "utf-16-le", "cp1251", "koi8-r")]
    assert [content for content in contents_of(pdf) if any(form in content for form in forms)] == []
    words = "".join(text_in(pdf, page) for page in range(pages_in(pdf)))
    assert (SECRET in text_in(open_pdf, 0), [letter for letter in SECRET if letter in words]) == (True, [])


def test_covered_words_on_both_sides_of_a_page_break_are_boxes_on_both_pages() -> None:
    text = "\n".join([f"{SECRET} line {number} {SECRET}" for number in range(40)])
    pdf = render([letter(covered(text, SECRET))])
    pages = [text_in(pdf, page) for page in (0, 2)]
    assert [page.count(COVER) for page in pages] == [2 * page.count("line") for page in pages]
    assert (min(page.count("line") for page in pages) > 0, sum(page.count("line") for page in pages)) == (True, 40)
    assert characters_of(pdf) & set(SECRET) == set()


def test_words_covered_in_translation_and_original_are_in_neither() -> None:
    translation = Translation(text=f"Translated {OTHER} here", with_original=True)
    pdf = render([letter(covered(f"Written {SECRET} here", SECRET, OTHER, translation=translation))])
    assert "Translated ██████ here * * * Written ██████ here" in text_in(pdf, 0)
    assert characters_of(pdf) & set(SECRET + OTHER) == set()


@pytest.mark.parametrize("dpi", [72, 100, 150, 300])
def test_box_is_black_without_gaps(dpi: int) -> None:
    with pypdfium2.PdfDocument(render([letter(f"x {COVER} x\nabc {COVER}{COVER}")])) as document:
        page = document[0]
        words = page.get_textpage()
        text = words.get_text_range()
        picture = page.render(scale=dpi / 72, grayscale=True).to_numpy().squeeze()
        for start, length in ((text.index(COVER), 6), (text.rindex(COVER) - 6, 12)):
            (left, bottom, _, top), (_, _, right, _) = (
                words.get_charbox(place) for place in (start, start + length - 1)
            )
            across = slice(round(left * dpi / 72) + 1, round(right * dpi / 72) - 1)
            height = PAGE.height * POINTS
            down = slice(round((height - top) * dpi / 72) + 1, round((height - bottom) * dpi / 72) - 1)
            assert picture[down, across].size > 300
            assert picture[down, across].max() == 0


def test_preview_shows_the_boxes() -> None:
    words = f"{SECRET} and {SECRET}"
    (shown,) = preview(letter(covered(words, SECRET), reply_sheets=0))
    (same,) = preview(letter(covered(f"{OTHER} and {OTHER}", OTHER), reply_sheets=0))
    (bare,) = preview(letter(words, reply_sheets=0))
    assert (shown == same, shown == bare) == (True, False)


def test_cover_can_be_printed_by_every_typeface() -> None:
    assert unprintable(COVER) == []


def test_span_of_several_words_is_one_box() -> None:
    body = LetterBody(text=f"a {SECRET} {OTHER} z", printed_name="Anna Invented", address=None)
    spans = (Span(start=2, end=len(body.text) - 2),)
    assert printed_text(body, Treatment(covered=spans)) == f"a {COVER} z"

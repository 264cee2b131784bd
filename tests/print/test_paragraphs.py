"""Text as the lines of a column."""

from __future__ import annotations

import io

import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print.fonts import PAGE_FONT, SERIF, as_printed, load_fonts, unprintable
from print.paragraphs import SHORT, SetLine, set_text
from print.shaping import HYPHEN
from relay.domain.sheet import PAGE


def lines(text: str, width: float = 80, *, language: str = "ru", hyphenate: bool = True) -> list[SetLine]:
    return set_text(text, typeface=SERIF, size=12, width=width, language=language, hyphenate=hyphenate)


def words(text: str, width: float = 80, *, language: str = "ru", hyphenate: bool = True) -> list[str]:
    """The lines, with a visible hyphen where we divided a word."""
    return [line.text.replace(HYPHEN, "~") for line in lines(text, width, language=language, hyphenate=hyphenate)]


def left_end_of(line: SetLine) -> float:
    """Where the line begins on the page when its column begins at 20 mm."""
    load_fonts()
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(PAGE.width * mm, PAGE.height * mm), initialFontName=PAGE_FONT)
    line.draw(canvas, 20, 20)
    canvas.showPage()
    canvas.save()
    with pikepdf.open(file) as document:
        content = document.pages[0].Contents.read_bytes().decode()
    points = float(content.split("BT 1 0 0 1 ")[1].split()[0])
    return points * 25.4 / 72


def test_line_breaks_of_the_writer_are_kept() -> None:
    assert words("Тихо.\n    Падает снег.\r\n\r\n\tНа  крыши.  \n\n") == [
        "Тихо.",
        "    Падает снег.",
        "",
        "    На  крыши.",
    ]


def test_long_line_is_broken_at_spaces() -> None:
    assert words("Мы пили чай на веранде, и дождь шёл весь вечер, а потом перестал.") == [
        "Мы пили чай на веранде, и дождь шёл",
        "весь вечер, а потом перестал.",
    ]


def test_text_of_nothing_is_one_empty_line() -> None:
    assert [line.empty for line in lines("\n" * 60)] == [True]


def test_word_is_divided_where_the_line_would_end_far_short() -> None:
    text = "Это произошло в воскресенье, когда достопримечательности закрыты."
    assert words(text) == ["Это произошло в воскресенье, когда до~", "стопримечательности закрыты."] or words(text) == [
        "Это произошло в воскресенье, когда",
        "достопримечательности закрыты.",
    ]
    assert words("Вчера утром и потом весь день достопримечательности были закрыты.") == [
        "Вчера утром и потом весь день досто~",
        "примечательности были закрыты.",
    ]


def test_no_word_is_divided_if_none_should_be() -> None:
    assert words("Вчера утром и потом весь день достопримечательности были закрыты.", hyphenate=False) == [
        "Вчера утром и потом весь день",
        "достопримечательности были закрыты.",
    ]


@pytest.mark.parametrize(
    ("text", "width", "language", "first"),
    [
        ("Wir haben die Rechtsschutzversicherung gestern gesprochen.", 50, "en", "Wir haben die Rechts~"),
        (
            "Наші друзі передали вам із Києва найвідповідальніше вітання.",
            80,
            "en",
            "Наші друзі передали вам із Києва най~",
        ),
        ("Мама мыла раму, а соседи смотрели достопримечательности.", 72, "de", "Мама мыла раму, а соседи смот~"),
        ("Me kirjutame täna pikalt rahvusraamatukogutöötajatele Tallinnas.", 72, "ru", "Me kirjutame täna pikalt"),
        ("ჩვენ გუშინ ვიყავით განსაკუთრებულმნიშვნელოვანი საქმით.", 80, "ru", "ჩვენ გუშინ ვიყავით"),
    ],
    ids=["german", "ukrainian", "russian", "cannot tell", "no dictionary"],
)
def test_words_are_divided_in_the_language_of_the_text(text: str, width: float, language: str, first: str) -> None:
    assert words(text, width, language=language)[0] == first


@pytest.mark.parametrize(
    "text",
    [
        "Вчера вечером они нам прислали достопримеча\u0301тельности города.",
        "Wir haben sie gestern unter https://beispiel.example/verwaltungsgericht gesehen.",
        "They said yesterday that you write \\documentclassdocumentclass like this.",
        "Напишите, пожалуйста, ответ на адрес достопримечательности@example.org.",
        "Вчера вечером они нам прислали ДОСТОПРИМЕЧАТЕЛЬНОСТИ города.",
    ],
    ids=["marks", "address", "program", "mail", "capitals"],
)
def test_what_is_no_word_of_a_dictionary_is_not_divided(text: str) -> None:
    assert [line for line in words(text, 72) if line.endswith("~")] == []


def test_soft_hyphens_of_the_writer_divide_before_the_dictionary() -> None:
    assert words("водогрязе\u00adторфопаро\u00adлечебница", 50) == ["водогрязеторфопаро~", "лечебница"]
    assert words("водогрязе\u00adторфопаро\u00adлечебница", 50, hyphenate=False) == [
        "водогрязеторфопаро~",
        "лечебница",
    ]
    assert words("коро\u00adткое") == ["короткое"]


def test_hyphens_dashes_and_slashes_end_a_line() -> None:
    assert words("Это был какой-нибудь железнодорожно-транспортный вагон.", 60, hyphenate=False) == [
        "Это был какой-нибудь",
        "железнодорожно-",
        "транспортный вагон.",
    ]
    assert words("https://example.org/a/long/path/to/somewhere", 55) == [
        "https://example.org/a/long/",
        "path/to/somewhere",
    ]


def test_spaces_without_width_end_a_line() -> None:
    assert words("слово\u200b" * 12, 50) == ["словословословослово", "словословословослово", "словословословослово"]


def test_chinese_is_broken_between_characters_but_not_before_what_closes() -> None:
    assert words("你好你好你好你好你好你好你好你好（世界），再见。", 80) == [
        "你好你好你好你好你好你好你好你好（世",
        "界），再见。",
    ]
    assert words("你好你好你好你好你好你好你好你好世界。再见。", 77) == [
        "你好你好你好你好你好你好你好你好世",
        "界。再见。",
    ]
    assert words("你好你好你好你好你好你好你好你好你（世界）", 76) == ["你好你好你好你好你好你好你好你好你", "（世界）"]


def test_word_longer_than_a_line_is_broken_anywhere_but_not_between_a_letter_and_its_mark() -> None:
    assert words("щ" * 100, 72) == ["щ" * 20] * 5
    broken = words("о\u0301" * 100, 72)
    assert "".join(broken) == "о\u0301" * 100
    assert {line[0] for line in broken} == {"о"}


def test_indent_wider_than_the_column_is_broken_off() -> None:
    assert words(" " * 500 + "слово")[-1].strip() == "слово"


def test_short_word_does_not_stay_alone() -> None:
    assert words("Мы пили чай на веранде, и дождь прошёл да.") == ["Мы пили чай на веранде, и дождь", "прошёл да."]


@pytest.mark.parametrize(
    ("text", "right"),
    [("שלום", True), ("123 שלום abc", True), ("abc שלום", False), ("«مرحبا»", True), ("123", False)],
)
def test_paragraph_that_begins_from_the_right_is_set_from_the_right(text: str, right: bool) -> None:
    (line,) = lines(text)
    assert line.from_the_right is right
    end = left_end_of(line)
    assert end == pytest.approx(100 - SERIF.width(line.text, 12) / mm if right else 20, abs=0.01)


def test_line_of_a_paragraph_runs_as_its_paragraph_does() -> None:
    first, second = lines("אנחנו כותבים לך מכתב ארוך מאוד היום 12 abc (def) 34 ghi jkl mno pqr.")
    assert (first.from_the_right, second.from_the_right) == (True, True)
    assert second.text == "abc (def) 34 ghi jkl mno pqr."
    seen = [placed.glyph.text for run in SERIF.runs(second.text, second.levels) for placed in run.placed]
    assert "".join(seen) == ".abc (def) 34 ghi jkl mno pqr"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.floats(20, 180))
def test_no_character_is_lost_and_no_line_too_long(text: str, width: float) -> None:
    for character in {each.character for each in unprintable(text)}:
        text = text.replace(character, "x")
    if unprintable(text):
        return
    found = lines(text, width)
    printed = "".join(line.text.removesuffix(HYPHEN) for line in found)
    assert "".join(printed.split()) == "".join(as_printed(text).split())
    for line in found:
        assert len(line.text) <= 9 or SERIF.width(line.text, 12) <= width * mm + 1


@pytest.mark.parametrize(
    "text",
    [
        "щ" * 20000,
        "ب" * 20000,
        "о\u0301" * 10000,
        "a-" * 10000,
        "слово " * 3000,
        "\u00ad\u200b" * 9000 + "x",
        "👩\u200d" * 9000,
    ],
    ids=["word", "arabic", "marks", "hyphens", "words", "wishes", "joiners"],
)
def test_longest_letter_is_set(text: str) -> None:
    assert "".join("".join(words(text, 160)).split()) == "".join(as_printed(text).split())


def test_few_lines_of_prose_end_far_short() -> None:
    text = "Превосходительствующие достопримечательности железнодорожников безусловно противопоставляются. " * 20
    found = lines(text, 100)[:-1]
    assert [line.text for line in found if SERIF.width(line.text, 12) < 100 * mm * (1 - 2 * SHORT)] == []

"""Which characters can be printed, in which font, and what is said of the others."""

from __future__ import annotations

import io
from pathlib import Path

import pikepdf
import pytest
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from print import fonts
from print.fonts import (
    BOLD,
    DEJAVU,
    DROID,
    NOTO,
    PAGE_FONT,
    PT,
    SANS,
    SERIF,
    SYMBOLA,
    WENQUANYI,
    MissingFontError,
    NoGlyphError,
    Typeface,
    as_printed,
    load_fonts,
    unprintable,
)
from relay.domain.letter_pages import Unprintable
from relay.domain.sheet import PAGE


def drawn(typeface: Typeface, text: str, x: float = 20, *, right: bool = False, width: float = 0) -> str:
    """What a page with this text says to the printer, without the numbers of the fonts."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(PAGE.width * mm, PAGE.height * mm), initialFontName=PAGE_FONT, invariant=1)
    typeface.draw(canvas, text, x, 20, 12, right=right, width=width)
    canvas.showPage()
    canvas.save()
    with pikepdf.open(file) as document:
        return document.pages[0].Contents.read_bytes().decode()


@pytest.mark.parametrize(
    "text",
    [
        "Съешь ещё этих мягких французских булок, да выпей же чаю — «вот так» № 5 …",
        "Größe, Straße; Åsa åt räksmörgås på ön.",
        "Zażółć gęślą jaźń. Ґанок, їжак, европа. Қазақ тілі.",
        "lines\nand\ttabs\r\nof any\rkind",
        "₽ € £ ❤️ 😀 ☺ → ½ “quotes” \u00a0\u202f",
        "и\u0306 за\u0301мок soft\u00adhyphen zero\u200bwidth \ufeff",
        "שלום, مرحبا, გამარჯობა, Բարեւ, नमस्ते, สวัสดี, 你好, こんにちは, 안녕",
        "\u200fעברית\u200f, \u061cنمی\u200cدانم",
        "👍🏽 👨\u200d👩\u200d👧 🇸🇪 1\ufe0f\u20e3 🏴\U000e0067\U000e007f 👩\u200d🦰",
        "",
    ],
)
def test_text_of_letters_is_printable(text: str) -> None:
    assert unprintable(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one\ntwo \x07", Unprintable("\x07", "U+0007", 2, 5)),
        ("one\r\ntwo\r\n\x85", Unprintable("\x85", "U+0085", 3, 1)),
        ("a\u202eb", Unprintable("\u202e", "RIGHT-TO-LEFT OVERRIDE", 1, 2)),
        ("a\u2066b", Unprintable("\u2066", "LEFT-TO-RIGHT ISOLATE", 1, 2)),
        ("a\u2028b", Unprintable("\u2028", "LINE SEPARATOR", 1, 2)),
        ("\tᠠ", Unprintable("ᠠ", "MONGOLIAN LETTER A", 1, 2)),
        ("\n\n ok 🥰", Unprintable("🥰", "SMILING FACE WITH SMILING EYES AND THREE HEARTS", 3, 5)),
        ("e" + "\u0325" * 9, Unprintable("\u0325", "COMBINING RING BELOW", 1, 2)),
        ("\ue000", Unprintable("\ue000", "U+E000", 1, 1)),
        ("\u0378", Unprintable("\u0378", "U+0378", 1, 1)),
        ("\ud800", Unprintable("\ud800", "U+D800", 1, 1)),
    ],
)
def test_unprintable_character_is_named_with_its_place(text: str, found: Unprintable) -> None:
    assert unprintable(text) == [found]


def test_unprintable_characters_come_in_their_order() -> None:
    assert [(found.character, found.line, found.column) for found in unprintable("a🥰b🫠\n\x00")] == [
        ("🥰", 1, 2),
        ("🫠", 1, 4),
        ("\x00", 2, 1),
    ]


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("и\u0306 soft\u00adly\r\n\tx\ufe0f", "й softly\n    x"),
        ("👍🏽 👨\u200d👩 ❤\ufe0f 1\ufe0f\u20e3 👩🏻\u200d🦰", "👍 👨👩 ❤ 1 👩"),
        ("🏽 alone, 20\u20e3", "🏽 alone, 20"),
        ("می\u200cدانم но\u200cвый", "می\u200cدانم новый"),
        ("\u200eabc\u200f", "abc"),
        ("abc \u200f(אב)\u200f", "abc \u200f(אב)\u200f"),
    ],
    ids=["composed", "emoji", "tone", "joiners", "marks", "marks that matter"],
)
def test_text_as_printed_is_composed_and_keeps_of_the_invisible_what_shapes_it(typed: str, printed: str) -> None:
    assert as_printed(typed) == printed


def test_each_character_is_drawn_by_the_first_font_that_has_it_with_its_marks() -> None:
    runs = SERIF.runs("да \u010d→❤ о\u0301 о\u0325 漢字「한」 ქ 👩")
    assert [(run.face.name, "".join(placed.glyph.text for placed in run.placed)) for run in runs] == [
        ("PTSerif", "да č"),
        ("DejaVuSerif", "→"),
        ("DejaVuSans", "❤ "),
        ("PTSerif", "о\u0301 "),
        ("NotoSerif", "о\u0325 "),
        ("DroidSansFallback", "漢字「"),
        ("WenQuanYiMicroHei", "한"),
        ("DroidSansFallback", "」 "),
        ("NotoSerifGeorgian-Regular", "ქ "),
        ("Symbola", "👩"),
    ]


def test_plain_text_is_written_without_shaping() -> None:
    assert (" TJ" in drawn(SERIF, "Съешь ещё, please! 漢字 😀 ქა"), " TJ" in drawn(SERIF, "за\u0301мок")) == (
        False,
        True,
    )


def test_width_adds_the_characters() -> None:
    assert SANS.width("Привет", 12) == pytest.approx(sum(SANS.width(letter, 12) for letter in "Привет"))
    assert SANS.width("й" * 10, 20) == pytest.approx(SANS.width("й", 10) * 20)


@pytest.mark.parametrize("text", ["Привет", "за\u0301мок", "مرحبا"])
def test_width_grows_with_the_size_whether_shaped_or_not(text: str) -> None:
    assert BOLD.width(text, 24) == pytest.approx(BOLD.width(text, 12) * 2)


def test_stress_mark_takes_no_room() -> None:
    assert SERIF.width("за\u0301мок", 12) == pytest.approx(SERIF.width("замок", 12))


def test_joined_letters_are_narrower_than_letters_alone() -> None:
    assert SERIF.width("بببب", 12) < 4 * SERIF.width("ب", 12)


@pytest.mark.parametrize(
    "text", ["слово " * 100, "за\u0301мок " * 100, "مرحبا " * 100], ids=["plain", "marks", "joined"]
)
@pytest.mark.parametrize("room", [30, 300, 3000])
def test_what_fits_is_as_long_as_can_be(text: str, room: float) -> None:
    count = SERIF.fitting(text, 12, room)
    assert SERIF.width(text[:count], 12) <= room + 1
    assert count == len(text) or SERIF.width(text[: count + 2], 12) > room


@pytest.mark.parametrize(
    ("text", "count"), [("W", 1), ("Щ" * 9, 1), ("о\u0301\u0325" * 9, 3), ("ب" * 9, 1), ("क्" * 60, 2)]
)
def test_one_character_with_its_marks_always_fits(text: str, count: int) -> None:
    assert SERIF.fitting(text, 12, 0.1) == count


def test_text_ends_at_the_right_end_and_shrinks_to_its_width() -> None:
    assert drawn(SANS, "Привет") == drawn(SANS, "Привет", 20 + SANS.width("Привет", 12) / mm, right=True)
    half = SANS.width("Привет", 12) / mm / 2
    assert " 6 Tf" in drawn(SANS, "Привет", width=half)


def test_drawing_what_no_font_has_is_refused_and_leaves_no_box() -> None:
    with pytest.raises(NoGlyphError, match="No font can print the character SMILING FACE WITH SMILING EYES AND THREE"):
        drawn(SERIF, "🥰")
    with pytest.raises(NoGlyphError, match="No font can print the character U\\+0378"):
        drawn(SERIF, "مرحبا \u0378")


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("paratype", PT),
        ("dejavu", DEJAVU),
        ("noto", NOTO),
        ("droid", DROID),
        ("wqy", WENQUANYI),
        ("ancient-scripts", SYMBOLA),
    ],
)
def test_missing_font_says_which_package_brings_it(
    folder: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for present in fonts.FOLDER.iterdir():
        if present.name != folder:
            (tmp_path / present.name).symlink_to(present)
    monkeypatch.setattr(fonts, "FOLDER", tmp_path)
    with pytest.raises(MissingFontError, match=f"apt-get install {package}") as missing:
        load_fonts()
    assert missing.value.package == package
    monkeypatch.undo()
    load_fonts()


def test_missing_library_says_which_package_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise OSError

    monkeypatch.setattr(fonts, "load_directions", nothing)
    with pytest.raises(MissingFontError, match="apt-get install libfribidi0"):
        load_fonts()


@pytest.mark.parametrize("between", ["\u2060", "\u00ad", "\u200b", "\u200e", "\u034f"])
def test_marks_that_something_invisible_keeps_apart_are_one_pile(between: str) -> None:
    found = unprintable("e" + f"{between}\u0301" * 10)
    assert [(each.name, each.column) for each in found] == [("COMBINING ACUTE ACCENT", 3)]


def test_letters_under_a_letter_are_a_pile() -> None:
    assert [unprintable("ក" + "្ក" * many) == [] for many in (8, 9)] == [True, False]


@pytest.mark.parametrize("before", ["", " ", "\t", "a\u200e", "a\u2060"])
def test_a_mark_is_asked_about_on_what_it_will_stand_on(before: str) -> None:
    found = unprintable(f"{before}\u0bcd")
    assert [(each.name, each.column) for each in found] == [("TAMIL SIGN VIRAMA", len(before) + 1)]

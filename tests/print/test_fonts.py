"""Which characters can be printed, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from print import fonts
from print.fonts import DEJAVU, PT, SANS, SERIF, MissingFontError, NoGlyphError, as_printed, load_fonts, unprintable
from relay.domain.letter_pages import Unprintable


@pytest.mark.parametrize(
    "text",
    [
        "Съешь ещё этих мягких французских булок, да выпей же чаю — «вот так» № 5 …",
        "Größe, Straße; Åsa åt räksmörgås på ön.",
        "Zażółć gęślą jaźń. Ґанок, їжак, європа. Қазақ тілі.",
        "lines\nand\ttabs\r\nof any\rkind",
        "₽ € £ ❤️ 😀 ☺ → ½ “quotes” \u00a0\u202f",
        "и\u0306 за\u0301мок soft\u00adhyphen zero\u200bwidth \ufeff",
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
        ("(\u05d0)", Unprintable("\u05d0", "HEBREW LETTER ALEF", 1, 2)),
        ("(\u0628)", Unprintable("\u0628", "ARABIC LETTER BEH", 1, 2)),
        ("\u0eb1", Unprintable("\u0eb1", "LAO VOWEL SIGN MAI KAN", 1, 1)),
        ("\t漢", Unprintable("漢", "CJK UNIFIED IDEOGRAPH-6F22", 1, 2)),
        ("\n\n ok 👩", Unprintable("👩", "WOMAN", 3, 5)),
        ("\ue000", Unprintable("\ue000", "U+E000", 1, 1)),
        ("\u0378", Unprintable("\u0378", "U+0378", 1, 1)),
        ("\ud800", Unprintable("\ud800", "U+D800", 1, 1)),
    ],
)
def test_unprintable_character_is_named_with_its_place(text: str, found: Unprintable) -> None:
    assert unprintable(text) == [found]


def test_unprintable_characters_come_in_their_order() -> None:
    assert [(found.character, found.line, found.column) for found in unprintable("a漢b字\n\x00")] == [
        ("漢", 1, 2),
        ("字", 1, 4),
        ("\x00", 2, 1),
    ]


def test_text_as_printed_is_composed_and_has_nothing_invisible() -> None:
    assert as_printed("и\u0306 soft\u00adly\r\n\tx\ufe0f") == "й softly\n    x"


def test_characters_of_other_fonts_make_their_own_runs() -> None:
    assert list(SERIF.runs("да \u010d→❤ ok")) == [
        ("PTSerif", "да č"),
        ("DejaVuSerif", "→"),
        ("DejaVuSans", "❤"),
        ("PTSerif", " ok"),
    ]


def test_width_adds_the_characters() -> None:
    assert SANS.width("Привет", 12) == pytest.approx(sum(SANS.width(letter, 12) for letter in "Привет"))
    assert SANS.width("й" * 10, 20) == pytest.approx(SANS.width("й", 10) * 20)


def test_drawing_what_no_font_has_is_refused_and_leaves_no_box() -> None:
    with pytest.raises(NoGlyphError, match="No font can print the character CJK UNIFIED IDEOGRAPH-6F22"):
        list(SERIF.runs("漢"))


@pytest.mark.parametrize(("folder", "package"), [("dejavu", PT), ("paratype", DEJAVU)])
def test_missing_font_says_which_package_brings_it(
    folder: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).symlink_to(fonts.FOLDER / folder)
    monkeypatch.setattr(fonts, "FOLDER", tmp_path)
    fonts._loaded.cache_clear()
    with pytest.raises(MissingFontError, match=f"apt-get install {package}") as missing:
        load_fonts()
    assert missing.value.package == package
    monkeypatch.undo()
    load_fonts()

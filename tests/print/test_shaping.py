"""Where the glyphs of shaped text stand."""

from __future__ import annotations

from print.fonts import SERIF
from print.shaping import Run


def run_of(text: str) -> Run:
    (run,) = SERIF.runs(text)
    return run


def test_letters_of_latin_and_cyrillic_are_never_joined_to_ligatures() -> None:
    for letters in ("effi", "ffl", "եւ", "fj"):
        (run, *_) = SERIF.runs(letters + "\u0331")
        assert [placed.glyph.text for placed in run.placed][: len(letters) - 1] == list(letters[:-1])


def test_mark_stands_over_its_letter_and_moves_nothing() -> None:
    letter, mark = run_of("а\u0301").placed
    assert (letter.glyph.text, mark.glyph.text, mark.advance) == ("а", "\u0301", 0)


def test_second_mark_stands_over_the_first() -> None:
    _, first, second = run_of("м\u0304\u0301").placed
    assert (first.glyph.text, second.glyph.text, second.up > first.up) == ("\u0304", "\u0301", True)


def test_i_loses_its_dot_under_a_mark() -> None:
    (run,) = SERIF.runs("і\u0301")
    assert run.face.name == "NotoSerif"
    assert run.placed[0].glyph.number != run.face.glyph("і")


def test_letters_of_arabic_take_other_forms_beside_each_other() -> None:
    alone = run_of("ب").placed[0].glyph.number
    end, middle, start = (placed.glyph for placed in run_of("ببب").placed)
    assert [glyph.text for glyph in (end, middle, start)] == ["ب", "ب", "ب"]
    assert len({alone, end.number, middle.number, start.number}) == 4


def test_joiner_between_arabic_letters_parts_them_and_draws_nothing() -> None:
    joined, parted = run_of("می").placed, run_of("م\u200cی").placed
    assert (len(joined), len(parted)) == (2, 2)
    assert [placed.glyph.number for placed in joined] != [placed.glyph.number for placed in parted]


def test_brackets_in_text_from_the_right_are_mirrored() -> None:
    opening = SERIF.runs("(")[0].placed[0].glyph.number
    last, *_ = SERIF.runs("אב)")
    assert (last.placed[0].glyph.text, last.placed[0].glyph.number) == (")", opening)


def test_parts_of_a_line_are_seen_in_their_order() -> None:
    runs = SERIF.runs("אב ab 12")
    assert ["".join(placed.glyph.text for placed in run.placed).strip() for run in runs] == ["ab 12", "בא"]


def test_levels_of_the_paragraph_order_a_line_of_it() -> None:
    runs = SERIF.runs("ab אב", [2, 2, 1, 1, 1])
    assert ["".join(placed.glyph.text for placed in run.placed) for run in runs] == ["בא", " ", "ab"]


def test_text_of_scripts_that_reorder_is_kept_beside_the_glyphs() -> None:
    assert (run_of("कि").untold, run_of("кит").untold, run_of("ب").untold) == ("कि", "", "")


def test_nothing_is_drawn_for_marks_of_direction() -> None:
    assert [len(run.placed) for run in SERIF.runs("\u200f")] == [0]

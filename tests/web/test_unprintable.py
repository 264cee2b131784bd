"""What cannot be printed, in words."""

from __future__ import annotations

import pytest

from relay.domain.letter_pages import Unprintable
from relay.web.unprintable import SHOWN, sentence_about_line, sentences

BELL = Unprintable("\x07", "U+0007", 1, 2)
SIGN = Unprintable("\U00012000", "CUNEIFORM SIGN A", 3, 4)
VOWEL = Unprintable("\u0eb1", "LAO VOWEL SIGN MAI KAN", 5, 6)


def test_each_character_is_named_once_with_its_first_place() -> None:
    again = Unprintable(SIGN.character, SIGN.name, 7, 8)
    assert sentences([BELL, SIGN, VOWEL, again], "en") == [
        "The character “\ufffd” (U+0007) in line 1, place 2, cannot be printed.",
        "The character “\U00012000” (CUNEIFORM SIGN A) in line 3, place 4, and in 1 more place, cannot be printed.",
        "The character “\u25cc\u0eb1” (LAO VOWEL SIGN MAI KAN) in line 5, place 6, cannot be printed.",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [(0, []), (1, ["1 more character cannot be printed."]), (2, ["2 more characters cannot be printed."])],
)
def test_many_characters_are_not_all_named(more: int, said: list[str]) -> None:
    found = [Unprintable(chr(0x12000 + number), f"SIGN {number}", 1, number + 1) for number in range(SHOWN + more)]
    assert sentences(found, "en")[SHOWN:] == said


def test_name_has_no_places() -> None:
    assert sentence_about_line([SIGN, BELL, SIGN], "en") == (
        "This has characters that cannot be printed: “\U00012000” (CUNEIFORM SIGN A), “\ufffd” (U+0007)."
    )

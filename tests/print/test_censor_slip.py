"""The slip for the facility's censor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from reportlab.pdfgen.canvas import Canvas

from print.censor_slip import draw_censor_slip
from relay.domain.languages import LANGUAGES
from relay.domain.reply_code import ReplyCode, new_reply_code, read_code
from relay.domain.sheet import PAGE
from tests.print.letters import CODE, PIXELS, pages_in, picture_of, text_in
from tests.print.papers import margin_is_white, pdf_of

ADDRESS = ("Example Group", "PO Box 1", "00000 Exampletown")


def slip(
    codes: Sequence[ReplyCode] = (CODE,),
    *,
    name: str = "Max Example",
    language: str = "en",
    address: Sequence[str] = ADDRESS,
) -> bytes:
    def draw(canvas: Canvas) -> Iterator[None]:
        draw_censor_slip(canvas, name, language, codes, address)
        yield

    return pdf_of(draw)


def test_slip_asks_to_forward_or_to_say_why_not() -> None:
    assert text_in(slip(), 0) == (
        "A request to the staff who check the mail Addressee: Max Example Reply code 2222 2222 2222 "
        "Please hand over the enclosed mail to the person named above. "
        "If the person was moved, please forward the mail to the new place. "
        "If it is not handed over, please tick the reason and send it back with this page. "
        "moved to another place, which is: released no such person here the mail was not accepted another reason: "
        "Thank you for your work. Return address: Example Group PO Box 1 00000 Exampletown"
    )


def test_without_a_return_address_nothing_speaks_of_one() -> None:
    assert text_in(slip(address=()), 0).endswith("Thank you for your work.")


def test_codes_of_all_letters_stand_whole_on_their_lines_and_each_once() -> None:
    codes = [new_reply_code() for _ in range(7)]
    words = text_in(slip([*codes, codes[0]]), 0)
    printed = words[words.index("Reply code") + len("Reply code") : words.index("Please hand over")].replace(" ", "")
    assert [read_code(printed[start : start + 12]).code for start in range(0, len(printed), 12)] == codes


@pytest.mark.parametrize("language", LANGUAGES)
def test_slip_of_a_full_envelope_is_one_page_inside_the_margins(language: str) -> None:
    pdf = slip(
        [new_reply_code() for _ in range(20)],
        name="Пример-Вымышленный " * 8,
        language=language,
        address=("Очень длинное название вымышленной группы " * 4,) * 5,
    )
    assert pages_in(pdf) == 1
    assert margin_is_white(picture_of(pdf, 0))


def test_usual_slip_takes_the_upper_part_of_the_page() -> None:
    dark = np.flatnonzero((picture_of(slip(), 0) < 128).any(axis=1))
    assert dark.max() / PIXELS < PAGE.height * 2 / 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_slip_does_not_name_the_relay(language: str) -> None:
    words = text_in(slip(language=language), 0).lower()
    assert [word for word in ("relay", "prison", "http", "www", "@") if word in words] == []

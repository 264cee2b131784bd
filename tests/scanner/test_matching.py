"""The rules by which a page is given to a letter, or to a person."""

from __future__ import annotations

import pytest

from relay.domain.lives import LetterState, PageState
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import SPECIMEN, ReplyCode, Side, new_reply_code
from relay.store.letters import Ordered
from scanner.codes import CodeRead, Method, PageCodes
from scanner.matching import SENT, Placing, placing

CODE = ReplyCode("ABCDEFGHPHU2")
OTHER = new_reply_code()
LETTER = Ordered("letter", LetterState.POSTED, 2, rendered=True)
PLACED = Placing(PageState.PLACED, letter_id="letter")


def read(
    code: ReplyCode = CODE,
    sheet: int | None = 1,
    side: Side | None = Side.A,
    method: Method = Method.MATRIX,
    repaired: int = 0,
) -> CodeRead:
    return CodeRead(code, sheet, side, method, repaired)


def readable(repaired: int = 0, code: ReplyCode = CODE) -> CodeRead:
    return read(code, None, None, Method.READABLE, repaired)


def held(doubt: PageDoubt) -> Placing:
    return Placing(PageState.HELD, doubt=doubt)


def unmatched(doubt: PageDoubt) -> Placing:
    return Placing(PageState.UNMATCHED, doubt=doubt)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("state", sorted(SENT))
def test_sure_code_of_a_letter_that_was_sent_places_the_page(method: Method, state: LetterState) -> None:
    codes = PageCodes((read(method=method),))
    assert placing(codes, [Ordered("letter", state, 2, rendered=True)], seen=False) == PLACED


@pytest.mark.parametrize(
    ("reads", "foreign", "place"),
    [
        ((), (), unmatched(PageDoubt.NO_CODE)),
        ((), ("https://example.org",), unmatched(PageDoubt.FOREIGN_CODE)),
        ((read(),), ("https://example.org",), PLACED),
        ((read(), read(method=Method.MATRIX_CROP)), (), PLACED),
        ((read(sheet=2, side=Side.B),), (), PLACED),
        ((readable(),), (), PLACED),
        ((readable(1),), (), PLACED),
        ((readable(2),), (), held(PageDoubt.UNCERTAIN)),
        ((readable(1), readable(2)), (), PLACED),
        ((readable(1), readable(0, OTHER)), (), held(PageDoubt.CONTRADICTION)),
        ((readable(0), readable(2, OTHER)), (), held(PageDoubt.CONTRADICTION)),
        ((read(), read(OTHER)), (), held(PageDoubt.CONTRADICTION)),
        ((read(), read(sheet=2)), (), held(PageDoubt.CONTRADICTION)),
        ((read(), read(side=Side.B)), (), held(PageDoubt.CONTRADICTION)),
        ((read(sheet=3),), (), held(PageDoubt.CONTRADICTION)),  # only two sheets were printed
        ((read(sheet=99, side=Side.B),), (), held(PageDoubt.CONTRADICTION)),
    ],
)
def test_what_the_codes_say_decides(reads: tuple[CodeRead, ...], foreign: tuple[str, ...], place: Placing) -> None:
    assert placing(PageCodes(reads, foreign), [LETTER], seen=False) == place


def test_code_that_was_never_given_out_belongs_to_nobody() -> None:
    assert placing(PageCodes((read(),)), [], seen=False) == unmatched(PageDoubt.UNKNOWN_CODE)


def test_specimen_belongs_to_nobody_even_if_an_order_had_it() -> None:
    place = placing(PageCodes((read(SPECIMEN),)), [LETTER], seen=False)
    assert place == unmatched(PageDoubt.UNKNOWN_CODE)


def test_answer_to_a_card_is_placed_if_all_on_it_were_sent() -> None:
    other = Ordered("another", LetterState.POSTED, 2, rendered=True)
    assert placing(PageCodes((read(),)), [LETTER, other], seen=False) == PLACED
    unsent = Ordered("another", LetterState.HELD, 2, rendered=False)
    assert placing(PageCodes((read(),)), [LETTER, unsent], seen=False) == held(PageDoubt.LETTER_NOT_SENT)


@pytest.mark.parametrize(
    ("state", "rendered"),
    [*((state, True) for state in sorted(set(LetterState) - SENT)), *((state, False) for state in LetterState)],
)
def test_letter_that_was_not_sent_has_no_answer(state: LetterState, *, rendered: bool) -> None:
    for seen in (False, True):
        place = placing(PageCodes((read(),)), [Ordered("letter", state, 2, rendered=rendered)], seen=seen)
        assert place == held(PageDoubt.LETTER_NOT_SENT)


def test_side_that_came_before_is_a_duplicate() -> None:
    assert placing(PageCodes((read(),)), [LETTER], seen=True) == held(PageDoubt.DUPLICATE)


def test_every_doubt_can_be_reached() -> None:
    """So that no sentence of the office is dead, and no rule lacks its test above."""
    places = [
        placing(PageCodes(), [], seen=False),
        placing(PageCodes(foreign=("x",)), [], seen=False),
        placing(PageCodes((read(),)), [], seen=False),
        placing(PageCodes((read(), read(OTHER))), [LETTER], seen=False),
        placing(PageCodes((read(),)), [LETTER], seen=True),
        placing(PageCodes((readable(2),)), [LETTER], seen=False),
        placing(PageCodes((read(),)), [Ordered("letter", LetterState.QUEUED, 2, rendered=False)], seen=False),
    ]
    assert {place.doubt for place in places} == set(PageDoubt)
    assert {place.letter_id for place in places} == {None}

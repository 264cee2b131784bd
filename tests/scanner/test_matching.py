"""The rules by which a page is given to a letter, or to a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.domain.lives import ANSWERABLE, LetterState, PageState
from relay.domain.reasons import PageDoubt, ReplyDoubt
from relay.domain.reply_code import SPECIMEN, ReplyCode, Side, new_reply_code
from relay.store.letters import Ordered
from scanner.codes import CodeRead, Method, PageCodes
from scanner.matching import (
    SUREST,
    Circumstances,
    PlacedPage,
    Placing,
    clashing_backs,
    missing_sides,
    placing,
    reply_doubt,
)

CODE = ReplyCode("ABCDEFGHPHU2")
UNSENT = set(LetterState) - ANSWERABLE - {LetterState.ERASED}
OTHER = new_reply_code()


def ordered(letter: str = "letter", state: LetterState = LetterState.POSTED, *, rendered: bool = True) -> Ordered:
    return Ordered(letter, state, 2, rendered, "prisoner", "facility")


LETTER = ordered()
NOTHING, SEEN = Circumstances(), Circumstances(seen=True)
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
@pytest.mark.parametrize("state", sorted(ANSWERABLE))
def test_sure_code_of_a_letter_that_was_sent_places_the_page(method: Method, state: LetterState) -> None:
    codes = PageCodes((read(method=method),))
    assert placing(codes, [ordered("letter", state, rendered=True)], NOTHING) == PLACED


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
    assert placing(PageCodes(reads, foreign), [LETTER], NOTHING) == place


def test_code_that_was_never_given_out_belongs_to_nobody() -> None:
    assert placing(PageCodes((read(),)), [], NOTHING) == unmatched(PageDoubt.UNKNOWN_CODE)


def test_specimen_belongs_to_nobody_even_if_an_order_had_it() -> None:
    place = placing(PageCodes((read(SPECIMEN),)), [LETTER], NOTHING)
    assert place == unmatched(PageDoubt.UNKNOWN_CODE)


def test_answer_to_a_card_is_placed_if_all_on_it_were_sent() -> None:
    other = ordered("another", LetterState.POSTED, rendered=True)
    assert placing(PageCodes((read(),)), [LETTER, other], NOTHING) == PLACED
    unsent = ordered("another", LetterState.HELD, rendered=False)
    assert placing(PageCodes((read(),)), [LETTER, unsent], NOTHING) == held(PageDoubt.LETTER_NOT_SENT)


@pytest.mark.parametrize(
    ("state", "rendered"),
    [
        *((state, True) for state in sorted(UNSENT)),
        *((state, False) for state in sorted(UNSENT | ANSWERABLE)),
    ],
)
def test_letter_that_was_not_sent_has_no_answer(state: LetterState, *, rendered: bool) -> None:
    for seen in (False, True):
        place = placing(PageCodes((read(),)), [ordered("letter", state, rendered=rendered)], Circumstances(seen=seen))
        assert place == held(PageDoubt.LETTER_NOT_SENT)


ERASED = ordered("erased", LetterState.ERASED, rendered=True)


@pytest.mark.parametrize("rendered", [False, True])
def test_page_for_an_erased_letter_waits_for_the_office(*, rendered: bool) -> None:
    letter = ordered("erased", LetterState.ERASED, rendered=rendered)
    for about in (NOTHING, SEEN, Circumstances(facility_id="elsewhere")):
        assert placing(PageCodes((read(),)), [letter], about) == held(PageDoubt.ERASED)


def test_answer_to_a_card_goes_to_those_who_did_not_erase_theirs() -> None:
    assert placing(PageCodes((read(),)), [ERASED, LETTER], NOTHING) == PLACED


def test_side_that_came_before_is_a_duplicate() -> None:
    assert placing(PageCodes((read(),)), [LETTER], SEEN) == held(PageDoubt.DUPLICATE)


BLANK = Circumstances(blank=True)


@pytest.mark.parametrize(
    ("codes", "about", "place"),
    [
        (PageCodes(), BLANK, Placing(PageState.VOID, doubt=PageDoubt.BLANK)),
        (PageCodes((read(side=Side.B),)), BLANK, Placing(PageState.VOID, doubt=PageDoubt.BLANK)),
        (PageCodes(foreign=("x",)), BLANK, unmatched(PageDoubt.FOREIGN_CODE)),
        (PageCodes((readable(2),)), BLANK, held(PageDoubt.UNCERTAIN)),
        (PageCodes((read(),)), Circumstances(clashes=True), held(PageDoubt.CONTRADICTION)),
        (PageCodes((read(),)), Circumstances(tick_side=False), held(PageDoubt.CONTRADICTION)),
        (PageCodes((read(),)), Circumstances(tick_side=True), PLACED),
        (PageCodes((read(side=Side.B),)), Circumstances(tick_side=True), held(PageDoubt.CONTRADICTION)),
        (PageCodes((readable(),)), Circumstances(tick_side=False), PLACED),
        (PageCodes((read(),)), Circumstances(facility_id="facility"), PLACED),
        (PageCodes((read(),)), Circumstances(facility_id="elsewhere"), held(PageDoubt.OTHER_FACILITY)),
    ],
)
def test_what_is_known_beside_the_codes_decides_too(codes: PageCodes, about: Circumstances, place: Placing) -> None:
    assert placing(codes, [LETTER], about) == place


def sides(*pages: tuple[ReplyCode, int, Side] | None) -> dict[int, PageCodes]:
    return {number: PageCodes((read(*page),) if page else ()) for number, page in enumerate(pages, 1)}


A, B = (CODE, 1, Side.A), (CODE, 1, Side.B)
OTHER_A, OTHER_B = (OTHER, 1, Side.A), (OTHER, 1, Side.B)
THIRD_A, THIRD_B = (CODE, 2, Side.A), (CODE, 2, Side.B)


@pytest.mark.parametrize(
    ("pages", "clashing"),
    [
        ((A, B, OTHER_A, OTHER_B), set()),
        ((A, B, OTHER_A, THIRD_B), {3, 4}),
        ((A, THIRD_B), set()),  # one side only was scanned: nothing is known
        ((A, B, THIRD_A, OTHER_A, OTHER_B), set()),  # the back of the second sheet was left out
        ((A, B, THIRD_B, OTHER_A, OTHER_B), set()),
        ((B, A, OTHER_B, THIRD_A), set()),
        ((A, B, OTHER_A, None), set()),
        ((A, B, OTHER_A, THIRD_B, THIRD_A), set()),
    ],
)
def test_back_of_another_sheet_is_noticed(
    pages: tuple[tuple[ReplyCode, int, Side] | None, ...], clashing: set[int]
) -> None:
    assert clashing_backs(sides(*pages)) == clashing


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], ()),
        ([(1, Side.A), (1, Side.B)], ()),
        ([(1, Side.A)], ((1, Side.B),)),
        ([(2, Side.A), (2, Side.B)], ((1, Side.A), (1, Side.B))),
        ([(1, Side.B), (3, Side.A)], ((1, Side.A), (2, Side.A), (2, Side.B), (3, Side.B))),
    ],
)
def test_missing_sides_are_named(there: list[tuple[int, Side]], missing: tuple[tuple[int, Side], ...]) -> None:
    assert missing_sides(there) == missing


@pytest.mark.parametrize("method", sorted(set(Method) - SUREST))
def test_reply_by_a_less_sure_method_is_looked_at(method: Method) -> None:
    pages = [PlacedPage(Method.MATRIX, by_hand=False, unclear_tick=False), PlacedPage(method, False, False)]
    assert reply_doubt(pages, missing=False, release_unseen=True) == ReplyDoubt.METHOD


@pytest.mark.parametrize("method", sorted(SUREST))
def test_reply_by_the_surest_methods_goes_out(method: Method) -> None:
    page = PlacedPage(method, by_hand=False, unclear_tick=False)
    assert reply_doubt([page], missing=False, release_unseen=True) is None
    assert reply_doubt([page], missing=False, release_unseen=False) == ReplyDoubt.PROFILE
    assert reply_doubt([page], missing=True, release_unseen=True) == ReplyDoubt.MISSING
    assert reply_doubt([replace(page, by_hand=True)], missing=True, release_unseen=True) == ReplyDoubt.BY_HAND
    assert reply_doubt([replace(page, unclear_tick=True)], missing=False, release_unseen=True) == ReplyDoubt.TICK


def test_every_doubt_can_be_reached() -> None:
    """So that no sentence of the office is dead, and no rule lacks its test above."""
    places = [
        placing(PageCodes(), [], NOTHING),
        placing(PageCodes(foreign=("x",)), [], NOTHING),
        placing(PageCodes((read(),)), [], NOTHING),
        placing(PageCodes((read(), read(OTHER))), [LETTER], NOTHING),
        placing(PageCodes((read(),)), [LETTER], SEEN),
        placing(PageCodes((readable(2),)), [LETTER], NOTHING),
        placing(PageCodes((read(),)), [ordered("letter", LetterState.QUEUED, rendered=False)], NOTHING),
        placing(PageCodes(), [], BLANK),
        placing(PageCodes((read(),)), [LETTER], Circumstances(facility_id="elsewhere")),
        placing(PageCodes((read(),)), [ERASED], NOTHING),
    ]
    by_hand = {PageDoubt.TAKEN_OUT}
    assert {place.doubt for place in places} == set(PageDoubt) - by_hand
    assert {place.letter_id for place in places} == {None}

"""Which letter a page answers: accepted only where its codes say so without contradiction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.domain.lives import ANSWERABLE, LetterState, PageState
from relay.domain.reasons import PageDoubt, ReplyDoubt
from relay.domain.reply_code import SPECIMEN, ReplyCode, Side
from relay.domain.sheet import TICK_SIDE
from relay.store.letters import Ordered
from scanner.codes import CodeRead, Method, PageCodes

SUREST: Final = frozenset({Method.MATRIX, Method.MATRIX_SCALED, Method.MATRIX_CROP})
"""Ways of reading a code after which nobody has to look."""


def answerable(state: LetterState, *, rendered: bool) -> bool:
    """Whether a page can be the answer to a letter in this state."""
    return rendered and state in ANSWERABLE


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a page goes: to a letter, with a doubt to a person, or nowhere because nothing is on it."""

    state: PageState
    letter_id: str | None = None
    doubt: PageDoubt | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a page beside its codes."""

    seen: bool = False
    """This side of this sheet came before, or, where the code tells no side, any page of it."""
    blank: bool = False
    tick_side: bool | None = None
    """Whether it is printed as the side with the tick boxes, where that can be seen."""
    clashes: bool = False
    """Its code does not fit to that of the other side of the paper."""
    facility_id: str | None = None
    """From which all pages of its scan are, where somebody said so."""


_ERASED: Final = Placing(PageState.HELD, doubt=PageDoubt.ERASED)


def not_erased(ordered: Sequence[Ordered]) -> list[Ordered]:
    """Those whose senders still want an answer: of the greetings on a card perhaps only some."""
    return [order for order in ordered if order.letter_state is not LetterState.ERASED]


def placing(codes: PageCodes, ordered: Sequence[Ordered], about: Circumstances) -> Placing:
    """Decide for one page; `ordered` is what its code was given out for."""
    if codes.contradictory or (codes.agreed and (about.clashes or _on_wrong_side(codes.agreed, about.tick_side))):
        return Placing(PageState.HELD, doubt=PageDoubt.CONTRADICTION)
    code = codes.agreed
    if code is None:
        if codes.suggested:
            return Placing(PageState.HELD, doubt=PageDoubt.UNCERTAIN)
        if codes.foreign:
            return Placing(PageState.UNMATCHED, doubt=PageDoubt.FOREIGN_CODE)
        if about.blank:
            return Placing(PageState.VOID, doubt=PageDoubt.BLANK)
        return Placing(PageState.UNMATCHED, doubt=PageDoubt.NO_CODE)
    if not ordered or code.code == SPECIMEN:
        return Placing(PageState.UNMATCHED, doubt=PageDoubt.UNKNOWN_CODE)
    if code.sheet is not None and code.sheet > ordered[0].sheets:
        return Placing(PageState.HELD, doubt=PageDoubt.CONTRADICTION)
    meant = not_erased(ordered)
    if not meant:
        return Placing(PageState.VOID, doubt=PageDoubt.BLANK) if about.blank else _ERASED
    if not all(answerable(order.letter_state, rendered=order.rendered) for order in meant):
        return Placing(PageState.HELD, doubt=PageDoubt.LETTER_NOT_SENT)
    if about.facility_id is not None and {order.facility_id for order in ordered} != {about.facility_id}:
        return Placing(PageState.HELD, doubt=PageDoubt.OTHER_FACILITY)
    if about.blank:
        return Placing(PageState.VOID, doubt=PageDoubt.BLANK)
    if about.seen:
        return Placing(PageState.HELD, doubt=PageDoubt.DUPLICATE)
    # The answer to a card goes to all who wrote on it, whichever of them it is given to.
    return Placing(PageState.PLACED, letter_id=meant[0].letter_id)


def _on_wrong_side(code: CodeRead, tick_side: bool | None) -> bool:
    return code.side is not None and tick_side is not None and (code.side is TICK_SIDE) != tick_side


def clashing_backs(codes: Mapping[int, PageCodes]) -> frozenset[int]:
    """The pages of a scan, by their numbers, whose other side seems to belong to another sheet.

    In a scan of both sides a sheet's two sides stand beside each other, with one code. Where side A of one sheet is
    followed by side B of another, and neither has its own other side beside it, two sheets went through as one, or a
    code is wrong. A scan in which no sheet has both its sides was made of one side only and tells nothing.
    """
    sides = {number: read for number, page in codes.items() if (read := page.agreed) and read.side}

    def joined(first: int, second: int) -> bool:
        one, other = sides.get(first), sides.get(second)
        return one is not None and other is not None and _sheet(one) == _sheet(other) and one.side != other.side

    if not any(joined(number, number + 1) for number in sides):
        return frozenset()
    clashing: set[int] = set()
    for number, front in sides.items():
        back = sides.get(number + 1)
        if back is None or (front.side, back.side) != (Side.A, Side.B) or _sheet(front) == _sheet(back):
            continue
        if not joined(number - 1, number) and not joined(number + 1, number + 2):
            clashing |= {number, number + 1}
    return frozenset(clashing)


def _sheet(read: CodeRead) -> tuple[ReplyCode, int | None]:
    return read.code, read.sheet


def missing_sides(there: Iterable[tuple[int, Side]]) -> tuple[tuple[int, Side], ...]:
    """The sheets and sides that should be there too, from those that are: of each sheet both sides, and every sheet
    before the last. Sheets that nobody wrote on are not sent back, so those behind it say nothing."""
    known = set(there)
    last = max((sheet for sheet, _ in known), default=0)
    return tuple((sheet, side) for sheet in range(1, last + 1) for side in Side if (sheet, side) not in known)


@dataclass(frozen=True, slots=True)
class PlacedPage:
    """What the release of a reply depends on in one of its pages."""

    method: str | None
    by_hand: bool
    unclear_tick: bool


def reply_doubt(pages: Sequence[PlacedPage], *, missing: bool, release_unseen: bool) -> ReplyDoubt | None:
    """Why a person looks at a reply before its sender gets it; None where nobody has to."""
    if any(page.by_hand for page in pages):
        return ReplyDoubt.BY_HAND
    if any(page.method not in SUREST for page in pages):
        return ReplyDoubt.METHOD
    if missing:
        return ReplyDoubt.MISSING
    if any(page.unclear_tick for page in pages):
        return ReplyDoubt.TICK
    return None if release_unseen else ReplyDoubt.PROFILE

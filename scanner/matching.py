"""Which letter a page answers: accepted only where its codes say so without contradiction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from relay.domain.lives import LetterState, PageState
from relay.domain.reasons import PageDoubt
from relay.domain.reply_code import SPECIMEN
from relay.store.letters import Ordered
from scanner.codes import PageCodes

SENT: Final = frozenset(
    {
        LetterState.APPROVED,
        LetterState.PRINTED,
        LetterState.POSTED,
        LetterState.DELIVERED,
        LetterState.RETURNED,
        LetterState.HELD,
    }
)
"""States in which the reply sheet of a letter can be out there, once its pages are rendered.

Approved and held ones too: marking a batch may be forgotten, and a letter may be stopped after it was printed.
"""


def answerable(state: LetterState, *, rendered: bool) -> bool:
    """Whether a page can be the answer to a letter in this state."""
    return rendered and state in SENT


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a page goes: to a letter, or with a doubt to a person."""

    state: PageState
    letter_id: str | None = None
    doubt: PageDoubt | None = None


def placing(codes: PageCodes, ordered: Sequence[Ordered], *, seen: bool) -> Placing:
    """Decide for one page.

    `ordered` is what its code was given out for; `seen` tells that this side of this sheet came before, or, where the
    code tells no side, any page of it.
    """
    if codes.contradictory:
        return Placing(PageState.HELD, doubt=PageDoubt.CONTRADICTION)
    code = codes.agreed
    if code is None:
        if codes.suggested:
            return Placing(PageState.HELD, doubt=PageDoubt.UNCERTAIN)
        doubt = PageDoubt.FOREIGN_CODE if codes.foreign else PageDoubt.NO_CODE
        return Placing(PageState.UNMATCHED, doubt=doubt)
    if not ordered or code.code == SPECIMEN:
        return Placing(PageState.UNMATCHED, doubt=PageDoubt.UNKNOWN_CODE)
    if code.sheet is not None and code.sheet > ordered[0].sheets:
        return Placing(PageState.HELD, doubt=PageDoubt.CONTRADICTION)
    if not all(answerable(order.letter_state, rendered=order.rendered) for order in ordered):
        return Placing(PageState.HELD, doubt=PageDoubt.LETTER_NOT_SENT)
    if seen:
        return Placing(PageState.HELD, doubt=PageDoubt.DUPLICATE)
    # The answer to a card goes to all who wrote on it, whichever of them it is given to.
    return Placing(PageState.PLACED, letter_id=ordered[0].letter_id)

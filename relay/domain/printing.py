"""How letters are put on paper: what a facility's profile says about it, and what a prisoner needs."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

REPLY_SHEETS_MAX: Final = 9
"""Reply sheets with one letter; a profile may allow fewer."""


class Layout(StrEnum):
    """How a letter is set for its reader."""

    NORMAL = "normal"
    LARGE = "large"
    """Large print, for poor eyes."""
    PLAIN = "plain"
    """Sans serif, ragged, no word divided, lines far apart: for who reads with effort."""


class EnvelopeFormat(StrEnum):
    """Sizes of envelopes; see `relay.domain.envelopes`."""

    DL = "DL"
    C6 = "C6"
    C5 = "C5"
    C4 = "C4"
    US10 = "US10"


class Window(StrEnum):
    """Where an envelope lets the address be seen."""

    DIN5008_A = "DIN5008-A"
    DIN5008_B = "DIN5008-B"
    US10 = "US10"


class PrintRules(BaseModel):
    """What the profile of a facility says about the printing: its table ``[print]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplex: bool = False
    """Whether letters are printed on both sides of the paper; many facilities copy only the odd pages."""
    grey: bool = False
    """Whether photos are printed in grey."""
    photos_per_page: Literal[1, 2, 4] = 1
    photo_mm: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] | None = None
    """Longer and shorter side of the largest photo that the facility takes; without it a photo may fill its place."""
    matrix_codes: bool = True
    """Whether reply sheets carry matrix codes beside the readable ones."""
    reply_sheets: Annotated[int, Field(ge=0, le=REPLY_SHEETS_MAX)] = 3
    """How many reply sheets a sender may order with a letter."""
    cards: bool = True
    """Whether short greetings of several senders may stand together on one sheet."""
    envelope: EnvelopeFormat = EnvelopeFormat.DL
    window: Window | None = None
    several_in_envelope: bool = False
    """Whether letters of several senders to one prisoner may share an envelope."""
    return_envelope: EnvelopeFormat | None = None
    """The addressed envelope that is laid in for the answer; the volunteer stamps it."""
    censor_slip: bool = False
    """Whether a slip goes along that asks to forward the letter or to say why it is not handed over."""


USUAL_RULES: Final = PrintRules()
"""Where no profile says more."""


class Weight(BaseModel):
    """What the parts of a posted letter weigh, in grams: a profile's table ``[weight]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sheet: Annotated[float, Field(gt=0)] = 4.99
    """One sheet of A4; 80 g/m² by 0.06237 m² (ISO 216)."""
    envelope: Annotated[float, Field(ge=0)] = 5.0
    return_envelope: Annotated[float, Field(ge=0)] = 5.0
    """With its stamp."""
    classes: Annotated[tuple[float, ...], Field(min_length=1)] = (20, 100)
    """Up to how many grams each class of postage goes, in their order."""

    def of(self, sheets: int, *, return_envelope: bool = False) -> float:
        """What this many sheets of paper weigh in their envelope, in grams."""
        return sheets * self.sheet + self.envelope + (self.return_envelope if return_envelope else 0)

    def postage(self, grams: float) -> float | None:
        """The class of postage as the grams up to which it goes; None where it is too heavy for all."""
        return next((limit for limit in sorted(self.classes) if grams <= limit), None)


def sheets_of(letter_pages: int, photos: int, reply_sheets: int, rules: PrintRules) -> int:
    """How many sheets of paper a letter takes: text, photos, reply sheets, the slip for the censor."""
    pages = letter_pages + math.ceil(photos / rules.photos_per_page)
    return (math.ceil(pages / 2) if rules.duplex else pages) + reply_sheets + rules.censor_slip

"""What the codes on one page say together, and whether that is enough to place it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from relay.domain.reply_code import ACCEPTED_REPAIRS, MatrixCode, NotAReplyCodeError, ReplyCode, Side, read_matrix


class Method(StrEnum):
    """How a code was read: the rungs of the ladder, from the surest to the least sure."""

    MATRIX = "matrix"
    """The matrix code, on the page as it came."""
    MATRIX_SCALED = "matrix_scaled"
    """The matrix code, on the page at twice its size."""
    MATRIX_CROP = "matrix_crop"
    """The matrix code, where it must be on the straightened page."""
    READABLE = "readable"
    """The readable code, by text recognition."""
    SOFT_MATRIX = "soft_matrix"
    """The modules of the matrix code, compared with all codes that are outstanding."""
    SOFT_READABLE = "soft_readable"
    """The symbols of the readable code, or these and the modules together, compared likewise."""


@dataclass(frozen=True, slots=True)
class CodeRead:
    """One reply code read from a page. The readable code tells neither sheet nor side."""

    code: ReplyCode
    sheet: int | None
    side: Side | None
    method: Method
    repaired: int = 0
    """Symbols of the readable code that had to be repaired."""

    @property
    def certain(self) -> bool:
        """Whether this may be accepted without a person; otherwise it only suggests."""
        return self.repaired <= ACCEPTED_REPAIRS


@dataclass(frozen=True, slots=True)
class PageCodes:
    """All codes of one page. A preview carries the specimen code, which is read like any other and has no letter."""

    reads: tuple[CodeRead, ...] = ()
    foreign: tuple[str, ...] = ()
    """The texts of matrix codes that are not ours, as they came: data, never to be followed."""

    @property
    def contradictory(self) -> bool:
        """Whether two reads differ in code, sheet or side, sure or not. Such a page must not be placed."""
        codes = {read.code for read in self.reads}
        sheets = {read.sheet for read in self.reads} - {None}
        sides = {read.side for read in self.reads} - {None}
        return any(len(found) > 1 for found in (codes, sheets, sides))

    @property
    def agreed(self) -> CodeRead | None:
        """The one code that this page carries, by the surest method; None without any, in doubt or in contradiction."""
        if self.contradictory:
            return None
        return next((read for read in self.reads if read.certain), None)

    @property
    def suggested(self) -> tuple[ReplyCode, ...]:
        """The codes to show to a person when nothing is agreed."""
        return () if self.agreed else tuple(dict.fromkeys(read.code for read in self.reads))


def matrix_codes(texts: Iterable[tuple[str, Method]]) -> PageCodes:
    """The codes of a page from the texts of its matrix codes, each with how it was read; the surest come first."""
    reads: dict[MatrixCode, CodeRead] = {}
    foreign: list[str] = []
    for text, method in texts:
        try:
            matrix = read_matrix(text)
        except NotAReplyCodeError:
            foreign.append(text)
        else:
            reads.setdefault(matrix, CodeRead(matrix.code, matrix.sheet, matrix.side, method))
    return PageCodes(tuple(reads.values()), tuple(dict.fromkeys(foreign)))

"""What the child measures on a page beside its codes: numbers from which the parent draws its conclusions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class MatrixSample:
    """The modules of a matrix code that could not be read, softly, at one of the places where a sheet has them."""

    place: int
    """In `relay.domain.sheet.MATRICES`."""
    modules: NDArray[np.int8]
    """Rows and columns of modules: 127 is surely black, -127 surely white, 0 says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class LineSample:
    """The symbols of a readable code, softly, at one of the places where a sheet has it."""

    place: int
    """In `relay.domain.sheet.READABLE`."""
    symbols: NDArray[np.int8]
    """One row for each of the symbols, one column for each of ALPHABET: how much the picture looks like it."""


@dataclass(frozen=True, slots=True)
class BoxInk:
    """How much ink is in and on one tick box."""

    filled: float
    """Share of its inside that is dark, 0 to 1."""
    outline: float
    """Share of its printed outline that is there, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured on one page."""

    matrices: tuple[MatrixSample, ...] = ()
    """Of pages whose matrix codes could not be read; a place may come several times, by several geometries."""
    lines: tuple[LineSample, ...] = ()
    boxes: tuple[BoxInk, ...] = ()
    """One for each `relay.domain.sheet.Tick`, in their order; none on a page that could not be straightened."""
    ink: float = 1.0
    """Square millimetres of writing; of a straightened sheet where people write, otherwise of the whole page."""

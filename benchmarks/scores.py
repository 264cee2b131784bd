"""The codes by themselves, each as it is damaged: what is read of them, and whether the model of the scores holds.

Single codes are harder than pages, which have two and a readable one. First each kind of damage, with the code looked
for in the picture as the scanner does it; then many codes whose place is known to a quarter of a millimetre.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import cv2
import numpy as np
import zxingcpp
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks import Figure
from benchmarks.damage import DPIS, any_side, chance, code_crop, damaged_at, reply_codes, reply_sheet
from benchmarks.routing import BENCH, OUTSTANDING, Run, outstanding
from benchmarks.wear import KINDS, Grey
from relay.domain.sheet import MATRICES, MATRIX, MODULE, QUIET, READABLE
from scanner.geometry import DPI
from scanner.samples import MatrixSample, Samples
from scanner.sampling import find_matrices
from scanner.symbols import sample_symbols

OF_EACH: Final = 40
"""Codes of each kind of damage and resolution that are looked for as on a page."""
CROPS: Final = 100_000
"""Codes whose place is known."""
PART: Final = 2000
"""Of them at a time."""
UNKNOWN: Final = 10
"""Each so many'th code of these is not outstanding."""
COUNTED: Final = 200
"""Of each so many'th code, which is one of those, all scores are counted."""
OFF: Final = 0.25
"""How far the place of a code may be off, in mm: the corners' spread."""
LINES: Final = 200
"""Sheets whose readable codes are damaged, and are not outstanding."""
LINES_OF_A_PART: Final = 20
BENT: Final = frozenset({"turned", "perspective", "bent", "stretched", "feeder slipped", "crumpled", "all together"})
"""Kinds of damage after which nobody knows where the modules are."""
_QR: Final = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


LEVELS: Final = np.arange(0.5, 7.0, 0.5)
"""Standard deviations."""
EXPONENTS: Final = np.arange(1.0, 25.0)
"""Of Chernoff's bound, in nats."""


@dataclass(frozen=True, slots=True)
class Read:
    """Of the codes of one kind of damage, how many each way reads."""

    kind: str
    codes: int
    soft: int
    wrong: int
    alone: int
    """By zxing-cpp with its own settings."""


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """How many scores of codes that were not there reach each level."""

    scores: int
    above: NDArray[np.int64]
    highest: float
    wrong: int = 0
    """How many would have been accepted."""


def kind_of_damage(number: int) -> Read:
    """Damage codes in one way, and look for them as on a page whose geometry is known to a few millimetres."""
    kind = list(KINDS)[number]
    codes, known = outstanding()
    soft = wrong = alone = 0
    for dpi in DPIS:
        for place in range(OF_EACH):
            rng = chance(5, number, dpi, place)
            truth = any_side(codes[int(rng.integers(OUTSTANDING))], rng)
            crop = code_crop(truth, kind, dpi, rng)
            alone += str(truth) in {code.text for code in zxingcpp.read_barcodes(crop, formats=_QR)}
            # A geometry that lays the code, with its quiet zone, where the upper one stands on a sheet.
            x, y = MATRICES[0].x - QUIET + rng.uniform(-2, 2), MATRICES[0].y - QUIET + rng.uniform(-2, 2)
            sheet = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 25.4 / dpi]]) * dpi / 25.4
            found = known.match(Samples(matrices=tuple(found.sample for found in find_matrices(crop, [sheet])))).read
            right = found is not None and (found.code, found.sheet, found.side) == (truth.code, truth.sheet, truth.side)
            soft += right
            wrong += found is not None and not right
    return Read(kind, 2 * OF_EACH, soft, wrong, alone)


def crops(part: int) -> tuple[list[Read], Tails]:
    """Damage codes in any way that leaves the modules where they are, and compare them; the scores of those that are
    not outstanding are counted."""
    codes, known = outstanding()
    kinds = [kind for kind in KINDS if kind not in BENT]
    reads: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    above, scores, highest = np.zeros(len(LEVELS), np.int64), 0, 0.0
    for number in range(part * PART, (part + 1) * PART):
        rng, kind = chance(6, number), kinds[number % len(kinds)]
        there = bool(number % UNKNOWN)
        truth = any_side(codes[int(rng.integers(OUTSTANDING))] if there else reply_codes(1, rng)[0], rng)
        dpi = DPIS[number // len(kinds) % len(DPIS)]
        samples = Samples(matrices=(MatrixSample(0, measured(code_crop(truth, kind, dpi, rng), dpi / 25.4, rng)),))
        found = known.match(samples).read
        right = found is not None and (found.code, found.sheet, found.side) == (truth.code, truth.sheet, truth.side)
        reads[kind if there else ""].append((right, found is not None and not right))
        if number % COUNTED == 0:
            for chunk in known.deviations(samples.matrices):
                scores += chunk.size
                above += [int((chunk >= level).sum()) for level in LEVELS]
                highest = max(highest, float(chunk.max()))
    return [
        Read(kind, len(found), sum(right for right, _ in found), sum(wrong for _, wrong in found), 0)
        for kind, found in reads.items()
    ], Tails(scores, above, highest)


def lines(number: int) -> Tails:
    """Damage readable codes that are not outstanding, and compare their symbols with those that are."""
    _, known = outstanding()
    above, scores, highest, wrong = np.zeros(len(EXPONENTS), np.int64), 0, 0.0, 0
    for place in range(LINES_OF_A_PART):
        rng = chance(7, number, place)
        page = reply_sheet(any_side(reply_codes(1, rng)[0], rng))
        for rect in READABLE:
            page = damaged_at(page, rect.grown(1), str(rng.choice(list(KINDS))), DPI / 25.4, rng)
        samples = sample_symbols(page, [np.diag([DPI / 25.4, DPI / 25.4, 1.0])])
        wrong += known.match(Samples(lines=tuple(samples))).read is not None
        for sample in samples:
            exponents = known.exponents([sample])
            scores += len(exponents)
            above += [int((exponents >= level).sum()) for level in EXPONENTS]
            highest = max(highest, float(exponents.max()))
    return Tails(scores, above, highest, wrong)


def measured(crop: Grey, per_mm: float, rng: Generator) -> NDArray[np.int8]:
    """The modules of a code whose corners are known to OFF: each against what is black and white around it."""
    size = round(MATRIX / MODULE)
    corners = np.array([(0, 0), (size, 0), (size, size), (0, size)], np.float32)
    seen = (corners * MODULE + QUIET + rng.normal(0, OFF, (4, 2))) * per_mm - 0.5
    to_picture = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    steps = (np.arange(-3, 3 * size + 3) + 0.5) / 3  # three by three in a module, and one module around
    points = np.stack(np.meshgrid(steps, steps), 2).reshape(-1, 1, 2)
    places = cv2.perspectiveTransform(points, to_picture).astype(np.float32)
    x, y = places.reshape(len(steps), len(steps), 2).transpose(2, 0, 1).copy()
    pixels = cv2.remap(crop, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    modules = pixels.reshape(size + 2, 3, size + 2, 3).mean((1, 3)).astype(np.float32)
    around = np.ones((7, 7), np.uint8)
    white, black = cv2.dilate(modules, around), cv2.erode(modules, around)
    contrast = np.maximum(white - black, 0.35 * float(np.median(white - black)) + 1)
    soft = np.clip((white + black - 2 * modules) / contrast, -1, 1)[1:-1, 1:-1]
    return cast("NDArray[np.int8]", np.round(127 * soft).astype(np.int8))


def figures(run: Run) -> list[Figure]:
    """All figures about single codes."""
    searched = list(run(kind_of_damage, range(len(KINDS))))
    parts = list(run(crops, range(CROPS // PART)))
    reads = [read for part, _ in parts for read in part]
    known = [read for read in reads if read.kind]
    null = _together([tails for _, tails in parts])
    null_lines = _together(list(run(lines, range(LINES // LINES_OF_A_PART))))
    wrong = sum(read.wrong for read in [*reads, *searched]) + null_lines.wrong
    total = sum(read.codes for read in [*reads, *searched]) + LINES
    beside = {"zxing-cpp alone, %": _share(searched, "alone")}
    return [
        Figure(BENCH, "damaged codes read, searched", _share(searched, "soft"), "%", None, beside),
        Figure(BENCH, f"damaged codes read, place known to {OFF} mm", _share(known, "soft"), "%"),
        Figure(BENCH, "codes wrong", wrong, "codes", 0, {"codes": total}),
        _tail("null scores against their bound", null, np.exp(-(LEVELS**2) / 2)),
        _tail("null symbols against their bound", null_lines, np.exp(-EXPONENTS)),
        *(_of_kind(kind, searched, known) for kind in KINDS),
    ]


def _of_kind(kind: str, searched: Sequence[Read], known: Sequence[Read]) -> Figure:
    of_kind = [read for read in searched if read.kind == kind]
    peers = {"zxing-cpp alone, %": _share(of_kind, "alone")}
    if kind not in BENT:
        peers["place known, %"] = _share([read for read in known if read.kind == kind], "soft")
    return Figure(BENCH, f"codes read, {kind}", _share(of_kind, "soft"), "%", None, peers)


def _share(reads: Sequence[Read], way: Literal["soft", "alone"]) -> float:
    right = sum(read.soft if way == "soft" else read.alone for read in reads)
    return 100 * right / sum(read.codes for read in reads)


def _together(tails: Sequence[Tails]) -> Tails:
    return Tails(
        sum(tail.scores for tail in tails),
        np.sum([tail.above for tail in tails], axis=0),
        max(tail.highest for tail in tails),
        sum(tail.wrong for tail in tails),
    )


def _tail(figure: str, tails: Tails, bound: NDArray[np.float64]) -> Figure:
    """How near the tail comes to its bound; levels that fewer than ten scores reach say nothing."""
    ratios = (tails.above / tails.scores / bound)[tails.above >= 10]
    peers = {"scores": tails.scores, "highest": tails.highest}
    return Figure(BENCH, figure, float(ratios.max()), "times", 1, peers)

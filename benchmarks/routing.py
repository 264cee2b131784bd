"""Whole pages through the scanner: which reach the right letter, by which way, and which would reach a wrong one.

Scans of twenty pages, both sides of ten sheets, are taken in as the worker takes them in and climb the ladder.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Protocol, TypeVar

import zxingcpp
from numpy.random import Generator
from PIL import Image

from benchmarks import Figure
from benchmarks.damage import (
    DPIS,
    INDEPENDENT,
    ORDINARY,
    PAGE_KINDS,
    SHEETS,
    Page,
    chance,
    ordinary_page,
    reply_codes,
    whole_page,
)
from relay.domain.reply_code import ALPHABET, LENGTH, MatrixCode, ReplyCode, Side
from scanner.codes import CodeRead, Method, PageCodes
from scanner.intake import pages
from scanner.ladder import climb
from scanner.limits import Limits
from scanner.outstanding import SUGGESTED, Outstanding
from scanner.suggesting import Known, beside

BENCH: Final = "scan"
OUTSTANDING: Final = 20_000
"""Codes that could come back."""
KNOWN_SCANS: Final = 100
"""Damaged, of 20 pages each, whose codes are outstanding."""
GONE_SCANS: Final = 5
"""The same with codes that are valid but not outstanding any more."""
OTHER_SCANS: Final = 5
"""The same of another system, whose codes are as long and are not valid."""
ORDINARY_SCANS: Final = 2
"""Of each kind."""
PHOTOGRAPHS: Final = Path(__file__).parents[2] / "shared" / "samples" / "qr"
"""Of other codes and of none; where they are not there they are not counted."""
LETTERS: Final = 10
"""Of which both sides of a sheet are in a scan."""
_QR: Final = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


Done = TypeVar("Done")


class Run(Protocol):
    """Does something for each number, on all cores, and gives what comes of it in the same order."""

    def __call__(self, do: Callable[[int], Done], numbers: Iterable[int], /) -> Iterable[Done]:
        """See the class."""


@dataclass(frozen=True, slots=True)
class Came:
    """What became of one page."""

    kind: str
    known: bool
    """Whether its code is outstanding."""
    method: Method | None
    """How it was read; None where it goes to a person."""
    right: bool
    suggested: bool
    """Whether the right letter is among the first suggestions."""
    alone: bool
    """Whether zxing-cpp alone reads it."""

    @property
    def wrong(self) -> bool:
        """Whether it goes to a wrong letter, or to a wrong place in the right one."""
        return self.method is not None and not self.right


@cache
def outstanding() -> tuple[list[ReplyCode], Outstanding]:
    """The codes that could come back, the same in every process."""
    codes = reply_codes(OUTSTANDING, chance(1))
    return codes, Outstanding([(code, SHEETS) for code in codes])


def damaged_scan(number: int) -> list[Came]:
    """Take in a scan of damaged pages: first those whose codes are outstanding, then those whose codes are gone, then
    those of another system."""
    kinds = [INDEPENDENT, *PAGE_KINDS]

    def drawn(truth: MatrixCode, place: int) -> Page:
        kind = kinds[(number * 2 * LETTERS + place) % len(kinds)]
        return whole_page(truth, chance(2, number, place), kind, DPIS[number % len(DPIS)])

    rng, known = chance(4, number), number < KNOWN_SCANS
    if known:
        codes = _known(rng)
    elif number < KNOWN_SCANS + GONE_SCANS:
        codes = reply_codes(LETTERS, rng)
    else:
        codes = [ReplyCode("".join(rng.choice(list(ALPHABET), LENGTH))) for _ in range(LETTERS)]
    return _came([drawn(truth, place) for place, truth in enumerate(_both_sides(codes, rng))], known=known)


def ordinary_scan(number: int) -> list[Came]:
    """Take in a scan of ordinary pages, all of one kind."""
    kind, rng = list(ORDINARY)[number % len(ORDINARY)], chance(8, number)
    truths = _both_sides(_known(rng), rng)
    drawn = [ordinary_page(truth, chance(3, number, place), kind) for place, truth in enumerate(truths)]
    return _came(drawn, known=True)


def photograph(number: int) -> bool:
    """Take in a photograph of something else; whether it goes to a person, as it must."""
    (found,) = asyncio.run(_climbed(_photographs()[number]))
    return found[0].agreed is None


def _photographs() -> list[Path]:
    return sorted(path for path in PHOTOGRAPHS.rglob("*") if path.suffix in {".png", ".jpg", ".webp"})


def _known(rng: Generator) -> list[ReplyCode]:
    return [outstanding()[0][place] for place in rng.choice(OUTSTANDING, LETTERS, replace=False)]


def _both_sides(codes: Sequence[ReplyCode], rng: Generator) -> list[MatrixCode]:
    return [MatrixCode(code, int(rng.integers(1, SHEETS + 1)), side) for code in codes for side in Side]


def _came(given: Sequence[Page], *, known: bool) -> list[Came]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scan.tiff")
        first, *others = (Image.fromarray(page.picture) for page in given)
        dpi = given[0].dpi
        first.save(file, save_all=True, append_images=others, compression="tiff_adobe_deflate", dpi=(dpi, dpi))
        climbed = asyncio.run(_climbed(file))
    agreed = [codes.agreed for codes, _ in climbed]
    neighbours = {place: Known(read.code, read.sheet, read.side) for place, read in enumerate(agreed) if read}
    return [
        Came(
            kind=page.kind,
            known=known,
            method=read.method if read else None,
            right=read is not None and _is(read, page.truth),
            suggested=page.truth.code in _suggested(codes, ranked, neighbours, place),
            alone=str(page.truth) in {code.text for code in zxingcpp.read_barcodes(page.picture, formats=_QR)},
        )
        for place, (page, read, (codes, ranked)) in enumerate(zip(given, agreed, climbed, strict=True))
    ]


async def _climbed(file: Path) -> list[tuple[PageCodes, tuple[ReplyCode, ...]]]:
    async def known() -> Outstanding:
        return outstanding()[1]

    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with aclosing(pages(file, Path(folder), Limits())) as given:
            async for page in given:
                climbed = await climb(page, known)
                found.append((climbed.codes, climbed.ranked))
                page.remove()
    return found


def _is(read: CodeRead, truth: MatrixCode) -> bool:
    return read.code == truth.code and read.sheet in {None, truth.sheet} and read.side in {None, truth.side}


def _suggested(
    codes: PageCodes, ranked: Sequence[ReplyCode], neighbours: dict[int, Known], place: int
) -> list[ReplyCode]:
    """The first suggestions for a page: what looks like its code, then what lies beside it."""
    near = beside(neighbours, place, dict.fromkeys((known.code for known in neighbours.values()), SHEETS))
    nearest = sorted(near, key=lambda code: -sum(near[code].values()))
    return list(dict.fromkeys((*codes.suggested, *ranked, *(ReplyCode(code) for code in nearest))))[:SUGGESTED]


def figures(run: Run) -> list[Figure]:
    """All figures about whole pages."""
    scans = run(damaged_scan, range(KNOWN_SCANS + GONE_SCANS + OTHER_SCANS))
    damaged = [came for scan in scans for came in scan]
    ordinary = [came for scan in run(ordinary_scan, range(ORDINARY_SCANS * len(ORDINARY))) for came in scan]
    photographs = list(run(photograph, range(len(_photographs()))))
    ours = [came for came in damaged if came.known]
    unread = [came for came in ours if came.method is None]
    wrong = sum(came.wrong for came in damaged + ordinary) + photographs.count(False)
    pages_seen = {
        "outstanding": len(ours + ordinary),
        "not outstanding": len(damaged) - len(ours),
        "of something else": len(photographs),
    }
    found = [
        Figure(BENCH, "pages routed", _share(ours), "%", 99.5, _ways(ours), more_is_better=True),
        Figure(BENCH, "pages wrong", wrong, "pages", 0, pages_seen),
        Figure(BENCH, "ordinary pages routed", _share(ordinary), "%", 100, _ways(ordinary), more_is_better=True),
    ]
    if unread:
        right = 100 * sum(came.suggested for came in unread) / len(unread)
        found.append(
            Figure(
                BENCH,
                "unread pages with the right suggestion",
                right,
                "%",
                90,
                {"unread pages": len(unread)},
                more_is_better=True,
            )
        )
    for kind in (*PAGE_KINDS, *ORDINARY):
        of_kind = [came for came in ours + ordinary if came.kind == kind]
        found.append(
            Figure(BENCH, f"pages routed, {kind}", _share(of_kind), "%", peers=_ways(of_kind), more_is_better=True)
        )
    return found


def _share(came: Sequence[Came]) -> float:
    return 100 * sum(one.right for one in came) / len(came)


def _ways(came: Sequence[Came]) -> dict[str, float]:
    """The share of pages that were read by each method, and by zxing-cpp alone; all in percent."""
    methods = Counter(one.method for one in came if one.right)
    shares = {f"by {method}, %": 100 * methods[method] / len(came) for method in Method if methods[method]}
    return {"pages": len(came), "zxing-cpp alone, %": 100 * sum(one.alone for one in came) / len(came), **shares}

"""Which letters a page might answer that could not be placed. This only suggests: a person decides.

Each sign gives a code points, about the share of such cases in which the sign is right; the points of several signs
for one code add up.
"""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np
import sqlalchemy as sa
import transliterate
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import ANSWERABLE, ReplyState
from relay.domain.reply_code import LENGTH, Side
from relay.store.letters import is_rendered
from relay.store.tables import letters, prisoners, replies, reply_order_letters, reply_orders
from scanner.codes import PageCodes


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class Why(StrEnum):
    """What speaks for a letter."""

    READ = "read"
    REPAIRED = "repaired"
    SCORE = "score"
    BACK = "back"
    NEIGHBOUR = "neighbour"
    NAME = "name"
    HANDWRITTEN = "handwritten"


WHYS: Final[dict[Why, str]] = {
    Why.READ: _("This code was read on the page."),
    Why.REPAIRED: _("The damaged code on the page is this one, if two of its symbols are repaired."),
    Why.SCORE: _("Of all codes that are on their way, the damaged one on the page looks most like this one."),
    Why.BACK: _("In the file it is the other side of a sheet with this code."),
    Why.NEIGHBOUR: _("In the file it lies beside a page with this code."),
    Why.NAME: _("The name of this prisoner seems to be on the page."),
    Why.HANDWRITTEN: _("A code like this seems to be written on the page by hand."),
}


class Suggestion(BaseModel):
    """A letter that a page might answer, by its reply code."""

    model_config = ConfigDict(frozen=True)

    code: str
    why: Why
    """What speaks for it most."""
    points: float = 0.0


@dataclass(frozen=True, slots=True)
class FoundPage:
    """What is known of one page of a scan."""

    number: int
    codes: PageCodes
    ranked: Sequence[str] = ()
    """The outstanding codes that the damaged one looks most like, the likeliest first."""
    words: Sequence[str] = ()
    """Every word that was recognised, however surely."""


@dataclass(frozen=True, slots=True)
class Known:
    """A page of which it is known what it answers, and perhaps of which sheet and side it is."""

    code: str
    sheet: int | None = None
    side: Side | None = None


Points = dict[str, dict[Why, float]]
"""By code."""

SHOWN: Final = 5
"""Suggestions for one page at most."""
REPAIRED: Final = 0.9
"""A code with two repaired symbols that is outstanding: of 20,000 codes chance hits one in 900,000."""
RANKED: Final = 0.5
"""The first of the ranked codes; each next one gets half."""
ELSEWHERE: Final = 0.2
"""What is left of the points of a letter to another facility than the one that the pile is from."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """What a code was given out for, of a card the first letter."""

    code: str
    prisoner_id: str
    facility_id: str
    sheets: int
    answered: bool
    batch_id: str


async def suggestions(
    connection: AsyncConnection,
    pages: Sequence[FoundPage],
    outstanding: Collection[str],
    facility_id: str | None = None,
) -> dict[int, tuple[Suggestion, ...]]:
    """The letters that each page of a scan might answer, by its number, the likeliest first.

    `outstanding` are all codes that may come back. Letters to another facility come after those to `facility_id`.
    A page whose codes agree gets only that one.
    """
    agreed = {page.number: page.codes.agreed for page in pages}
    open_pages = [page for page in pages if agreed[page.number] is None]
    sides = {number: Known(read.code, read.sheet, read.side) for number, read in agreed.items() if read}
    found = {page.number: _by_codes(page) for page in pages}
    if open_pages:
        await asyncio.to_thread(_add_handwritten, found, open_pages, outstanding)
    of_codes = {code for points in found.values() for code in points}
    candidates = await _letters(connection, reply_order_letters.c.code.in_(of_codes))
    sheets = {code: letter.sheets for code, letter in candidates.items()}
    batches = {candidates[known.code].batch_id for known in sides.values() if known.code in candidates}
    if open_pages:
        named = await _named(connection, open_pages)
        of_prisoners = {prisoner_id for scores in named.values() for prisoner_id in scores}
        theirs = await _letters(connection, letters.c.prisoner_id.in_(of_prisoners))
        candidates |= theirs
        for page in open_pages:
            _add(found[page.number], beside(sides, page.number, sheets))
            _add(found[page.number], _by_name(named[page.number], list(theirs.values()), batches))
    return {number: _ordered(points, candidates, facility_id) for number, points in found.items()}


def with_neighbours(
    stored: Sequence[Suggestion], known: Mapping[int, Known], number: int, sheets: Mapping[str, int]
) -> tuple[Suggestion, ...]:
    """The suggestions for a page anew, after others of its scan were given to letters by hand; see `beside`."""
    best = {one.code: one for one in stored}
    for code, whys in beside(known, number, sheets).items():
        why, points = max(whys.items(), key=lambda item: item[1])
        if code not in best or points > best[code].points:
            best[code] = Suggestion(code=code, why=why, points=points)
    return tuple(sorted(best.values(), key=lambda one: -one.points))[:SHOWN]


def _add(points: Points, more: Points) -> None:
    for code, whys in more.items():
        for why, value in whys.items():
            points.setdefault(code, {})[why] = max(value, points.get(code, {}).get(why, 0.0))


def _ordered(points: Points, candidates: Mapping[str, _Letter], facility_id: str | None) -> tuple[Suggestion, ...]:
    def likely(code: str) -> float:
        elsewhere = facility_id is not None and candidates[code].facility_id != facility_id
        return sum(points[code].values()) * (ELSEWHERE if elsewhere else 1)

    best = sorted((code for code in points if code in candidates), key=likely, reverse=True)[:SHOWN]
    return tuple(
        Suggestion(code=code, why=max(points[code], key=points[code].__getitem__), points=round(likely(code), 3))
        for code in best
    )


async def _letters(connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> dict[str, _Letter]:
    """The letters that can have an answer, by code, the newest first."""
    answers = (replies.c.state != ReplyState.VOID, ~replies.c.forwarded)
    answered = sa.exists().where(replies.c.letter_id == letters.c.id, *answers)
    rows = await connection.execute(
        sa.select(
            reply_orders.c.code,
            letters.c.prisoner_id,
            prisoners.c.facility_id,
            reply_orders.c.sheets,
            answered.label("answered"),
            letters.c.batch_id,
            letters.c.state,
        )
        .join(reply_order_letters, reply_order_letters.c.code == reply_orders.c.code)
        .join(letters, letters.c.id == reply_order_letters.c.letter_id)
        .join(prisoners, prisoners.c.id == letters.c.prisoner_id)
        .where(is_rendered(), *which)
        .order_by(letters.c.created_at.desc(), letters.c.id)
    )
    found: dict[str, _Letter] = {}
    for *letter, state in rows:
        # Not in the query: SQLite would go through all letters in these states, and look for the few among them.
        if state in ANSWERABLE:
            found.setdefault(letter[0], _Letter(*letter))
    return found


# --- codes


def _by_codes(page: FoundPage) -> Points:
    points: Points = {}
    certain = {read.code for read in page.codes.reads if read.certain}
    for read in page.codes.reads:
        _add(points, {read.code: {Why.READ: 1 / len(certain)} if read.certain else {Why.REPAIRED: REPAIRED}})
    if page.codes.agreed is None:
        for place, code in enumerate(page.ranked):
            _add(points, {code: {Why.SCORE: RANKED / 2**place}})
    return points


_LATIN: Final = str.maketrans("АВЕКМНОРСТУХЗБ", "ABEKMHOPCTYX36")
_ALIKE: Final = {ord(symbol): group[0] for group in ("0DOQ", "1ILT7", "2Z", "5S", "6G", "8B", "UV") for symbol in group}
"""One symbol for all that hands and eyes confuse."""
_LENGTHS: Final = range(LENGTH - 2, LENGTH + 3)
_WORDS: Final = 6
"""Into which a code of three groups may fall apart."""
_WRONG: Final = 4
"""Symbols in which a handwritten code may differ after that: of 20,000 codes chance hits one in 10,000."""


def _add_handwritten(found: Mapping[int, Points], pages: Sequence[FoundPage], outstanding: Collection[str]) -> None:
    codes = list(outstanding)
    alike = _alike("\n".join(codes)).split("\n")
    for page in pages:
        for text in _like_codes(page.words):
            near = process.extract(_alike(text), alike, scorer=Levenshtein.distance, score_cutoff=_WRONG, limit=SHOWN)
            for _text, distance, place in near:
                _add(found[page.number], {codes[place]: {Why.HANDWRITTEN: 0.95 - 0.15 * distance}})


def _alike(text: str) -> str:
    return text.translate(_LATIN).translate(_ALIKE)


def _like_codes(words: Sequence[str]) -> Iterator[str]:
    """Runs of words that together could be a code: with a digit, or all in capitals, as ordinary words are not."""
    plain = [kept for word in words if (kept := "".join(filter(str.isalnum, word)))]
    for first in range(len(plain)):
        for last in range(first + 1, first + 1 + _WORDS):
            text = "".join(plain[first:last])
            if len(text) in _LENGTHS and (text.isupper() or any(symbol.isdigit() for symbol in text)):
                yield text.upper()


# --- neighbours

OTHER_SIDE: Final = 0.85
BETWEEN: Final = 0.9
"""Where the pages before and after it have one code."""
NEXT: Final = 0.35
"""The next sheet of an answer that has several, or a paper of the prisoner's own behind a reply sheet."""
FAR: Final = 0.7
"""What each further page between them leaves of that."""
REACH: Final = 4
"""Pages that are looked at in both directions."""


def beside(known: Mapping[int, Known], number: int, sheets: Mapping[str, int]) -> Points:
    """What the pages around one of a scan say; `sheets` is how many were ordered with each code.

    A scan of both sides, in which some sheet has its two sides beside each other, tells by that where sheets begin.
    """
    points: Points = {}
    fronts = Counter(
        first % 2
        for first, one in known.items()
        if (other := known.get(first + 1)) and other.code == one.code and (one.side, other.side) == (Side.A, Side.B)
    )
    begins = max(fronts, key=lambda parity: fronts[parity], default=None)
    before = next((place for place in range(number - 1, number - 1 - REACH, -1) if place in known), None)
    after = next((place for place in range(number + 1, number + 1 + REACH) if place in known), None)
    if before is not None and after is not None and known[before].code == known[after].code:
        _add(points, {known[before].code: {Why.NEIGHBOUR: BETWEEN}})
    for place in (before, after):
        if place is None:
            continue
        one, apart, behind = known[place], abs(place - number), place > number
        opposite = Side.B if behind else Side.A
        if apart == 1 and min(place, number) % 2 == begins and one.side in {opposite, None}:
            _add(points, {one.code: {Why.BACK: OTHER_SIDE}})
        else:
            more = sheets.get(one.code, 1) > 1 or not behind
            _add(points, {one.code: {Why.NEIGHBOUR: (NEXT if more else NEXT / 2) * FAR ** (apart - 1)}})
    return points


# --- names

NAMED: Final = 0.9
"""A prisoner's whole name, where only one letter to them is outstanding."""
NAMED_FROM: Final = 0.6
"""Share of a name, by how rare its parts are, from which on it counts."""
_PRISONERS: Final = 3
"""For one page at most."""
_SHORTEST: Final = 3
"""Letters of a word or a part of a name that is compared."""
_LIKE: Final = 72
"""How like a part of a name a word must be, of 100."""
_LOOKED_AT: Final = 500
"""Prisoners of whose names it is looked whether the parts stand together; it bounds the memory."""
_APART: Final = 5
"""Words among which all parts of a name stand."""


async def _named(connection: AsyncConnection, pages: Sequence[FoundPage]) -> dict[int, dict[str, float]]:
    """The prisoners with letters out there whose names seem to be on each page, and how sure that is, up to 1."""
    out = sa.exists().where(letters.c.prisoner_id == prisoners.c.id, letters.c.state.in_(ANSWERABLE))
    rows = (await connection.execute(sa.select(prisoners.c.id, prisoners.c.name).where(out))).all()
    return await asyncio.to_thread(_find_names, [(row.id, row.name) for row in rows], pages)


def _find_names(names: Sequence[tuple[str, str]], pages: Sequence[FoundPage]) -> dict[int, dict[str, float]]:
    parts = [sorted({part for part in plain(name).split() if len(part) >= _SHORTEST}) for _, name in names]
    counts = Counter(part for of_one in parts for part in of_one)
    places = {part: place for place, part in enumerate(counts)}
    rarity = {part: 1 + math.log(len(names) / count) for part, count in counts.items()}
    width = max((len(of_one) for of_one in parts), default=0)
    if width == 0:
        return {page.number: {} for page in pages}
    # One row for each prisoner, one column for each part of the name; the last part of all is none.
    which = np.full((len(names), width), len(places))
    weights = np.zeros((len(names), width))
    for row, of_one in enumerate(parts):
        which[row, : len(of_one)] = [places[part] for part in of_one]
        weights[row, : len(of_one)] = [rarity[part] for part in of_one]
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    found = {}
    for page in pages:
        words = [part for word in page.words for part in plain(word).split() if len(part) >= _SHORTEST]
        like = np.zeros((len(places) + 1, len(words) + _APART), np.uint8)
        if words:
            like[:-1, : len(words)] = process.cdist(
                list(places), words, scorer=fuzz.ratio, score_cutoff=_LIKE, dtype=np.uint8
            )
        anywhere = (like.max(axis=1)[which] * weights).sum(axis=1) / 100
        rows = np.argsort(-anywhere, kind="stable")[:_LOOKED_AT]
        # The parts of a name stand beside each other.
        together = sliding_window_view(like[which[rows]], _APART, axis=2).max(axis=3)
        scores = (together * weights[rows, :, None]).sum(axis=1).max(axis=1, initial=0) / 100
        best = np.argsort(-scores, kind="stable")[:_PRISONERS]
        found[page.number] = {
            names[rows[place]][0]: float(scores[place]) for place in best if scores[place] >= NAMED_FROM
        }
    return found


@lru_cache(maxsize=50_000)
def plain(text: str) -> str:
    """The words of a text in small Latin letters without accents, whatever they were written in."""
    latin = transliterate.translit(text.casefold().replace("ё", "е"), "ru", reversed=True)
    ascii_only = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode().replace("'", "")
    return " ".join(re.findall("[a-z]+", ascii_only))


def _by_name(scores: Mapping[str, float], theirs: Sequence[_Letter], batches: Collection[str]) -> Points:
    """Points for the letters to these prisoners: unanswered ones first, then those printed with others of the pile."""
    points: Points = {}
    for prisoner_id, score in scores.items():
        mine = [letter for letter in theirs if letter.prisoner_id == prisoner_id]
        mine.sort(key=lambda letter: (letter.answered, letter.batch_id not in batches))
        sure = (score - NAMED_FROM / 2) / (1 - NAMED_FROM / 2)
        shares = sum(1 / (place + 1) for place in range(1, len(mine) + 1))
        for place, letter in enumerate(mine, start=1):
            points[letter.code] = {Why.NAME: NAMED * sure / (place + 1) / shares}
    return points

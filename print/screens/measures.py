"""Weights and ages as the screens of the printing show them."""

from __future__ import annotations

import datetime
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from babel.units import format_unit

from relay.web.keys import LANGUAGE, STORE
from relay.web.site import render, words

KILOGRAM: Final = 1000
DAY: Final = datetime.timedelta(days=1)
AGES: Final = (1, 3, 7)
"""Days up to which letters are counted together; the older ones are one more group."""
HIGHEST: Final = 24.0
"""Height of the column of all letters, in the units of the drawing."""
LEAST: Final = 2.0
"""Height of the column of a few letters of many, so that it is seen."""


@dataclass(frozen=True, slots=True)
class Column:
    """How many letters wait about as long, and how high that is drawn."""

    letters: int
    height: float


def ages(since: Collection[datetime.datetime], now: datetime.datetime) -> list[Column]:
    """A drawing of how long letters wait: a column for each of AGES, and one for those that wait longer."""
    counted = Counter(bisect_left(AGES, (now - moment) / DAY) for moment in since)
    return [
        Column(counted[age], max(LEAST, HIGHEST * counted[age] / len(since)) if counted[age] else 0)
        for age in range(len(AGES) + 1)
    ]


def weight(grams: float, language: str) -> str:
    """A weight in grams, or from a kilogram on in kilograms."""
    if round(grams) < KILOGRAM:
        said = format_unit(round(grams), "mass-gram", "short", locale=language)
    else:
        said = format_unit(grams / KILOGRAM, "mass-kilogram", "short", format="#,##0.0", locale=language)
    return said.replace(" ", "\N{NO-BREAK SPACE}")


def show(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A screen of the printing, whose template knows `weight` and `ages`.

    `say` translates what may be a foreign word; `gettext` of templates would take that for markup.
    """
    now = request.config_dict[STORE].database.clock()
    known: dict[str, Callable[..., Any]] = {
        "weight": lambda grams: weight(grams, request[LANGUAGE]),
        "ages": lambda since: ages(since, now),
        "say": words(request),
    }
    return render(request, f"print/{template}", status, **known, **context)

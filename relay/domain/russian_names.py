"""Russian names in the dative, as the line "To" of an envelope has them.

Which word of a name is which, and whether it is a man's or a woman's, is told by the patronymic, by the endings of
surnames and by the dictionary of pymorphy3, which also declines the words that it knows. The others follow the rules of
the grammar below. What can be read in two ways that are declined differently stays as it is: a name in the nominative
arrives too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Final, Literal

from pymorphy3 import MorphAnalyzer

_Gender = Literal["masc", "femn"]
_Part = Literal["given", "surname", "patronymic"]
_Rules = tuple[tuple[str, str], ...]

_GENDERS: Final[tuple[_Gender, ...]] = ("masc", "femn")
_NAME: Final = re.compile(r"[А-ЯЁ][а-яё]*(?:-[А-ЯЁа-яё][а-яё]*)*|[А-ЯЁ]+(?:-[А-ЯЁ]+)*")
_INITIALS: Final = re.compile(r"(?:[А-ЯЁ]\.-?)+")
_SMALL: Final = re.compile(r"[а-яё]+")
"""A word like "фон" or "де", which is not declined."""
_TURKIC: Final[dict[_Gender, re.Pattern[str]]] = {
    "masc": re.compile(r"(?:.{3,})?(?:оглы|оглу|улы|уулу)", re.IGNORECASE),
    "femn": re.compile(r"(?:.{3,})?(?:[кг]ызы|кизи)", re.IGNORECASE),
}
"""A patronymic with the word for son or daughter, or only that word, behind the father's name: not declined."""
_PATRONYMIC: Final[dict[_Gender, re.Pattern[str]]] = {
    "masc": re.compile(r".+(?:[оеё]вич|[иы]ч)"),
    "femn": re.compile(r".+(?:[оеё]вна|[иы]чна)"),
}
_SURNAME: Final[dict[_Gender, re.Pattern[str]]] = {
    "masc": re.compile(r".+(?:[оеё]в|[иы]н|[сц]кий|ый)"),
    "femn": re.compile(r".+(?:[оеё]ва|[иы]на|[сц]кая|ая)"),
}
"""Endings that few given names have."""
_ORDERS: Final[dict[int, tuple[tuple[_Part, ...], ...]]] = {
    1: (("surname",), ("given",)),
    2: (("surname", "given"), ("given", "surname"), ("given", "patronymic")),
    3: (("surname", "given", "patronymic"), ("given", "patronymic", "surname")),
}
_FIRST_PARTS: Final = frozenset(
    {"абдул", "аль", "бен", "бонч", "ван", "ибн", "мелик", "сан", "сен", "тер", "фон", "эль"}
)
"""Of double names: not declined."""
_STRESSED_END: Final = frozenset({"дюма", "золя", "люка", "петипа", "тома", "труайя"})
"""Surnames that are not declined because of a stress that is not written."""
_DATIVES: Final = {
    "лев": "льву",
    "пётр": "петру",
    "петр": "петру",
    "павел": "павлу",
    "ия": "ие",
    "лия": "лие",
    "большая": "большой",
}
"""What the dictionary or the rules would decline otherwise."""

_V: Final = "[аеёиоуыэюя]"
_C: Final = "[бвгджзйклмнпрстфхцчшщ]"
# Endings and what stands in their place; the first that is found counts.
_ALL_SURNAMES: Final[_Rules] = (
    (r"([оеёиыуюэ])$", r"\1"),  # Шевченко
    (r"(ых|[кгхжшщчн]их)$", r"\1"),  # Долгих; not Рерих
    (r"([аоуыеиюэ]а)$", r"\1"),  # Делакруа
    (r"ия$", "ии"),
    (r"[ая]$", "е"),
)
_SURNAMES: Final[dict[_Gender, _Rules]] = {
    "masc": (
        *_ALL_SURNAMES,
        (rf"^({_C}*о)й$", r"\1ю"),  # Цой; not Толстой
        (r"ой$", "ому"),
        (r"(?<=[нжшщч])ий$", "ему"),
        (r"(?<=[гкх])ий$|ый$", "ому"),
        (r"[йь]$", "ю"),
        (rf"(?<={_V}л)ец$", "ьцу"),  # Стрелец
        (rf"(?<={_V}{_C})ец$", "цу"),  # Кравец; not Кузнец
        (rf"(?<={_V})ец$", "йцу"),  # Боец
        (rf"(?<={_V}{_C})ок$", "ку"),  # Порошок; not Блок
        (r"$", "у"),
    ),
    "femn": (
        (r"([^ая])$", r"\1"),
        (r"(?<=[оеё]в)а$|(?<=[иы]н)а$|(?<=[сц]к)а$", "ой"),
        (rf"(?<={_C}[жшщч])ая$|(?<={_V}[жшщч])ая$|яя$", "ей"),
        (rf"(?<={_C})ая$", "ой"),
        *_ALL_SURNAMES,
    ),
}
_ALL_GIVEN: Final[_Rules] = ((r"ия$", "ии"), (r"[ая]$", "е"))
_GIVEN: Final[dict[_Gender, _Rules]] = {
    "masc": (*_ALL_GIVEN, (r"[йь]$", "ю"), (rf"({_C})$", r"\1у")),
    "femn": _ALL_GIVEN,
}


def in_dative(name: str) -> str:
    """The name in the dative, its words in their order; as it is where it cannot be declined safely."""
    words = name.split()
    fathers = {place - 1 for place, word in enumerate(words) if _turkic(word) and word.islower()}
    kept = {place for place, word in enumerate(words) if _turkic(word) or _SMALL.fullmatch(word)} | fathers
    initials = {place for place, word in enumerate(words) if _INITIALS.fullmatch(word)}
    places = [place for place in range(len(words)) if place not in kept | initials]
    if not all(_NAME.fullmatch(words[place]) for place in places):
        return name
    genders = {gender for word in words if (gender := _turkic(word))}
    read = list(_readings([words[place].lower() for place in places], genders, with_initials=bool(initials)))
    best = {parts for weight, parts in read if weight == max(weight for weight, _ in read)}
    if len(best) != 1:
        return name
    for place, declined in zip(places, best.pop(), strict=True):
        words[place] = _in_case_of(words[place], declined)
    return " ".join(words)


def _readings(words: list[str], genders: set[_Gender], *, with_initials: bool) -> Iterator[tuple[int, tuple[str, ...]]]:
    """What the words become for each way of reading them, and how much speaks for it."""
    for order in _ORDERS.get(len(words), ()):
        if (with_initials and order != ("surname",)) or (genders and "patronymic" in order):
            continue
        for gender in genders or _GENDERS:
            pairs = list(zip(words, order, strict=True))
            weights = [_weight(word, part, gender) for word, part in pairs]
            if None not in weights:
                weight = sum(each for each in weights if each is not None)
                yield weight, tuple(_dative(word, part, gender) for word, part in pairs)


def _weight(word: str, part: _Part, gender: _Gender) -> int | None:
    """How much speaks for this part of a name; None where it cannot be."""
    if part == "patronymic":
        return 4 if _PATRONYMIC[gender].fullmatch(word) else None
    if _PATRONYMIC["femn"].fullmatch(word):
        return None
    if part == "surname":
        if _SURNAME[gender].fullmatch(word) or _of_dictionary(word, gender, "Surn"):
            return 1
        return -1 if _given_names(word) else 0
    known = _given_names(word)
    return 2 if gender in known else -4 if known else 0


def _dative(word: str, part: _Part, gender: _Gender) -> str:
    if part == "patronymic":
        return word + "у" if gender == "masc" else word[:-1] + "е"
    *first, last = word.split("-")
    decline = _surname if part == "surname" else _given
    if part == "given" and not all(map(_given_names, [*first, last])):
        return "-".join([*first, decline(last, gender)])  # Чен-Ир
    return "-".join(
        [*(piece if piece in _FIRST_PARTS else decline(piece, gender) for piece in first), decline(last, gender)]
    )


def _given(word: str, gender: _Gender) -> str:
    return _DATIVES.get(word) or _of_dictionary(word, gender, "Name") or _by_rule(word, _GIVEN[gender])


def _surname(word: str, gender: _Gender) -> str:
    if word in _STRESSED_END or (gender == "femn" and word[-1] not in "ая"):
        return word
    if word.endswith("ия"):
        return _by_rule(word, _SURNAMES[gender])  # Берия, a woman's too; the dictionary does not decline it
    if known := _DATIVES.get(word) or _of_dictionary(word, gender, "Surn") or _of_dictionary(word, gender, "ADJF"):
        return known
    man_s, woman_s = _of_dictionary(word, "masc"), _of_dictionary(word, "femn")
    if gender == "masc" and man_s:
        return man_s  # Заяц, Соловей
    if woman_s and (word.endswith("ь") or (gender == "femn" and _SURNAME["femn"].fullmatch(word))):
        return word  # Рысь; Калина, who may be Калине, or Калиной beside a Калин
    return woman_s or _by_rule(word, _SURNAMES[gender])


def _by_rule(word: str, rules: _Rules) -> str:
    for ending, dative in rules:
        if re.search(ending, word):
            return re.sub(ending, dative, word, count=1)
    return word


def _of_dictionary(word: str, gender: _Gender, kind: Literal["Name", "Surn", "ADJF", ""] = "") -> str | None:
    """The dative of a word that the dictionary has as such; without a kind it is a common noun."""
    for parse in _parses(word):
        apart = {"Name", "Surn", "Patr", "Geox", "Orgn", "Abbr", "Poss"} & set(parse.tag.grammemes)
        if (kind in {"Name", "Surn"} or not apart) and (kind or "NOUN") in parse.tag and {gender} & _genders(parse):
            inflected = parse.inflect({"datv"})
            if inflected is not None:
                declined = str(inflected.word)
                return declined if "ё" in word else declined.replace("ё", "е")
    return None


def _given_names(word: str) -> set[_Gender]:
    """Whose given name the dictionary has it for."""
    pieces = [
        {gender for parse in _parses(piece) if "Name" in parse.tag for gender in _genders(parse)}
        for piece in word.split("-")
    ]
    return set.intersection(*pieces)


def _genders(parse: Any) -> set[_Gender]:
    return {gender for gender in _GENDERS if gender in parse.tag or "ms-f" in parse.tag}


@lru_cache(maxsize=64)
def _parses(word: str) -> list[Any]:
    """What the dictionary says of the word in the nominative; it is asked several times for each."""
    return [each for each in _dictionary().parse(word) if each.is_known and {"nomn", "sing"} in each.tag]


def _turkic(word: str) -> _Gender | None:
    return next((gender for gender in _GENDERS if _TURKIC[gender].fullmatch(word)), None)


def _in_case_of(word: str, declined: str) -> str:
    """The declined word, with the capitals that the word has."""
    if word.isupper():
        return declined.upper()
    pairs = zip(word.split("-"), declined.split("-"), strict=True)
    return "-".join(piece[0] + ending[1:] for piece, ending in pairs)


@cache
def _dictionary() -> MorphAnalyzer:
    """A tenth of a second to read and 25 MB, once in a process."""
    return MorphAnalyzer()

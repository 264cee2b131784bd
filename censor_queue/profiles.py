"""Profiles: what a country's or a facility's prisons let through, as TOML.

How a profile is written stands in docs/profiles.md. What is loaded here is checked as far as it can be without a
letter; `censor_queue.screening` does the looking.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import regex
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from relay.domain.directory import Facility
from relay.domain.envelopes import fold_marks
from relay.domain.languages import Language
from relay.domain.letters import Photo
from relay.domain.printing import USUAL_RULES, PrintRules, Weight, sheets_of
from relay.domain.review import Draft, FacilityRules, Severity

COMMON: Final = "common"
"""The profile of a facility that no other one is for."""
STEM: Final = 3
"""Fewest letters of a stem: less would be the beginning of everything."""

Kind = Literal[
    "text",
    "foreign_words",
    "language",
    "pages",
    "characters",
    "photos",
    "photo_size",
    "photo_kinds",
    "weight_class",
    "weight",
]


class ProfileError(ValueError):
    """A profile cannot be used; the message names the file, the rule and what is wrong."""


class UnknownProfileError(LookupError):
    """There is no profile of that name; the message names those that there are."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sentences(_Part):
    """What a rule says, in the languages of the relay."""

    ru: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]
    de: Annotated[str, Field(min_length=1)]
    sv: Annotated[str, Field(min_length=1)]

    def in_language(self, language: Language) -> str:
        """The sentence in this language."""
        return {"ru": self.ru, "en": self.en, "de": self.de, "sv": self.sv}[language]


class Example(_Part):
    """A letter on which a rule is tried; a string in the file is its text."""

    text: str = ""
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How often the text is repeated."""
    pages: Annotated[int, Field(ge=1)] = 1
    reply_sheets: Annotated[int, Field(ge=0)] = 1
    photos: tuple[tuple[int, int], ...] = ()
    """Width and height of each, in pixels."""

    @property
    def draft(self) -> Draft:
        """The letter."""
        photos = tuple(Photo(width=width, height=height, size=width * height // 8) for width, height in self.photos)
        return Draft(self.text * self.times, self.pages, self.reply_sheets, photos)


def _as_example(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


def _pattern(text: str) -> str:
    try:
        compiled = regex.compile(text)
    except regex.error as error:
        raise ValueError(f"the pattern {text!r} cannot be read: {error}") from None
    if compiled.match("", timeout=1) is not None:
        raise ValueError(f"the pattern {text!r} matches where nothing stands")
    return text


def _entry(text: str) -> str:
    for word in text.split():
        if not regex.fullmatch(r"\*?[\p{L}\p{M}\p{N}'’-]+\*?", word):
            raise ValueError(f"{text!r} is not made of words; `*` stands before or behind a stem")
        if "*" in word and len(word.strip("*")) < STEM:
            raise ValueError(f"{text!r}: a stem has at least {STEM} letters")
        if word.startswith("*") and text != word:
            raise ValueError(f"{text!r}: a word of several cannot begin with `*`")
    if not text.strip():
        raise ValueError("an entry is empty")
    return text


Entry = Annotated[str, AfterValidator(_entry)]
"""One word, or several one after the other. ``stem*`` is any word that begins so, ``*stem*`` one that has it inside."""
Examples = tuple[Annotated[Example, BeforeValidator(_as_example)], ...]


class Rule(_Part):
    """One thing that is looked for."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    kind: Kind = "text"
    severity: Literal["info", "warn", "block", "off"]
    title: Sentences
    sentence: Sentences
    """Why, and what would pass. ``{limit}`` and ``{count}`` stand for what the profile allows and the letter has."""
    words: tuple[Entry, ...] = ()
    patterns: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    but_not: tuple[Entry, ...] = ()
    """Where one of these stands, the rule finds nothing."""
    match: Examples
    let_pass: Annotated[Examples, Field(min_length=1, alias="pass")]
    source: str = ""
    """Where the facility says so."""

    @model_validator(mode="after")
    def _says_what_it_looks_for(self) -> Rule:
        if (self.kind == "text") != bool(self.words or self.patterns):
            raise ValueError("a rule of the kind text has words or patterns, and no other rule has")
        for language, sentence in self.sentence:
            try:
                sentence.format(limit=0, count=0)
            except (LookupError, ValueError):
                raise ValueError(f"sentence.{language}: only {{limit}} and {{count}} can stand in braces") from None
        return self

    @property
    def weighs(self) -> Severity | None:
        """The severity; None where the rule is off."""
        return None if self.severity == "off" else Severity(self.severity)


class Limits(_Part):
    """How much may go into one letter."""

    pages: Annotated[int, Field(ge=1)]
    """Printed letter pages, without reply sheets and photos."""
    characters: Annotated[int, Field(ge=1)]
    photos: Annotated[int, Field(ge=0)]
    photo_side: Annotated[int, Field(ge=1)]
    """Pixels that the shorter side of a photo has at least."""
    grams: Annotated[float, Field(gt=0)]


def _with_its_window(rules: PrintRules) -> PrintRules:
    fold_marks(rules.envelope, rules.window)  # raises NoSuchWindowError
    return rules


class Profile(_Part):
    """What prisons of a country, or certain facilities, let through."""

    name: str
    """Of its file, without the ending."""
    title: Annotated[str, Field(min_length=1)]
    extends: str | None = None
    countries: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = ()
    """ISO 3166-1."""
    facilities: tuple[str, ...] = ()
    """Slugs."""
    takes: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...]
    """Languages, ISO 639-1; empty where all pass."""
    second_reader: bool
    print_original: bool
    release_unseen: bool = True
    """Whether a reply is released without a look where its codes leave no doubt and no page is missing."""
    limits: Limits
    printing: Annotated[PrintRules, AfterValidator(_with_its_window), Field(alias="print")] = USUAL_RULES
    """How letters are put on paper there; the table ``[print]``."""
    weight: Weight
    rules: tuple[Rule, ...]

    @property
    def facility_rules(self) -> FacilityRules:
        """What the review and the desk need of it beside the rules."""
        return FacilityRules(
            takes=self.takes,
            second_reader=self.second_reader,
            print_original=self.print_original,
            photos=self.limits.photos,
            characters=self.limits.characters,
            printing=self.printing,
            weight=self.weight,
            release_unseen=self.release_unseen,
        )

    def grams(self, draft: Draft) -> float:
        """What a letter weighs in its envelope, with the envelope for the answer."""
        sheets = sheets_of(draft.letter_pages, len(draft.photos), draft.reply_sheets, self.printing)
        return self.facility_rules.grams(sheets)

    def rule(self, id_: str) -> Rule:
        """The rule of this id. Raises KeyError."""
        return {rule.id: rule for rule in self.rules}[id_]


class Profiles:
    """All profiles, and which one is for a facility."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """Raise ProfileError where two are for the same country or facility, or `common` is missing."""
        self._by_name = {profile.name: profile for profile in sorted(profiles, key=lambda profile: profile.name)}
        self._by_country: dict[str, Profile] = {}
        self._by_facility: dict[str, Profile] = {}
        for profile in self:
            for places, keys in ((self._by_country, profile.countries), (self._by_facility, profile.facilities)):
                for key in keys:
                    if (other := places.setdefault(key, profile)) is not profile:
                        raise ProfileError(f"{profile.name}.toml: {other.name}.toml is for {key} already")
        if COMMON not in self._by_name:
            raise ProfileError(f"there is no {COMMON}.toml")

    def __iter__(self) -> Iterator[Profile]:
        """One after the other, by name."""
        return iter(self._by_name.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all, in their order."""
        return tuple(self._by_name)

    def named(self, name: str) -> Profile:
        """The profile of this name. Raises UnknownProfileError."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownProfileError(f"there is no profile {name}; there are {', '.join(self.names)}") from None

    def of(self, facility: Facility) -> Profile:
        """The profile that names the facility, or else its country, or else the common one."""
        found = self._by_facility.get(facility.slug) or self._by_country.get(facility.country)
        return found or self._by_name[COMMON]


def load_profiles(folder: Path | None = None) -> Profiles:
    """The shipped profiles, and those of an installation's folder, which replace shipped ones of the same file name.

    Raises ProfileError.
    """
    written = dict(_read(files(__package__).joinpath("profiles")))
    if folder is not None and folder.exists():
        written |= dict(_read(folder))
    return Profiles(_profile(name, written) for name in written)


def _read(folder: Traversable) -> Iterable[tuple[str, dict[str, Any]]]:
    try:
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".toml"):
                try:
                    yield file.name.removesuffix(".toml"), tomllib.loads(file.read_text("utf-8"))
                except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                    raise ProfileError(f"{file.name} is no TOML: {error}") from None
    except OSError as error:
        raise ProfileError(f"{folder} cannot be read: {error}") from error


def _profile(name: str, written: Mapping[str, dict[str, Any]]) -> Profile:
    merged = _merged(name, written, ())
    rules = merged.pop("rule")
    try:
        return Profile.model_validate({**merged, "name": name, "rules": tuple(rules.values())})
    except ValidationError as error:
        raise ProfileError("; ".join(_complaint(name, list(rules), fault) for fault in error.errors())) from None


def _merged(name: str, written: Mapping[str, dict[str, Any]], below: tuple[str, ...]) -> dict[str, Any]:
    """What a file says on top of what it extends. The rules stand under ``rule`` by their id."""
    if name in below:
        raise ProfileError(f"{below[-1]}.toml: it extends itself by way of {', '.join((*below, name))}")
    if name not in written:
        raise ProfileError(f"{below[-1]}.toml: extends: there is no profile {name}")
    own = dict(written[name])
    own_rules: dict[str, Any] = {}
    rules = own.pop("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ProfileError(f"{name}.toml: rules are written as [[rule]]")
    for number, rule in enumerate(rules, start=1):
        id_ = rule.get("id")
        if not isinstance(id_, str):
            raise ProfileError(f"{name}.toml: rule {number} has no id")
        if id_ in own_rules:
            raise ProfileError(f"{name}.toml: rule {id_} stands there twice")
        own_rules[id_] = rule
    extends = own.get("extends")
    # Whom a profile is for is not inherited: two would be for the same.
    under = {} if extends is None else _merged(extends, written, (*below, name))
    under.pop("countries", None)
    under.pop("facilities", None)
    return _over(under, {**own, "rule": own_rules})


def _over(under: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key, everything else is replaced."""
    both = {
        key: _over(under[key], own[key])
        for key in own
        if isinstance(own[key], dict) and isinstance(under.get(key), dict)
    }
    return {**under, **own, **both}


def _complaint(name: str, rules: list[str], fault: Any) -> str:
    place = [str(step) for step in fault["loc"]]
    if place[:1] == ["rules"] and len(place) > 1:
        place = [f"rule {rules[int(place[1])]}", *place[2:]]
    said = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return ": ".join([f"{name}.toml", *([".".join(place)] if place else []), said])

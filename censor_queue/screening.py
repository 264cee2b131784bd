"""What a facility would not let through: the rules of its profile, applied to one letter.

This is the review's `relay.domain.ports.Screening`. It asks nobody on the network, and no letter can hold it up: words
are looked up in time that grows with the letter alone, and patterns have a time limit.
"""

from __future__ import annotations

import string
import time
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from typing import Final, Literal

import regex
from babel import Locale
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from censor_queue.profiles import STEM, Profile, Profiles, Rule
from relay import log
from relay.domain.directory import Facility
from relay.domain.languages import LANGUAGES, Language
from relay.domain.review import Draft, FacilityRules, Finding, Severity
from relay.locale import catalogue

RULE_SECONDS: Final = 0.1
"""What the patterns of one rule may take; those that are shipped take less than a hundredth of it."""
LETTER_SECONDS: Final = 0.5
"""What all patterns may take with one letter."""
FINDINGS_OF_A_RULE: Final = 50
"""More of the same tell nobody more."""
LETTERS_OF_A_LANGUAGE: Final = 20
"""With fewer letters a language is guessed rather than told."""
LETTERS_OF_A_PARAGRAPH: Final = 40
"""A paragraph of fewer is a quotation or a greeting, not a change of language."""
PARAGRAPHS: Final = 12
"""The longest ones; a letter of many more has short ones only, such as a poem."""
BEGINNING: Final = 100
"""Characters by which a paragraph is judged."""
SAMPLE: Final = 100
"""Characters of each piece by which a long text is judged."""
SAMPLES: Final = (0, 0.25, 0.5, 0.75, 1)
"""Where the pieces lie."""
WEIGHED: Final = ("weight", "weight_class")
"""Kinds of rules that look at what the printed letter weighs."""
SURE: Final = 0.6
"""From this probability on no sentence of our samples was taken for another language."""

_WORD: Final = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_PARAGRAPH: Final = regex.compile(r"\S.*")
_LATIN: Final = regex.compile(r"\p{Latin}")
_CYRILLIC: Final = regex.compile(r"\p{Cyrillic}")
_PUNCTUATION: Final = string.punctuation + "«»„“”‚‘’–—…¿¡№"
_NUMERAL: Final = regex.compile(r"x{0,3}(?:ix|iv|v?i{0,3})")
_QUOTES: Final = "«„“”\"'‘"
_IN_CYRILLIC: Final = frozenset(["ba", "be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "tg", "tt", "uk"])
_WITHIN_A_PHRASE: Final = string.whitespace + "\u00a0,-‑–—'’\"«»“”"
_IN_TITLES: Final = frozenset(
    [
        *("a", "an", "and", "at", "by", "de", "del", "der", "des", "di", "du", "el", "et", "for", "in", "la", "le"),
        *("les", "of", "on", "or", "the", "to", "und", "van", "von"),
    ]
)
"""Words that are written small inside of names and titles."""

_Place = tuple[int, int]
_Script = Literal["cyrillic", "latin"]


class Screener:
    """Screens letters with the rules of the profiles."""

    def __init__(self, profiles: Profiles) -> None:
        """Take the profiles, and read the model of languages before the first letter waits for it."""
        self.profiles = profiles
        _languages()

    def findings(self, draft: Draft, facility: Facility, language: str) -> list[Finding]:
        """What the rules of the facility find, by place in the text; sentences in this language."""
        return self.screened(draft, self.profiles.of(facility), language)

    def screened(self, draft: Draft, profile: Profile, language: str) -> list[Finding]:
        """What the rules of a profile find, by place in the text. Raises KeyError for a language that is not ours."""
        return self.screened_by(draft, [profile], language)[profile.name]

    def screened_by(self, draft: Draft, profiles: Iterable[Profile], language: str) -> dict[str, list[Finding]]:
        """What each of several profiles finds, by its name; what they have in common is looked for once."""
        known = {str(each): each for each in LANGUAGES}[language]
        letter = _Letter(draft, self)
        return {profile.name: _findings(letter, profile, known) for profile in profiles}

    def rules_of(self, facility: Facility) -> FacilityRules:
        """What the profile of the facility says beside its rules."""
        return self.profiles.of(facility).facility_rules

    def rule_ids(self, facility: Facility) -> tuple[str, ...]:
        """The rules of the facility that are not off, in the order of its profile."""
        return tuple(rule.id for rule in self.profiles.of(facility).rules if rule.weighs)

    def rule_titles(self, facility: Facility, language: str) -> dict[str, str]:
        """What the rules of the facility are called, by their id, also those that are off. Raises KeyError."""
        known = {str(each): each for each in LANGUAGES}[language]
        return {rule.id: rule.title.in_language(known) for rule in self.profiles.of(facility).rules}

    def wrong_examples(self, profile: Profile, rule: Rule) -> list[str]:
        """What a rule of a profile should find in its examples and does not, or finds and should not.

        Examples of what a letter weighs are tried in the profile that states them: others put it on other paper.
        """
        if not rule.weighs or (rule.kind in WEIGHED and self._inherits_examples(profile, rule)):
            return []
        faults: list[str] = []
        for wanted, examples in ((True, rule.match), (False, rule.let_pass)):
            for example in examples:
                found = [each for each in self.screened(example.draft, profile, "en") if each.rule == rule.id]
                if bool(found) != wanted:
                    faults.append(f"{'not found' if wanted else 'found'}: {example.text or example}")
        return faults

    def _inherits_examples(self, profile: Profile, rule: Rule) -> bool:
        above = self.profiles.named(profile.extends).rules if profile.extends else ()
        return any((each.id, each.match, each.let_pass) == (rule.id, rule.match, rule.let_pass) for each in above)

    def language_of(self, text: str) -> str | None:
        """The language of a text as ISO 639-1 code; None where it is too short or not certain."""
        if len(text) > len(SAMPLES) * SAMPLE:
            starts = (int(part * (len(text) - SAMPLE)) for part in SAMPLES)
            text = " ".join(text[start : start + SAMPLE] for start in starts)
        bare = (word.strip(_PUNCTUATION) for word in unicodedata.normalize("NFC", text).split())
        words = " ".join(word for word in bare if word.isalpha())
        if len(words) - words.count(" ") < LETTERS_OF_A_LANGUAGE:
            return None
        language, probability = _languages().classify(words)
        return str(language) if probability >= SURE else None


class _Letter:
    """A letter and what has been found out about it."""

    def __init__(self, draft: Draft, screener: Screener) -> None:
        self.draft = draft
        self.text = draft.text
        self._screener = screener
        self._end = time.monotonic() + LETTER_SECONDS
        self._of_words: dict[tuple[str, ...], list[_Place]] = {}
        self._of_pattern: dict[str, list[_Place]] = {}
        small = _small(self.text)
        self.places = [match.span() for match in _WORD.finditer(small)]
        self.words = [small[start:end] for start, end in self.places]
        if not unicodedata.is_normalized("NFC", small):
            self.words = [unicodedata.normalize("NFC", word) for word in self.words]
        self.heads: dict[str, list[int]] = defaultdict(list)
        for index, word in enumerate(self.words):
            self.heads[word[:STEM]].append(index)

    @cached_property
    def distinct(self) -> str:
        """Every word once."""
        return "\n".join(set(self.words))

    @cached_property
    def language(self) -> str | None:
        """The language of the whole."""
        return self._screener.language_of(self.text)

    @cached_property
    def paragraphs(self) -> list[tuple[_Place, str | None]]:
        """The longest paragraphs, and their languages."""
        places = [match.span() for match in _PARAGRAPH.finditer(self.text)]
        longest = sorted(places, key=lambda place: place[0] - place[1])[:PARAGRAPHS]
        return [
            ((start, end), self._screener.language_of(self.text[start : min(end, start + BEGINNING)]))
            for start, end in sorted(longest)
            if end - start >= LETTERS_OF_A_PARAGRAPH
        ]

    def of_words(self, entries: tuple[str, ...]) -> list[_Place]:
        """Where words of a list stand."""
        if entries not in self._of_words:
            self._of_words[entries] = list(_word_list(entries).places(self))
        return self._of_words[entries]

    def of_patterns(self, patterns: tuple[str, ...]) -> list[_Place]:
        """Where patterns match. Raises TimeoutError."""
        end = min(self._end, time.monotonic() + RULE_SECONDS)
        for pattern in patterns:
            if pattern not in self._of_pattern:
                self._of_pattern[pattern] = self._matches(pattern, end)
        return [place for pattern in patterns for place in self._of_pattern[pattern]]

    def _matches(self, pattern: str, end: float) -> list[_Place]:
        found: list[_Place] = []
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        compiled = _compiled(pattern)
        groups = compiled.groups
        for match in compiled.finditer(self.text, timeout=left, concurrent=True):
            # What a look-behind has caught in a group belongs to the place.
            start = min([match.start(), *(at for at in map(match.start, range(1, groups + 1)) if at >= 0)])
            if match.end() > start:
                found.append((start, match.end()))
            if time.monotonic() > end:
                raise TimeoutError
            if len(found) == FINDINGS_OF_A_RULE:
                break
        return found

    def foreign(self, takes: tuple[str, ...], marked: list[_Place]) -> list[_Place]:
        """Where words stand in another script than the letter's; names, single letters and numerals may.

        What is marked already is passed over.
        """
        if takes and self.language not in {None, *takes}:
            return []  # it is another language altogether, which is another rule's matter
        if not (_LATIN.search(self.text) and _CYRILLIC.search(self.text)):
            return []
        scripts = [_script(word) for word in self.words]
        own = _script_of(takes) or max(("latin", "cyrillic"), key=scripts.count)
        clear = _clear_of(marked)
        found: list[_Place] = []
        run: list[_Place] = []
        for place, script in [*zip(self.places, scripts, strict=True), ((0, 0), own)]:
            if script == own or (script is not None and not clear(place)):
                if run and self._says_something(run):
                    found.append((run[0][0], run[-1][1]))
                run = []
            elif script is not None:
                run.append(place)
        return found

    def _says_something(self, run: list[_Place]) -> bool:
        words = [self.text[start:end] for start, end in run]
        name = words[0][0].isupper()
        if name and self.text[max(0, run[0][0] - 1) : run[0][0]] in [*_QUOTES]:
            return False  # the title of a song or a book
        small = [
            word
            for word in words
            if word.islower() and word.isalpha() and len(word) > 1 and not _NUMERAL.fullmatch(word)
        ]
        return any(word not in _IN_TITLES for word in small) if name else bool(small)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One word of an entry, and whether a word may go on before or behind it."""

    text: str
    before: bool
    behind: bool

    def fits(self, word: str) -> bool:
        """Whether this is the word."""
        if self.before:
            return self.text in word if self.behind else word.endswith(self.text)
        return word.startswith(self.text) if self.behind else word == self.text


class _WordList:
    """The entries of a rule, laid out so that a letter is gone through once, however many there are."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._by_head: dict[str, list[tuple[_Piece, tuple[_Piece, ...]]]] = defaultdict(list)
        self._inside: list[_Piece] = []
        for entry in entries:
            first, *rest = _pieces(entry)
            if first.before:
                self._inside.append(first)
            else:
                self._by_head[first.text[:STEM]].append((first, tuple(rest)))

    def places(self, letter: _Letter) -> Iterator[_Place]:
        """Where an entry stands in the letter, in no order."""
        for head in self._by_head.keys() & letter.heads.keys():
            entries = self._by_head[head]
            for index in letter.heads[head]:
                word = letter.words[index]
                for first, rest in entries:
                    if first.fits(word) and (not rest or _follow(rest, index, letter)):
                        yield letter.places[index][0], letter.places[index + len(rest)][1]
        for piece in self._inside:
            if piece.text in letter.distinct:
                yield from (place for place, word in zip(letter.places, letter.words, strict=True) if piece.fits(word))


def _follow(pieces: tuple[_Piece, ...], index: int, letter: _Letter) -> bool:
    """Whether the pieces stand directly behind the word of this index, in the same sentence."""
    if index + len(pieces) >= len(letter.words) or not pieces[0].fits(letter.words[index + 1]):
        return False  # as nearly always, and there are a thousand in a letter
    words = letter.words[index + 1 : index + 1 + len(pieces)]
    if not all(piece.fits(word) for piece, word in zip(pieces, words, strict=True)):
        return False
    ends = range(index, index + len(pieces))
    gaps = (letter.text[letter.places[at][1] : letter.places[at + 1][0]] for at in ends)
    return not any(gap.strip(_WITHIN_A_PHRASE) for gap in gaps)


def _pieces(entry: str) -> Iterator[_Piece]:
    for word in entry.split():
        parts = [match[0] for match in _WORD.finditer(_small(unicodedata.normalize("NFC", word)))]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            yield _Piece(part, word.startswith("*") and number == 0, word.endswith("*") and last)


def _small(text: str) -> str:
    """As words are compared: small letters, without the dots of ё. As long as it was."""
    lowered = text.lower()
    if len(lowered) != len(text):  # the Turkish İ becomes two
        lowered = "".join(letter if len(letter.lower()) != 1 else letter.lower() for letter in text)
    return lowered.replace("ё", "е")


def _script_of(languages: tuple[str, ...]) -> _Script | None:
    """The script in which all of these are written; None where they differ or there are none."""
    scripts: set[_Script] = {"cyrillic" if language in _IN_CYRILLIC else "latin" for language in languages}
    return scripts.pop() if len(scripts) == 1 else None


def _script(word: str) -> _Script | None:
    if _CYRILLIC.match(word):
        return "cyrillic"
    return "latin" if _LATIN.match(word) else None


@cache
def _languages() -> LanguageIdentifier:
    """The model of languages: a third of a second to read and 130 MB, once in a process."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


_compiled = cache(regex.compile)
_word_list = cache(_WordList)


@dataclass(frozen=True, slots=True)
class _Found:
    """A place, and what the sentence says of it."""

    start: int = 0
    end: int = 0
    count: object = ""
    limit: object = ""


def _findings(letter: _Letter, profile: Profile, language: Language) -> list[Finding]:
    found: list[Finding] = []
    # Foreign words come last: what another rule has marked is not marked twice.
    for rule in sorted(profile.rules, key=lambda rule: rule.kind == "foreign_words"):
        severity = rule.weighs
        if severity is None:
            continue
        try:
            places = list(_places(letter, rule, profile, language, found))[:FINDINGS_OF_A_RULE]
        except TimeoutError as error:
            log.failed("screening", error, rule=rule.id)
            found.append(Finding(rule.id, Severity.INFO, 0, 0, _unchecked(rule, language)))
            continue
        sentence = rule.sentence.in_language(language)
        found += [
            Finding(rule.id, severity, place.start, place.end, sentence.format(count=place.count, limit=place.limit))
            for place in places
        ]
    return sorted(found, key=lambda finding: (finding.start, finding.end, finding.rule))


def _unchecked(rule: Rule, language: Language) -> str:
    _ = catalogue(language).gettext
    return _("This could not be checked, it took too long: {rule}").format(rule=rule.title.in_language(language))


def _places(
    letter: _Letter, rule: Rule, profile: Profile, language: Language, found: list[Finding]
) -> Iterator[_Found]:
    """Where a rule finds something, in the order of the text. Raises TimeoutError."""
    draft, limits, weight, grams = letter.draft, profile.limits, profile.weight, profile.grams(letter.draft)
    match rule.kind:
        case "text":
            yield from (_Found(start, end) for start, end in _of_text(letter, rule))
        case "foreign_words":
            marked = [(other.start, other.end) for other in found] + letter.of_words(rule.but_not)
            yield from (_Found(start, end) for start, end in letter.foreign(profile.takes, marked))
        case "language" if profile.takes:
            takes = ", ".join(_name_of_language(code, language) for code in profile.takes)
            for (start, end), spoken in _not_taken(letter, profile.takes):
                yield _Found(start, end, _name_of_language(spoken, language), takes)
        case "pages" if draft.letter_pages > limits.pages:
            yield _Found(count=draft.letter_pages, limit=limits.pages)
        case "characters" if len(draft.text) > limits.characters:
            yield _Found(limits.characters, len(draft.text), len(draft.text), limits.characters)
        case "photos" if len(draft.photos) > limits.photos:
            yield _Found(count=len(draft.photos), limit=limits.photos)
        case "photo_size":
            small = sum(min(photo.width, photo.height) < limits.photo_side for photo in draft.photos)
            if small:
                yield _Found(count=small, limit=limits.photo_side)
        case "photo_kinds" if draft.photos:
            yield _Found(count=len(draft.photos), limit=limits.photos)
        case "weight_class":
            passed = [upto for upto in weight.classes if grams > upto]
            if passed and grams <= limits.grams:
                yield _Found(count=round(grams), limit=f"{max(passed):g}")
        case "weight" if grams > limits.grams:
            yield _Found(count=round(grams), limit=f"{limits.grams:g}")
        case _:
            pass


def _of_text(letter: _Letter, rule: Rule) -> list[_Place]:
    places = sorted([*letter.of_words(rule.words), *letter.of_patterns(rule.patterns)], key=lambda p: (p[0], -p[1]))
    if not places:
        return []
    apart: list[_Place] = []
    for place in filter(_clear_of(letter.of_words(rule.but_not)), places):
        if not apart or place[0] >= apart[-1][1]:
            apart.append(place)
    return apart


def _clear_of(others: list[_Place]) -> Callable[[_Place], bool]:
    """Whether a place overlaps none of these, in time that hardly grows with them: a letter can have thousands."""
    others = sorted(others)
    starts, furthest = [start for start, _ in others], list(accumulate((end for _, end in others), max))

    def clear(place: _Place) -> bool:
        before = bisect_left(starts, place[1])
        return before == 0 or furthest[before - 1] <= place[0]

    return clear


def _not_taken(letter: _Letter, takes: tuple[str, ...]) -> Iterator[tuple[_Place, str]]:
    """The letter as a whole, or those of its paragraphs, that are in a language which is not taken."""
    if letter.language is not None and letter.language not in takes:
        yield (0, 0), letter.language
        return
    for place, language in letter.paragraphs:
        if language is not None and language not in takes:
            yield place, language


def _name_of_language(code: str, language: Language) -> str:
    return str(Locale(language).languages.get(code, code))

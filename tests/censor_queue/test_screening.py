"""The screening: every rule on its examples, what must not be flagged, and that no letter holds it up."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from censor_queue import screening
from censor_queue.profiles import Profile, Rule, load_profiles
from censor_queue.screening import FINDINGS_OF_A_RULE, Screener
from relay.domain.directory import Facility
from relay.domain.languages import LANGUAGES, Language
from relay.domain.letters import Photo
from relay.domain.ports import Screening
from relay.domain.review import Draft, FacilityRules, Finding, Severity

SHIPPED = load_profiles()
SCREENER = Screener(SHIPPED)
RUSSIA, BRITAIN, COMMON = (SHIPPED.named(name) for name in ("russia", "united-kingdom", "common"))
NOT_FLAGGED: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("not_flagged.toml").read_text("utf-8"))
LETTER = "Здравствуйте, Иван! Как ваше здоровье, хватает ли вам книг и тепла? "


def found(text: str, profile: Profile = RUSSIA) -> list[tuple[str, str]]:
    """Rule and words of each finding."""
    return [(each.rule, text[each.start : each.end]) for each in SCREENER.screened(Draft(text, 1), profile, "en")]


def changed(folder: Path, *rules: str) -> tuple[Screener, Profile]:
    """The common profile with other rules beside."""
    (folder / "mine.toml").write_text('extends = "common"\ntitle = "Mine"\n' + "\n".join(rules), "utf-8")
    profiles = load_profiles(folder)
    return Screener(profiles), profiles.named("mine")


def pattern_rule(id_: str, pattern: str) -> str:
    return f"""
        [[rule]]
        id = "{id_}"
        severity = "warn"
        patterns = ['{pattern}']
        title = {{ en = "Mine", ru = "Моё", de = "Meins", sv = "Min" }}
        sentence = {{ en = "No.", ru = "Нет.", de = "Nein.", sv = "Nej." }}
        match = ["aa"]
        pass = ["b"]
    """


# --- the examples are the tests


@pytest.mark.parametrize(
    ("profile", "rule"),
    [pytest.param(profile, rule, id=f"{profile.name}-{rule.id}") for profile in SHIPPED for rule in profile.rules],
)
def test_rule_on_its_examples(profile: Profile, rule: Rule) -> None:
    assert rule.let_pass
    assert rule.match or (rule.kind == "language" and not profile.takes)
    assert SCREENER.wrong_examples(profile, rule) == []


def test_wrong_examples_are_noticed(tmp_path: Path) -> None:
    rule = pattern_rule("mine", "aa").replace('match = ["aa"]', 'match = ["aa", "cc"]').replace('["b"]', '["b", "baa"]')
    screener, profile = changed(tmp_path, rule)
    assert screener.wrong_examples(profile, profile.rule("mine")) == ["not found: cc", "found: baa"]


def test_examples_of_weights_are_tried_in_the_profile_that_states_them(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    text = 'extends = "common"\ntitle = "Mine"\nfacilities = ["mine"]\n[print]\nduplex = true\n'
    (folder / "mine.toml").write_text(text, "utf-8")
    (folder / "own.toml").write_text(
        text.replace("mine", "own") + '[[rule]]\nid = "too_heavy"\nmatch = [{ pages = 19 }]\npass = [{}]\n', "utf-8"
    )
    screener = Screener(load_profiles(folder))
    mine, own = screener.profiles.named("mine"), screener.profiles.named("own")
    assert [fault for rule in mine.rules for fault in screener.wrong_examples(mine, rule)] == []
    assert len(screener.wrong_examples(own, own.rule("too_heavy"))) == 1


@pytest.mark.parametrize(("language", "count"), [("ru", 25), ("en", 25), ("de", 12), ("sv", 12), ("uk", 12)])
def test_what_people_write_is_not_flagged(language: str, count: int) -> None:
    """Sympathy, worry, daily life, dates and prices: no warning by any profile, but that of a language not taken."""
    sentences = NOT_FLAGGED[language]
    flagged = [
        (profile.name, each.rule, text[each.start : each.end], text)
        for profile in SHIPPED
        for text in [*sentences, "\n".join(sentences)]
        for each in SCREENER.screened(Draft(text, 1), profile, "en")
        if each.severity is not Severity.INFO
        and not (each.rule == "language" and profile.takes and language not in profile.takes)
    ]
    assert len(sentences) >= count
    assert flagged == []


@pytest.mark.parametrize("profile", [*SHIPPED], ids=lambda each: str(each.name))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_filled_in(profile: Profile, language: Language) -> None:
    for rule in profile.rules:
        for example in rule.match:
            for each in SCREENER.screened(example.draft, profile, language):
                assert "{" not in each.sentence
                assert not each.sentence.startswith(" ")


# --- the place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Зайди на https://example.org/a?b=1.", [("links", "https://example.org/a?b=1")]),
        ("(www.example.com)", [("links", "www.example.com")]),
        ("Сайт primer.ru, почта a.b@example.org!", [("links", "primer.ru"), ("email_addresses", "a.b@example.org")]),
        ("Пиши: anna at example dot org, жду.", [("email_addresses", "anna at example dot org")]),
        ("anna (at) example (dot) org", [("email_addresses", "anna (at) example (dot) org")]),
        ("Звони 8 (999) 123-45-67, вечером.", [("phone_numbers", "8 (999) 123-45-67")]),
        ("Мы 😀😀 рады", [("emoji", "😀😀")]),
        ("👨‍👩‍👧", [("emoji", "👨‍👩‍👧")]),
        ("Ну и ПИЗДЕЦ!", [("profanity", "ПИЗДЕЦ")]),
        ("Заёбан был день.", [("profanity", "Заёбан")]),
        ("Это ст. 228 УК РФ.", [("case_details", "ст. 228"), ("case_details", "УК РФ")]),
        (
            "Он дал показания против тебя.",
            [
                ("case_details", "дал показания"),
            ],
        ),
        ("НЕТ ВОЙНЕ!", [("politics", "НЕТ ВОЙНЕ")]),
        ("Как дела, my dear old friend, пиши!", [("foreign_words", "my dear old friend")]),
        ("", []),
        ("???", []),
    ],
)
def test_finding_marks_the_very_words(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_words_marked_behind_letters_that_change_their_length() -> None:
    """The Turkish İ is two characters in small letters, and accents may be characters of their own."""
    assert found("İ İ İ Иди нахуй")[-1] == ("profanity", "нахуй")
    assert found("Вот хуи\u0306!") == [("profanity", "хуи\u0306")]


@pytest.mark.parametrize("text", ["Не путай. Война и мир.", "против\n\nвойны", "против. Войны не будет"])
def test_words_of_different_sentences_are_no_phrase(text: str) -> None:
    assert found(text) == ([] if "\n" not in text else [("politics", "против\n\nвойны")])


def test_findings_stand_in_the_order_of_the_text_and_one_rule_never_marks_a_place_twice() -> None:
    text = "Путин, example.org, ст. 228, хуй, Путин, https://www.example.org/x, ч. 2 ст. 228"
    places = [(each.start, each.end, each.rule) for each in SCREENER.screened(Draft(text, 1), RUSSIA, "ru")]
    assert places == sorted(places)
    for rule in {rule for _, _, rule in places}:
        own = [place for place in places if place[2] == rule]
        assert all(one[1] <= other[0] for one, other in pairwise(own))


def test_findings_of_a_rule_are_capped() -> None:
    text = "хуй " * 200 + "+7 999 123-45-67, " * 60
    rules = [rule for rule, _ in found(text)]
    assert (rules.count("profanity"), rules.count("phone_numbers")) == (FINDINGS_OF_A_RULE, FINDINGS_OF_A_RULE)


@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=300)
    | st.text("аa1 .@:/+-хуйе\n😀İё\u0301«»()", max_size=80)
)
def test_any_text_is_screened(text: str) -> None:
    for profile in SHIPPED:
        for each in SCREENER.screened(Draft(text, 1), profile, "sv"):
            assert 0 <= each.start <= each.end <= len(text)


# --- what is measured


@pytest.mark.parametrize(
    ("draft", "profile", "expected"),
    [
        (Draft(LETTER, 6), RUSSIA, [("weight", "info")]),
        (Draft(LETTER, 7), RUSSIA, [("pages", "warn"), ("weight", "info")]),
        (Draft(LETTER, 18), COMMON, [("pages", "warn"), ("weight", "info")]),
        (Draft(LETTER, 19), COMMON, [("pages", "warn"), ("too_heavy", "warn")]),
        (Draft(LETTER, 19), RUSSIA, [("pages", "warn"), ("too_heavy", "block")]),
        (Draft(LETTER, 2), BRITAIN, [("weight", "info")]),
        (
            Draft(LETTER, 1, photos=(Photo(width=900, height=600, size=1),)),
            RUSSIA,
            [("photo_kinds", "info"), ("weight", "info")],
        ),
        (
            Draft(LETTER, 1, photos=(Photo(width=900, height=300, size=1),) * 5),
            BRITAIN,
            [("photo_kinds", "info"), ("photo_size", "info"), ("photos", "block"), ("weight", "info")],
        ),
    ],
)
def test_measures(draft: Draft, profile: Profile, expected: list[tuple[str, str]]) -> None:
    findings = SCREENER.screened(draft, profile, "en")
    assert [(each.rule, each.severity) for each in findings] == expected
    assert {(each.start, each.end) for each in findings} == {(0, 0)}


def test_what_is_too_long_is_marked() -> None:
    text = "слово " * 2500
    (finding,) = (each for each in SCREENER.screened(Draft(text, 1), RUSSIA, "en") if each.rule == "characters")
    assert (finding.start, finding.end) == (10_000, 15_000)
    assert finding.sentence.startswith("The letter has 15000 characters. Up to 10000 pass;")


# --- languages


@pytest.mark.parametrize("language", [*NOT_FLAGGED])
def test_language_of_a_letter(language: str) -> None:
    assert SCREENER.language_of("\n".join(NOT_FLAGGED[language])) == language


def test_language_of_one_sentence_is_never_wrong() -> None:
    told = [(language, SCREENER.language_of(text)) for language, texts in NOT_FLAGGED.items() for text in texts]
    assert [pair for pair in told if pair[1] not in {pair[0], None}] == []
    assert sum(pair[1] is None for pair in told) <= len(told) // 20


@pytest.mark.parametrize("text", ["", "Привет!", "Hello there", "12345 67890 12345 67890 12345", "abc " * 4, "??? !!!"])
def test_language_that_cannot_be_told(text: str) -> None:
    assert SCREENER.language_of(text) is None


def test_letter_in_a_language_that_is_not_taken() -> None:
    (finding,) = SCREENER.screened(Draft("\n".join(NOT_FLAGGED["de"][:4]), 1), RUSSIA, "de")
    assert (finding.rule, finding.severity, finding.start, finding.end) == ("language", Severity.WARN, 0, 0)
    assert finding.sentence.startswith("Das ist geschrieben in: Deutsch. Die Zensur liest dort nur: Russisch;")


def test_paragraph_in_a_language_that_is_not_taken() -> None:
    ukrainian = NOT_FLAGGED["uk"][5]
    text = f"{LETTER}\n{ukrainian}\n{LETTER}{LETTER}"
    assert found(text) == [("language", ukrainian)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Прочёл «Lord of the Flies» и скучаю по морю.", []),
        ("Слушаю Radiohead, Nina Simone и The Beatles.", []),
        ("У Людовика XIV был план B, а глава iv длинная.", []),
        ("Пиши мне, мой e-mail ты знаешь, my friend.", ["my friend"]),
        ("Я так скучаю, I miss you, возвращайся скорее.", ["I miss you"]),
        ("Сайт example.org и почта anna@example.org известны.", []),
        ("Dear friend, how are you?", []),
        ("Привет, how are you, my dear?", ["how are you, my dear"]),
        ("Сайт primer.ru, my friend, закрыт.", ["my friend"]),
    ],
)
def test_foreign_words(text: str, expected: list[str]) -> None:
    assert [words for rule, words in found(text) if rule == "foreign_words"] == expected


def test_foreign_words_where_every_language_is_taken(tmp_path: Path) -> None:
    """What is foreign is then what the letter has less of."""
    screener, profile = changed(tmp_path, '[[rule]]\nid = "foreign_words"\nseverity = "warn"')
    text = "We ate борщ and пельмени in the evening."
    places = [text[each.start : each.end] for each in screener.screened(Draft(text, 1), profile, "en")]
    assert places == ["борщ", "пельмени"]


# --- time


def test_pattern_that_runs_out_of_time_stops_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "RULE_SECONDS", 0.02)
    screener, profile = changed(tmp_path, pattern_rule("mine", "(a|aa)+$"))
    text = "a" * 80 + "b, example.org"
    with structlog.testing.capture_logs() as logged:
        findings = screener.screened(Draft(text, 1), profile, "de")
    link = SCREENER.screened(Draft(text, 1), COMMON, "de")
    sentence = "This could not be checked, it took too long: Meins"
    (unchecked,) = (each for each in findings if each.rule == "mine")
    assert (unchecked.severity, unchecked.start, unchecked.end) == (Severity.INFO, 0, 0)
    assert unchecked.sentence.endswith(sentence[-len("Meins") :])
    assert [each for each in findings if each.rule != "mine"] == link
    (line,) = logged
    assert {key: line[key] for key in ("event", "error", "rule")} == {
        "event": "screening",
        "error": "TimeoutError",
        "rule": "mine",
    }
    assert set(line) == {"event", "error", "rule", "place", "log_level"}


def test_letter_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is over, no pattern is begun; what is looked up and measured is still found."""
    monkeypatch.setattr(screening, "LETTER_SECONDS", 0)
    draft = Draft("хуй, Путин", 7)
    unchecked = [rule.id for rule in RUSSIA.rules if rule.patterns]
    findings = SCREENER.screened(draft, RUSSIA, "en")
    said = "This could not be checked, it took too long: "
    assert sorted(each.rule for each in findings if each.sentence.startswith(said)) == sorted(unchecked)
    assert [each.rule for each in findings if not each.sentence.startswith(said)] == ["pages", "weight", "politics"]


@pytest.mark.parametrize(
    "piece", ["./ ", "--./ ", "\u200d", "a\u200d", "\U000e0061", "a+", "1 ", "@", "a.", "00 ", "f*"]
)
def test_text_that_is_made_to_hold_a_pattern_up_does_not(monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    """Time that grows with the square of the letter would be minutes here."""
    monkeypatch.setattr(screening, "RULE_SECONDS", 10)
    monkeypatch.setattr(screening, "LETTER_SECONDS", 30)
    draft = Draft(f"\U0001f3f4{piece * (100_000 // len(piece))} x", 1)
    said = "This could not be checked"
    assert [each.rule for each in SCREENER.screened(draft, RUSSIA, "en") if each.sentence.startswith(said)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Слушай. ... --- ... / -- .- -- .- и всё", [("ciphers", "... --- ... / -- .- -- .-")]),
        ("... " * 80 + "и всё", [("ciphers", ("... " * 80).strip())]),
        ("до\u200dм", [("ciphers", "\u200d")]),
        ("\u200dдом", []),
        ("\U000e0061\U000e0062", [("ciphers", "\U000e0061\U000e0062")]),
    ],
)
def test_hidden_words_are_marked(text: str, expected: list[tuple[str, str]]) -> None:
    assert [each for each in found(text, COMMON) if each[0] == "ciphers"] == expected


PLACES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda place: (place[0], sum(place))))


@given(PLACES, PLACES)
def test_place_is_clear_of_others_where_it_overlaps_none(
    places: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    clear = screening._clear_of(others)
    for start, end in places:
        assert clear((start, end)) != any(start < other[1] and other[0] < end for other in others)


# --- the port


def test_screener_is_the_screening() -> None:
    port: Screening = SCREENER
    prison = Facility(slug="ik-1", name="IK-1", country="RU", address="Энск")
    draft = Draft("Путин", 1)
    assert port.findings(draft, prison, "en") == SCREENER.screened(draft, RUSSIA, "en")
    assert port.rules_of(prison) == FacilityRules(
        takes=("ru",),
        second_reader=False,
        print_original=False,
        photos=3,
        characters=10000,
        printing=RUSSIA.printing,
        weight=RUSSIA.weight,
    )
    assert SCREENER.rule_ids(prison) == tuple(rule.id for rule in RUSSIA.rules)
    assert "foreign_words" not in SCREENER.rule_ids(prison.model_copy(update={"country": "SE"}))
    assert SCREENER.rule_titles(prison, "ru")["politics"] == "Политика"


def test_all_profiles_at_once_find_what_each_finds() -> None:
    draft = Draft("Путин, ст. 228, example.org, my friend 😀\n" + LETTER, 3)
    assert SCREENER.screened_by(draft, SHIPPED, "en") == {
        profile.name: SCREENER.screened(draft, profile, "en") for profile in SHIPPED
    }


def test_finding_as_it_is() -> None:
    finding = next(iter(SCREENER.screened(Draft("Мой сайт primer.ru", 1), RUSSIA, "en")))
    sentence = RUSSIA.rule("links").sentence.in_language("en")
    assert finding == Finding("links", Severity.WARN, 9, 18, sentence)


def test_language_that_is_not_ours_refused() -> None:
    with pytest.raises(KeyError):
        SCREENER.screened(Draft("Привет", 1), RUSSIA, "fr")

"""Profiles: which one is for whom, how they build on each other, and what is said about wrong ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from censor_queue.profiles import Profile, ProfileError, UnknownProfileError, load_profiles
from relay.domain.directory import Facility
from relay.domain.review import Draft, FacilityRules, Severity

ROOT = Path(__file__).parent.parent.parent
SENTENCES = """
title = { en = "Owls", ru = "Совы", de = "Eulen", sv = "Ugglor" }
sentence = { en = "No owls.", ru = "Без сов.", de = "Keine Eulen.", sv = "Inga ugglor." }
match = ["An owl!"]
pass = ["A cat."]
"""
OWLS = f'[[rule]]\nid = "owls"\nseverity = "warn"\nwords = ["owl*"]\n{SENTENCES}'


def facility(slug: str = "anywhere", country: str = "SE") -> Facility:
    return Facility(slug=slug, name="Prison", country=country, address="Somewhere")


def profile(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.toml").write_text(text, "utf-8")
    return folder


def test_shipped_profiles() -> None:
    assert load_profiles().names == ("common", "russia", "united-kingdom")


def test_profile_of_a_facility_is_its_own_or_its_country_s_or_the_common_one(tmp_path: Path) -> None:
    profile(tmp_path, "ik-99", 'extends = "russia"\ntitle = "IK-99"\nfacilities = ["ik-99"]')
    profiles = load_profiles(tmp_path)
    found = [
        profiles.of(facility(*place)).name
        for place in [("ik-99", "RU"), ("ik-1", "RU"), ("wing", "GB"), ("anstalt", "SE")]
    ]
    assert found == ["ik-99", "russia", "united-kingdom", "common"]


def test_extending_profile_changes_only_what_it_names(tmp_path: Path) -> None:
    text = """
        extends = "russia"
        title = "IK-99"
        facilities = ["ik-99"]
        second_reader = true
        [limits]
        photos = 0
        [[rule]]
        id = "links"
        severity = "block"
        sentence.en = "No links at all."
    """
    profiles = load_profiles(profile(tmp_path, "ik-99", text))
    own, russia = profiles.named("ik-99"), profiles.named("russia")
    assert own.facility_rules == FacilityRules(
        ("ru",), second_reader=True, print_original=False, photos=0, characters=10000
    )
    assert own.limits == russia.limits.model_copy(update={"photos": 0})
    assert (own.countries, own.weight) == ((), russia.weight)
    assert [rule.id for rule in own.rules] == [rule.id for rule in russia.rules]
    assert [rule.id for rule in own.rules if rule != russia.rule(rule.id)] == ["links"]
    links = own.rule("links")
    assert (links.weighs, links.patterns) == (Severity.BLOCK, russia.rule("links").patterns)
    assert links.sentence.in_language("en") == "No links at all."
    assert links.sentence.in_language("de") == russia.rule("links").sentence.in_language("de")


def test_new_rule_and_new_country_without_code(tmp_path: Path) -> None:
    text = f'extends = "common"\ntitle = "Sweden"\ncountries = ["SE"]\ntakes = ["sv", "en"]\n{OWLS}'
    sweden = load_profiles(profile(tmp_path, "sweden", text)).of(facility())
    assert (sweden.name, sweden.takes, sweden.rules[-1].id) == ("sweden", ("sv", "en"), "owls")


def test_file_of_the_same_name_replaces_the_shipped_one(tmp_path: Path) -> None:
    profiles = load_profiles(profile(tmp_path, "russia", 'extends = "common"\ntitle = "Ours"\ncountries = ["RU"]'))
    assert profiles.names == ("common", "russia", "united-kingdom")
    assert (profiles.named("russia").title, profiles.named("russia").takes) == ("Ours", ())


def test_folder_that_is_not_there_adds_nothing(tmp_path: Path) -> None:
    assert load_profiles(tmp_path / "none").names == load_profiles().names


def test_unknown_profile_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProfileError) as error:
        load_profiles().named("mars")
    assert str(error.value) == "there is no profile mars; there are common, russia, united-kingdom"


HEAD = 'extends = "common"\ntitle = "Mine"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("title = ", "mine.toml is no TOML: "),
        ('extends = "mars"\ntitle = "Mine"', "mine.toml: extends: there is no profile mars"),
        ('extends = "mine"\ntitle = "Mine"', "mine.toml: it extends itself by way of mine"),
        ('extends = "common"\ntitle = ""', "mine.toml: title: "),
        (HEAD + "colour = 1", "mine.toml: colour: unknown key"),
        (HEAD + 'countries = ["Russia"]', "mine.toml: countries.0: "),
        (HEAD + 'countries = ["RU"]', "russia.toml: mine.toml is for RU already"),
        (HEAD + "[limits]\npages = 0", "mine.toml: limits.pages: "),
        (HEAD + "[rule]\nid = 1", "mine.toml: rules are written as [[rule]]"),
        (HEAD + '[[rule]]\nseverity = "warn"', "mine.toml: rule 1 has no id"),
        (HEAD + OWLS + OWLS, "mine.toml: rule owls stands there twice"),
        (HEAD + '[[rule]]\nid = "owls"\nseverity = "warn"', "mine.toml: rule owls.title: Field required"),
        (HEAD + '[[rule]]\nid = "links"\nseverity = "fatal"', "mine.toml: rule links.severity: "),
        (
            HEAD + "[[rule]]\nid = \"links\"\npatterns = ['(']",
            "mine.toml: rule links.patterns.0: the pattern '(' cannot be read: ",
        ),
        (
            HEAD + "[[rule]]\nid = \"links\"\npatterns = ['a*']",
            "mine.toml: rule links.patterns.0: the pattern 'a*' matches where nothing stands",
        ),
        (
            HEAD + '[[rule]]\nid = "links"\npatterns = []',
            "mine.toml: rule links: a rule of the kind text has words or patterns",
        ),
        (
            HEAD + '[[rule]]\nid = "profanity"\nwords = ["a*"]',
            "mine.toml: rule profanity.words.0: 'a*': a stem has at least 3 letters",
        ),
        (
            HEAD + '[[rule]]\nid = "profanity"\nwords = ["what?"]',
            "mine.toml: rule profanity.words.0: 'what?' is not made of words",
        ),
        (HEAD + '[[rule]]\nid = "profanity"\nwords = [" "]', "mine.toml: rule profanity.words.0: an entry is empty"),
        (
            HEAD + '[[rule]]\nid = "links"\nsentence.de = "Nein {name}"',
            "mine.toml: rule links: sentence.de: only {limit} and {count}",
        ),
        (HEAD + '[[rule]]\nid = "links"\nsentence.fr = "Non"', "mine.toml: rule links.sentence.fr: unknown key"),
    ],
)
def test_wrong_profile_says_file_rule_and_fault(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ProfileError) as error:
        load_profiles(profile(tmp_path, "mine", text))
    assert str(error.value)[: len(sentence)] == sentence


@pytest.mark.parametrize("each", [*load_profiles()], ids=lambda each: str(each.name))
def test_letter_weighs_what_its_parts_weigh(each: Profile) -> None:
    """A4 of 80 g/m² is 4.99 g: two pages, a reply sheet and the envelope are just within 20 g."""
    assert round(each.weight.of(Draft("", 2, reply_sheets=1)), 2) == 19.97


def test_wheel_has_the_shipped_profiles(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as packed:
        found = {name for name in packed.namelist() if name.startswith("censor_queue/profiles/")}
    assert found == {f"censor_queue/profiles/{name}.toml" for name in load_profiles().names}

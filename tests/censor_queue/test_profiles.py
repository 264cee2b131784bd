"""Profiles: which one is for whom, how they build on each other, and what is said about wrong ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from censor_queue.profiles import ProfileError, UnknownProfileError, load_profiles
from relay.domain.directory import Facility
from relay.domain.letters import Photo
from relay.domain.printing import EnvelopeFormat, PrintRules, Weight, Window
from relay.domain.review import Draft, FacilityRules, Severity

ROOT = Path(__file__).parent.parent.parent
SENTENCES = """
title = { en = "Owls", ru = "Совы", de = "Eulen", sv = "Ugglor" }
sentence = { en = "No owls.", ru = "Без сов.", de = "Keine Eulen.", sv = "Inga ugglor." }
match = ["An owl!"]
pass = ["A cat."]
"""
PHOTO = Photo(width=800, height=600, size=60_000)
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
        takes=("ru",),
        second_reader=True,
        print_original=False,
        photos=0,
        characters=10000,
        printing=PrintRules(censor_slip=True),
        weight=Weight(),
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
        (HEAD + "[weight]\nphoto = 4.99", "mine.toml: weight.photo: unknown key"),
        (HEAD + "[print]\nphotos_per_page = 3", "mine.toml: print.photos_per_page: "),
        (HEAD + '[print]\nenvelope = "C5"\nwindow = "US10"', "mine.toml: print: No envelope C5 has a window US10; "),
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


def test_print_table_of_an_extending_profile_changes_only_what_it_names(tmp_path: Path) -> None:
    text = """
        extends = "united-kingdom"
        title = "Wing"
        facilities = ["wing"]
        [print]
        duplex = true
        grey = true
        photos_per_page = 2
        photo_mm = [150, 100]
        matrix_codes = false
        envelope = "C5"
        window = "DIN5008-B"
        [weight]
        envelope = 7
        classes = [100, 250]
    """
    wing = load_profiles(profile(tmp_path, "wing", text)).named("wing").facility_rules
    assert wing.printing == PrintRules(
        duplex=True,
        grey=True,
        photos_per_page=2,
        photo_mm=(150, 100),
        matrix_codes=False,
        envelope=EnvelopeFormat.C5,
        window=Window.DIN5008_B,
        return_envelope=EnvelopeFormat.DL,
    )
    assert wing.weight == Weight(envelope=7, classes=(100, 250))


def test_shipped_profiles_say_how_letters_are_printed() -> None:
    assert {each.name: each.printing for each in load_profiles()} == {
        "common": PrintRules(),
        "russia": PrintRules(censor_slip=True),
        "united-kingdom": PrintRules(return_envelope=EnvelopeFormat.DL),
    }


PAPER = 4.99
"""A4 of 80 g/m², in grams."""


@pytest.mark.parametrize(
    ("name", "draft", "grams"),
    [
        ("common", Draft("", 2, reply_sheets=1), 3 * PAPER + 5),
        ("russia", Draft("", 2, reply_sheets=1), 4 * PAPER + 5),
        ("russia", Draft("", 1, 2, (PHOTO, PHOTO)), 6 * PAPER + 5),
        ("united-kingdom", Draft("", 1, reply_sheets=1), 2 * PAPER + 5 + 5),
    ],
)
def test_letter_weighs_its_sheets_and_its_envelopes(name: str, draft: Draft, grams: float) -> None:
    assert load_profiles().named(name).grams(draft) == pytest.approx(grams)


def test_letter_on_both_sides_with_small_photos_weighs_fewer_sheets(tmp_path: Path) -> None:
    text = 'extends = "common"\ntitle = "Mine"\n[print]\nduplex = true\nphotos_per_page = 4'
    mine = load_profiles(profile(tmp_path, "mine", text)).named("mine")
    assert mine.grams(Draft("", 2, 1, (PHOTO,) * 4)) == pytest.approx(3 * PAPER + 5)


def test_wheel_has_the_shipped_profiles(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(wheel) as packed:
        found = {name for name in packed.namelist() if name.startswith("censor_queue/profiles/")}
    assert found == {f"censor_queue/profiles/{name}.toml" for name in load_profiles().names}

"""The directory as CSV: what is written is read again, and every bad row comes with its reasons."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.directory import (
    COLUMNS,
    REQUIRED,
    BadRow,
    DirectoryFileError,
    Entry,
    Facility,
    Prisoner,
    PrisonerState,
    read_csv,
    write_csv,
)
from relay.domain.languages import LANGUAGES
from relay.domain.letter_pages import Unprintable

ROW = {
    "prisoner_slug": "ivan-petrov",
    "prisoner_name": "Иван Петров",
    "prisoner_birth_year": "1980",
    "prisoner_language": "ru",
    "prisoner_state": "active",
    "prisoner_layout": "",
    "prisoner_name_on_envelope": "",
    "facility_slug": "ik-99",
    "facility_name": "ИК-99",
    "facility_country": "RU",
    "facility_address": "ул. Лесная, 1; 123456 Энск",
    "facility_street": "",
    "facility_town": "",
    "facility_region": "",
    "facility_postcode": "",
    "facility_return_address": "",
    "facility_review_days": "",
}
ENTRY = Entry(
    Prisoner(slug="ivan-petrov", name="Иван Петров", birth_year=1980, language="ru"),
    Facility(slug="ik-99", name="ИК-99", country="RU", address="ул. Лесная, 1\n123456 Энск"),
)

OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cn", "Co", "Cs"], exclude_characters=OVERRIDES), max_size=30)
FORMULAS = st.builds(
    lambda quotes, sign, rest: quotes + sign + rest, st.text("'", max_size=3), st.sampled_from("=+-@"), WORDS
)
LINES = st.one_of(WORDS, FORMULAS).map(lambda text: " ".join(text.split())).filter(bool)
SLUGS = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8})?", fullmatch=True)
ADDRESSES = st.lists(LINES.filter(lambda line: ";" not in line), max_size=4).map("\n".join)
FACILITIES = st.builds(
    Facility,
    slug=SLUGS,
    name=LINES,
    country=st.sampled_from(["RU", "DE"]),
    address=ADDRESSES.filter(bool),
    return_address=ADDRESSES,
    review_days=st.integers(0, 90),
)
PRISONERS = st.builds(
    Prisoner,
    slug=SLUGS,
    name=LINES,
    birth_year=st.one_of(st.none(), st.integers(1900, 2100)),
    language=st.sampled_from(LANGUAGES),
    state=st.sampled_from(PrisonerState),
)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """A directory: facilities that say one thing each, and each prisoner once."""
    facilities = draw(st.lists(FACILITIES, min_size=1, max_size=3, unique_by=lambda facility: facility.slug))
    prisoners = draw(st.lists(PRISONERS, max_size=5, unique_by=lambda prisoner: prisoner.slug))
    return [Entry(prisoner, draw(st.sampled_from(facilities))) for prisoner in prisoners]


def text_of(*rows: dict[str, str] | list[str], columns: tuple[str, ...] = COLUMNS) -> str:
    """A CSV with these rows; a list is a row of just these cells."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(row if isinstance(row, list) else [row[name] for name in columns])
    return out.getvalue()


@settings(deadline=None, max_examples=200)
@given(entries())
def test_directory_written_and_read_is_the_same(written: list[Entry]) -> None:
    text = write_csv(written)
    read = read_csv(text)
    assert (read.entries, read.bad) == (written, [])
    for row in csv.reader(io.StringIO(text)):
        assert [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []


@pytest.mark.parametrize("text", [text_of(ROW), "\ufeff" + text_of(ROW), text_of(ROW).replace("\r\n", "\n")])
def test_row_read(text: str) -> None:
    read = read_csv(text)
    assert (read.entries, read.bad) == ([ENTRY], [])


def test_columns_in_any_order_and_only_those_needed() -> None:
    columns = ("facility_address", *reversed(REQUIRED))
    (entry,) = read_csv(text_of(ROW, columns=columns)).entries
    assert entry == Entry(ENTRY.prisoner.model_copy(update={"birth_year": None}), ENTRY.facility)
    padded = text_of(ROW).replace("prisoner_slug", " prisoner_slug ").replace("ivan-petrov", " ivan-petrov ")
    assert read_csv(padded).entries == [ENTRY]


def test_empty_rows_passed_over_and_counted() -> None:
    blank = [""] * len(COLUMNS)
    read = read_csv(text_of(blank, [], ROW, [], ROW | {"prisoner_slug": "B"}))
    assert read.entries == [ENTRY]
    assert [bad.row for bad in read.bad] == [6]


def test_days_of_review_read_from_their_column() -> None:
    (entry,) = read_csv(text_of(ROW | {"facility_review_days": "7"})).entries
    assert (entry.facility.review_days, ENTRY.facility.review_days) == (7, 3)


def test_address_of_lines_and_semicolons() -> None:
    address = " ул. Лесная ,  1 ;\r\n ;123456   Энск\n"
    (entry,) = read_csv(text_of(ROW | {"facility_address": address})).entries
    assert entry.facility.address == "ул. Лесная , 1\n123456 Энск"


@pytest.mark.parametrize("name", ["=1+1", "+7", "-", "@SUM(A1)", "'=1+1", "''@x"])
def test_formula_kept_but_never_written_as_one(name: str) -> None:
    entry = Entry(ENTRY.prisoner.model_copy(update={"name": name}), ENTRY.facility)
    assert f",'{name}," in write_csv([entry])
    assert read_csv(write_csv([entry])).entries == [entry]
    assert read_csv(text_of(ROW | {"prisoner_name": name})).entries[0].prisoner.name == name.removeprefix("'")


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"prisoner_slug": ""}, ["prisoner_slug"]),
        ({"prisoner_slug": "Ivan Petrov"}, ["prisoner_slug"]),
        ({"prisoner_slug": "../x"}, ["prisoner_slug"]),
        ({"prisoner_slug": "a" * 81}, ["prisoner_slug"]),
        ({"prisoner_name": "  "}, ["prisoner_name"]),
        ({"prisoner_name": "x" * 201}, ["prisoner_name"]),
        ({"prisoner_name": "Иван\0"}, ["prisoner_name"]),
        ({"prisoner_birth_year": "80"}, ["prisoner_birth_year"]),
        ({"prisoner_birth_year": "about 1980"}, ["prisoner_birth_year"]),
        ({"prisoner_language": "fr"}, ["prisoner_language"]),
        ({"prisoner_state": "dead"}, ["prisoner_state"]),
        ({"facility_slug": "ИК-99"}, ["facility_slug"]),
        ({"facility_name": ""}, ["facility_name"]),
        ({"facility_country": "Russia"}, ["facility_country"]),
        ({"facility_country": "ru"}, ["facility_country"]),
        ({"facility_address": " ; \n"}, ["facility_address"]),
        ({"facility_address": "x" * 1001}, ["facility_address"]),
        ({"facility_return_address": "Энск\x1b[2J"}, ["facility_return_address"]),
        ({"prisoner_name": "Max\ue000 Example"}, ["prisoner_name"]),
        ({"facility_name": "IK-9\u202e Example"}, ["facility_name"]),
        ({"facility_street": "Gasse\uffff 1"}, ["facility_street"]),
        ({"facility_review_days": "soon"}, ["facility_review_days"]),
        ({"facility_review_days": "-1"}, ["facility_review_days"]),
        ({"facility_review_days": "91"}, ["facility_review_days"]),
        (
            {"prisoner_name": "", "facility_name": "", "prisoner_language": ""},
            ["prisoner_name", "prisoner_language", "facility_name"],
        ),
    ],
)
def test_bad_row_named_with_all_its_reasons(changed: dict[str, str], reasons: list[str]) -> None:
    good = ROW | {"prisoner_slug": "olga"}
    read = read_csv(text_of(ROW | changed, good))
    assert [entry.prisoner.slug for entry in read.entries] == ["olga"]
    (bad,) = read.bad
    assert bad.row == 2
    assert [reason.partition(": ")[0] for reason in bad.reasons] == reasons
    assert all(reason.partition(": ")[2] for reason in bad.reasons)


def test_rows_that_contradict_earlier_ones() -> None:
    again = ROW | {"prisoner_name": "Another"}
    moved = ROW | {"prisoner_slug": "olga", "facility_address": "elsewhere"}
    read = read_csv(text_of(ROW, again, moved, moved))
    twice = "prisoner {}: an earlier row has this slug already".format
    other = "facility ik-99: an earlier row says something else about it"
    assert read.entries == [ENTRY]
    assert read.bad == [
        BadRow(3, (twice("ivan-petrov"),)),
        BadRow(4, (other,)),
        BadRow(5, (other, twice("olga"))),
    ]


def test_row_of_more_or_fewer_cells() -> None:
    read = read_csv(text_of([*ROW.values(), ""], list(ROW.values())[:-1], ROW))
    assert read.entries == [ENTRY]
    assert read.bad == [BadRow(2, ("18 cells, and 17 columns",)), BadRow(3, ("16 cells, and 17 columns",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"the first row lacks the columns {', '.join(REQUIRED)}"),
        (text_of().replace(",", ";"), f"the first row lacks the columns {', '.join(REQUIRED)}"),
        (text_of(columns=COLUMNS[1:]), "the first row lacks the columns prisoner_slug"),
        (text_of(columns=(*COLUMNS, "prisoner_crime", "x")), "the first row has unknown columns: prisoner_crime, x"),
        (text_of(columns=(*COLUMNS, "prisoner_name")), "the first row has a column twice"),
        (text_of(ROW) + 'x"y","z', "line 3 is no CSV: unexpected end of data"),
    ],
)
def test_file_that_is_no_directory_refused(text: str, message: str) -> None:
    with pytest.raises(DirectoryFileError) as refused:
        read_csv(text)
    assert str(refused.value) == message


def test_address_in_parts_or_in_lines_but_not_missing() -> None:
    parts = {"facility_address": "", "facility_street": "ул. Лесная, 1", "facility_town": "Энск"}
    (entry,) = read_csv(text_of(ROW | parts)).entries
    assert (entry.facility.address, entry.facility.town) == ("", "Энск")
    (bad,) = read_csv(text_of(ROW | {"facility_address": ""})).bad
    assert bad.reasons == ("facility_address: Value error, a facility has an address, or at least a town",)


def test_row_that_cannot_be_printed_is_bad() -> None:
    def unprintable(text: str) -> list[Unprintable]:
        return [Unprintable("Л", "A LETTER", 1, 1)] if "Лесная" in text else []

    read = read_csv(text_of(ROW), unprintable)
    assert (read.entries, read.bad) == (
        [],
        [BadRow(2, ("facility_address: these characters cannot be printed: A LETTER",))],
    )

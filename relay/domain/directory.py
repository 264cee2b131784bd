"""Prisoners and facilities, and the CSV in which they are imported and exported.

One row is one prisoner with the facility, so that a list can be kept in any spreadsheet. Rows of the same facility
slug have to say the same about the facility.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from relay.domain.languages import Language
from relay.domain.letter_pages import Unprintable
from relay.domain.printing import Layout

SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_OVERRIDES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Of the text's direction."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class PrisonerState(StrEnum):
    """Whether a prisoner can be written to."""

    ACTIVE = "active"
    MOVED = "moved"
    RELEASED = "released"
    DO_NOT_WRITE = "do_not_write"


def _one_line(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


def _lines(value: object) -> object:
    if not isinstance(value, str):
        return value
    return "\n".join(line for line in (" ".join(part.split()) for part in re.split(r"[\n;]", value)) if line)


def _no_controls(text: str) -> str:
    """Refuse what no paper can show; a name with it would keep whole batches from being printed."""
    if any(unicodedata.category(each) in {"Cc", "Cn", "Co"} or each in _OVERRIDES for each in text if each != "\n"):
        raise ValueError("it has control characters, or such as no font has")
    return text


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


Line = Annotated[str, BeforeValidator(_one_line), AfterValidator(_no_controls), Field(min_length=1, max_length=200)]
OptionalLine = Annotated[str, BeforeValidator(_one_line), AfterValidator(_no_controls), Field(max_length=200)]
Address = Annotated[str, BeforeValidator(_lines), AfterValidator(_no_controls), Field(max_length=1000)]
Slug = Annotated[str, Field(pattern=rf"^{SLUG.pattern}$", max_length=80)]


class Facility(BaseModel):
    """A place where prisoners are held. Addresses are lines; in a CSV a semicolon also ends a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: Slug
    name: Line
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    """ISO 3166-1, two letters."""
    address: Address = ""
    """The lines as they are printed; empty where the parts below are given instead."""
    street: OptionalLine = ""
    """Street and house, or the village's."""
    town: OptionalLine = ""
    region: OptionalLine = ""
    postcode: OptionalLine = ""
    return_address: Address = ""
    """Where reply sheets go back to; empty where the installation's own address counts."""
    review_days: Annotated[int, Field(ge=0, le=90)] = 3
    """Within how many days letters to it should be read."""

    @model_validator(mode="after")
    def _has_an_address(self) -> Facility:
        if not self.address and not self.town:
            raise ValueError("a facility has an address, or at least a town")
        return self


class Prisoner(BaseModel):
    """Somebody who can be written to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: Slug
    name: Line
    birth_year: Annotated[Annotated[int, Field(ge=1900, le=2100)] | None, BeforeValidator(_empty_is_none)] = None
    language: Language
    """The language of the reply sheet."""
    state: PrisonerState = PrisonerState.ACTIVE
    layout: Layout = Layout.NORMAL
    """How letters to this prisoner are set."""
    name_on_envelope: OptionalLine = ""
    """The name as the post wants it, where the relay would decline it wrongly."""


COLUMNS: Final = tuple(f"prisoner_{name}" for name in Prisoner.model_fields) + tuple(
    f"facility_{name}" for name in Facility.model_fields
)
REQUIRED: Final = tuple(
    f"{prefix}_{name}"
    for prefix, model in (("prisoner", Prisoner), ("facility", Facility))
    for name, column in model.model_fields.items()
    if column.is_required()
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A prisoner and the facility."""

    prisoner: Prisoner
    facility: Facility


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be taken, and all that is wrong with it. As in a spreadsheet, the head is row 1."""

    row: int
    reasons: tuple[str, ...]


@dataclass
class DirectoryFile:
    """What a CSV holds."""

    entries: list[Entry] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


class DirectoryFileError(ValueError):
    """The file as a whole cannot be read."""


PRINTED: Final = ("name", "name_on_envelope", "address", "street", "town", "region", "postcode", "return_address")
"""What of an entry gets onto paper."""


def not_printable(
    entry: Prisoner | Facility, unprintable: Callable[[str], Sequence[Unprintable]]
) -> dict[str, Sequence[Unprintable]]:
    """What of an entry cannot be printed, by its field; `unprintable` is the printer's."""
    found = {name: unprintable(value) for name, value in entry if name in PRINTED}
    return {name: characters for name, characters in found.items() if characters}


def read_csv(text: str, unprintable: Callable[[str], Sequence[Unprintable]] = lambda _: ()) -> DirectoryFile:
    """Read a directory. Good rows are taken whatever the others say; each bad row comes with its reasons.

    A row with what the printer calls `unprintable` is bad too. Raises DirectoryFileError where the head lacks columns,
    has unknown ones, or one twice.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    result = DirectoryFile()
    try:
        head = [name.strip() for name in next(rows, [])]
        if missing := [name for name in REQUIRED if name not in head]:
            raise DirectoryFileError(f"the first row lacks the columns {', '.join(missing)}")
        if unknown := [name for name in head if name not in COLUMNS]:
            raise DirectoryFileError(f"the first row has unknown columns: {', '.join(unknown)}")
        if len(head) != len(set(head)):
            raise DirectoryFileError("the first row has a column twice")
        facilities: dict[str, Facility] = {}
        prisoners: set[str] = set()
        for number, cells in enumerate(rows, start=2):
            if not any(cells):
                continue  # spreadsheets leave such rows behind
            if len(cells) != len(head):
                result.bad.append(BadRow(number, (f"{len(cells)} cells, and {len(head)} columns",)))
                continue
            entry, reasons = _entry(dict(zip(head, cells, strict=True)))
            if entry is not None:
                for prefix, part in (("prisoner", entry.prisoner), ("facility", entry.facility)):
                    for name, found in not_printable(part, unprintable).items():
                        characters = ", ".join(dict.fromkeys(one.name for one in found))
                        reasons.append(f"{prefix}_{name}: these characters cannot be printed: {characters}")
                if facilities.setdefault(entry.facility.slug, entry.facility) != entry.facility:
                    reasons.append(f"facility {entry.facility.slug}: an earlier row says something else about it")
                if entry.prisoner.slug in prisoners:
                    reasons.append(f"prisoner {entry.prisoner.slug}: an earlier row has this slug already")
                prisoners.add(entry.prisoner.slug)
            if entry is None or reasons:
                result.bad.append(BadRow(number, tuple(reasons)))
            else:
                result.entries.append(entry)
    except csv.Error as error:
        raise DirectoryFileError(f"line {rows.line_num} is no CSV: {error}") from error
    return result


def _entry(row: dict[str, str]) -> tuple[Entry | None, list[str]]:
    reasons: list[str] = []
    made: dict[str, BaseModel] = {}
    for prefix, model in (("prisoner", Prisoner), ("facility", Facility)):
        values = {
            name.removeprefix(f"{prefix}_"): _plain(value)
            for name, value in row.items()
            if name.startswith(f"{prefix}_")
        }
        # An empty cell means what a missing column means.
        optional = {name for name, column in model.model_fields.items() if not column.is_required()}
        try:
            made[prefix] = model.model_validate({k: v for k, v in values.items() if v or k not in optional})
        except ValidationError as error:
            # What is wrong with an entry as a whole is its address.
            places = ((problem["loc"] or ("address",), problem["msg"]) for problem in error.errors())
            reasons += [f"{prefix}_{place[0]}: {message}" for place, message in places]
    if reasons:
        return None, reasons
    prisoner, facility = made["prisoner"], made["facility"]
    assert isinstance(prisoner, Prisoner)
    assert isinstance(facility, Facility)
    return Entry(prisoner, facility), []


def _is_formula(cell: str) -> bool:
    # behind apostrophes too, or a cell that has one of its own would lose it
    return cell.lstrip("'").startswith(_FORMULA)


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell.strip()


def write_csv(entries: Iterable[Entry]) -> str:
    """The CSV that `read_csv` reads. A cell that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    rows.writeheader()
    for entry in entries:
        values = {f"prisoner_{name}": value for name, value in entry.prisoner.model_dump(mode="json").items()}
        values |= {f"facility_{name}": value for name, value in entry.facility.model_dump(mode="json").items()}
        cells = {name: "" if value is None else str(value) for name, value in values.items()}
        rows.writerow({name: f"'{cell}" if _is_formula(cell) else cell for name, cell in cells.items()})
    return out.getvalue()

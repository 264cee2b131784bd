"""The invented people of the demo. All names are openly fictional; the kinds of facilities are real."""

from __future__ import annotations

from typing import Final

from relay.domain.directory import Entry, Facility, Prisoner

VOLUNTEERS: Final = ("anna", "boris", "clara")

_COLONY: Final = Facility(
    slug="ik-99-primerovo",
    name="ФКУ ИК-99 (исправительная колония, выдуманная)",
    country="RU",
    street="ул. Вымышленная, д. 99",
    town="пос. Примерово",
    region="Примерная область",
    postcode="000000",
    return_address="А. Я. Вымышленный\nа/я 99\n000000, г. Примерск",
)
_REMAND: Final = Facility(
    slug="sizo-9-primersk",
    name="ФКУ СИЗО-9 (следственный изолятор, выдуманный)",
    country="RU",
    street="ул. Сказочная, д. 9",
    town="г. Примерск",
    postcode="000000",
)
_PRISON: Final = Facility(
    slug="hmp-nowhere",
    name="HMP Nowhere (an invented prison)",
    country="GB",
    street="1 Fiction Road",
    town="Nowhere",
    postcode="ZZ99 9ZZ",
)
_JVA: Final = Facility(
    slug="jva-musterstadt",
    name="JVA Musterstadt (erfunden)",
    country="DE",
    street="Musterstraße 1",
    town="Musterstadt",
    postcode="00000",
)
_ANSTALT: Final = Facility(
    slug="anstalten-pahittad",
    name="Anstalten Påhittad (påhittad)",
    country="SE",
    street="Sagovägen 1",
    town="Påhittad",
    postcode="000 00",
)

DIRECTORY: Final = (
    Entry(Prisoner(slug="pyotr-primerov", name="Примеров Пётр Вымыслович", birth_year=1985, language="ru"), _COLONY),
    Entry(
        Prisoner(slug="darya-obraztsova", name="Образцова Дарья Небылицевна", birth_year=1992, language="ru"), _REMAND
    ),
    Entry(Prisoner(slug="ivan-skazochny", name="Сказочный Иван Примерович", birth_year=1978, language="ru"), _COLONY),
    Entry(Prisoner(slug="john-sample", name="John Sample", birth_year=1980, language="en"), _PRISON),
    Entry(Prisoner(slug="erika-musterfrau", name="Erika Musterfrau", birth_year=1990, language="de"), _JVA),
    Entry(Prisoner(slug="sven-exempelsson", name="Sven Exempelsson", birth_year=1975, language="sv"), _ANSTALT),
)

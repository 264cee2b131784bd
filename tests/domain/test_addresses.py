"""Postal addresses: Russian names in the dative, and the lines of an address in the order of its country."""

from __future__ import annotations

import pytest

from relay.domain.addresses import facility_lines, postal_lines
from relay.domain.directory import Facility, Prisoner
from relay.domain.russian_names import in_dative

# --- names: all invented, each for the way in which it is declined

MEN = [
    ("Примеров Пётр Вымыслович", "Примерову Петру Вымысловичу"),
    ("Лисицын Петр Кузьмич", "Лисицыну Петру Кузьмичу"),
    ("Небылицын Павел Ильич", "Небылицыну Павлу Ильичу"),
    ("Сказкин Лев Фомич", "Сказкину Льву Фомичу"),
    ("Выдуманный Илья Никитич", "Выдуманному Илье Никитичу"),
    ("Толстой Никита Лукич", "Толстому Никите Лукичу"),
    ("Сказочный Иван Примерович", "Сказочному Ивану Примеровичу"),
    ("Зимний Игорь Олегович", "Зимнему Игорю Олеговичу"),
    ("Горький Юрий Сергеевич", "Горькому Юрию Сергеевичу"),
    ("Хороший Андрей Львович", "Хорошему Андрею Львовичу"),
    ("Рабочий Саша Андреевич", "Рабочему Саше Андреевичу"),
    ("Береговой Анатолий Иванович", "Береговому Анатолию Ивановичу"),
    ("Седых Фёдор Яковлевич", "Седых Фёдору Яковлевичу"),
    ("Долгих Артём Петрович", "Долгих Артёму Петровичу"),
    ("Живаго Кузьма Саввич", "Живаго Кузьме Саввичу"),
    ("Дурново Фома Юрьевич", "Дурново Фоме Юрьевичу"),
    # nouns, some of which lose a vowel
    ("Заяц Сергей Романович", "Зайцу Сергею Романовичу"),
    ("Кравец Денис Олегович", "Кравцу Денису Олеговичу"),
    ("Якубец Данила Ильич", "Якубцу Даниле Ильичу"),
    ("Стрелец Глеб Иванович", "Стрельцу Глебу Ивановичу"),
    ("Боец Глеб Иванович", "Бойцу Глебу Ивановичу"),
    ("Кузнец Матвей Ильич", "Кузнецу Матвею Ильичу"),
    ("Швец Матвей Ильич", "Швецу Матвею Ильичу"),
    ("Порошок Роман Иванович", "Порошку Роману Ивановичу"),
    ("Пророк Роман Иванович", "Пророку Роману Ивановичу"),
    ("Блок Роман Иванович", "Блоку Роману Ивановичу"),
    ("Дятел Роман Иванович", "Дятлу Роману Ивановичу"),
    ("Соловей Тарас Иванович", "Соловью Тарасу Ивановичу"),
    ("Гусь Яков Иванович", "Гусю Якову Ивановичу"),
    ("Мороз Макар Иванович", "Морозу Макару Ивановичу"),
    ("Сова Антон Иванович", "Сове Антону Ивановичу"),
    ("Заря Антон Иванович", "Заре Антону Ивановичу"),
    ("Туча Антон Иванович", "Туче Антону Ивановичу"),
    # from Ukraine and Belarus
    ("Шевченко Тарас Григорьевич", "Шевченко Тарасу Григорьевичу"),
    ("Сагайдачный Пётр Иванович", "Сагайдачному Петру Ивановичу"),
    ("Сковорода Григорий Саввич", "Сковороде Григорию Саввичу"),
    ("Коваль Богдан Иванович", "Ковалю Богдану Ивановичу"),
    ("Палий Остап Иванович", "Палию Остапу Ивановичу"),
    ("Бабий Остап Иванович", "Бабию Остапу Ивановичу"),
    ("Петрик Остап Иванович", "Петрику Остапу Ивановичу"),
    ("Мицкевич Адам Николаевич", "Мицкевичу Адаму Николаевичу"),
    # from the Caucasus, of Tatars and Bashkirs
    ("Джапаридзе Шота Гурамович", "Джапаридзе Шоте Гурамовичу"),
    ("Бериашвили Вано Шотаевич", "Бериашвили Вано Шотаевичу"),
    ("Данелия Георгий Николаевич", "Данелии Георгию Николаевичу"),
    ("Окуджава Булат Шалвович", "Окуджаве Булату Шалвовичу"),
    ("Эсебуа Зураб Шалвович", "Эсебуа Зурабу Шалвовичу"),
    ("Мкртчян Фрунзик Мушегович", "Мкртчяну Фрунзику Мушеговичу"),
    ("Тер-Ованесян Левон Акопович", "Тер-Ованесяну Левону Акоповичу"),
    ("Хадзарагов Сослан Таймуразович", "Хадзарагову Сослану Таймуразовичу"),
    ("Мамедов Эльдар Гасан оглы", "Мамедову Эльдару Гасан оглы"),
    ("Мамедов Рауф Гасан-оглы", "Мамедову Рауфу Гасан-оглы"),
    ("Мусин Ильдар Гали улы", "Мусину Ильдару Гали улы"),
    ("Хабибуллин Айдар Маратович", "Хабибуллину Айдару Маратовичу"),
    # from elsewhere
    ("Цой Виктор Робертович", "Цою Виктору Робертовичу"),
    ("Ким Сергей Ильич", "Киму Сергею Ильичу"),
    ("Ли Сергей Ильич", "Ли Сергею Ильичу"),
    ("Югай Сергей Ильич", "Югаю Сергею Ильичу"),
    ("Шмидт Отто Юльевич", "Шмидту Отто Юльевичу"),
    ("Гейне Карл Карлович", "Гейне Карлу Карловичу"),
    ("Кафка Карл Карлович", "Кафке Карлу Карловичу"),
    ("Дюма Карл Карлович", "Дюма Карлу Карловичу"),
    ("Делакруа Карл Карлович", "Делакруа Карлу Карловичу"),
    ("Эрлих Карл Карлович", "Эрлиху Карлу Карловичу"),
    ("Хейккинен Тойво Матвеевич", "Хейккинену Тойво Матвеевичу"),
    ("фон Браун Вернер Карлович", "фон Брауну Вернеру Карловичу"),
    # of two parts
    ("Римский-Примеров Николай Андреевич", "Римскому-Примерову Николаю Андреевичу"),
    ("Мамин-Сибиряк Дмитрий Наркисович", "Мамину-Сибиряку Дмитрию Наркисовичу"),
    ("Соловьёв-Седой Василий Павлович", "Соловьёву-Седому Василию Павловичу"),
    ("Бонч-Примеров Михаил Иванович", "Бонч-Примерову Михаилу Ивановичу"),
    ("Примеров-младший Иван Иванович", "Примерову-младшему Ивану Ивановичу"),
    ("Магомедов Абдул-Керим Ахмедович", "Магомедову Абдул-Кериму Ахмедовичу"),
]
WOMEN = [
    ("Образцова Дарья Небылицевна", "Образцовой Дарье Небылицевне"),
    ("Сказкина Мария Ильинична", "Сказкиной Марии Ильиничне"),
    ("Лисицына Любовь Фоминична", "Лисицыной Любови Фоминичне"),
    ("Королева Лия Ивановна", "Королевой Лие Ивановне"),
    ("Толстая Наталья Никитична", "Толстой Наталье Никитичне"),
    ("Дубровская Инга Яновна", "Дубровской Инге Яновне"),
    ("Новицка Дана Яновна", "Новицкой Дане Яновне"),
    ("Зимняя Анастасия Саввична", "Зимней Анастасии Саввичне"),
    ("Горячая Ася Ивановна", "Горячей Асе Ивановне"),
    ("Большая Ася Ивановна", "Большой Асе Ивановне"),
    ("Седых Вера Яковлевна", "Седых Вере Яковлевне"),
    ("Заяц Вера Яковлевна", "Заяц Вере Яковлевне"),
    ("Гусь Вера Яковлевна", "Гусь Вере Яковлевне"),
    ("Сковорода Оксана Тарасовна", "Сковороде Оксане Тарасовне"),
    ("Шевченко Оксана Тарасовна", "Шевченко Оксане Тарасовне"),
    ("Коваль Олеся Ивановна", "Коваль Олесе Ивановне"),
    ("Мицкевич Рената Адамовна", "Мицкевич Ренате Адамовне"),
    ("Окуджава Нана Шалвовна", "Окуджаве Нане Шалвовне"),
    ("Данелия Нино Гурамовна", "Данелии Нино Гурамовне"),
    ("Хачатрян Гаянэ Арамовна", "Хачатрян Гаянэ Арамовне"),
    ("Алиева Лейла Гасан кызы", "Алиевой Лейле Гасан кызы"),
    ("Мамедова Севиль Гасанкызы", "Мамедовой Севиль Гасанкызы"),
    ("Мусина Айгуль Ринатовна", "Мусиной Айгуль Ринатовне"),
    ("Гринберг Эсфирь Марковна", "Гринберг Эсфири Марковне"),
    ("Цой Виктория Робертовна", "Цой Виктории Робертовне"),
    ("Кафка Эльза Карловна", "Кафке Эльзе Карловне"),
    ("Дюма Эльза Карловна", "Дюма Эльзе Карловне"),
    ("Римская-Примерова Юлия Андреевна", "Римской-Примеровой Юлии Андреевне"),
    ("Шульц Анна-Мария Карловна", "Шульц Анне-Марии Карловне"),
]


@pytest.mark.parametrize(("name", "dative"), MEN + WOMEN)
def test_full_name_in_the_dative(name: str, dative: str) -> None:
    assert in_dative(name) == dative


@pytest.mark.parametrize(("name", "dative"), [pair for pair in MEN + WOMEN if len(pair[0].split()) == 3])
def test_surname_may_stand_behind(name: str, dative: str) -> None:
    surname, *given = name.split()
    surname_dative, *given_dative = dative.split()
    assert in_dative(" ".join([*given, surname])) == " ".join([*given_dative, surname_dative])


@pytest.mark.parametrize(
    ("name", "dative"),
    [
        ("Пётр Примеров", "Петру Примерову"),
        ("Примеров Пётр", "Примерову Петру"),
        ("Марина Примерова", "Марине Примеровой"),
        ("Примерова Марина", "Примеровой Марине"),
        ("Константин Сказкин", "Константину Сказкину"),
        ("Сказкина Валентина", "Сказкиной Валентине"),
        ("Роман Абрамович", "Роману Абрамовичу"),
        ("Анна Абрамович", "Анне Абрамович"),
        ("Ким Алла", "Ким Алле"),
        ("Сергей Ким", "Сергею Киму"),
        ("Саша Шевченко", "Саше Шевченко"),
        ("Илья Ильич", "Илье Ильичу"),
        ("Зелимхан Небывалов", "Зелимхану Небывалову"),
        ("Ева Браун", "Еве Браун"),
        ("Мария", "Марии"),
        ("Примеров П. В.", "Примерову П. В."),
        ("П.В. Примерова", "П.В. Примеровой"),
        ("ПРИМЕРОВ ПЁТР ВЫМЫСЛОВИЧ", "ПРИМЕРОВУ ПЕТРУ ВЫМЫСЛОВИЧУ"),
    ],
)
def test_name_without_patronymic(name: str, dative: str) -> None:
    assert in_dative(name) == dative


@pytest.mark.parametrize(
    "name",
    [
        "Саша Коваль",  # Коваль if a woman, Ковалю if a man
        "Коваль Т. Г.",
        "Марина Нина",  # which is the surname?
        "Пак Чен Ир",
        "Юй Дэхуа",
        "John Sample",
        "Ганна Василівна",  # Ukrainian has a dative of its own
        "Шәймиев Ринат",
        "Иванова (Петрова) Мария",
        "Жанна д'Арк",
        "",
    ],
)
def test_name_that_cannot_be_declined_safely_stays_as_it_is(name: str) -> None:
    assert in_dative(name) == name


def test_woman_s_surname_that_is_also_a_noun_stays_as_it_is() -> None:
    """Is she the wife of a Калин, or of a Калина?"""
    assert in_dative("Калина Зоя Ивановна") == "Калина Зое Ивановне"


# --- addresses

PETR = Prisoner(slug="petr", name="Примеров Пётр Вымыслович", birth_year=1985, language="ru")
JOHN = Prisoner(slug="john", name="John Sample", birth_year=1980, language="en")


def facility(country: str, **parts: str) -> Facility:
    given = parts or {"street": "1 Fiction Road", "town": "Nowhere", "region": "Region", "postcode": "00000"}
    return Facility.model_validate({"slug": "prison", "name": "Invented Prison", "country": country} | given)


COLONY = Facility(
    slug="ik-99",
    name="ФКУ ИК-99",
    country="RU",
    street="ул. Вымышленная, д. 99",
    town="пос. Примерово",
    region="Примерная область",
    postcode="000000",
)


def test_russian_address() -> None:
    assert postal_lines(PETR, COLONY, abroad=False) == (
        "Примерову Петру Вымысловичу",
        "1985 г. р.",
        "ФКУ ИК-99",
        "ул. Вымышленная, д. 99",
        "пос. Примерово",
        "Примерная область",
        "000000",
    )


def test_from_abroad_the_country_is_the_last_line() -> None:
    assert postal_lines(PETR, COLONY) == (*postal_lines(PETR, COLONY, abroad=False), "RUSSIA")


def test_name_for_the_envelope_counts_before_the_relay_s_dative() -> None:
    named = PETR.model_copy(update={"name_on_envelope": "Примерову П. В."})
    assert postal_lines(named, COLONY)[:3] == ("Примерову П. В.", "1985 г. р.", "ФКУ ИК-99")


def test_year_of_birth_is_left_out_where_it_is_not_known() -> None:
    assert postal_lines(PETR.model_copy(update={"birth_year": None}), COLONY)[:2] == (
        "Примерову Петру Вымысловичу",
        "ФКУ ИК-99",
    )


def test_address_in_lines_stays_as_it_is() -> None:
    lines = "000000, Примерная область\nпос. Примерово"
    assert postal_lines(PETR, facility("RU", address=lines, town="Нигде"), abroad=False) == (
        "Примерову Петру Вымысловичу",
        "1985 г. р.",
        "Invented Prison",
        "000000, Примерная область",
        "пос. Примерово",
    )


@pytest.mark.parametrize(("country", "last"), [("GB", "United Kingdom"), ("DE", "DEUTSCHLAND"), ("RU", "Россия")])
def test_country_that_an_address_names_already_is_not_named_twice(country: str, last: str) -> None:
    assert postal_lines(JOHN, facility(country, address=f"Nowhere\n{last}"))[-2:] == ("Nowhere", last)


@pytest.mark.parametrize(
    ("country", "lines"),
    [
        ("GB", ("1 Fiction Road", "Nowhere", "00000", "UNITED KINGDOM")),
        ("DE", ("1 Fiction Road", "00000 Nowhere", "GERMANY")),
        ("SE", ("1 Fiction Road", "SE-00000 Nowhere", "SWEDEN")),
        ("US", ("1 Fiction Road", "Nowhere, Region 00000", "UNITED STATES")),
        ("UA", ("1 Fiction Road", "Nowhere", "Region", "00000", "UKRAINE")),
        ("BY", ("1 Fiction Road", "00000, Nowhere", "Region", "BELARUS")),
        ("GE", ("1 Fiction Road", "00000 Nowhere", "GEORGIA")),
        ("XX", ("1 Fiction Road", "00000 Nowhere", "Region", "XX")),
    ],
)
def test_order_of_the_country_with_the_prisoner_before_the_facility(country: str, lines: tuple[str, ...]) -> None:
    assert postal_lines(JOHN, facility(country)) == ("John Sample", "Invented Prison", *lines)


def test_order_of_a_country_that_begins_with_the_place() -> None:
    assert postal_lines(JOHN, facility("KZ")) == (
        *("00000", "Region", "Nowhere", "1 Fiction Road"),
        *("Invented Prison", "John Sample", "KAZAKHSTAN"),
    )


@pytest.mark.parametrize(
    ("country", "lines"),
    [("US", ("Nowhere", "UNITED STATES")), ("BY", ("Nowhere", "BELARUS")), ("SE", ("Nowhere", "SWEDEN"))],
)
def test_part_that_is_missing_leaves_nothing_behind(country: str, lines: tuple[str, ...]) -> None:
    assert postal_lines(JOHN, facility(country, town="Nowhere")) == ("John Sample", "Invented Prison", *lines)


def test_prefix_of_a_postcode_is_not_written_twice() -> None:
    assert postal_lines(JOHN, facility("SE", town="Nowhere", postcode="SE-000 00"))[2] == "SE-000 00 Nowhere"


def test_town_is_never_left_out() -> None:
    assert "Nowhere" in postal_lines(JOHN, facility("JP"))


def test_lines_of_a_facility_itself() -> None:
    assert facility_lines(facility("DE")) == ("1 Fiction Road", "00000 Nowhere")
    assert facility_lines(facility("DE", address="Weg 1\nNirgends")) == ("Weg 1", "Nirgends")


def test_name_is_declined_only_in_russia() -> None:
    assert postal_lines(PETR, facility("BY"))[:2] == ("Примеров Пётр Вымыслович", "Invented Prison")

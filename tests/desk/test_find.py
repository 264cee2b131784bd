"""Finding a prisoner."""

from __future__ import annotations

import dataclasses

import pytest

from relay.domain.directory import PrisonerState
from relay.domain.lives import WORKER
from relay.store import directory
from tests.workplaces import ENGLISH, RUSSIAN, Client, House, get

NOBODY = "Nobody of this name is in our directory. Try another spelling, or only the family name."


async def found(desk: Client, search: str) -> list[str]:
    answer = await get(desk, "/en/", params={"q": search})
    assert answer.status == 200
    assert answer.screen.fields["q"] == " ".join(search.split())
    names = sorted(link.removeprefix("/en/to/") for link in answer.screen.links if link.startswith("/en/to/"))
    assert (NOBODY in answer.screen.text) == (not names)
    return names


@pytest.mark.parametrize(
    ("search", "slugs"),
    [
        ("john", ["john-sample"]),
        ("JOHN sample", ["john-sample"]),
        ("  sample   john ", ["john-sample"]),
        ("примеров", ["ivan-skazochny", "pyotr-primerov"]),
        ("ПРИМЕРОВ ПЁТР", ["pyotr-primerov"]),
        ("примеров петр", ["pyotr-primerov"]),
        ("Primerov", ["ivan-skazochny", "pyotr-primerov"]),
        ("pahittad", ["sven-exempelsson"]),
        ("Мустерстадт", ["erika-musterfrau"]),
        ("påhittad", ["sven-exempelsson"]),
        ("musterstadt", ["erika-musterfrau"]),
        ("Fiction Road", ["john-sample"]),
        ("Nobody Atall", []),
        ("%", []),
        ("' OR 1=1 --", []),
    ],
)
async def test_prisoner_is_found_by_words_of_name_and_place(desk: Client, search: str, slugs: list[str]) -> None:
    assert await found(desk, search) == slugs


async def test_nothing_is_listed_without_a_search(desk: Client) -> None:
    answer = await get(desk, "/en/", params={"q": "   "})
    assert [link for link in answer.screen.links if link.startswith("/en/to/")] == []
    assert NOBODY not in answer.screen.text


@pytest.mark.parametrize("state", [PrisonerState.MOVED, PrisonerState.RELEASED, PrisonerState.DO_NOT_WRITE])
async def test_prisoner_who_cannot_be_written_to_is_not_shown(house: House, desk: Client, state: PrisonerState) -> None:
    entry = dataclasses.replace(ENGLISH, prisoner=ENGLISH.prisoner.model_copy(update={"state": state}))
    async with house.store.database.writing() as connection:
        await directory.save(connection, [entry], by=WORKER, at=house.clock())
    assert await found(desk, "John Sample") == []
    assert (await get(desk, "/en/to/john-sample")).status == 404
    form = {"text": "Hello", "printed_name": "Mary", "action": "preview"}
    answer = await desk.post("/en/to/john-sample", data=form)
    assert answer.status == 404


async def test_search_tells_that_there_are_more_than_it_shows(house: House, desk: Client) -> None:
    crowd = [
        dataclasses.replace(
            RUSSIAN, prisoner=RUSSIAN.prisoner.model_copy(update={"slug": f"p-{n}", "name": f"Толпа {n}"})
        )
        for n in range(directory.FOUND_AT_MOST + 1)
    ]
    async with house.store.database.writing() as connection:
        await directory.save(connection, crowd, by=WORKER, at=house.clock())
    answer = await get(desk, "/en/", params={"q": "толпа"})
    assert len([link for link in answer.screen.links if link.startswith("/en/to/")]) == directory.FOUND_AT_MOST
    assert "There are more. Type more of the name." in answer.screen.text

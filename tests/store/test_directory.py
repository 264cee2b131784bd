"""The directory in the store: it comes out as it went in, and who cannot be written to has letters held."""

from __future__ import annotations

import sqlalchemy as sa

from relay.domain.directory import Entry, Facility, Prisoner, PrisonerState, read_csv, write_csv
from relay.domain.lives import WORKER, BatchState, LetterState, Record
from relay.store import directory
from relay.store.sealed import Store
from relay.store.tables import conversations, letters
from tests.fakes.clock import FakeClock
from tests.store.rows import add_record, add_row

COLONY = Facility(slug="ik-99", name="ИК-99", country="RU", address="ул. Лесная, 1\n123456 Энск")
JAIL = Facility(slug="jva", name="=JVA, Musterstadt", country="DE", address="Weg 1", return_address="Postfach 1")
IVAN = Prisoner(slug="ivan", name="Иван Ёлкин", language="ru")
OLGA = Prisoner(slug="olga", name="+Olga 'Example'", birth_year=1980, language="de", state=PrisonerState.RELEASED)
ENTRIES = [Entry(OLGA, JAIL), Entry(IVAN, COLONY)]


async def save(store: Store, *entries: Entry) -> None:
    async with store.database.writing() as connection:
        await directory.save(connection, entries, by=WORKER, at=store.database.clock())


async def test_directory_exported_and_imported_is_the_same(store: Store) -> None:
    await save(store, *reversed(ENTRIES))
    async with store.database.reading() as connection:
        everyone = await directory.everyone(connection)
        assert [facility.slug for facility in await directory.all_facilities(connection)] == ["jva", "ik-99"]
    exported = [Entry(known.prisoner, known.facility) for known in everyone]
    assert exported == ENTRIES
    await save(store, *read_csv(write_csv(exported)).entries)
    async with store.database.reading() as connection:
        assert await directory.everyone(connection) == everyone  # with the same ids


async def test_prisoner_and_facility_corrected(store: Store) -> None:
    await save(store, *ENTRIES)
    async with store.database.reading() as connection:
        before = await directory.by_slug(connection, "ivan")
    moved = Entry(IVAN.model_copy(update={"name": "Иван Ёлкин-Пример"}), JAIL.model_copy(update={"address": "Weg 2"}))
    await save(store, moved)
    async with store.database.reading() as connection:
        after = await directory.by_slug(connection, "ivan")
        olga = await directory.by_slug(connection, "olga")
        assert await directory.by_slug(connection, "nobody") is None
        assert before is not None
        assert after is not None
        assert olga is not None
        assert await directory.by_id(connection, before.prisoner_id) == after
    assert (after.prisoner_id, Entry(after.prisoner, after.facility)) == (before.prisoner_id, moved)
    assert olga.facility.address == "Weg 2"


async def test_search_finds_who_can_be_written_to_by_all_words_in_any_case(store: Store) -> None:
    await save(store, *ENTRIES)
    async with store.database.reading() as connection:
        for text, found in (
            ("", ["ivan"]),
            ("ЁЛКИН", ["ivan"]),
            ("энск иван", ["ivan"]),
            ("иван берлин", []),
            ("olga", []),
            ("%", []),
        ):
            assert [known.prisoner.slug for known in await directory.search(connection, text)] == found


async def test_search_shows_so_many_at_most(store: Store) -> None:
    many = [Entry(IVAN.model_copy(update={"slug": f"ivan-{n}", "name": f"Иван {n:02}"}), COLONY) for n in range(25)]
    await save(store, *many)
    async with store.database.reading() as connection:
        names = [known.prisoner.name for known in await directory.search(connection, "иван")]
    assert names == [f"Иван {n:02}" for n in range(directory.FOUND_AT_MOST)]


async def test_letters_held_while_prisoner_cannot_be_written_to(store: Store, clock: FakeClock) -> None:
    await save(store, Entry(IVAN, COLONY))
    ids: dict[str, str] = {}
    async with store.database.writing() as connection:
        known = await directory.by_slug(connection, "ivan")
        assert known is not None
        conversation = await add_row(connection, conversations, prisoner_id=known.prisoner_id)
        ours = {"prisoner_id": known.prisoner_id, "conversation_id": conversation}
        for name, state in (("queued", LetterState.QUEUED), ("approved", LetterState.APPROVED)):
            ids[name] = await add_record(connection, Record.LETTER, state, **ours)
            ids[f"other {name}"] = await add_record(connection, Record.LETTER, state)
        for name, batch_state in (("in open batch", BatchState.OPEN), ("in rendered batch", BatchState.RENDERED)):
            batch = await add_record(connection, Record.BATCH, batch_state)
            ids[name] = await add_record(connection, Record.LETTER, LetterState.APPROVED, batch_id=batch, **ours)
        ids["posted"] = await add_record(connection, Record.LETTER, LetterState.POSTED, **ours)

    async def states() -> dict[str, str]:
        async with store.database.reading() as connection:
            found = {row.id: row.state for row in await connection.execute(sa.select(letters.c.id, letters.c.state))}
        return {name: found[letter_id] for name, letter_id in ids.items()}

    before = await states()
    await save(store, Entry(IVAN, COLONY))
    assert await states() == before
    await save(store, Entry(IVAN.model_copy(update={"state": PrisonerState.MOVED}), COLONY))
    held = ("queued", "approved", "in open batch")
    assert await states() == before | dict.fromkeys(held, "held")
    await save(store, Entry(IVAN, COLONY))  # names no state
    assert await states() == before | dict.fromkeys(held, "held")
    await save(store, Entry(IVAN.model_copy(update={"state": PrisonerState.ACTIVE}), COLONY))
    assert await states() == before | dict.fromkeys(held, "queued")

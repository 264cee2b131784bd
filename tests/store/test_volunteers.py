"""Volunteers: passwords, sessions, and that a change ends the sessions that run."""

from __future__ import annotations

import pytest

from relay.store import volunteers
from relay.store.sealed import Store
from relay.store.volunteers import NameTakenError, NoSuchVolunteerError, Volunteer
from tests.fakes.clock import FakeClock


async def test_volunteer_added_changed_and_shut_out(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        await volunteers.add(connection, "anna", "hash 1")
        await volunteers.add(connection, "boris", "hash 2")
        with pytest.raises(NameTakenError, match="there is a volunteer anna already"):
            await volunteers.add(connection, "anna", "hash 3")
        with pytest.raises(NoSuchVolunteerError, match="there is no volunteer vera"):
            await volunteers.change(connection, "vera", disabled=True)
        anna = await volunteers.find(connection, "anna")
        boris = await volunteers.find(connection, "boris")
        assert anna is not None
        assert boris is not None
        token, other = [await volunteers.start_session(connection, row.id, clock()) for row in (anna, boris)]
        assert await volunteers.of_session(connection, token, clock()) == Volunteer(anna.id, "anna", disabled=False)
        await volunteers.change(connection, "anna", disabled=True)
        assert await volunteers.of_session(connection, token, clock()) is None
        again = await volunteers.start_session(connection, anna.id, clock())
        assert await volunteers.of_session(connection, again, clock()) is None
        assert await volunteers.everybody(connection) == [
            Volunteer(anna.id, "anna", disabled=True),
            Volunteer(boris.id, "boris", disabled=False),
        ]
        await volunteers.change(connection, "anna", password_hash="hash 4", disabled=False)
        changed = await volunteers.find(connection, "anna")
        assert changed is not None
        assert (changed.password_hash, changed.disabled) == ("hash 4", False)
        assert await volunteers.of_session(connection, other, clock()) is not None
        await volunteers.end_session(connection, other)
        assert await volunteers.of_session(connection, other, clock()) is None


async def test_session_ends_after_an_evening(store: Store, clock: FakeClock) -> None:
    async with store.database.writing() as connection:
        await volunteers.add(connection, "anna", "hash")
        anna = await volunteers.find(connection, "anna")
        assert anna is not None
        token = await volunteers.start_session(connection, anna.id, clock())
        clock.now += volunteers.SESSION
        assert await volunteers.of_session(connection, token, clock()) is not None
        clock.advance(microseconds=1)
        assert await volunteers.of_session(connection, token, clock()) is None


def test_password_matches_its_hash_alone() -> None:
    password = volunteers.new_password()
    hashed = volunteers.hash_password(password)
    tried = [(hashed, password), (hashed, password + "x"), (hashed, ""), (None, password), ("no hash", password)]
    assert [volunteers.matches(*each) for each in tried] == [True, False, False, False, False]

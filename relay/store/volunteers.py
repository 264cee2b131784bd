"""Volunteers: their passwords and sessions, their languages, and the addresses from which they write themselves."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.sealing import token_hash
from relay.store.database import alone, new_id
from relay.store.tables import sessions, volunteer_addresses, volunteer_languages, volunteers

SESSION: Final = datetime.timedelta(hours=12)
"""How long a log-in lasts: an evening."""
LOGIN: Final = re.compile(r"[a-z0-9._-]{1,40}")
_HASHER: Final = PasswordHasher()
# Checked where there is no such volunteer, so that the answer takes as long.
_NOBODY: Final = _HASHER.hash(secrets.token_hex())


class NameTakenError(ValueError):
    """There is a volunteer with this login already."""


class BadLoginError(ValueError):
    """This cannot be a login."""


class NoSuchVolunteerError(LookupError):
    """There is no volunteer with this login."""


@dataclass(frozen=True, slots=True)
class Volunteer:
    """A volunteer of the office."""

    id: str
    login: str
    disabled: bool


def new_password() -> str:
    """A fresh password of 80 random bits, easy to type."""
    return "-".join(secrets.token_hex(2) for _ in range(5))


def hash_password(password: str) -> str:
    """The argon2id hash of a password; takes tens of milliseconds, so it runs in a thread."""
    return _HASHER.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether a password is the one behind a hash; None stands for nobody and takes as long."""
    try:
        return _HASHER.verify(password_hash or _NOBODY, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


async def add(connection: AsyncConnection, login: str, password_hash: str) -> None:
    """Add a volunteer. Raises BadLoginError and NameTakenError."""
    if not LOGIN.fullmatch(login):
        raise BadLoginError("a login has 1 to 40 small Latin letters, digits, dots, hyphens or underscores")
    if await find(connection, login) is not None:
        raise NameTakenError(f"there is a volunteer {login} already")
    await connection.execute(sa.insert(volunteers).values(id=new_id(), login=login, password_hash=password_hash))


async def find(connection: AsyncConnection, login: str) -> sa.Row[*tuple[Any, ...]] | None:
    """The row of a volunteer; none for what can be no login."""
    if not LOGIN.fullmatch(login):
        return None
    columns = (volunteers.c.id, volunteers.c.login, volunteers.c.password_hash, volunteers.c.disabled)
    return (await connection.execute(sa.select(*columns).where(volunteers.c.login == login))).one_or_none()


async def everybody(connection: AsyncConnection) -> list[Volunteer]:
    """All volunteers by login."""
    columns = (volunteers.c.id, volunteers.c.login, volunteers.c.disabled)
    rows = await connection.execute(sa.select(*columns).order_by(volunteers.c.login))
    return [Volunteer(*row) for row in rows]


async def change(
    connection: AsyncConnection, login: str, *, password_hash: str | None = None, disabled: bool | None = None
) -> None:
    """Set a new password, or shut somebody out or in; running sessions end. Raises NoSuchVolunteerError."""
    found = await find(connection, login)
    if found is None:
        raise NoSuchVolunteerError(f"there is no volunteer {login}")
    values = {"password_hash": password_hash, "disabled": disabled}
    await connection.execute(
        sa.update(volunteers)
        .where(volunteers.c.id == found.id)
        .values({name: value for name, value in values.items() if value is not None})
    )
    await connection.execute(sa.delete(sessions).where(sessions.c.volunteer_id == found.id))


async def start_session(connection: AsyncConnection, volunteer_id: str, now: datetime.datetime) -> str:
    """Start a session and forget those that are over. Returns its token, which is stored hashed."""
    await connection.execute(sa.delete(sessions).where(sessions.c.expires_at < now))
    token = secrets.token_urlsafe(32)
    await connection.execute(
        sa.insert(sessions).values(token_hash=token_hash(token), volunteer_id=volunteer_id, expires_at=now + SESSION)
    )
    return token


async def end_session(connection: AsyncConnection, token: str) -> None:
    """End a session."""
    await connection.execute(sa.delete(sessions).where(sessions.c.token_hash == token_hash(token)))


async def of_session(connection: AsyncConnection, token: str, now: datetime.datetime) -> Volunteer | None:
    """The volunteer of a running session."""
    row = (
        await connection.execute(
            sa.select(volunteers.c.id, volunteers.c.login, volunteers.c.disabled)
            .join(sessions, sessions.c.volunteer_id == volunteers.c.id)
            .where(
                sessions.c.token_hash == token_hash(token),
                sessions.c.expires_at >= now,
                volunteers.c.disabled.is_(False),
            )
        )
    ).one_or_none()
    return Volunteer(*row) if row else None


async def languages_of(connection: AsyncConnection, volunteer_id: str) -> set[str]:
    """The languages from which a volunteer translates, as ISO 639-1 codes."""
    query = sa.select(volunteer_languages.c.language).where(volunteer_languages.c.volunteer_id == volunteer_id)
    return set(await connection.scalars(query))


async def set_languages(connection: AsyncConnection, volunteer_id: str, languages: Collection[str]) -> None:
    """Note the languages from which a volunteer translates, in place of those before."""
    theirs = volunteer_languages.c.volunteer_id == volunteer_id
    await connection.execute(sa.delete(volunteer_languages).where(theirs))
    if rows := [{"volunteer_id": volunteer_id, "language": language} for language in sorted(set(languages))]:
        await connection.execute(sa.insert(volunteer_languages), rows)


async def count_addresses(connection: AsyncConnection, volunteer_id: str) -> int:
    """How many mail addresses a volunteer registered as their own."""
    query = sa.select(sa.func.count()).where(volunteer_addresses.c.volunteer_id == volunteer_id)
    count: int = (await connection.execute(query)).scalar_one()
    return count


async def add_address(connection: AsyncConnection, volunteer_id: str, tag: str) -> bool:
    """Register a mail address, as its keyed hash; false where it was registered before."""
    await alone(connection, f"addresses {volunteer_id}")
    own = (volunteer_addresses.c.volunteer_id == volunteer_id, volunteer_addresses.c.tag == tag)
    if (await connection.execute(sa.select(volunteer_addresses.c.tag).where(*own))).first() is not None:
        return False
    await connection.execute(sa.insert(volunteer_addresses).values(volunteer_id=volunteer_id, tag=tag))
    return True


async def remove_address(connection: AsyncConnection, volunteer_id: str, tag: str | None = None) -> bool:
    """Forget a mail address, or all of them; false where there was none."""
    own = [volunteer_addresses.c.volunteer_id == volunteer_id]
    if tag is not None:
        own.append(volunteer_addresses.c.tag == tag)
    removed: int = (await connection.execute(sa.delete(volunteer_addresses).where(*own))).rowcount
    return removed > 0

"""Restoring a backup into an empty folder and an empty database: all of it, or nothing."""

from __future__ import annotations

import datetime
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.backup.archive import BackupRefusedError, members
from relay.backup.making import BLOBS, DESK_KEY, KEPT, PROFILES, ROW_PARTS, SNAPSHOT, NoRoomError, Snapshot, Told
from relay.backup.rows import count_on, put_rows, tables_there
from relay.config import CONFIG_NAME, SQLITE, ConfigError, Installation, load
from relay.installing import make_keys, sync_folder, write
from relay.sealing import PrivateKey
from relay.store.blobs import Blobs
from relay.store.database import Database
from relay.store.leases import FREE, WORK
from relay.store.schema import knows, migrate, upgrade
from relay.store.tables import blobs

UNFINISHED: Final = "restoring.toml"
"""The config while not all is there: no command finds it under this name."""
# Whoever has the public key can make a file that opens: names in it lead nowhere but here.
_PROFILE: Final = re.compile(rf"{PROFILES}/(\w[\w.-]*\.toml)")
_BLOB: Final = re.compile(rf"{BLOBS}/([0-9a-f]{{32}})")
_ROWS: Final = re.compile(rf"{ROW_PARTS}/\d+/(\w+)(?:/\d+)?")


class NotEmptyError(Exception):
    """There is something already where the backup should go."""


@dataclass
class Restored:
    """What was restored."""

    installation: Installation
    made_at: datetime.datetime
    """When the rows were so."""
    desk_key: bool
    """Whether it was in the backup: without it the confirmations that wait cannot be sent."""
    rows: Counter[str]
    """How many of each table."""
    blobs: int


async def restore(
    file: Path, folder: Path, key: PrivateKey, told: Told, *, database: str | None = None, blobs_at: str | None = None
) -> Restored:
    """Make an installation in a folder out of a backup; rows and blobs go where its config says, or as given here.

    Raises BackupRefusedError, NotEmptyError, NoRoomError, OSError, and ConfigError where the config in it cannot be
    used; then nothing is left in the folder and the database.
    """
    there = folder.exists()
    if there and any(folder.iterdir()):
        raise NotEmptyError(f"{folder} is not empty. A backup is restored into a new folder.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _make_sure_of_room(file, folder)
        restored = await _restore(file, folder, key, told, {"database": database, "blobs": blobs_at})
    except BaseException:
        shutil.rmtree(folder)
        if there:
            folder.mkdir(mode=0o700)
        raise
    return restored


def _make_sure_of_room(file: Path, folder: Path) -> None:
    free, size = shutil.disk_usage(folder).free, file.stat().st_size
    if free < size:
        raise NoRoomError(f"{folder} has {free / 1e6:,.0f} MB free, and the backup is {size / 1e6:,.0f} MB.")


async def _restore(file: Path, folder: Path, key: PrivateKey, told: Told, places: dict[str, str | None]) -> Restored:
    files = await _first_files(file, key)
    write(folder / UNFINISHED, _with_places(files.pop(CONFIG_NAME), places), mode=0o600)
    installation = load(folder / UNFINISHED)
    for name, place in places.items():
        if place is not None and place != getattr(installation.settings.store, name):
            raise ConfigError(f"{CONFIG_NAME} in the backup does not let [store] {name} be set.")
    _put_files(installation, key, files)
    store = Blobs(installation.blobs)
    async for one in store.stored():
        raise NotEmptyError(f"{installation.blobs} holds {one.path} already. Name another place with --blobs.")
    async with _empty_database(installation) as database:
        # One transaction until all is known to be whole and in its place. Nobody waits for it: the database is new.
        async with database.migrating() as connection:
            snapshot, rows = await _put_rows(connection, file, key)
            count = await _put_blobs(connection, file, key, store, told, rows[blobs.name])
            await store.sync()
        await migrate(database)
        async with database.writing() as connection:
            for table in WORK:  # held by workers that are no more
                await connection.execute(sa.update(table).where(table.c.lease_owner.is_not(None)).values(**FREE))
    (folder / UNFINISHED).rename(installation.config)
    sync_folder(folder)
    return Restored(installation, snapshot.at, DESK_KEY in files, rows, count)


async def _first_files(file: Path, key: PrivateKey) -> dict[str, str]:
    """The small files that stand before blobs and rows, by name; the config is among them."""
    found: dict[str, str] = {}
    async with aclosing(members(file, key)) as all_members:
        async for member in all_members:
            if _BLOB.fullmatch(member.name) or _ROWS.fullmatch(member.name):
                break
            found[member.name] = (await member.whole()).decode()
    if CONFIG_NAME not in found:
        raise BackupRefusedError(f"{file} has no {CONFIG_NAME}.")
    return found


def _with_places(config: str, places: dict[str, str | None]) -> str:
    """The text of a config with these keys of [store] set."""
    for name, place in places.items():
        if place is None:
            continue
        line = f"{name} = {json.dumps(place, ensure_ascii=False)}"
        head, store, rest = config.partition("[store]\n")
        old = re.search(rf"^{name}\s*=.*$", rest, re.MULTILINE)
        rest = rest[: old.start()] + line + rest[old.end() :] if old else f"{line}\n{rest}"
        config = head + (store or "\n[store]\n") + rest
    return config


def _put_files(installation: Installation, key: PrivateKey, files: dict[str, str]) -> None:
    """Write keys and profiles; what is there already stays. Raises NotEmptyError where that is another key."""
    keys = {"office": key.text} | ({"desk": files[DESK_KEY]} if DESK_KEY in files else {})
    installation.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in keys.items():
        place = installation.keys / f"{name}.key"
        if not place.exists():
            write(place, text, mode=0o600)
        elif place.read_text("ascii") != text:
            raise NotEmptyError(f"{place} is another key. It was not touched.")
    make_keys(installation.keys)
    for name, text in files.items():
        if (profile := _PROFILE.fullmatch(name)) and not (place := installation.profiles / profile[1]).exists():
            installation.profiles.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(place, text)


@asynccontextmanager
async def _empty_database(installation: Installation) -> AsyncIterator[Database]:
    """The database of the installation, removed again where the block fails. Raises NotEmptyError."""
    database, url = Database(installation.database), installation.database
    try:
        if url.startswith(SQLITE):
            taken = not database.file_missing
        else:
            async with database.reading() as connection:
                taken = bool(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))
        if taken:
            raise NotEmptyError("The database of this config is not empty. Name another one with --database.")
        try:
            yield database
        except BaseException:
            if url.startswith(SQLITE):
                await database.close()
                for end in ("", "-wal", "-shm"):
                    Path(url.removeprefix(SQLITE) + end).unlink(missing_ok=True)
            raise
    finally:
        await database.close()


async def _put_rows(connection: AsyncConnection, file: Path, key: PrivateKey) -> tuple[Snapshot, Counter[str]]:
    """Put the rows in, under the schema that they had. Reads the whole backup, and so finds where it is not whole."""
    counts: Counter[str] = Counter()
    tables: dict[str, sa.Table] = {}
    snapshot: Snapshot | None = None
    async for member in members(file, key):
        found = _ROWS.fullmatch(member.name)
        if found is None:
            continue
        name, content = found[1], await member.whole()
        try:
            if name != SNAPSHOT:
                counts[name] += await put_rows(connection, content, tables[name])
                continue
            before, snapshot = snapshot, Snapshot.model_validate_json(content)
        except (ValueError, KeyError) as error:
            raise BackupRefusedError(f"{file} does not fit to its schema: {error}") from error
        if before is None:
            if not knows(snapshot.schema_revision):
                raise BackupRefusedError(f"{file} was made by a newer version of the relay: restore it with that one.")
            await connection.run_sync(upgrade, snapshot.schema_revision)
            tables = await connection.run_sync(tables_there)
        # The rows of a later state follow, and those before do not count any more.
        for earlier in reversed(counts):
            await connection.execute(sa.delete(tables[earlier]))
        counts.clear()
    if snapshot is None:
        raise BackupRefusedError(f"{file} has no rows.")
    await count_on(connection, tables)
    return snapshot, counts


async def _put_blobs(
    connection: AsyncConnection, file: Path, key: PrivateKey, store: Blobs, told: Told, named: int
) -> int:
    """Put those blobs back that rows name. Returns how many."""
    count = 0
    async for member in members(file, key):
        found = _BLOB.fullmatch(member.name)
        # What was erased while the backup was made may be in it all the same.
        if found and await connection.scalar(sa.select(blobs.c.id).where(KEPT, blobs.c.id == found[1])) is not None:
            await store.put_sealed(found[1], member.content)
            count += 1
            told(count, named)
    return count

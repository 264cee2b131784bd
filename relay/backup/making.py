"""Making a backup while sites and workers run: one sealed file with the rows, the blobs, the config and the profiles.

The rows are one state of the database. Blobs come first, without a transaction over all that time, then the rows, then
the few blobs that these name and that are not there yet: a blob is durable before a row names it, so only what was
erased meanwhile can be missing.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.backup.archive import END, header_of, packed, packed_bytes, sealed
from relay.backup.rows import ROWS, rows_of
from relay.config import CONFIG_NAME, Installation
from relay.installing import sync_folder
from relay.sealing import PublicKey
from relay.store.blobs import BlobMissingError
from relay.store.erasing import REMOVED
from relay.store.schema import revision_of
from relay.store.sealed import Store
from relay.store.tables import blobs

FOLDER: Final = "backups"
"""Where backups lie in the folder of the installation."""
DESK_KEY: Final = "keys/desk.key"
"""Opens the confirmations that were not sent yet; the name in the archive."""
PROFILES: Final = "profiles"
BLOBS: Final = "blobs"
ROW_PARTS: Final = "rows"
SNAPSHOT: Final = "snapshot"
"""Begins the rows of a snapshot: its `Snapshot`."""

SNAPSHOTS: Final = 3
"""So often the rows are read at most: again where one named a blob that was deleted before it could be copied."""
UNFINISHED: Final = datetime.timedelta(days=1)
"""After this time nobody is writing a backup any more."""
OVERHEAD: Final = 1024
"""Bytes of the archive around a blob, at most."""
KEPT: Final = blobs.c.record != REMOVED
"""Blobs that are not about to be deleted."""
_AT: Final = "%Y%m%d-%H%M%S"
_NAME: Final = re.compile(r"(?P<part>\.)?relay-(?P<at>\d{8}-\d{6})\.backup(?(part)\.part)")
_DATABASE_SIZE: Final = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}


class Snapshot(BaseModel):
    """What is said before the rows of one state of the database."""

    at: AwareDatetime
    schema_revision: str


class NoRoomError(Exception):
    """The backup would not fit on the disk."""


@dataclass
class Made:
    """A backup that was made."""

    file: Path
    at: datetime.datetime
    size: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """How many of each table."""
    blobs: int = 0
    gone: list[str] = field(default_factory=list)
    """Blobs that the rows name and that are not in the store."""
    removed: list[Path] = field(default_factory=list)
    """Older backups."""


Told = Callable[[int, int], None]
"""Hears how many blobs of about how many are copied."""


async def make(store: Store, installation: Installation, folder: Path, told: Told) -> Made:
    """Make a backup in a folder, whole or not at all, and remove those there that are too old.

    Raises NoRoomError before anything is written, and OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = await _room_for(store, folder)
    at = store.database.clock()
    made = Made(folder / f"relay-{at:{_AT}}.backup", at)
    if made.file.exists():
        raise FileExistsError(f"{made.file} is there already")
    part = folder / f".{made.file.name}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            async for piece in sealed(
                _content(store, installation, made, lambda: told(made.blobs, count)), store.office
            ):
                made.size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            part.rename(made.file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    sync_folder(folder)
    days = datetime.timedelta(days=installation.settings.retention.backups)
    for old in _left(folder, store.office, at - UNFINISHED, finished=False):
        old.unlink(missing_ok=True)
    for old in _left(folder, store.office, at - days):
        old.unlink(missing_ok=True)
        made.removed.append(old)
    return made


def newest(folder: Path, office: PublicKey) -> datetime.datetime | None:
    """When the newest backup in a folder was made; None where it has none of this installation."""
    return max((_made_at(file) for file in _left(folder, office, None)), default=None)


def _left(folder: Path, office: PublicKey, before: datetime.datetime | None, *, finished: bool = True) -> list[Path]:
    """The backups of this installation, by their names and their first lines, that were made before that time."""
    found = []
    for file in sorted(folder.glob("*")):
        name = _NAME.fullmatch(file.name)
        if name is None or (name["part"] is None) != finished or (before is not None and _made_at(file) >= before):
            continue
        with suppress(OSError):
            header = header_of(file)
            if header is not None and header.fingerprint == office.fingerprint:
                found.append(file)
    return found


def _made_at(file: Path) -> datetime.datetime:
    name = _NAME.fullmatch(file.name)
    assert name is not None
    return datetime.datetime.strptime(name["at"], _AT).replace(tzinfo=datetime.UTC)


async def _room_for(store: Store, folder: Path) -> int:
    """Make sure that the backup fits. Returns about how many blobs there are. Raises NoRoomError."""
    count = size = 0
    async for one in store.blobs.stored():
        count += 1
        size += one.size + OVERHEAD
    async with store.database.reading() as connection:
        statement = _DATABASE_SIZE[connection.dialect.name]
        size += 2 * int((await connection.execute(sa.text(statement))).scalar_one())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise NoRoomError(
            f"{folder} has {free / 1e6:,.0f} MB free; a backup takes up to {size / 1e6:,.0f} MB. Nothing was written."
        )
    return count


async def _content(
    store: Store, installation: Installation, made: Made, copied_one: Callable[[], None]
) -> AsyncIterator[bytes]:
    """The archive of everything but the office's key."""
    files = {CONFIG_NAME: installation.config, DESK_KEY: installation.keys / "desk.key"}
    files |= {f"{PROFILES}/{file.name}": file for file in sorted(installation.profiles.glob("*.toml"))}
    for name, file in files.items():
        if file.is_file():
            async for piece in packed_bytes(name, file.read_bytes()):
                yield piece
    with _Copied() as copied:
        async for blob_id in _named(store):
            with suppress(BlobMissingError):
                async for piece in _blob(store, blob_id):
                    yield piece
                copied.add(blob_id)
                made.blobs += 1
                copied_one()
        for number in range(1, SNAPSHOTS + 1):
            late: list[str] = []
            async for piece in _snapshot(store, number, made, copied, late):
                yield piece
            gone = []
            for blob_id in late:
                try:
                    async for piece in _blob(store, blob_id):
                        yield piece
                    copied.late.add(blob_id)
                    made.blobs += 1
                    copied_one()
                except BlobMissingError:
                    gone.append(blob_id)
            # The same ones again were not deleted meanwhile: they are lost.
            settled, made.gone = not gone or gone == made.gone, gone
            if settled:
                break
    yield END


async def _snapshot(store: Store, number: int, made: Made, copied: _Copied, late: list[str]) -> AsyncIterator[bytes]:
    """All rows in one state, and in `late` the blobs that they name and that are not copied."""
    folder = f"{ROW_PARTS}/{number}"
    made.rows.clear()
    async with store.database.reading() as connection:
        # The first look at the rows is what fixes the state that all later ones see.
        revision = await connection.run_sync(revision_of)
        assert revision is not None
        snapshot = Snapshot(at=store.database.clock(), schema_revision=revision)
        async for piece in packed_bytes(f"{folder}/{SNAPSHOT}", snapshot.model_dump_json().encode()):
            yield piece
        count = 0
        async for part in rows_of(connection):
            count += 1
            made.rows[part.table] += part.rows
            async for piece in packed_bytes(f"{folder}/{part.table}/{count}", part.text):
                yield piece
        late += [blob_id async for blob_id in copied.lacking(connection)]


async def _named(store: Store) -> AsyncIterator[str]:
    """The blobs that rows name, by their ids; what is named while this goes on may be among them or not."""
    last = ""
    while True:
        query = sa.select(blobs.c.id).where(KEPT, blobs.c.id > last).order_by(blobs.c.id).limit(ROWS)
        async with store.database.reading() as connection:
            found = (await connection.scalars(query)).all()
        for blob_id in found:
            yield blob_id
        if not found:
            return
        last = found[-1]


async def _blob(store: Store, blob_id: str) -> AsyncIterator[bytes]:
    size, content = await store.blobs.get_sealed(blob_id)
    async for piece in packed(f"{BLOBS}/{blob_id}", size, content):
        yield piece


class _Copied:
    """Which blobs are in the archive. On the disk, since there may be millions: one id after the other, sorted."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed by `__exit__`
        self.late: set[str] = set()
        """Those that were copied after the sorted ones."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, blob_id: str) -> None:
        """Note the next one."""
        self._file.write(f"{blob_id}\n")

    async def lacking(self, connection: AsyncConnection) -> AsyncIterator[str]:
        """The blobs that rows name and that are not copied."""
        self._file.seek(0)
        there = self._file.readline().strip()
        query = sa.select(blobs.c.id).where(KEPT).order_by(blobs.c.id).execution_options(yield_per=ROWS)
        async with connection.stream_scalars(query) as found:
            async for blob_id in found:
                while there and there < blob_id:
                    there = self._file.readline().strip()
                if there != blob_id and blob_id not in self.late:
                    yield blob_id

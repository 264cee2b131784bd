"""A backup: made while all runs, useless without the office's key, and a whole installation again afterwards."""

from __future__ import annotations

import base64
import datetime
import errno
import json
import os
import shutil
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from relay.app import Relay
from relay.backup import archive
from relay.backup.archive import BackupRefusedError
from relay.backup.making import Made, NoRoomError, Snapshot, make, newest
from relay.backup.restoring import NotEmptyError, Restored, restore
from relay.config import ConfigError
from relay.sealing import PrivateKey
from relay.store import audit, leases, tables
from relay.store.blobs import Blobs
from relay.store.erasing import erase_conversation, remove_files
from relay.store.sealed import Store
from relay.store.wholeness import Finding, findings
from tests.workplaces import (
    ADDRESS,
    TEXT,
    House,
    both_engines,
    config,
    engine,
    filled_file,
    get,
    house,
    pieces,
    post,
    rendering_pool,
    send_all,
)

__all__ = ["config", "engine", "filled_file", "house", "rendering_pool"]

SQLITE = "sqlite+aiosqlite:///relay.db"


def nobody(done: int, total: int) -> None:
    """Hears how far it is."""


async def made(house: House, folder: Path, blobs: Blobs | None = None) -> Made:
    store = Store(house.store.database, blobs or house.store.blobs, house.store.office)
    return await make(store, house.relay.installation, folder, nobody)


async def restored(house: House, file: Path, folder: Path, database: str = SQLITE, **places: str) -> Restored:
    return await restore(file, folder, house.office_key, nobody, database=database, **places)


@asynccontextmanager
async def running(house: House, again: Restored) -> AsyncIterator[House]:
    """The restored installation, as the people there find it."""
    async with AsyncExitStack() as stack:
        relay_ = Relay(again.installation)
        stack.push_async_callback(relay_.close)
        relay_.store.database.clock = house.clock
        yield House(relay_, house.clock, house.pages, house.volunteers, stack)


async def rows(house: House) -> dict[str, Sequence[Any]]:
    async with house.store.database.reading() as connection:
        return {
            table.name: [
                tuple(row) for row in await connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in tables.metadata.sorted_tables
        }


async def checked(house: House) -> list[Finding]:
    return [one async for one in findings(house.store, nobody)]


async def faults(house: House) -> list[str]:
    async with house.store.database.reading() as connection:
        return (await audit.verify(connection)).faults


@pytest.fixture
def elsewhere(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the same kind, for what is restored."""
    if engine == "sqlite":
        yield SQLITE
        return
    server = request.getfixturevalue("postgres_server")
    name = f"restored_{os.getpid()}_{id(request)}"
    yield server.create_database(name)
    server.drop_database(name)


class Busy(Blobs):
    """The blobs of a house in which something happens before a blob is copied: what, by the number of the copy."""

    def __init__(self, house: House, happens: dict[int, Callable[[str], Awaitable[Any]]]) -> None:
        super().__init__(house.relay.installation.blobs)
        self._happens, self._count = happens, 0

    async def get_sealed(self, blob_id: str) -> tuple[int, AsyncIterator[bytes]]:
        self._count += 1
        if self._count in self._happens:
            await self._happens[self._count](blob_id)
        return await super().get_sealed(blob_id)


# --- the round


@both_engines
async def test_restored_installation_has_every_row_and_blob(house: House, tmp_path: Path, elsewhere: str) -> None:
    await house.replied(await house.posted(address=ADDRESS))
    profiles = house.relay.installation.profiles
    profiles.mkdir()
    (profiles / "own.toml").write_text("title = 'Own'\n")
    before = await rows(house)
    backup = await made(house, tmp_path / "backups")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [backup.file.name]
    assert (backup.gone, stat.S_IMODE(backup.file.stat().st_mode)) == ([], 0o600)
    again = await restored(house, backup.file, tmp_path / "new", elsewhere)
    assert (again.made_at, again.desk_key, again.blobs) == (house.clock(), True, len(house.blobs()))
    assert again.rows == {name: len(found) for name, found in before.items() if found}
    async with running(house, again) as new:
        assert await rows(new) == before
        assert {path.name: path.read_bytes() for path in new.blobs()} == {
            path.name: path.read_bytes() for path in house.blobs()
        }
        assert (await checked(new), await faults(new)) == ([], [])
        assert new.settings.site == house.settings.site
        assert (new.relay.installation.profiles / "own.toml").read_text() == "title = 'Own'\n"
    names = ["config.toml", "keys/desk.key", "keys/desk.pub", "keys/office.key", "keys/office.pub"]
    modes = [stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) for name in ("", "keys", *names)]
    assert modes == [0o700, 0o700, 0o600, 0o600, 0o644, 0o600, 0o644]


@both_engines
async def test_restored_installation_goes_on(house: House, tmp_path: Path, elsewhere: str, smtp_catcher: Any) -> None:
    answered = await house.posted()
    await house.replied(answered, "Привет", "friend")
    await house.submit(address=ADDRESS)
    scan = await house.received()
    async with house.store.database.writing() as connection:  # a worker is at it
        order = tables.scans.c.created_at
        mine = tables.scans.c.id == scan
        await leases.claim(connection, tables.scans, mine, owner="worker-gone", now=house.clock(), order_by=order)
    backup = await made(house, tmp_path / "backups")
    again = await restored(house, backup.file, tmp_path / "new", elsewhere)
    async with running(house, again) as new:
        desk = await new.desk()
        opened = await post(desk, "/en/inbox", {"phrase": answered.phrase})
        assert opened.location == answered.inbox
        inbox = await get(desk, answered.inbox)
        assert "the snow came early this year" in inbox.screen.text
        reply = await new.row(tables.replies)
        path = f"{answered.inbox}/reply/{reply.id}/reply.pdf"
        pdf = await get(desk, path)
        assert (pdf.status, pdf.body) == (200, (await get(await house.desk(), path)).body)
        row = await new.row(tables.scans, id=scan)
        assert (row.lease_owner, row.lease_until, row.attempts, row.last_error) == (None, None, 0, None)
        mail = {"host": smtp_catcher.host, "port": smtp_catcher.port}
        assert await send_all(new.sender(desk=True, **mail)) == 1
        assert [one.recipients for one in smtp_catcher.mails] == [[ADDRESS]]
        token = smtp_catcher.mails[0].message.get_body(("plain",)).get_content()
        assert "/confirm/" in token
        await new.posted()
        assert await faults(new) == []


@pytest.mark.parametrize(("engine", "to_postgres"), [("sqlite", True), ("postgresql", False)])
async def test_backup_of_one_engine_is_restored_on_the_other(
    house: House, tmp_path: Path, to_postgres: bool, postgres_server: Any
) -> None:
    await house.replied(await house.posted(address=ADDRESS))
    before = await rows(house)
    backup = await made(house, tmp_path / "backups")
    name = f"other_{os.getpid()}"
    url = postgres_server.create_database(name) if to_postgres else SQLITE
    again = await restored(house, backup.file, tmp_path / "new", url)
    async with running(house, again) as new:
        assert await rows(new) == before
        await new.posted()  # numbers of events are counted on
        assert await faults(new) == []
    if to_postgres:
        postgres_server.drop_database(name)


async def test_backup_out_of_an_object_store(house: House, tmp_path: Path) -> None:
    blobs = Blobs("memory:///")
    store = Store(house.store.database, blobs, house.store.office)
    object.__setattr__(house.relay, "store", store)
    await house.replied(await house.posted(address=ADDRESS))
    backup = await made(house, tmp_path / "backups", blobs)
    assert (house.blobs(), backup.blobs > 3, backup.gone) == ([], True, [])
    again = await restored(house, backup.file, tmp_path / "new", blobs_at="pictures")
    async with running(house, again) as new:
        assert await checked(new) == []
    assert (again.blobs, (tmp_path / "new" / "pictures").is_dir()) == (backup.blobs, True)


# --- who has the file and not the key


async def test_backup_shows_nothing_without_the_key(house: House, tmp_path: Path) -> None:
    await house.replied(await house.posted(address=ADDRESS))
    seen = (await made(house, tmp_path)).file.read_bytes()
    keys = [house.office_key.seed, house.relay.private_key("desk").seed]
    secrets = [
        *keys,
        *(base64.b64encode(key) for key in keys),
        TEXT.encode(),
        ADDRESS.encode(),
        b"Example relay",
        b"John Sample",
        b"content_keys",
        *(path.name.encode() for path in house.blobs()),
        *(path.read_bytes()[:64] for path in house.blobs()),
    ]
    assert [secret for secret in secrets if secret in seen] == []
    header, _, _ = seen.partition(b"\n")
    assert header.split(b" ")[:3] == [b"relay-backup", b"1", house.store.office.fingerprint.encode()]


async def test_office_key_is_not_even_in_the_sealed_part(house: House, tmp_path: Path) -> None:
    backup = await made(house, tmp_path)
    inside = b"".join([await member.whole() async for member in archive.members(backup.file, house.office_key)])
    office, desk = house.office_key, house.relay.private_key("desk")
    assert [key in inside for key in (office.seed, office.text.encode(), desk.text.encode())] == [False, False, True]


# --- while all runs


async def test_backup_while_letters_come_in_is_one_state(house: House, tmp_path: Path) -> None:
    await house.replied(await house.posted())

    async def letters_come(_: str) -> None:
        for _number in range(3):
            await house.received(os.urandom(2_000_000))
            await house.queued()

    busy = Busy(house, {1: letters_come, 3: letters_come})
    backup = await made(house, tmp_path / "backups", busy)
    assert backup.gone == []
    again = await restored(house, backup.file, tmp_path / "new")
    async with running(house, again) as new:
        assert (await checked(new), await faults(new)) == ([], [])
        assert len(await new.rows(tables.scans)) == 7


async def test_blob_that_is_erased_before_it_is_copied_does_not_matter(house: House, tmp_path: Path) -> None:
    sent = await house.posted()
    await house.replied(sent)
    letter = await house.row(tables.letters, id=sent.id)

    async def erase(_: str) -> None:
        await erase_conversation(house.store, sent.secret.lookup_hash, letter.conversation_id)
        while await remove_files(house.store):
            pass

    before = len(house.blobs())
    backup = await made(house, tmp_path / "backups", Busy(house, {2: erase}))
    assert (backup.gone, before > backup.blobs) == ([], True)
    again = await restored(house, backup.file, tmp_path / "new")
    async with running(house, again) as new:
        # What was copied before it was erased is in the file, and does not come back.
        assert (await checked(new), len(new.blobs())) == ([], len(house.blobs()))
        assert (await new.row(tables.letters, id=sent.id)).state == "erased"


async def test_blob_that_is_replaced_after_the_rows_were_read_is_no_gap(house: House, tmp_path: Path) -> None:
    """The rows name a blob that came after the others were copied, and that is gone when its turn comes."""
    await house.received(b"file")

    async def takes_the_place(new: str, old: str) -> None:
        await house.store.blobs.put_sealed(new, pieces(new.encode()))
        async with house.store.database.writing() as connection:
            await connection.execute(sa.update(tables.blobs).where(tables.blobs.c.id == old).values(id=new))
        await house.store.blobs.delete(old)

    # Ids before that of the one being copied: they are seen only when the rows are read.
    busy = Busy(house, {1: partial(takes_the_place, "0" * 32), 2: partial(takes_the_place, "0" * 31 + "1")})
    backup = await made(house, tmp_path / "backups", busy)
    assert (backup.gone, backup.blobs) == ([], 1)
    again = await restored(house, backup.file, tmp_path / "new")
    async with running(house, again) as new:
        assert (await checked(new), [path.name for path in new.blobs()]) == ([], ["0" * 31 + "1"])


async def test_blob_that_was_lost_before_is_named(house: House, tmp_path: Path) -> None:
    await house.received(b"one")
    await house.received(b"two")
    lost = house.blobs()[0]
    lost.unlink()
    backup = await made(house, tmp_path / "backups")
    assert (backup.gone, backup.blobs) == ([lost.name], 1)
    again = await restored(house, backup.file, tmp_path / "new")
    async with running(house, again) as new:
        assert await checked(new) == [Finding("blob", lost.name, "a scan names it, and it is not there")]


# --- the folder of backups


async def test_backup_that_fails_leaves_nothing(house: House, tmp_path: Path) -> None:
    await house.received(b"file")

    async def disk_is_full(_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await made(house, tmp_path / "backups", Busy(house, {1: disk_is_full}))
    assert list((tmp_path / "backups").iterdir()) == []


async def test_backup_that_would_not_fit_is_not_begun(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(NoRoomError, match="0 MB free; a backup takes up to 1 MB"):
        await made(house, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []


async def test_backups_that_are_too_old_are_removed_and_nothing_else(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    house.clock.now = house.clock.now.replace(microsecond=0)  # as names have it
    old = (await made(house, folder)).file
    other = old.with_name("relay-20200101-000000.backup")  # of another installation
    line = old.read_bytes().replace(house.store.office.fingerprint.encode(), b"0" * 32)
    other.write_bytes(line)
    notes = old.with_name("relay-20200101-000001.backup")
    notes.write_text("notes of somebody")
    copied = old.with_name("relay-1.backup")
    shutil.copy(old, copied)
    killed = old.with_name(f".{old.name}.part")
    shutil.copy(old, killed)
    house.clock.now += datetime.timedelta(days=house.settings.retention.backups)
    young = await made(house, folder)
    assert (young.removed, killed.exists()) == ([], False)
    house.clock.now += datetime.timedelta(seconds=1)
    last = await made(house, folder)
    assert last.removed == [old]
    assert sorted(folder.iterdir()) == sorted([other, notes, copied, young.file, last.file])
    assert newest(folder, house.store.office) == house.clock.now


# --- what is not restored


async def refused(house: House, file: Path, folder: Path, key: PrivateKey | None = None) -> str:
    """The sentence with which a backup is refused. Nothing is left of the try."""
    with pytest.raises(BackupRefusedError) as caught:
        await restore(file, folder, key or house.office_key, nobody, database=SQLITE)
    assert not folder.exists()
    return str(caught.value)


async def test_backup_with_another_key_is_refused(house: House, tmp_path: Path) -> None:
    backup, other = await made(house, tmp_path), PrivateKey.new()
    assert await refused(house, backup.file, tmp_path / "new", other) == (
        f"{backup.file} is sealed to the key {house.store.office.fingerprint}. "
        f"This is another key: {other.public.fingerprint}."
    )


@pytest.mark.parametrize("left", [0.3, 0.9, 0.999999])
async def test_backup_that_was_cut_off_is_refused(house: House, tmp_path: Path, left: float) -> None:
    await house.received(os.urandom(3_000_000))
    file = (await made(house, tmp_path)).file
    os.truncate(file, int(file.stat().st_size * left))
    damaged = f"{file} is damaged or not whole. Take another backup."
    assert await refused(house, file, tmp_path / "new") == damaged


@pytest.mark.parametrize("place", [100, 1_500, 5_000, -1])
async def test_backup_that_was_changed_is_refused(house: House, tmp_path: Path, place: int) -> None:
    await house.received(os.urandom(3_000_000))
    file = (await made(house, tmp_path)).file
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert await refused(house, file, tmp_path / "new") in {
        f"{file} is damaged or not whole. Take another backup.",
        f"{file} is no backup of the relay.",  # no base64 any more
    }


async def test_file_that_is_no_backup_is_refused(house: House, tmp_path: Path) -> None:
    file = tmp_path / "holiday.jpg"
    file.write_bytes(os.urandom(5_000))
    assert await refused(house, file, tmp_path / "new") == f"{file} is no backup of the relay."
    newer = (await made(house, tmp_path)).file
    newer.write_bytes(newer.read_bytes().replace(b"relay-backup 1", b"relay-backup 2", 1))
    told = f"{newer} was made by a newer version of the relay: restore it with that one."
    assert await refused(house, newer, tmp_path / "new") == told


async def packed(house: House, file: Path, members: dict[str, bytes]) -> Path:
    """A backup with this content, sealed as ours are: everybody who has the public key can do that."""

    async def plain() -> AsyncIterator[bytes]:
        for name, content in members.items():
            async for piece in archive.packed_bytes(name, content):
                yield piece
        yield archive.END

    file.write_bytes(b"".join([piece async for piece in archive.sealed(plain(), house.store.office)]))
    return file


def said(house: House, revision: str) -> bytes:
    return Snapshot(at=house.clock(), schema_revision=revision).model_dump_json().encode()


async def test_backup_of_an_older_schema_is_brought_up_to_date(house: House, tmp_path: Path) -> None:
    columns = ["id", "slug", "name", "country", "address", "review_days"]
    facility = ["f" * 32, "ik-99", "Колония", "RU", "Улица 1", 5]
    inbox = [["id", "lookup_hash", "public_key", "secret"], ["1" * 32, "2" * 64, {"bytes": "AAA="}, {"bytes": "AAE="}]]
    file = await packed(
        house,
        tmp_path / "old.backup",
        {
            "config.toml": b"",
            "rows/1/snapshot": said(house, "0002"),
            "rows/1/facilities/1": f"{json.dumps(columns)}\n{json.dumps(facility)}".encode(),
            "rows/1/inboxes/1": "\n".join(map(json.dumps, inbox)).encode(),
        },
    )
    again = await restored(house, file, tmp_path / "new")
    assert (again.rows, again.desk_key) == ({"facilities": 1, "inboxes": 1}, False)
    async with running(house, again) as new:
        row = await new.row(tables.facilities)
        assert [row.id, row.slug, row.name, row.street, row.review_days] == [*facility[:3], "", 5]
        assert ((await new.row(tables.inboxes)).secret, new.relay.private_key("desk").text != "") == (b"\0\1", True)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, "has no config.toml."),
        ({"config.toml": b""}, "has no rows."),
        ({"config.toml": b"", "rows/1/snapshot": b"0099"}, "was made by a newer version of the relay"),
        ({"config.toml": b"", "rows/1/letters/1": b"[]"}, "does not fit to its schema"),
        ({"config.toml": b"", "rows/1/snapshot": b"0002", "rows/1/letters/1": b'["x"]\n[1]'}, "letters has no x"),
    ],
)
async def test_backup_that_says_nothing_of_use_is_refused(
    house: House, tmp_path: Path, members: dict[str, bytes], told: str
) -> None:
    content = {name: said(house, text.decode()) if "snapshot" in name else text for name, text in members.items()}
    file = await packed(house, tmp_path / "odd.backup", content)
    assert told in await refused(house, file, tmp_path / "new")


async def test_names_in_a_backup_lead_nowhere_else(house: House, tmp_path: Path) -> None:
    snapshot = {"config.toml": b"", "rows/1/snapshot": said(house, "0005")}
    evil = ["profiles/../../x.toml", "../x", "/tmp/x", "profiles/.x.toml", "keys/office.key", "blobs/../../x"]
    file = await packed(house, tmp_path / "evil.backup", dict.fromkeys(evil, b"evil") | snapshot)
    await restored(house, file, tmp_path / "new")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert [name for name in found if "evil" in (tmp_path / name).read_text("utf-8", "ignore")] == []
    assert [name for name in found if name.startswith("new/")] == [
        "new/config.toml",
        "new/keys/desk.key",
        "new/keys/desk.pub",
        "new/keys/office.key",
        "new/keys/office.pub",
        "new/relay.db",
    ]


async def test_nothing_is_restored_over_something(house: House, tmp_path: Path) -> None:
    await house.received(b"file")
    file = (await made(house, tmp_path / "backups")).file
    own = house.relay.installation.folder
    with pytest.raises(NotEmptyError, match="is not empty"):
        await restored(house, file, own)
    with pytest.raises(NotEmptyError, match="The database of this config is not empty"):
        await restore(file, tmp_path / "new", house.office_key, nobody)  # the config names the file of the house
    with pytest.raises(NotEmptyError, match="Name another place with --blobs"):
        await restored(house, file, tmp_path / "new", blobs_at=house.relay.installation.blobs)
    with pytest.raises(ConfigError, match="it begins with sqlite"):
        await restored(house, file, tmp_path / "new", "mysql://there")
    assert (not (tmp_path / "new").exists(), await checked(house)) == (True, [])

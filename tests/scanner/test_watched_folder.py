"""Files that a scanner puts into a folder: taken once they are whole, removed once they are stored, never lost."""

from __future__ import annotations

import datetime
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from obstore.exceptions import GenericError
from structlog.testing import capture_logs

from relay.sealing import Context, PrivateKey
from relay.store.sealed import Store, open_part
from relay.store.tables import scans
from scanner import watched_folder
from scanner.steps import take_in
from scanner.watched_folder import LEFT_AFTER, LOOK_EVERY, Left, Trouble, WatchedFolder, troubles

PDF = b"%PDF-1.7 what a scanner made"


@dataclass
class Folder:
    """A watched folder, and the seconds that pass."""

    path: Path
    store: Store
    office: PrivateKey
    seconds: float = 0.0

    def put(self, name: str = "scan.pdf", content: bytes = PDF) -> Path:
        file = self.path / name
        file.write_bytes(content)
        return file

    def watcher(self) -> WatchedFolder:
        return WatchedFolder(self.store, self.path, 1, lambda: self.seconds)

    async def look(self, watcher: WatchedFolder, times: int = 2) -> int:
        """How many files the watcher was busy with in so many looks."""
        busy = 0
        for _ in range(times):
            while await watcher.take_next():
                busy += 1
            self.seconds += LOOK_EVERY
        return busy

    async def taken(self) -> list[bytes]:
        """The files that are stored, oldest first."""
        async with self.store.database.reading() as connection:
            found = (await connection.execute(sa.select(scans).order_by(scans.c.created_at, scans.c.id))).all()
        assert {row.source for row in found} <= {"folder"}
        return [await open_part(self.store, Context("scan", row.id), "original", self.office) for row in found]

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir())


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Where nothing depends on the engine."""
    return sqlite_url


@pytest.fixture
def folder(tmp_path: Path, store: Store, office: PrivateKey) -> Folder:
    path = tmp_path / "from-scanner"
    path.mkdir()
    return Folder(path, store, office)


async def test_file_that_came_to_rest_is_stored_and_removed(folder: Folder) -> None:
    folder.put()
    assert await folder.look(folder.watcher()) == 1
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_file_is_not_taken_at_the_first_look(folder: Folder) -> None:
    folder.put()
    assert await folder.look(folder.watcher(), times=1) == 0
    assert (await folder.taken(), folder.names) == ([], ["scan.pdf"])


async def test_file_that_grows_is_taken_when_it_is_whole(folder: Folder) -> None:
    watcher, file = folder.watcher(), folder.put(content=b"")
    for piece in (b"%PDF", b"-1.7 what a", b" scanner made"):
        assert await folder.look(watcher, times=1) == 0
        with file.open("ab") as growing:
            growing.write(piece)
    assert await folder.look(watcher, times=2) == 1
    assert await folder.taken() == [PDF]


async def test_file_that_somebody_has_open_for_writing_waits(folder: Folder) -> None:
    watcher, file = folder.watcher(), folder.put()
    with file.open("ab"):
        await folder.look(watcher, times=3)
        assert (await folder.taken(), folder.names) == ([], ["scan.pdf"])
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_folder_is_looked_at_again_only_after_a_while(folder: Folder) -> None:
    watcher = folder.watcher()
    assert not await watcher.take_next()
    folder.put()
    assert await folder.look(watcher, times=1) == 0
    for _ in range(2):
        assert not await watcher.take_next()
        folder.seconds += LOOK_EVERY / 4
    assert await folder.taken() == []


@pytest.mark.parametrize(
    "name", [".hidden.pdf", "scan.pdf.part", "SCAN.TMP", "~$scan.pdf", "scan.pdf~", "a.filepart", "Thumbs.db"]
)
async def test_hidden_or_temporary_file_is_left(folder: Folder, name: str) -> None:
    folder.put(name)
    assert await folder.look(folder.watcher()) == 0
    assert (await folder.taken(), folder.names) == ([], [name])


async def test_link_folder_and_pipe_are_left(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "office.key"
    secret.write_bytes(b"secret")
    (folder.path / "link.pdf").symlink_to(secret)
    (folder.path / "folder").mkdir()
    (folder.path / "folder" / "scan.pdf").write_bytes(PDF)
    os.mkfifo(folder.path / "pipe.pdf")
    assert await folder.look(folder.watcher(), times=3) == 0
    assert (await folder.taken(), folder.names) == ([], ["folder", "link.pdf", "pipe.pdf"])


async def test_file_replaced_by_a_link_just_before_it_is_read_is_left(folder: Folder, tmp_path: Path) -> None:
    watcher, second = folder.watcher(), b"%PDF-1.7 second"
    secret = tmp_path / "office.key"
    secret.write_bytes(second)  # of the same size
    folder.put("a.pdf")
    file = folder.put("b.pdf", second)
    await folder.look(watcher, times=1)
    assert await watcher.take_next(), "it looks, and takes the first"
    file.unlink()
    file.symlink_to(secret)
    assert await watcher.take_next()
    assert (await folder.taken(), folder.names) == ([PDF], ["b.pdf"])


async def test_file_that_changes_while_it_is_read_is_taken_whole_later(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, file = folder.watcher(), folder.put()
    real, changes = watched_folder._unchanged, iter([b" and more"])

    async def changing(*arguments: Any) -> AsyncIterator[bytes]:
        async for chunk in real(*arguments):
            yield chunk
            for more in changes:
                with file.open("ab") as growing:
                    growing.write(more)

    monkeypatch.setattr(watched_folder, "_unchanged", changing)
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([], ["scan.pdf"])
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF + b" and more"], [])


async def test_new_file_under_the_name_of_one_just_stored_stays_and_is_taken_too(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, later = folder.watcher(), iter([b"%PDF-1.7 the next pile"])
    folder.put()

    async def replaced_meanwhile(*arguments: Any, **options: Any) -> Any:
        done = await take_in(*arguments, **options)
        for content in later:
            folder.put("new", content).rename(folder.path / "scan.pdf")
        return done

    monkeypatch.setattr(watched_folder, "take_in", replaced_meanwhile)
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF], ["scan.pdf"])
    await folder.look(watcher)
    assert (sorted(await folder.taken()), folder.names) == (sorted([PDF, b"%PDF-1.7 the next pile"]), [])


@pytest.mark.parametrize("error", [ConnectionError("the database is away"), GenericError("the disk is full")])
async def test_file_is_not_removed_when_it_could_not_be_stored(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    watcher = folder.watcher()
    folder.put()

    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(watched_folder, "take_in", fail)
        await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([], ["scan.pdf"])
    folder.seconds += watched_folder.AGAIN_AFTER
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_file_that_came_before_is_recognised_and_removed(folder: Folder) -> None:
    watcher = folder.watcher()
    folder.put("first.pdf")
    folder.put("second.pdf")
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_two_workers_store_a_file_once(folder: Folder) -> None:
    watchers = [folder.watcher(), folder.watcher()]
    folder.put()
    assert [await watcher.take_next() for watcher in watchers] == [False, False]
    folder.seconds += LOOK_EVERY
    for watcher in watchers:
        watcher._at_rest = watcher._look()
    assert [await watcher.take_next() for watcher in watchers] == [True, True]
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_too_large_file_stays_and_the_others_are_taken(folder: Folder) -> None:
    watcher = folder.watcher()
    folder.put("large.pdf", bytes(1_000_001))
    folder.put("small.pdf")
    with capture_logs() as logs:
        await folder.look(watcher, times=10)
    assert (await folder.taken(), folder.names) == ([PDF], ["large.pdf"])
    said = [(log["event"], log.get("reason")) for log in logs]
    assert said == [("watched_file_left", "too_large"), ("watched_file_taken", None)], "once, and without any name"


async def test_file_that_cannot_be_read_stays_and_is_tried_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, real = folder.watcher(), watched_folder._opened
    folder.put("a.pdf")
    folder.put("b.pdf", b"%PDF-1.7 b")

    def broken(path: Path) -> Any:
        if path.name == "a.pdf":
            raise PermissionError(13, "not allowed")
        return real(path)

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(watched_folder, "_opened", broken)
        await folder.look(watcher, times=5)
    assert [log["reason"] for log in logs if log["event"] == "watched_file_left"] == ["EACCES"]
    assert (await folder.taken(), folder.names) == ([b"%PDF-1.7 b"], ["a.pdf"])
    folder.seconds += watched_folder.AGAIN_AFTER
    await folder.look(watcher)
    assert folder.names == []


async def test_file_whose_name_is_no_unicode_is_taken(folder: Folder) -> None:
    folder.put(os.fsdecode(b"\xff.pdf"))
    await folder.look(folder.watcher())
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def test_share_that_goes_away_and_comes_back_is_told_once(folder: Folder) -> None:
    watcher, away = folder.watcher(), folder.path.with_name("away")
    folder.path.rename(away)
    with capture_logs() as logs:
        assert await folder.look(watcher, times=4) == 0
    assert [log["event"] for log in logs] == ["watched_folder_not_there"]
    away.rename(folder.path)
    folder.put()
    await folder.look(watcher)
    assert (await folder.taken(), folder.names) == ([PDF], [])


async def told(folder: Folder, **later: float) -> list[Trouble]:
    return await troubles(folder.path, 1, datetime.datetime.now(datetime.UTC) + datetime.timedelta(**later))


async def test_troubles_name_what_needs_a_person(folder: Folder, tmp_path: Path) -> None:
    folder.put("large.pdf", bytes(1_000_001))
    folder.put("fresh.pdf")
    folder.put("on its way.part")
    (folder.path / "link.pdf").symlink_to(tmp_path)
    assert await told(folder) == [Trouble(Left.TOO_LARGE, "large.pdf"), Trouble(Left.NO_FILE, "link.pdf")]


async def test_file_that_lies_there_for_long_is_a_trouble(folder: Folder) -> None:
    folder.put("empty.pdf", b"")
    assert await told(folder, seconds=LEFT_AFTER.total_seconds() - 60) == []
    assert await told(folder, seconds=LEFT_AFTER.total_seconds() + 1) == [Trouble(Left.NOT_AT_REST, "empty.pdf")]


async def test_folder_that_is_not_there_is_a_trouble(folder: Folder) -> None:
    folder.path.rmdir()
    assert await told(folder) == [Trouble(Left.NO_FOLDER)]


async def test_rights_that_are_missing_are_troubles() -> None:
    path = Path(tempfile.mkdtemp())  # not in pytest's folders, which nobody else may enter
    root = os.geteuid() == 0
    try:
        (path / "closed.pdf").write_bytes(PDF)
        (path / "closed.pdf").chmod(0o000)
        path.chmod(0o555)
        if root:
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        found = await troubles(path, 1, datetime.datetime.now(datetime.UTC))
    finally:
        if root:
            os.seteuid(0)
        path.chmod(0o755)
        shutil.rmtree(path)
    assert found == [Trouble(Left.KEPT_BY_FOLDER), Trouble(Left.UNREADABLE, "closed.pdf")]

"""Takes scans out of a folder into which a scanner, or a share of the network, puts them.

The folder is looked at again and again: shares of the network tell of no changes. A file is taken once it has come to
rest, and removed once it is stored; what changed meanwhile stays and is taken again. It is for a folder in which only
people of the group can put files. What remains: between the last look at a file and its removal another can be put in
its place under the same name. Scanners make new names, so this takes somebody who means to.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from relay.domain.lives import WORKER
from relay.store.sealed import Store
from scanner.steps import Source, take_in

LOG: Final = structlog.get_logger()
LOOK_EVERY: Final = 4.0
"""Seconds between two looks; a file that is the same in both has come to rest."""
AGAIN_AFTER: Final = 300.0
"""Seconds after which a file is tried again that could not be taken."""
LEFT_AFTER: Final = datetime.timedelta(minutes=10)
"""How long a file may lie there before it counts as left behind."""
CHUNK: Final = 1024 * 1024
_TEMPORARY: Final = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", "~")
"""How the names of files end that are still on their way."""
_OF_THE_SYSTEM: Final = ("thumbs.db", "desktop.ini")
"""What file managers leave wherever they look."""


def _(sentence: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return sentence


class Left(StrEnum):
    """Why something lies in the folder that was not taken, or not removed."""

    NO_FOLDER = "no_folder"
    KEPT_BY_FOLDER = "kept_by_folder"
    NO_FILE = "no_file"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    NOT_AT_REST = "not_at_rest"


LEFT: Final[dict[Left, str]] = {
    Left.NO_FOLDER: _("The folder out of which scans are taken cannot be read. Is the share of the network there?"),
    Left.KEPT_BY_FOLDER: _("The relay may not remove files from the folder of scans: what it takes stays there too."),
    Left.NO_FILE: _("This is a folder or a link. Only files that lie in the folder itself are taken."),
    Left.TOO_LARGE: _("This file is larger than {limit} MB and was not taken. Scan fewer pages at once."),
    Left.UNREADABLE: _("This file may not be read by the relay and was not taken."),
    Left.NOT_AT_REST: _("This file could not be taken yet: it is empty, still being written, or cannot be read."),
}
"""The sentence for each; that of a limit names it as {limit}."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in the folder that needs a person."""

    why: Left
    name: str = ""
    """Of the file; none where it is about the folder."""


class ChangedWhileReadError(Exception):
    """The file was written to while it was read; nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What tells a file from any other, and from itself at another time."""

    inode: int
    size: int
    written: int
    changed: int
    plain: bool

    @classmethod
    def at(cls, status: os.stat_result) -> _Look:
        plain = stat.S_ISREG(status.st_mode)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, plain)

    def age(self, now: datetime.datetime) -> datetime.timedelta:
        return now - datetime.datetime.fromtimestamp(max(self.written, self.changed) / 1e9, datetime.UTC)


class WatchedFolder:
    """One folder, as one worker sees it. Several workers may watch the same: the same bytes are recognised."""

    def __init__(self, store: Store, folder: Path, megabytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take files of at most so many megabytes; `clock` gives seconds."""
        self._store, self._folder, self._most, self._clock = store, folder, megabytes * 1_000_000, clock
        self._next_look = -LOOK_EVERY
        self._seen: dict[str, _Look] = {}
        self._at_rest: list[str] = []
        self._left: dict[str, tuple[_Look, float]] = {}
        """What could not be taken, as it was then, and when it is tried again."""
        self._there = True

    async def take_next(self) -> bool:
        """Take one file that has come to rest. False where there is none at the moment."""
        if not self._at_rest:
            if self._clock() < self._next_look:
                return False
            self._at_rest = await asyncio.to_thread(self._look)
            self._next_look = self._clock() + LOOK_EVERY
        if not self._at_rest:
            return False
        name = self._at_rest.pop(0)
        try:
            await self._take(name, self._seen[name])
        except ChangedWhileReadError:
            pass
        except FileNotFoundError:  # another worker was quicker, or its writer took it back
            pass
        except OSError as error:
            self._leave(name, errno.errorcode.get(error.errno or 0, "unknown"))
        except Exception as error:  # noqa: BLE001 - of the store: the disk is full, or the database away
            self._leave(name, type(error).__name__)
        return True

    def _look(self) -> list[str]:
        """The names of the files that are as they were at the last look, oldest first."""
        before, self._seen = self._seen, {}
        try:
            self._seen = _files(self._folder)
        except OSError as error:
            if self._there:
                LOG.warning("watched_folder_not_there", error=errno.errorcode.get(error.errno or 0))
            self._there = False
            return []
        self._there = True
        now = self._clock()
        self._left = {name: (look, again) for name, (look, again) in self._left.items() if self._seen.get(name) == look}
        at_rest = [
            (look.written, name)
            for name, look in self._seen.items()
            if look.plain and look.size and before.get(name) == look and self._left.get(name, (look, now))[1] <= now
        ]
        return [name for _, name in sorted(at_rest)]

    async def _take(self, name: str, look: _Look) -> None:
        if look.size > self._most:
            self._leave(name, Left.TOO_LARGE)
            return
        path = self._folder / name
        with await asyncio.to_thread(_opened, path) as file:
            if _Look.at(os.fstat(file.fileno())) != look or _being_written(file.fileno()):
                return
            taken = await take_in(self._store, _unchanged(file, look), name, WORKER, source=Source.FOLDER)
        LOG.info("watched_file_taken", scan=taken.scan_id, known=taken.known)
        await asyncio.to_thread(_remove, path, look)

    def _leave(self, name: str, reason: str) -> None:
        if name not in self._left:
            LOG.warning("watched_file_left", reason=reason)
        self._left[name] = self._seen[name], self._clock() + AGAIN_AFTER


async def troubles(folder: Path, megabytes: int, now: datetime.datetime) -> list[Trouble]:
    """What lies in the folder and needs a person. It asks nobody but the folder, so any process may call it."""
    return await asyncio.to_thread(_troubles, folder, megabytes * 1_000_000, now)


def _troubles(folder: Path, most: int, now: datetime.datetime) -> list[Trouble]:
    try:
        files = _files(folder)
    except OSError:
        return [Trouble(Left.NO_FOLDER)]
    found = [] if os.access(folder, os.W_OK | os.X_OK, effective_ids=True) else [Trouble(Left.KEPT_BY_FOLDER)]
    for name, look in sorted(files.items()):
        why: Left | None = None
        if not look.plain:
            why = Left.NO_FILE
        elif look.size > most:
            why = Left.TOO_LARGE
        elif not os.access(folder / name, os.R_OK, effective_ids=True):
            why = Left.UNREADABLE
        elif look.age(now) > LEFT_AFTER:
            why = Left.NOT_AT_REST
        if why is not None:
            found.append(Trouble(why, os.fsencode(name).decode(errors="replace")))
    return found


def _files(folder: Path) -> dict[str, _Look]:
    """All that lies in the folder under a name that stays. Raises OSError where the folder cannot be read."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.startswith((".", "~")) or name.endswith(_TEMPORARY) or name in _OF_THE_SYSTEM:
                continue
            try:
                # Not what the listing knew of it: on shares of the network that is older.
                found[entry.name] = _Look.at(Path(entry.path).lstat())
            except FileNotFoundError:
                continue
    return found


def _opened(path: Path) -> BinaryIO:
    # Never through a link; and what became a pipe meanwhile must not be waited for.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _being_written(handle: int) -> bool:
    """Whether a process of this machine has the file open for writing; False also where that cannot be told."""
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # is ignored, where the usual one would end the process
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def _unchanged(file: BinaryIO, look: _Look) -> AsyncIterator[bytes]:
    """The bytes of the file. Raises ChangedWhileReadError at their end where it is not any more what it was."""
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk
    if _Look.at(os.fstat(file.fileno())) != look:
        raise ChangedWhileReadError


def _remove(path: Path, look: _Look) -> None:
    if _Look.at(path.lstat()) == look:
        path.unlink()

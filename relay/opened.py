"""Where opened content lies as files while it is worked on: in memory, in private folders that outlive no process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

LOG: Final = structlog.get_logger()
MEMORY_FOLDER: Final = Path("/dev/shm")  # noqa: S108 - private folders are made in it
"""In memory, so that no disk keeps what lay in it."""
OPENED: Final = "relay-opened-"
"""How the names of the folders with opened content begin."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """A private folder for opened content, in memory where the system lets us; it is removed after the block.

    A lock on it shows that the process lives; see `remove_left_behind`.
    """
    memory = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=OPENED, dir=memory) as folder, _locked(Path(folder), fcntl.LOCK_SH):
        yield Path(folder)


def remove_left_behind() -> None:
    """Remove the folders with opened content of processes that were killed; each process calls it when it starts."""
    for parent in {MEMORY_FOLDER, Path(tempfile.gettempdir())}:
        for folder in parent.glob(f"{OPENED}*"):
            # Its process lives, or it belongs to another user, or somebody else is removing it.
            with suppress(OSError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder)
                LOG.warning("opened_content_removed")


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)

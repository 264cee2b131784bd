"""The file of a backup: one line that says whose it is, then a tar stream, sealed in chunks to the office.

The line is all that can be read without the office's key: what the file is, in which form, the fingerprint of the key,
and the content key, wrapped for it.
"""

from __future__ import annotations

import base64
import re
import tarfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.sealing import CHUNK, ContentKey, Context, PrivateKey, PublicKey, SealBrokenError
from relay.store.database import new_id

FORM: Final = 1
"""Rises when an older version could not read the file any more."""
LONGEST_LINE: Final = 4096
_LINE: Final = re.compile(rb"relay-backup (\d{1,4}) ([0-9a-f]{32}) ([0-9a-f]{32}) ([A-Za-z0-9+/=]+)\n")
_STREAM: Final = "archive"


class BackupRefusedError(Exception):
    """This backup cannot be restored: it is none, is damaged, newer than this version, or sealed to another key."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a backup."""

    form: int
    fingerprint: str
    """Of the office's key."""
    id: str
    wrap: bytes
    length: int
    """In bytes; the sealed stream begins behind it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive. What of it is not read is passed over."""

    name: str
    size: int
    content: AsyncIterator[bytes]

    async def whole(self) -> bytes:
        """All of it."""
        return b"".join([piece async for piece in self.content])


def header_of(file: Path) -> Header | None:
    """The first line of a backup; None where the file is none of ours. Raises OSError."""
    with file.open("rb") as opened:
        found = _LINE.fullmatch(opened.readline(LONGEST_LINE))
    if found is None:
        return None
    form, fingerprint, backup_id, wrap = (part.decode() for part in found.groups())
    return Header(int(form), fingerprint, backup_id, base64.b64decode(wrap), found.end())


async def sealed(plain: AsyncIterable[bytes], office: PublicKey) -> AsyncIterator[bytes]:
    """The bytes of a backup with this content."""
    key = ContentKey.new(_context(FORM, new_id()))
    wrap = base64.b64encode(key.wrap([office])[office.fingerprint]).decode()
    yield f"relay-backup {FORM} {office.fingerprint} {key.context.id} {wrap}\n".encode()
    async for chunk in key.encrypt_chunks(plain, _STREAM):
        yield chunk


async def members(file: Path, key: PrivateKey) -> AsyncGenerator[Member]:
    """The files in a backup, one after the other. Raises BackupRefusedError, at the latest where it breaks off."""
    header = header_of(file)
    if header is None:
        raise BackupRefusedError(f"{file} is no backup of the relay.")
    if header.form > FORM:
        raise BackupRefusedError(f"{file} was made by a newer version of the relay: restore it with that one.")
    if header.fingerprint != key.public.fingerprint:
        raise BackupRefusedError(
            f"{file} is sealed to the key {header.fingerprint}. This is another key: {key.public.fingerprint}."
        )
    try:
        content_key = ContentKey.unwrap({header.fingerprint: header.wrap}, key, _context(header.form, header.id))
        reader = _Reader(content_key.decrypt_chunks(_sealed(file, header.length), _STREAM))
        while any(block := await reader.exactly(tarfile.BLOCKSIZE)):
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            content = reader.pieces(info.size)
            yield Member(info.name, info.size, content)
            async for _ in content:
                pass
            await reader.exactly(_padding(info.size))
        await reader.end()
    except (SealBrokenError, tarfile.HeaderError, EOFError):
        raise BackupRefusedError(f"{file} is damaged or not whole. Take another backup.") from None


async def packed(name: str, size: int, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """A file as it stands in the archive. Raises OSError where the content is not as long as it was said to be."""
    yield tarfile.TarInfo.tobuf(_info(name, size), tarfile.GNU_FORMAT)
    left = size
    async for piece in content:
        left -= len(piece)
        yield piece
    if left:
        raise OSError(f"{name} is {abs(left)} bytes {'shorter' if left > 0 else 'longer'} than it was")
    yield bytes(_padding(size))


async def packed_bytes(name: str, content: bytes) -> AsyncIterator[bytes]:
    """The same, of bytes."""

    async def once() -> AsyncIterator[bytes]:
        yield content

    async for piece in packed(name, len(content), once()):
        yield piece


END: Final = bytes(2 * tarfile.BLOCKSIZE)
"""What the archive ends with."""


def _context(form: int, backup_id: str) -> Context:
    return Context(f"backup {form}", backup_id)


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


def _padding(size: int) -> int:
    return -size % tarfile.BLOCKSIZE


async def _sealed(file: Path, start: int) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(start)
        while piece := opened.read(CHUNK):
            yield piece


class _Reader:
    """Gives a stream out in the portions that are asked for."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream, self._held = stream, b""

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        while size:
            while not self._held:
                try:
                    self._held = await anext(self._stream)
                except StopAsyncIteration:
                    raise EOFError from None
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece

    async def exactly(self, size: int) -> bytes:
        return b"".join([piece async for piece in self.pieces(size)])

    async def end(self) -> None:
        async for _ in self._stream:
            pass

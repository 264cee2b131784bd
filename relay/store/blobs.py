"""Blobs: scans, pictures and PDFs, sealed in chunks and kept in a folder or an S3-compatible store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from relay.sealing import CHUNK, ContentKey
from relay.store.database import new_id


class BlobMissingError(Exception):
    """A row names a blob that the store does not have."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies in the store."""

    path: str
    size: int
    """In bytes, sealed."""
    since: datetime

    @property
    def blob_id(self) -> str | None:
        """The blob that it is; None for what is none of ours."""
        name = self.path.rpartition("/")[2]
        return name if self.path == _path(name) else None


class Blobs:
    """The store of the blobs. A blob is durable when `put` returns, before any row names it."""

    def __init__(self, location: str) -> None:
        """Open a folder, which is made if need be, or the URL of an object store."""
        self._folder: Final = None if "://" in location else Path(location)
        self._store: Final[ObjectStore] = (
            from_url(location) if self._folder is None else LocalStore(self._folder, mkdir=True)
        )
        if self._folder is not None:
            _sync(self._folder.parent)

    async def put(self, plain: AsyncIterator[bytes], key: ContentKey) -> str:
        """Seal a stream under the record's key and store it. Returns the id of the new blob."""
        blob_id = new_id()
        await obstore.put_async(self._store, _path(blob_id), key.encrypt_chunks(plain, blob_id))
        if self._folder is not None:
            file = self._folder / _path(blob_id)
            async with self.dropped_on_failure([blob_id]):
                await asyncio.to_thread(_sync, file, file.parent, self._folder)
        return blob_id

    async def put_bytes(self, plain: bytes, key: ContentKey) -> str:
        """Seal bytes and store them. Returns the id of the new blob."""
        return await self.put(_pieces(plain), key)

    async def get(self, blob_id: str, key: ContentKey) -> AsyncIterator[bytes]:
        """The plain bytes of a blob, chunk by chunk. Raises BlobMissingError and SealBrokenError."""
        try:
            found = await obstore.get_async(self._store, _path(blob_id))
        except FileNotFoundError:
            raise BlobMissingError(f"the blob {blob_id} is gone") from None
        async for chunk in key.decrypt_chunks(found.stream(CHUNK), blob_id):
            yield chunk

    async def get_sealed(self, blob_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """A blob as it lies there: how many bytes, and these. Raises BlobMissingError."""
        try:
            found = await obstore.get_async(self._store, _path(blob_id))
        except FileNotFoundError:
            raise BlobMissingError(f"the blob {blob_id} is gone") from None
        return found.meta["size"], found.stream(CHUNK)

    async def put_sealed(self, blob_id: str, sealed: AsyncIterator[bytes]) -> None:
        """Put a blob back as it lay there. It is not durable before `sync`."""
        await obstore.put_async(self._store, _path(blob_id), sealed)

    async def sync(self) -> None:
        """Make all that was put durable."""
        if self._folder is not None:
            await asyncio.to_thread(os.sync)

    async def stored(self, prefix: str | None = None) -> AsyncIterator[Stored]:
        """All that lies in the store, or in one of its folders, in no order."""
        async for some in obstore.list(self._store, prefix):
            for one in some:
                yield Stored(one["path"], one["size"], one["last_modified"])

    async def folders(self) -> tuple[list[str], list[Stored]]:
        """The folders of the store, and what lies in none of them."""
        found = await obstore.list_with_delimiter_async(self._store)
        beside = [Stored(one["path"], one["size"], one["last_modified"]) for one in found["objects"]]
        return sorted(found["common_prefixes"]), beside

    async def delete(self, blob_id: str) -> None:
        """Delete a blob that no row names."""
        await obstore.delete_async(self._store, _path(blob_id))

    @asynccontextmanager
    async def dropped_on_failure(self, blob_ids: Collection[str]) -> AsyncIterator[None]:
        """Delete these blobs where the block fails. The collection may grow in the block.

        The block has to end before a commit that names the blobs: nobody can tell whether a commit that fails was made.
        """
        try:
            yield
        except BaseException:
            for blob_id in blob_ids:
                await self.delete(blob_id)
            raise

    async def get_bytes(self, blob_id: str, key: ContentKey) -> bytes:
        """The plain bytes of a blob. Raises BlobMissingError and SealBrokenError."""
        return b"".join([chunk async for chunk in self.get(blob_id, key)])


def _path(blob_id: str) -> str:
    return f"{blob_id[:2]}/{blob_id}"


async def _pieces(plain: bytes) -> AsyncIterator[bytes]:
    yield plain


def _sync(*places: Path) -> None:
    # The local store renames a finished file into place and syncs nothing: a power cut could take it back.
    for place in places:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Blobs in a folder: they come back, are on the disk before anybody hears of them, and are missed when gone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.sealing import CHUNK, ContentKey, Context, SealBrokenError
from relay.store.blobs import BlobMissingError, Blobs

KEY = ContentKey.new(Context("scan", "7f3a"))


class SourceFailedError(Exception):
    """What is read from breaks off."""


@pytest.mark.parametrize("size", [0, CHUNK, 3 * CHUNK + CHUNK // 2])
async def test_blob_comes_back(tmp_path: Path, size: int) -> None:
    blobs, data = Blobs(str(tmp_path / "new" / "blobs")), os.urandom(size)
    first, second = [await blobs.put_bytes(data, KEY) for _ in range(2)]
    assert first != second
    assert [await blobs.get_bytes(blob_id, KEY) for blob_id in (first, second)] == [data, data]
    assert [len(chunk) async for chunk in blobs.get(first, KEY)][:-1] == [CHUNK] * (max(size - 1, 0) // CHUNK)


async def test_blob_deleted_or_never_there_is_missing(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    blob_id = await blobs.put_bytes(b"picture", KEY)
    await blobs.delete(blob_id)
    for gone in (blob_id, "0" * 32):
        with pytest.raises(BlobMissingError, match=f"the blob {gone} is gone"):
            await blobs.get_bytes(gone, KEY)


async def test_blob_put_in_place_of_another_does_not_open(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    first, second = [await blobs.put_bytes(text, KEY) for text in (b"first", b"second")]
    place = {path.name: path for path in (tmp_path / "blobs").rglob("*") if path.is_file()}
    assert set(place) == {first, second}
    place[first].write_bytes(place[second].read_bytes())
    with pytest.raises(SealBrokenError):
        await blobs.get_bytes(first, KEY)


async def test_blob_and_its_folders_synced_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content first and then the names that lead to it, up to the folder that was there before."""
    synced: list[tuple[Path, int]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        place = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append((place, place.stat().st_size if place.is_file() else 0))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "blobs"
    blobs = Blobs(str(folder))
    blob_id = await blobs.put_bytes(b"picture", KEY)
    file = folder / blob_id[:2] / blob_id
    assert synced == [(tmp_path, 0), (file, file.stat().st_size), (file.parent, 0), (folder, 0)]


async def test_blob_whose_source_breaks_off_is_not_there(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * CHUNK)
        raise SourceFailedError

    with pytest.raises(SourceFailedError):
        await Blobs(str(tmp_path / "blobs")).put(broken(), KEY)
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_blobs_of_a_block_that_fails_are_dropped(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    kept, put = await blobs.put_bytes(b"before", KEY), list[str]()
    async with blobs.dropped_on_failure([kept]):
        pass

    async def fail() -> None:
        async with blobs.dropped_on_failure(put):
            put.extend([await blobs.put_bytes(text, KEY) for text in (b"first", b"second")])
            raise SourceFailedError

    with pytest.raises(SourceFailedError):
        await fail()
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [kept]

"""Sealed records in rows: who can open them, and that nobody can once their wraps are deleted."""

from __future__ import annotations

import pytest

from relay.sealing import ContentKey, Context, PrivateKey, SealBrokenError
from relay.store.blobs import BlobMissingError
from relay.store.sealed import Store, find_blob, find_blobs, load_key, name_blob, open_part, save_key, shred

LETTER, OTHER = Context("letter", "7f3a"), Context("letter", "7f3b")


async def test_record_opened_by_its_recipients_until_shredded(store: Store, office: PrivateKey) -> None:
    inbox, stranger = PrivateKey.new(), PrivateKey.new()
    key, kept = ContentKey.new(LETTER), ContentKey.new(OTHER)
    text = key.encrypt(b"text")
    blob_id = await store.blobs.put_bytes(b"picture", key)
    async with store.database.writing() as connection:
        await save_key(connection, key, [store.office, inbox.public])
        await save_key(connection, kept, [store.office])
        await name_blob(connection, LETTER, "1.jpg", blob_id)
        assert await find_blobs(connection, LETTER) == {"1.jpg": blob_id}
        assert await find_blobs(connection, OTHER) == {}
        with pytest.raises(BlobMissingError, match=r"this letter has no 2\.jpg"):
            await find_blob(connection, LETTER, "2.jpg")
        for recipient in (office, inbox):
            assert (await load_key(connection, LETTER, recipient)).decrypt(text) == b"text"
        with pytest.raises(SealBrokenError):
            await load_key(connection, LETTER, stranger)
    assert await open_part(store, LETTER, "1.jpg", inbox) == b"picture"

    async with store.database.writing() as connection:
        await shred(connection, LETTER)
        for recipient in (office, inbox):
            with pytest.raises(SealBrokenError):
                await load_key(connection, LETTER, recipient)
        assert (await load_key(connection, OTHER, office)).decrypt(kept.encrypt(b"kept")) == b"kept"
    with pytest.raises(SealBrokenError):
        await open_part(store, LETTER, "1.jpg", office)

"""Sealed records: the wraps of content keys and the names of blobs, in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.sealing import ContentKey, Context, PrivateKey, PublicKey
from relay.store.blobs import BlobMissingError, Blobs
from relay.store.database import Database
from relay.store.tables import blobs, content_keys


@dataclass(frozen=True)
class Store:
    """Rows, blobs, and the key to which everything that is stored is sealed."""

    database: Database
    blobs: Blobs
    office: PublicKey


async def save_key(connection: AsyncConnection, key: ContentKey, to: Sequence[PublicKey]) -> None:
    """Store the record's content key, wrapped once for each recipient."""
    await connection.execute(
        sa.insert(content_keys),
        [
            {"record": key.context.kind, "record_id": key.context.id, "recipient": recipient, "wrap": wrap}
            for recipient, wrap in key.wrap(to).items()
        ],
    )


async def load_key(connection: AsyncConnection, context: Context, key: PrivateKey) -> ContentKey:
    """Open the content key of a record. Raises SealBrokenError where it is not sealed to `key`, or was shredded."""
    wraps = await connection.execute(
        sa.select(content_keys.c.recipient, content_keys.c.wrap).where(
            content_keys.c.record == context.kind,
            content_keys.c.record_id == context.id,
            content_keys.c.recipient == key.public.fingerprint,
        )
    )
    return ContentKey.unwrap({row.recipient: row.wrap for row in wraps}, key, context)


async def shred(connection: AsyncConnection, context: Context) -> None:
    """Delete the wraps of a record: nobody can open its content any more."""
    await connection.execute(
        sa.delete(content_keys).where(content_keys.c.record == context.kind, content_keys.c.record_id == context.id)
    )


async def name_blob(connection: AsyncConnection, context: Context, part: str, blob_id: str) -> None:
    """Note that a stored blob is this part of a record."""
    await connection.execute(sa.insert(blobs).values(id=blob_id, record=context.kind, record_id=context.id, part=part))


async def find_blob(connection: AsyncConnection, context: Context, part: str) -> str:
    """The id of the blob that is this part of a record. Raises BlobMissingError."""
    blob_id: str | None = (
        await connection.execute(
            sa.select(blobs.c.id).where(
                blobs.c.record == context.kind, blobs.c.record_id == context.id, blobs.c.part == part
            )
        )
    ).scalar_one_or_none()
    if blob_id is None:
        raise BlobMissingError(f"this {context.kind} has no {part}")
    return blob_id


async def find_blobs(connection: AsyncConnection, context: Context) -> dict[str, str]:
    """The ids of all blobs of a record by part."""
    rows = await connection.execute(
        sa.select(blobs.c.part, blobs.c.id).where(blobs.c.record == context.kind, blobs.c.record_id == context.id)
    )
    return {row.part: row.id for row in rows}


async def open_part(store: Store, context: Context, part: str, key: PrivateKey) -> bytes:
    """The plain bytes of one blob of a record. Raises SealBrokenError and BlobMissingError."""
    async with store.database.reading() as connection:
        content_key = await load_key(connection, context, key)
        blob_id = await find_blob(connection, context, part)
    return await store.blobs.get_bytes(blob_id, content_key)

"""Inboxes and conversations in the store: where they are made."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.sealing import ContentKey, InboxSecret, token_hash
from relay.store.database import alone, new_id
from relay.store.letters import inbox_context
from relay.store.sealed import Store, save_key
from relay.store.tables import conversations, inboxes


async def conversation_of(connection: AsyncConnection, store: Store, secret: InboxSecret, prisoner_id: str) -> str:
    """The id of the conversation of an inbox with a prisoner; both are made where they are not there yet."""
    await alone(connection, secret.lookup_hash)
    inbox_id: str | None = (
        await connection.execute(sa.select(inboxes.c.id).where(inboxes.c.lookup_hash == secret.lookup_hash))
    ).scalar_one_or_none()
    if inbox_id is None:
        inbox_id = new_id()
        key = ContentKey.new(inbox_context(inbox_id))
        await connection.execute(
            sa.insert(inboxes).values(
                id=inbox_id,
                lookup_hash=secret.lookup_hash,
                public_key=secret.key.public.data,
                secret=key.encrypt(secret.secret),
            )
        )
        await save_key(connection, key, [store.office])
    conversation_id: str | None = (
        await connection.execute(
            sa.select(conversations.c.id).where(
                conversations.c.inbox_id == inbox_id, conversations.c.prisoner_id == prisoner_id
            )
        )
    ).scalar_one_or_none()
    if conversation_id is None:
        conversation_id = new_id()
        await connection.execute(
            sa.insert(conversations).values(
                id=conversation_id,
                inbox_id=inbox_id,
                prisoner_id=prisoner_id,
                answer_hash=token_hash(secret.answer_token(conversation_id)),
            )
        )
    return conversation_id

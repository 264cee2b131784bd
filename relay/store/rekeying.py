"""A new secret for an inbox: what was sealed to the old one is sealed to the new one, and the old one opens nothing."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import Record
from relay.sealing import ContentKey, Context, InboxSecret, PrivateKey, PublicKey, token_hash
from relay.store.database import alone
from relay.store.letters import inbox_context
from relay.store.sealed import Store, load_key, save_key, shred
from relay.store.tables import content_keys, conversations, inboxes, letters, replies
from relay.store.transitions import NotThereError

_TABLES: Final = {Record.LETTER: letters, Record.REPLY: replies}


async def give_new_secret(
    connection: AsyncConnection, store: Store, office: PrivateKey, lookup_hash: str, secret: InboxSecret
) -> None:
    """Give the inbox that is found under this hash a new secret. Raises NotThereError, and SealBrokenError."""
    # Who adds a letter to this inbox waits here; who seals a letter or a reply to its key holds that one's row.
    await alone(connection, lookup_hash)
    inbox = (
        await connection.execute(sa.select(inboxes).where(inboxes.c.lookup_hash == lookup_hash).with_for_update())
    ).one_or_none()
    if inbox is None:
        raise NotThereError("the inbox got another secret, or was erased")
    ours = sa.select(conversations.c.id).where(conversations.c.inbox_id == inbox.id)
    its_letters = sa.select(letters.c.id).where(letters.c.conversation_id.in_(ours))
    its_replies = sa.select(replies.c.id).where(replies.c.letter_id.in_(its_letters))
    for record, its in ((Record.LETTER, its_letters), (Record.REPLY, its_replies)):
        table = _TABLES[record]
        for record_id in (await connection.scalars(its.order_by(table.c.id).with_for_update())).all():
            await _wrap_anew(connection, Context(record, record_id), office, PublicKey(inbox.public_key), secret)
    key = ContentKey.new(inbox_context(inbox.id))
    await shred(connection, key.context)
    await save_key(connection, key, [store.office])
    await connection.execute(
        sa.update(inboxes)
        .where(inboxes.c.id == inbox.id)
        .values(lookup_hash=secret.lookup_hash, public_key=secret.key.public.data, secret=key.encrypt(secret.secret))
    )
    # Addresses in old mails belong to the old link: whoever got hold of it could write in the sender's name.
    for conversation_id in (await connection.scalars(ours)).all():
        answers = token_hash(secret.answer_token(conversation_id))
        its_row = sa.update(conversations).where(conversations.c.id == conversation_id)
        await connection.execute(its_row.values(answer_hash=answers))


async def _wrap_anew(
    connection: AsyncConnection, context: Context, office: PrivateKey, old: PublicKey, secret: InboxSecret
) -> None:
    """Put the new key in the place of the old one among those that open a record. What was destroyed stays so."""
    wrap = (
        content_keys.c.record == context.kind,
        content_keys.c.record_id == context.id,
        content_keys.c.recipient == old.fingerprint,
    )
    if not (await connection.execute(sa.delete(content_keys).where(*wrap))).rowcount:
        return
    key = await load_key(connection, context, office)
    await save_key(connection, key, [secret.key.public])

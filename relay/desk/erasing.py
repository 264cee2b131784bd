"""What a sender is told before a conversation is erased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.lives import BatchState, LetterState, ReplyState
from relay.sealing import InboxSecret
from relay.store.tables import batches, conversations, inboxes, letters, prisoners, replies

GONE_OUT: Final = (LetterState.PRINTED, LetterState.POSTED, LetterState.DELIVERED, LetterState.RETURNED)


class NoSuchConversationError(LookupError):
    """The inbox has no such conversation."""


@dataclass(frozen=True, slots=True)
class ToErase:
    """A conversation, counted."""

    prisoner: str
    letters: int
    on_paper: int
    """Of these; whether they are posted or not."""
    replies: int
    """That are in the inbox."""
    last: bool
    """Whether nothing else is in the inbox."""


async def to_erase(connection: AsyncConnection, secret: InboxSecret, conversation_id: str) -> ToErase:
    """What would be erased with a conversation. Raises NoSuchConversationError."""
    mine = (
        sa.select(conversations.c.id, prisoners.c.name)
        .join(inboxes, inboxes.c.id == conversations.c.inbox_id)
        .join(prisoners, prisoners.c.id == conversations.c.prisoner_id)
        .where(inboxes.c.lookup_hash == secret.lookup_hash)
    )
    names = {row.id: row.name for row in await connection.execute(mine)}
    if conversation_id not in names:
        raise NoSuchConversationError
    # The pages of a batch that was rendered may be on paper without anybody having said so.
    made = sa.exists().where(batches.c.id == letters.c.batch_id, batches.c.state != BatchState.OPEN)
    on_paper = sa.or_(letters.c.state.in_(GONE_OUT), made)
    count = sa.func.count()
    its = letters.c.conversation_id == conversation_id
    counted = (
        await connection.execute(
            sa.select(count.label("letters"), count.filter(on_paper).label("on_paper")).where(
                its, letters.c.state != LetterState.BEGUN
            )
        )
    ).one()
    released = sa.select(count).join(letters, letters.c.id == replies.c.letter_id)
    answers = await connection.scalar(released.where(its, replies.c.state == ReplyState.RELEASED))
    return ToErase(names[conversation_id], counted.letters, counted.on_paper, answers or 0, len(names) == 1)

"""Who must not read or write: volunteers' own letters, people they know, blocked senders.

All are recognised by keyed hashes. That a volunteer wrote a letter or knows its sender stands nowhere in clear.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.letters import LetterBody, mailbox_of
from relay.domain.reasons import ReviewReason
from relay.sealing import PrivateKey
from relay.store.tables import acquaintances, blocks, conversations, decisions, letters, volunteer_addresses, volunteers


def address_tag(office: PrivateKey, address: str) -> str:
    """The keyed hash of a sender's mail address."""
    return office.tag("address", mailbox_of(address))


def own_address_tag(office: PrivateKey, volunteer_id: str, address: str) -> str:
    """The keyed hash of a volunteer's own mail address; it is no other tag, so that it never names a sender."""
    return office.tag("own address", f"{volunteer_id} {mailbox_of(address)}")


async def sender_tags(
    connection: AsyncConnection, office: PrivateKey, body: LetterBody, conversation_id: str
) -> list[str]:
    """The keyed hashes by which a sender is recognised: the inbox, and the address where there is one."""
    query = sa.select(conversations.c.inbox_id).where(conversations.c.id == conversation_id)
    inbox = office.tag("inbox", (await connection.execute(query)).scalar_one())
    return [inbox] if body.address is None else [inbox, address_tag(office, body.address)]


async def blocked_from(
    connection: AsyncConnection, office: PrivateKey, body: LetterBody, conversation_id: str
) -> datetime.datetime | None:
    """From when on the sender of a letter is blocked; None where that is not so.

    It lies ahead as long as the decision that blocked can be undone.
    """
    tags = await sender_tags(connection, office, body, conversation_id)
    rows = await connection.execute(
        sa.select(decisions.c.at, letters.c.settles_at)
        .join(blocks, blocks.c.decision_id == decisions.c.id)
        .join(letters, letters.c.id == decisions.c.letter_id)
        .where(blocks.c.tag.in_(tags))
    )
    return min((row.settles_at or row.at for row in rows), default=None)


async def is_close(
    connection: AsyncConnection, office: PrivateKey, volunteer_id: str, body: LetterBody, conversation_id: str
) -> bool:
    """Whether the volunteer wrote a letter, from an address registered as an own one, or knows its people."""
    people = await acquaintance_tags(connection, office, volunteer_id, body, conversation_id)
    known = sa.exists().where(acquaintances.c.tag.in_(people))
    own_tag = "" if body.address is None else own_address_tag(office, volunteer_id, body.address)
    own = sa.exists().where(volunteer_addresses.c.volunteer_id == volunteer_id, volunteer_addresses.c.tag == own_tag)
    close: bool = (await connection.execute(sa.select(sa.or_(known, own)))).scalar_one()
    return close


async def acquaintance_tags(
    connection: AsyncConnection, office: PrivateKey, volunteer_id: str, body: LetterBody, conversation_id: str
) -> list[str]:
    """The keyed hashes of a volunteer who knows the people of a conversation.

    Each new letter has an inbox of its own, and so a conversation: two people are recognised by the address too.
    """
    query = sa.select(conversations.c.prisoner_id).where(conversations.c.id == conversation_id)
    prisoner_id = (await connection.execute(query)).scalar_one()
    two = [conversation_id] if body.address is None else [conversation_id, f"{prisoner_id} {mailbox_of(body.address)}"]
    return [office.tag("acquaintance", f"{volunteer_id} {one}") for one in two]


async def block(
    connection: AsyncConnection, office: PrivateKey, body: LetterBody, conversation_id: str, decision_id: str
) -> None:
    """Block the sender of a letter, with the decision about that letter."""
    tags = await sender_tags(connection, office, body, conversation_id)
    await connection.execute(sa.insert(blocks), [{"tag": tag, "decision_id": decision_id} for tag in tags])


async def unblock(connection: AsyncConnection, decision_id: str) -> None:
    """Lift the blocks that were made with a decision."""
    await connection.execute(sa.delete(blocks).where(blocks.c.decision_id == decision_id))


@dataclass(frozen=True, slots=True)
class Block:
    """A sender who was blocked with a decision about a letter. It does not say who that is."""

    decision_id: str
    at: datetime.datetime
    by: str
    """The volunteer's login."""
    reason: ReviewReason


async def all_blocks(connection: AsyncConnection) -> list[Block]:
    """All blocked senders, the newest first."""
    rows = await connection.execute(
        sa.select(decisions.c.id, decisions.c.at, volunteers.c.login, decisions.c.reason)
        .join(volunteers, volunteers.c.id == decisions.c.volunteer_id)
        .where(decisions.c.id.in_(sa.select(blocks.c.decision_id)))
        .order_by(decisions.c.at.desc(), decisions.c.id)
    )
    return [Block(row.id, row.at, row.login, ReviewReason(row.reason)) for row in rows]

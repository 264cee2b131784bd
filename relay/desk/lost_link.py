"""What a sender does who has lost the link: ask for a new one, and say so once more in the mail that comes."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.desk.steps import TooManyThisHourError
from relay.mail.lost_links import OFFERED_FOR, LinkState, request_context
from relay.sealing import ContentKey, token_hash
from relay.store.database import new_id
from relay.store.hourly import count
from relay.store.sealed import Store, save_key
from relay.store.tables import link_requests

LOST_LINKS: Final = "lost_links"
PER_HOUR: Final = 60
"""Requests of all senders together: nothing else keeps machines from filling the table."""


class NoSuchOfferError(LookupError):
    """The button of this mail was never there, is too old, or the new link is sent already."""


async def ask(store: Store, address: str) -> None:
    """Keep the wish for a new link, sealed to the office; nobody here can tell whether the address is known.

    Raises TooManyThisHourError.
    """
    now, request_id = store.database.clock(), new_id()
    key = ContentKey.new(request_context(request_id))
    async with store.database.writing() as connection:
        if await count(connection, LOST_LINKS, now) > PER_HOUR:
            raise TooManyThisHourError
        await connection.execute(
            sa.insert(link_requests).values(
                id=request_id, state=LinkState.ASKED, created_at=now, address=key.encrypt(address.encode())
            )
        )
        await save_key(connection, key, [store.office])


async def offer(connection: AsyncConnection, store: Store, token: str) -> LinkState:
    """Where the offer of a mail is. Raises NoSuchOfferError."""
    oldest = store.database.clock() - OFFERED_FOR
    its = (link_requests.c.token_hash == token_hash(token), link_requests.c.created_at > oldest)
    state = await connection.scalar(sa.select(link_requests.c.state).where(*its))
    if state is None:
        raise NoSuchOfferError
    return LinkState(state)


async def accept(store: Store, token: str) -> None:
    """Let the office replace the link. Does nothing where that is on its way. Raises NoSuchOfferError."""
    its = (link_requests.c.token_hash == token_hash(token), link_requests.c.state == LinkState.OFFERED)
    async with store.database.writing() as connection:
        await offer(connection, store, token)
        await connection.execute(sa.update(link_requests).where(*its).values(state=LinkState.CONFIRMED))

"""Lost links: who asks for one by mail address is offered a new one there, and the old one dies.

The desk seals the address to the office and cannot look anything up; the rest is done by the worker.
"""

from __future__ import annotations

import datetime
import secrets
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.claim_phrase import new_claim_phrase
from relay.domain.lives import MailKind
from relay.mail.compose import Own
from relay.mail.outbox import add_own_mail
from relay.mail.suppression import address_tag
from relay.sealing import Context, InboxSecret, PrivateKey, SealBrokenError, token_hash
from relay.store import leases
from relay.store.database import alone, new_id
from relay.store.letters import read_body, was_confirmed
from relay.store.rekeying import give_new_secret
from relay.store.sealed import Store, load_key, shred
from relay.store.tables import conversations, inboxes, letters, link_requests
from relay.store.work import work_on_next

OFFERED_FOR: Final = datetime.timedelta(days=2)
"""How long the button in the mail can be pressed."""
OFFERED_AGAIN: Final = datetime.timedelta(days=1)
"""How long an inbox is not offered again: whoever asks in another one's name cannot fill that one's mailbox."""
AT_ONCE: Final = 10
"""Inboxes of one address to which links are offered with one request; those behind them with the next."""


class LinkState(StrEnum):
    """Where a request is. It is deleted when the new link is sent."""

    ASKED = "asked"
    OFFERED = "offered"
    CONFIRMED = "confirmed"


def request_context(request_id: str) -> Context:
    """What the address of a request is sealed under."""
    return Context("link_request", request_id)


async def offer_next(store: Store, owner: str, office: PrivateKey) -> bool:
    """Offer new links to who asked first. False where nobody did."""

    async def offer(request_id: str) -> None:
        await _offer(store, owner, office, request_id)

    asked = link_requests.c.state == LinkState.ASKED
    return await work_on_next(store.database, link_requests, asked, owner=owner, do=offer)


async def _offer(store: Store, owner: str, office: PrivateKey, request_id: str) -> None:
    now = store.database.clock()
    async with store.database.reading() as connection:
        sealed = sa.select(link_requests.c.address).where(link_requests.c.id == request_id)
        key = await load_key(connection, request_context(request_id), office)
        tag = address_tag(office, key.decrypt((await connection.execute(sealed)).scalar_one()).decode())
    async with store.database.writing() as connection:
        await leases.check(connection, link_requests, request_id, owner, now)
        await alone(connection, tag)
        lately = sa.exists().where(
            link_requests.c.inbox_id == inboxes.c.id, link_requests.c.created_at > now - OFFERED_AGAIN
        )
        its = sa.select(inboxes.c.id).where(inboxes.c.address_tag == tag, ~lately).order_by(inboxes.c.id)
        for inbox_id in (await connection.scalars(its.limit(AT_ONCE))).all():
            letter = await _written_from(connection, office, inbox_id)
            if letter is None:
                continue
            token = secrets.token_urlsafe(24)
            await connection.execute(
                sa.insert(link_requests).values(
                    id=new_id(),
                    state=LinkState.OFFERED,
                    created_at=now,
                    inbox_id=inbox_id,
                    token_hash=token_hash(token),
                )
            )
            await add_own_mail(connection, store, MailKind.LINK_OFFER, letter.id, Own(token=token), now)
        await shred(connection, request_context(request_id))
        await connection.execute(sa.delete(link_requests).where(link_requests.c.id == request_id))
    await store.database.forget()


async def _written_from(
    connection: AsyncConnection, office: PrivateKey, inbox_id: str
) -> sa.Row[*tuple[Any, ...]] | None:
    """Id and language of the newest confirmed letter of an inbox whose address is still known."""
    rows = await connection.execute(
        sa.select(letters.c.id, letters.c.language)
        .join(conversations, conversations.c.id == letters.c.conversation_id)
        .where(conversations.c.inbox_id == inbox_id, was_confirmed())
        .order_by(letters.c.created_at.desc(), letters.c.id)
    )
    for row in rows.all():
        try:
            body = await read_body(connection, row.id, office)
        except (SealBrokenError, ValueError):
            continue
        if body.address is not None:
            return row
    return None


async def replace_next(store: Store, owner: str, office: PrivateKey) -> bool:
    """Give the inbox of the oldest confirmed request a new link. False where there is none."""

    async def replace(request_id: str) -> None:
        await _replace(store, owner, office, request_id)

    confirmed = link_requests.c.state == LinkState.CONFIRMED
    return await work_on_next(store.database, link_requests, confirmed, owner=owner, do=replace)


async def _replace(store: Store, owner: str, office: PrivateKey, request_id: str) -> None:
    now = store.database.clock()
    its = sa.select(inboxes.c.id, inboxes.c.lookup_hash).join(link_requests, link_requests.c.inbox_id == inboxes.c.id)
    async with store.database.writing() as connection:
        inbox = (await connection.execute(its.where(link_requests.c.id == request_id))).one()
        # Before the request, as who erases the inbox does.
        await alone(connection, inbox.lookup_hash)
        await leases.check(connection, link_requests, request_id, owner, now)
        letter = await _written_from(connection, office, inbox.id)
        if letter is not None:  # otherwise the new link could reach nobody, and the old one stays
            phrase = new_claim_phrase(letter.language)
            await give_new_secret(connection, store, office, inbox.lookup_hash, InboxSecret.from_phrase(phrase))
            await add_own_mail(connection, store, MailKind.LINK, letter.id, Own(words=phrase), now)
        await connection.execute(sa.delete(link_requests).where(link_requests.c.inbox_id == inbox.id))
    await store.database.forget()

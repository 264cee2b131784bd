"""Many mails at once: real ones in the outbox, about real letters, but put into the tables by the thousand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from relay.domain.letters import LetterBody
from relay.domain.lives import LetterState, MailKind, MailState
from relay.sealing import ContentKey, InboxSecret
from relay.store import tables
from relay.store.database import new_id
from relay.store.letters import inbox_context, letter_context
from relay.store.sealed import Store
from tests.store.rows import add_row

AT_ONCE: Final = 500
"""Mails in one statement."""
PUBLIC_KEY: Final = b"not looked at"


async def add_mails(store: Store, addresses: Sequence[str]) -> list[str]:
    """Mails that tell that a letter is queued, the first to the first address, all due now. Returns their ids."""
    made: list[str] = []
    async with store.database.writing() as connection:
        facility = await add_row(
            connection, tables.facilities, slug=new_id(), name="Example", country="GB", address="Nowhere 1"
        )
        person = {"slug": new_id(), "name": "John Example", "language": "en", "state": "active"}
        prisoner = await add_row(connection, tables.prisoners, facility_id=facility, **person)
        for begin in range(0, len(addresses), AT_ONCE):
            rows = [_rows(store, prisoner, address) for address in addresses[begin : begin + AT_ONCE]]
            for name in rows[0]:
                each = [values for one in rows for values in one[name]]
                await connection.execute(sa.insert(tables.metadata.tables[name]), each)
            made += [one["outbox"][0]["id"] for one in rows]
        await connection.execute(sa.text("ANALYZE"))  # as a server does by itself within a minute
    return made


def _rows(store: Store, prisoner: str, address: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one letter and its mail, by table."""
    inbox, conversation, letter, now = new_id(), new_id(), new_id(), store.database.clock()
    inbox_key, letter_key = ContentKey.new(inbox_context(inbox)), ContentKey.new(letter_context(letter))
    body = LetterBody(text="Dear friend", printed_name="Mary", address=address)
    secret = InboxSecret(os.urandom(32))
    wraps = [
        {"record": key.context.kind, "record_id": key.context.id, "recipient": recipient, "wrap": wrap}
        for key in (inbox_key, letter_key)
        for recipient, wrap in key.wrap([store.office]).items()
    ]
    return {
        "inboxes": [
            {
                "id": inbox,
                "lookup_hash": secret.lookup_hash,
                "public_key": PUBLIC_KEY,
                "secret": inbox_key.encrypt(secret.secret),
            }
        ],
        "conversations": [{"id": conversation, "inbox_id": inbox, "prisoner_id": prisoner}],
        "letters": [
            {
                "id": letter,
                "conversation_id": conversation,
                "prisoner_id": prisoner,
                "state": LetterState.QUEUED,
                "state_since": now,
                "created_at": now,
                "language": "en",
                "wants": "full",
                "body": letter_key.encrypt(body.model_dump_json().encode()),
                "submission_hash": letter,
            }
        ],
        "content_keys": wraps,
        "outbox": [
            {
                "id": new_id(),
                "kind": MailKind.QUEUED,
                "letter_id": letter,
                "message_id": new_id(),
                "state": MailState.WAITING,
                "state_since": now,
                "created_at": now,
            }
        ],
    }

"""Many letters at once: real ones, sealed as they are, but put into the tables by the thousand."""

from __future__ import annotations

import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.domain.events import FIRST, Event
from relay.domain.letters import LetterBody
from relay.domain.lives import SENDER, LetterState, Record
from relay.domain.reply_code import new_reply_code
from relay.sealing import ContentKey, PublicKey
from relay.store import tables
from relay.store.database import new_id
from relay.store.letters import letter_context
from relay.store.sealed import Store
from tests.store.rows import add_row

AT_ONCE: Final = 1000
"""Letters in one statement."""
TEXT: Final = "Dear friend,\n\nthe snow came early this year.\n" * 10


async def add_volunteers(store: Store, count: int) -> list[str]:
    """Volunteers who can decide; their ids."""
    async with store.database.writing() as connection:
        return [await add_row(connection, tables.volunteers, login=f"volunteer-{number}") for number in range(count)]


async def add_letters(store: Store, count: int, text: str = TEXT) -> list[str]:
    """Queued letters of one conversation, each due a second after the one before. Returns their ids in this order."""
    made: list[str] = []
    async with store.database.writing() as connection:
        conversation = await _conversation(connection)
        while len(made) < count:
            rows = [
                _rows(store.office, conversation, store.database.clock(), number, text)
                for number in range(len(made), min(len(made) + AT_ONCE, count))
            ]
            for name in rows[0]:
                each = [values for one in rows for values in one[name]]
                await connection.execute(sa.insert(tables.metadata.tables[name]), each)
            made += [one["letters"][0]["id"] for one in rows]
        await connection.execute(sa.text("ANALYZE"))  # as a server does by itself within a minute
    return made


async def _conversation(connection: AsyncConnection) -> dict[str, str]:
    facility = await add_row(connection, tables.facilities, slug="example-prison", country="GB", address="Nowhere 1")
    person = {"slug": "john-example", "name": "John Example", "language": "en", "state": "active"}
    prisoner = await add_row(connection, tables.prisoners, facility_id=facility, **person)
    conversation = await add_row(connection, tables.conversations, prisoner_id=prisoner)
    return {"conversation_id": conversation, "prisoner_id": prisoner}


def _rows(
    office: PublicKey, conversation: dict[str, str], now: datetime.datetime, number: int, text: str
) -> dict[str, list[dict[str, Any]]]:
    """The rows of one letter by table."""
    letter_id, code = new_id(), new_reply_code()
    key = ContentKey.new(letter_context(letter_id))
    body = LetterBody(text=text, printed_name="Mary", address=f"mary-{number}@sender.example")
    ((recipient, wrap),) = key.wrap([office]).items()
    events: list[dict[str, Any]] = []
    before, last = None, FIRST
    for state in (LetterState.UNCONFIRMED, LetterState.QUEUED):
        event = Event(Record.LETTER, letter_id, len(events) + 1, now, str(SENDER), before, state, None)
        last = event.hash(last)
        fields = {name: getattr(event, name) for name in Event.__slots__}
        events.append(fields | {"hash": last})
        before = state
    letter = {
        "id": letter_id,
        **conversation,
        "state": LetterState.QUEUED,
        "state_since": now,
        "created_at": now,
        "language": "en",
        "wants": "full",
        "body": key.encrypt(body.model_dump_json().encode()),
        "submission_hash": letter_id,
        "due_at": now + datetime.timedelta(seconds=number),
    }
    return {
        "letters": [letter],
        "content_keys": [{"record": Record.LETTER, "record_id": letter_id, "recipient": recipient, "wrap": wrap}],
        "reply_orders": [{"code": code, "sheets": 1}],
        "reply_order_letters": [{"code": code, "letter_id": letter_id}],
        "events": events,
    }

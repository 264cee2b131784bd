"""What a round has left behind, so that two rounds can be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import pypdfium2
import sqlalchemy as sa

from relay.demo.mailbox import caught
from relay.demo.setting import MAILS
from relay.store import audit, tables
from relay.store.database import Database
from relay.store.transitions import TABLES

LEASED = (tables.letters, tables.batches, tables.scans, tables.replies, tables.outbox)


@dataclass(frozen=True)
class Outcome:
    """What a round has left, without ids, times and the numbers of attempts."""

    states: dict[str, list[str]]
    """The states of all records of each kind."""
    history: list[tuple[str, int, str, str]]
    """Record, number, kind of actor and new state of all events."""
    faults: list[str]
    """What `relay audit verify` finds."""
    mails: dict[str, int]
    """Different Message-IDs among the mails that arrived, by kind."""
    unsent: int
    leases: int
    parts: dict[str, int]
    """Named blobs whose file is there."""
    reply_pages: int
    mailed_pdf_is_that_of_the_inbox: bool


UNDISTURBED = Outcome(
    states={
        "letter": ["delivered"],
        "batch": ["posted"],
        "scan": ["split"],
        "page": ["placed"],
        "reply": ["released"],
    },
    history=[
        ("batch", 1, "volunteer", "open"),
        ("batch", 2, "worker", "rendered"),
        ("batch", 3, "volunteer", "printed"),
        ("batch", 4, "volunteer", "posted"),
        ("letter", 1, "sender", "unconfirmed"),
        ("letter", 2, "sender", "queued"),
        ("letter", 3, "volunteer", "approved"),
        ("letter", 4, "volunteer", "printed"),
        ("letter", 5, "volunteer", "posted"),
        ("letter", 6, "worker", "delivered"),
        ("page", 1, "worker", "waiting"),
        ("page", 2, "worker", "placed"),
        ("reply", 1, "worker", "open"),
        ("reply", 2, "worker", "held"),
        ("reply", 3, "volunteer", "checked"),
        ("reply", 4, "worker", "released"),
        ("scan", 1, "volunteer", "received"),
        ("scan", 2, "worker", "split"),
    ],
    faults=[],
    mails={"confirm": 1, "queued": 1, "posted": 1, "reply": 1},
    unsent=0,
    leases=0,
    parts={
        "batch.pdf": 1,
        "original": 1,
        "page-1.jpg": 1,
        "page-1.untouched.jpg": 1,
        "reply.pdf": 1,
        "1.jpg": 1,
        "1.untouched.jpg": 1,
    },
    reply_pages=2,  # the side that was scanned, and a note that the other one is missing
    mailed_pdf_is_that_of_the_inbox=True,
)


async def outcome(folder: Path) -> Outcome:
    """What stands in the folder of a round."""
    database = Database(f"sqlite+aiosqlite:///{folder}/relay/relay.db")
    async with database.reading() as connection:
        states = {
            str(record): list((await connection.execute(sa.select(table.c.state))).scalars())
            for record, table in TABLES.items()
        }
        events = tables.events.c
        history = await connection.execute(
            sa.select(events.record, events.number, events.actor, events.target).order_by(events.record, events.number)
        )
        outbox = (await connection.execute(sa.select(tables.outbox))).all()
        leases = [
            row.id
            for table in LEASED
            for row in await connection.execute(sa.select(table.c.id).where(table.c.lease_owner.is_not(None)))
        ]
        blobs = (await connection.execute(sa.select(tables.blobs))).all()
        faults = (await audit.verify(connection)).faults
    await database.close()
    kinds = {f"<{row.message_id}@demo.example>": row.kind for row in outbox}
    message_ids = {mail["Message-ID"] for mail in caught(folder / "relay" / MAILS).values()}
    files = {path.name for path in (folder / "relay/blobs").rglob("*")}
    reply_pdf = (folder / "reply.pdf").read_bytes()
    [mailed] = message_from_bytes((folder / "reply.eml").read_bytes(), policy=policy.default).iter_attachments()
    with pypdfium2.PdfDocument(reply_pdf) as document:
        reply_pages = len(document)
    return Outcome(
        states=states,
        history=[(row.record, row.number, row.actor.partition(":")[0], row.target) for row in history],
        faults=faults,
        mails=dict(Counter(kinds.get(message_id, "unknown") for message_id in message_ids)),
        unsent=sum(row.state in {"waiting", "gave_up"} for row in outbox),
        leases=len(leases),
        parts=dict(Counter(row.part for row in blobs if row.id in files)),
        reply_pages=reply_pages,
        mailed_pdf_is_that_of_the_inbox=mailed.get_content() == reply_pdf,
    )

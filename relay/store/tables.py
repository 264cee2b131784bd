"""The tables. What a letter, a sender or a reply says stands only in sealed columns and blobs."""

from __future__ import annotations

import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID: Final = String(32)
"""128 random bits in hexadecimal."""
HASH: Final = String(64)
"""SHA-256 in hexadecimal."""
CODE: Final = String(12)


class Moment(sa.TypeDecorator[datetime.datetime]):
    """A point in time: aware UTC in Python, on both engines."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Refuse naive times; SQLite keeps no zone, so it gets UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without its zone")
        value = value.astimezone(datetime.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime.datetime | None, dialect: sa.Dialect) -> datetime.datetime | None:
        """Give the zone back."""
        return value.replace(tzinfo=datetime.UTC) if value is not None and dialect.name == "sqlite" else value


def _leased() -> tuple[Column[Any], ...]:
    """The columns of a row that is work: see `relay.store.leases`."""
    return (
        Column("lease_owner", String(64)),
        Column("lease_until", Moment),
        Column("lease_ends", Moment),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("next_try_at", Moment),
        Column("last_error", Text),
        Column("set_aside_at", Moment),
    )


facilities = Table(
    "facilities",
    metadata,
    Column("id", ID, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("country", String(2), nullable=False),
    Column("address", Text, nullable=False),
    Column("street", Text, nullable=False, server_default=sa.text("''")),
    Column("town", Text, nullable=False, server_default=sa.text("''")),
    Column("region", Text, nullable=False, server_default=sa.text("''")),
    Column("postcode", Text, nullable=False, server_default=sa.text("''")),
    Column("return_address", Text, nullable=False, server_default=sa.text("''")),
    Column("review_days", Integer, nullable=False, server_default="3"),
)

prisoners = Table(
    "prisoners",
    metadata,
    Column("id", ID, primary_key=True),
    Column("slug", String(80), nullable=False, unique=True),
    Column("facility_id", ID, ForeignKey("facilities.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("birth_year", Integer),
    Column("language", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("layout", String(8), nullable=False, server_default="normal"),
    Column("name_on_envelope", Text, nullable=False, server_default=sa.text("''")),
    Column("tell_correspondents", sa.Boolean, nullable=False, server_default=sa.false()),  # in the next envelope
)

volunteers = Table(
    "volunteers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("login", String(40), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", HASH, primary_key=True),
    Column("volunteer_id", ID, ForeignKey("volunteers.id"), nullable=False),
    Column("expires_at", Moment, nullable=False),
)

inboxes = Table(
    "inboxes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("lookup_hash", HASH, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # sealed to the office, which composes mails with the link
    Column("address_tag", HASH, index=True),  # keyed hash of the sender's address, see PrivateKey.tag; "" for none
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("inbox_id", ID, ForeignKey("inboxes.id"), nullable=False),
    Column("prisoner_id", ID, ForeignKey("prisoners.id"), nullable=False),
    Column("answer_hash", HASH, index=True, unique=True),  # of the token in the address to which senders answer
    UniqueConstraint("inbox_id", "prisoner_id"),
)

link_requests = Table(
    "link_requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("state", String(16), nullable=False),  # asked, offered, confirmed
    Column("created_at", Moment, nullable=False),
    Column("address", LargeBinary),  # of who asked; sealed to the office
    Column("inbox_id", ID, ForeignKey("inboxes.id"), index=True),  # once the office has found it
    Column("token_hash", HASH, unique=True),  # of the button in the mail
    *_leased(),
    Index("ix_link_requests_queue", "state", "created_at"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("tag", HASH, primary_key=True),  # keyed hash of an address to which no more mails go
    Column("since", Moment, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("status", String(16)),  # enhanced status code (RFC 3463), where the bounce named one
)

batches = Table(
    "batches",
    metadata,
    Column("id", ID, primary_key=True),
    Column("facility_id", ID, ForeignKey("facilities.id"), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("copy", sa.Boolean, nullable=False, server_default=sa.false()),  # of `reprints`, not of its own letters
    Column("checkpoint", HASH),  # the head of the journal when it was made, as its manifest says
    Column("progress", Integer, nullable=False, server_default="0"),  # letters rendered so far
    *_leased(),
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("batch_id", ID, ForeignKey("batches.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("prisoner_id", ID, ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("sheets", Integer, nullable=False),
    Column("grams", sa.Float, nullable=False),
    Column("postage", sa.Float),  # up to how many grams its class goes; none takes it where this is empty
    Column("tracking", String(40)),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("batch_id", "number"),
)

print_jobs = Table(
    "print_jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("batch_id", ID, ForeignKey("batches.id"), nullable=False, index=True),
    Column("printer", String(80), nullable=False),
    Column("printer_job", Integer),  # the printer's own number
    Column("state", String(16), nullable=False),
    Column("detail", Text),
    Column("pages_done", Integer, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("state_since", Moment, nullable=False),
    *_leased(),
    Index("ix_print_jobs_queue", "state", "created_at"),
)

SILENT: Final = sa.text("state = 'delivered' AND outcome IS NULL")
"""Letters of which the facility said nothing. As a text: an index for some rows only is not found by parameters."""

HELD: Final = sa.text("lease_owner IS NOT NULL")
"""Letters that somebody holds. With all others in it, SQLite would think the index worthless once it has counted."""

ON_THE_WAY: Final = sa.text("state IN ('translating', 'queued', 'second_reading', 'approved', 'printed', 'posted')")
"""Letters that can be late."""
ASKED_AGAIN: Final = sa.text("asked_again_at IS NOT NULL")

KEPT: Final = sa.text("destroyed_at IS NULL")
"""What still has its content, or has not been looked at by the retention."""

DESTROYED: Final = sa.text("destroyed_at IS NOT NULL")

ADDRESSED: Final = sa.text("destroyed_at IS NOT NULL AND length(body) > 0")
"""Letters of which only the sender's address is left, for the answers that may come."""

letters = Table(
    "letters",
    metadata,
    Column("id", ID, primary_key=True),
    Column("conversation_id", ID, ForeignKey("conversations.id"), nullable=False, index=True),
    Column("prisoner_id", ID, ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("batch_id", ID, ForeignKey("batches.id"), index=True),
    Column("state", String(20), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("language", String(2), nullable=False),
    Column("wants", String(8), nullable=False),
    Column("body", LargeBinary, nullable=False),  # sealed to office and inbox
    Column("submission_hash", HASH, nullable=False, unique=True),
    Column("confirmation_hash", HASH, unique=True),
    Column("reason", String(32)),
    Column("due_at", Moment),  # when it should be read; the order of the review
    Column("settles_at", Moment),  # until then the review's decision can be undone
    Column("translate_from", String(3)),  # its language, where the facility does not take it
    Column("treatment", LargeBinary),  # what the review did to it; sealed like the body
    Column("outcome", String(16)),
    Column("card", sa.Boolean, nullable=False, server_default=sa.false()),  # may stand on one sheet with others
    Column("sheets", Integer),  # of paper, once it is approved
    Column("asked_again_at", Moment),  # the sender wants it sent again, and nobody has done so yet
    Column("overdue_told_at", Moment),  # the sender was told that it is overdue
    Column("destroyed_at", Moment),  # its content; the row stays
    *_leased(),
    Index("ix_letters_queue", "state", "due_at"),
    Index("ix_letters_holder", "lease_owner", sqlite_where=HELD, postgresql_where=HELD),
    Index("ix_letters_silent", "state", "state_since", sqlite_where=SILENT, postgresql_where=SILENT),
    Index("ix_letters_kept", "state_since", sqlite_where=KEPT, postgresql_where=KEPT),
    Index("ix_letters_destroyed", "destroyed_at", sqlite_where=DESTROYED, postgresql_where=DESTROYED),
    Index("ix_letters_addressed", "state_since", sqlite_where=ADDRESSED, postgresql_where=ADDRESSED),
    Index("ix_letters_on_the_way", "state", "state_since", sqlite_where=ON_THE_WAY, postgresql_where=ON_THE_WAY),
    Index("ix_letters_asked_again", "asked_again_at", sqlite_where=ASKED_AGAIN, postgresql_where=ASKED_AGAIN),
)

enclosures = Table(
    "enclosures",
    metadata,
    Column("envelope_id", ID, ForeignKey("envelopes.id"), primary_key=True),
    Column("letter_id", ID, ForeignKey("letters.id"), primary_key=True, index=True),
)

reprints = Table(
    "reprints",
    metadata,
    Column("batch_id", ID, ForeignKey("batches.id"), primary_key=True),
    Column("letter_id", ID, ForeignKey("letters.id"), primary_key=True, index=True),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("letter_id", ID, ForeignKey("letters.id"), nullable=False),
    Column("volunteer_id", ID, ForeignKey("volunteers.id")),  # nobody where the relay itself refused
    Column("at", Moment, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("source", String(20)),
    Column("target", String(20)),
    Column("reason", String(32)),
    Column("note", LargeBinary),  # to the sender; sealed under the letter's key
    Column("treatment_before", LargeBinary),  # where it changed that: what an undo brings back
    Column("seconds", Integer),  # how long the volunteer had the letter
    Column("void_at", Moment),  # undone, or about a text that the sender has changed since
    Index("ix_decisions_letter", "letter_id", "volunteer_id"),
    Index("ix_decisions_evening", "volunteer_id", "at"),
)

volunteer_languages = Table(
    "volunteer_languages",
    metadata,
    Column("volunteer_id", ID, ForeignKey("volunteers.id"), primary_key=True),
    Column("language", String(3), primary_key=True),
)

volunteer_addresses = Table(
    "volunteer_addresses",
    metadata,
    Column("volunteer_id", ID, ForeignKey("volunteers.id"), primary_key=True),
    Column("tag", HASH, primary_key=True),  # keyed hash: see PrivateKey.tag
)

acquaintances = Table(
    "acquaintances",
    metadata,
    Column("tag", HASH, primary_key=True),  # keyed hash of a volunteer and a conversation
)

blocks = Table(
    "blocks",
    metadata,
    Column("tag", HASH, primary_key=True),  # keyed hash of an address or an inbox
    Column("decision_id", ID, ForeignKey("decisions.id"), primary_key=True, index=True),
)

rule_counts = Table(
    "rule_counts",
    metadata,
    Column("facility_id", ID, ForeignKey("facilities.id"), primary_key=True),
    Column("rule", String(64), primary_key=True),
    Column("verdict", String(16), primary_key=True),
    Column("count", Integer, nullable=False),
)

reply_orders = Table(
    "reply_orders",
    metadata,
    Column("code", CODE, primary_key=True),
    Column("sheets", Integer, nullable=False),
)

reply_order_letters = Table(
    "reply_order_letters",
    metadata,
    Column("code", CODE, ForeignKey("reply_orders.code"), primary_key=True),
    Column("letter_id", ID, ForeignKey("letters.id"), primary_key=True, index=True),
)

scans = Table(
    "scans",
    metadata,
    Column("id", ID, primary_key=True),
    Column("sha256", HASH, nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("name", LargeBinary, nullable=False),  # sealed: file names may name people
    Column("reason", Text),
    Column("source", String(16), nullable=False, server_default="upload"),
    Column("facility_id", ID),  # from which all its pages are, where somebody said so
    Column("page_count", Integer),  # of its pages, once that is known
    Column("came_in", ID, index=True),  # the mail, itself a scan, in which it came
    Column("destroyed_at", Moment),  # the file and its pages; the rows stay
    *_leased(),
    Index("ix_scans_queue", "state", "created_at"),
    Index("ix_scans_kept", "state_since", sqlite_where=KEPT, postgresql_where=KEPT),
    Index("ix_scans_destroyed", "destroyed_at", sqlite_where=DESTROYED, postgresql_where=DESTROYED),
)

STALE: Final = sa.text("stale")

replies = Table(
    "replies",
    metadata,
    Column("id", ID, primary_key=True),
    Column("letter_id", ID, ForeignKey("letters.id"), nullable=False, index=True),
    Column("scan_id", ID, ForeignKey("scans.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("transcript", LargeBinary),  # sealed to office and inbox
    Column("pages_of", ID, index=True),  # the reply that holds its pages: an answer to a card is for all on it
    Column("reason", String(32)),  # why it is looked at before it is released
    Column("stale", sa.Boolean, nullable=False, server_default=sa.false()),  # corrected since it was released
    Column("complete", sa.Boolean, nullable=False, server_default=sa.false()),  # somebody says that no page is missing
    Column(
        "forwarded", sa.Boolean, nullable=False, server_default=sa.false()
    ),  # the prisoner wants this sender to have it
    Column("destroyed_at", Moment),  # its content; the row stays
    *_leased(),
    Index("ix_replies_queue", "state", "created_at"),
    Index("ix_replies_kept", "state_since", sqlite_where=KEPT, postgresql_where=KEPT),
    Index("ix_replies_destroyed", "destroyed_at", sqlite_where=DESTROYED, postgresql_where=DESTROYED),
    Index("ix_replies_stale", "stale", sqlite_where=STALE, postgresql_where=STALE),
)

ON_HEAP: Final = sa.text("state IN ('unmatched', 'held')")
"""Pages that wait for a person. There is no index over the states of all pages: nearly all are placed, and SQLite would
take it for that, where the one over scans, replies or codes finds the few that are meant."""

pages = Table(
    "pages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("scan_id", ID, ForeignKey("scans.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("code", CODE),
    Column("sheet", Integer),
    Column("side", String(1)),
    Column("method", String(20)),
    Column("doubt", String(32)),
    Column("reply_id", ID, ForeignKey("replies.id"), index=True),
    Column("reading", LargeBinary),  # words and their places, and how its code was read; sealed to the office
    Column("covered", LargeBinary),  # what the sender must not see of it; sealed like the reading
    Column("by_hand", sa.Boolean, nullable=False, server_default=sa.false()),  # a volunteer placed it
    UniqueConstraint("scan_id", "number"),
    Index("ix_pages_code", "code", "sheet", "side"),
    Index("ix_pages_heap", "state_since", "number", "id", sqlite_where=ON_HEAP, postgresql_where=ON_HEAP),
)

UNSETTLED: Final = sa.text("settled_at IS NULL")

ticks = Table(
    "ticks",
    metadata,
    Column("page_id", ID, ForeignKey("pages.id"), primary_key=True),
    Column("tick", String(16), primary_key=True),
    Column("clear", sa.Boolean, nullable=False),  # otherwise a person has to say whether it is ticked
    Column("stopped", sa.Boolean, nullable=False, default=False),  # letters to the prisoner are held because of it
    Column("created_at", Moment, nullable=False),
    Column("settled_at", Moment),
    Column("settled_by", ID, ForeignKey("volunteers.id")),
    Index("ix_ticks_unsettled", "created_at", sqlite_where=UNSETTLED, postgresql_where=UNSETTLED),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", ID, primary_key=True),
    Column("page_id", ID, ForeignKey("pages.id"), nullable=False, index=True),
    Column("volunteer_id", ID, ForeignKey("volunteers.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("before", LargeBinary, nullable=False),  # the reading up to then, sealed like it
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("record", String(16), nullable=False),
    Column("record_id", ID, nullable=False),
    Column("part", String(32), nullable=False),
    UniqueConstraint("record", "record_id", "part"),
)

content_keys = Table(
    "content_keys",
    metadata,
    Column("record", String(16), primary_key=True),
    Column("record_id", ID, primary_key=True),
    Column("recipient", ID, primary_key=True),
    Column("wrap", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("letter_id", ID, ForeignKey("letters.id"), nullable=False, index=True),
    Column("reply_id", ID, ForeignKey("replies.id"), index=True),
    Column("message_id", String(80), nullable=False, unique=True),
    Column("decision_id", ID, ForeignKey("decisions.id"), index=True),
    Column("body", LargeBinary),  # what only this mail says; sealed to who sends it, erased once sent
    Column("bounce", String(40)),  # what came back: its class, and its status where it named one
    Column("state", String(8), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    *_leased(),
    Index("ix_outbox_queue", "state", "created_at"),
)

incoming = Table(
    "incoming",
    metadata,
    Column("id", ID, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("source", String(8), nullable=False),
    Column("fetched", String(200), unique=True),  # account, UIDVALIDITY and UID, where it came by IMAP
    Column("conversation_id", ID, index=True),  # to which it was addressed
    Column("mail_id", ID, index=True),  # the mail of the outbox that it is about
    Column("letter_id", ID),  # what became of it
    Column("reason", String(32)),
    Column("destroyed_at", Moment),  # its content; the row stays
    *_leased(),
    Index("ix_incoming_queue", "state", "created_at"),
)

MILESTONE: Final = sa.text("record = 'letter' AND target IN ('approved', 'posted', 'delivered')")
"""Events with which a step of a letter ends: how long steps take is counted from them."""

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("record", String(16), nullable=False),
    Column("record_id", ID, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("source", String(20)),
    Column("target", String(20), nullable=False),
    Column("reason", String(32)),
    Column("hash", HASH, nullable=False),
    Column("checkpoint_id", Integer, ForeignKey("checkpoints.id"), index=True),
    UniqueConstraint("record", "record_id", "number"),
    Index("ix_events_milestones", "at", sqlite_where=MILESTONE, postgresql_where=MILESTONE),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("head", HASH, nullable=False),
)

hourly_counts = Table(
    "hourly_counts",
    metadata,
    Column("what", String(32), primary_key=True),
    Column("hour", Moment, primary_key=True),
    Column("count", Integer, nullable=False),
)

monthly_counts = Table(
    "monthly_counts",
    metadata,
    Column("what", String(32), primary_key=True),
    Column("month", String(7), primary_key=True),  # as in 2031-05
    Column("number", Integer, nullable=False),
)

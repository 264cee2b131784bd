"""Delivery: answers by mail, bounces, lost links, letters from inside, erasing and retention."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.String(length=32)
HASH = sa.String(length=64)
MOMENT = sa.DateTime(timezone=True)
COLUMNS = (
    ("conversations", "answer_hash", HASH, None),
    ("inboxes", "address_tag", HASH, None),
    ("letters", "asked_again_at", MOMENT, None),
    ("letters", "overdue_told_at", MOMENT, None),
    ("letters", "destroyed_at", MOMENT, None),
    ("replies", "destroyed_at", MOMENT, None),
    ("replies", "forwarded", sa.Boolean(), sa.false()),
    ("scans", "destroyed_at", MOMENT, None),
    ("outbox", "bounce", sa.String(length=40), None),
)
INDEXES = (
    ("ix_conversations_answer_hash", "conversations", ["answer_hash"], True),
    ("ix_inboxes_address_tag", "inboxes", ["address_tag"], False),
    ("ix_outbox_reply_id", "outbox", ["reply_id"], False),
)
KEPT = sa.text("destroyed_at IS NULL")
DESTROYED = sa.text("destroyed_at IS NOT NULL")
ADDRESSED = sa.text("destroyed_at IS NOT NULL AND length(body) > 0")
RETAINED = (
    ("ix_letters_kept", "letters", "state_since", KEPT),
    ("ix_letters_addressed", "letters", "state_since", ADDRESSED),
    ("ix_letters_destroyed", "letters", "destroyed_at", DESTROYED),
    ("ix_replies_kept", "replies", "state_since", KEPT),
    ("ix_replies_destroyed", "replies", "destroyed_at", DESTROYED),
    ("ix_scans_kept", "scans", "state_since", KEPT),
    ("ix_scans_destroyed", "scans", "destroyed_at", DESTROYED),
)
ON_THE_WAY = sa.text("state IN ('translating', 'queued', 'second_reading', 'approved', 'printed', 'posted')")
ASKED_AGAIN = sa.text("asked_again_at IS NOT NULL")
MILESTONE = sa.text("record = 'letter' AND target IN ('approved', 'posted', 'delivered')")
LEASED = (
    ("lease_owner", sa.String(length=64)),
    ("lease_until", MOMENT),
    ("lease_ends", MOMENT),
    ("attempts", sa.Integer()),
    ("next_try_at", MOMENT),
    ("last_error", sa.Text()),
    ("set_aside_at", MOMENT),
)


def _leased() -> list[sa.Column[object]]:
    return [
        sa.Column(name, kind, nullable=name != "attempts", server_default="0" if name == "attempts" else None)
        for name, kind in LEASED
    ]


def upgrade() -> None:
    """Make the change."""
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    for name, table, columns, unique in INDEXES:
        op.create_index(name, table, columns, unique=unique)
    for name, table, column, where in RETAINED:
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_index(
        "ix_letters_on_the_way",
        "letters",
        ["state", "state_since"],
        sqlite_where=ON_THE_WAY,
        postgresql_where=ON_THE_WAY,
    )
    op.create_index(
        "ix_letters_asked_again", "letters", ["asked_again_at"], sqlite_where=ASKED_AGAIN, postgresql_where=ASKED_AGAIN
    )
    op.create_index("ix_events_milestones", "events", ["at"], sqlite_where=MILESTONE, postgresql_where=MILESTONE)
    op.create_table(
        "link_requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("inbox_id", ID, nullable=True),
        sa.Column("token_hash", HASH, nullable=True),
        *_leased(),
        sa.ForeignKeyConstraint(["inbox_id"], ["inboxes.id"], name=op.f("fk_link_requests_inbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_requests")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_link_requests_token_hash")),
    )
    op.create_index("ix_link_requests_queue", "link_requests", ["state", "created_at"])
    op.create_index("ix_link_requests_inbox_id", "link_requests", ["inbox_id"])
    op.create_table(
        "suppressions",
        sa.Column("tag", HASH, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "incoming",
        sa.Column("id", ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_since", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("source", sa.String(length=8), nullable=False),
        sa.Column("fetched", sa.String(length=200), nullable=True),
        sa.Column("conversation_id", ID, nullable=True),
        sa.Column("mail_id", ID, nullable=True),
        sa.Column("letter_id", ID, nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("destroyed_at", MOMENT, nullable=True),
        *_leased(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incoming")),
        sa.UniqueConstraint("fetched", name=op.f("uq_incoming_fetched")),
    )
    op.create_index("ix_incoming_queue", "incoming", ["state", "created_at"])
    op.create_index("ix_incoming_conversation_id", "incoming", ["conversation_id"])
    op.create_index("ix_incoming_mail_id", "incoming", ["mail_id"])
    op.create_table(
        "monthly_counts",
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("what", "month", name=op.f("pk_monthly_counts")),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_index("ix_events_milestones", "events")
    op.drop_index("ix_letters_asked_again", "letters")
    op.drop_index("ix_letters_on_the_way", "letters")
    for name, table, _, _ in RETAINED:
        op.drop_index(name, table)
    for table in ("monthly_counts", "incoming", "suppressions", "link_requests"):
        op.drop_table(table)
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)

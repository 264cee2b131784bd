"""Scan: sources, ticks, corrections, replies that are looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.String(length=32)
MOMENT = sa.DateTime(timezone=True)
UNSETTLED = sa.text("settled_at IS NULL")
STALE = sa.text("stale")
ON_HEAP = sa.text("state IN ('unmatched', 'held')")
COLUMNS = (
    ("scans", "source", sa.String(length=16), "upload"),
    ("scans", "facility_id", ID, None),
    ("scans", "page_count", sa.Integer(), None),
    ("scans", "came_in", ID, None),
    ("replies", "reason", sa.String(length=32), None),
    ("replies", "stale", sa.Boolean(), sa.false()),
    ("replies", "complete", sa.Boolean(), sa.false()),
    ("pages", "covered", sa.LargeBinary(), None),
    ("pages", "by_hand", sa.Boolean(), sa.false()),
)


def upgrade() -> None:
    """Make the change."""
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_index("ix_scans_came_in", "scans", ["came_in"])
    op.drop_index("ix_pages_state", "pages")
    op.create_index(
        "ix_pages_heap", "pages", ["state_since", "number", "id"], sqlite_where=ON_HEAP, postgresql_where=ON_HEAP
    )
    op.create_index("ix_replies_stale", "replies", ["stale"], sqlite_where=STALE, postgresql_where=STALE)
    op.create_table(
        "ticks",
        sa.Column("page_id", ID, nullable=False),
        sa.Column("tick", sa.String(length=16), nullable=False),
        sa.Column("clear", sa.Boolean(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.Column("settled_by", ID, nullable=True),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_ticks_page_id")),
        sa.ForeignKeyConstraint(["settled_by"], ["volunteers.id"], name=op.f("fk_ticks_settled_by")),
        sa.PrimaryKeyConstraint("page_id", "tick", name=op.f("pk_ticks")),
    )
    op.create_index("ix_ticks_unsettled", "ticks", ["created_at"], sqlite_where=UNSETTLED, postgresql_where=UNSETTLED)
    op.create_table(
        "corrections",
        sa.Column("id", ID, nullable=False),
        sa.Column("page_id", ID, nullable=False),
        sa.Column("volunteer_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["page_id"], ["pages.id"], name=op.f("fk_corrections_page_id")),
        sa.ForeignKeyConstraint(["volunteer_id"], ["volunteers.id"], name=op.f("fk_corrections_volunteer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
    )
    op.create_index("ix_corrections_page_id", "corrections", ["page_id"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("corrections")
    op.drop_table("ticks")
    op.drop_index("ix_replies_stale", "replies")
    op.drop_index("ix_pages_heap", "pages")
    op.create_index("ix_pages_state", "pages", ["state"])
    op.drop_index("ix_scans_came_in", "scans")
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)

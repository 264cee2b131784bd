"""Print: envelopes, copies, print jobs, layouts, addresses in parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(length=32)
MOMENT = sa.DateTime(timezone=True)
EMPTY = sa.text("''")
COLUMNS = (
    ("facilities", "street", sa.Text(), EMPTY),
    ("facilities", "town", sa.Text(), EMPTY),
    ("facilities", "region", sa.Text(), EMPTY),
    ("facilities", "postcode", sa.Text(), EMPTY),
    ("prisoners", "layout", sa.String(length=8), "normal"),
    ("prisoners", "name_on_envelope", sa.Text(), EMPTY),
    ("prisoners", "tell_correspondents", sa.Boolean(), sa.false()),
    ("batches", "copy", sa.Boolean(), sa.false()),
    ("batches", "checkpoint", sa.String(length=64), None),
    ("batches", "progress", sa.Integer(), "0"),
    ("letters", "card", sa.Boolean(), sa.false()),
    ("letters", "sheets", sa.Integer(), None),
    ("replies", "pages_of", ID, None),
)


def upgrade() -> None:
    """Make the change."""
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_table(
        "envelopes",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("prisoner_id", ID, nullable=False),
        sa.Column("sheets", sa.Integer(), nullable=False),
        sa.Column("grams", sa.Float(), nullable=False),
        sa.Column("postage", sa.Float(), nullable=True),
        sa.Column("tracking", sa.String(length=40), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_envelopes_batch_id")),
        sa.ForeignKeyConstraint(["prisoner_id"], ["prisoners.id"], name=op.f("fk_envelopes_prisoner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_envelopes")),
        sa.UniqueConstraint("batch_id", "number", name=op.f("uq_envelopes_batch_id_number")),
    )
    op.create_index("ix_envelopes_prisoner_id", "envelopes", ["prisoner_id"])
    op.create_index("ix_replies_pages_of", "replies", ["pages_of"])
    for table, of, whole in (("enclosures", "envelope", "envelopes"), ("reprints", "batch", "batches")):
        op.create_table(
            table,
            sa.Column(f"{of}_id", ID, nullable=False),
            sa.Column("letter_id", ID, nullable=False),
            sa.ForeignKeyConstraint([f"{of}_id"], [f"{whole}.id"], name=op.f(f"fk_{table}_{of}_id")),
            sa.ForeignKeyConstraint(["letter_id"], ["letters.id"], name=op.f(f"fk_{table}_letter_id")),
            sa.PrimaryKeyConstraint(f"{of}_id", "letter_id", name=op.f(f"pk_{table}")),
        )
        op.create_index(f"ix_{table}_letter_id", table, ["letter_id"])
    op.create_table(
        "print_jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("printer", sa.String(length=80), nullable=False),
        sa.Column("printer_job", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("pages_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state_since", MOMENT, nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_ends", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("set_aside_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_print_jobs_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_print_jobs")),
    )
    op.create_index("ix_print_jobs_batch_id", "print_jobs", ["batch_id"])
    op.create_index("ix_print_jobs_queue", "print_jobs", ["state", "created_at"])


def downgrade() -> None:
    """Take it back. Copies have no letters of their own, so they go; what was printed stays with its first batch."""
    # A facility with its address in parts has no other: the parts become its lines.
    op.execute(
        "UPDATE facilities SET address = TRIM(street || '\n' || postcode || ' ' || town || '\n' || region, '\n')"
        " WHERE address = ''"
    )
    for table in ("print_jobs", "reprints", "enclosures", "envelopes"):
        op.drop_table(table)
    op.drop_index("ix_replies_pages_of", "replies")
    for table, name, _, _ in COLUMNS:
        op.drop_column(table, name)

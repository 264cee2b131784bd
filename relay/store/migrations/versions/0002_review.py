"""The review desk: decisions with undo, deadlines, translations, outcomes, blocked senders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String(length=32)
MOMENT = sa.DateTime(timezone=True)
HELD = sa.text("lease_owner IS NOT NULL")
SILENT = sa.text("state = 'delivered' AND outcome IS NULL")
LETTERS = (
    ("due_at", MOMENT),
    ("settles_at", MOMENT),
    ("translate_from", sa.String(length=3)),
    ("treatment", sa.LargeBinary()),
    ("outcome", sa.String(length=16)),
)


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "decisions",
        sa.Column("id", ID, nullable=False),
        sa.Column("letter_id", ID, nullable=False),
        sa.Column("volunteer_id", ID, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=True),
        sa.Column("target", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("note", sa.LargeBinary(), nullable=True),
        sa.Column("treatment_before", sa.LargeBinary(), nullable=True),
        sa.Column("seconds", sa.Integer(), nullable=True),
        sa.Column("void_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["letter_id"], ["letters.id"], name=op.f("fk_decisions_letter_id")),
        sa.ForeignKeyConstraint(["volunteer_id"], ["volunteers.id"], name=op.f("fk_decisions_volunteer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_letter", "decisions", ["letter_id", "volunteer_id"])
    op.create_index("ix_decisions_evening", "decisions", ["volunteer_id", "at"])
    for table, column, length in (("volunteer_languages", "language", 3), ("volunteer_addresses", "tag", 64)):
        op.create_table(
            table,
            sa.Column("volunteer_id", ID, nullable=False),
            sa.Column(column, sa.String(length=length), nullable=False),
            sa.ForeignKeyConstraint(["volunteer_id"], ["volunteers.id"], name=op.f(f"fk_{table}_volunteer_id")),
            sa.PrimaryKeyConstraint("volunteer_id", column, name=op.f(f"pk_{table}")),
        )
    op.create_table(
        "acquaintances",
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_acquaintances")),
    )
    op.create_table(
        "blocks",
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("decision_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_blocks_decision_id")),
        sa.PrimaryKeyConstraint("tag", "decision_id", name=op.f("pk_blocks")),
    )
    op.create_index("ix_blocks_decision_id", "blocks", ["decision_id"])
    op.create_table(
        "rule_counts",
        sa.Column("facility_id", ID, nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["facility_id"], ["facilities.id"], name=op.f("fk_rule_counts_facility_id")),
        sa.PrimaryKeyConstraint("facility_id", "rule", "verdict", name=op.f("pk_rule_counts")),
    )
    op.add_column("facilities", sa.Column("review_days", sa.Integer(), server_default="3", nullable=False))
    for name, kind in LETTERS:
        op.add_column("letters", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE letters SET due_at = created_at")
    op.drop_index("ix_letters_queue", "letters")
    op.create_index("ix_letters_queue", "letters", ["state", "due_at"])
    op.drop_index("ix_letters_holder", "letters")
    op.create_index("ix_letters_holder", "letters", ["lease_owner"], sqlite_where=HELD, postgresql_where=HELD)
    op.create_index(
        "ix_letters_silent", "letters", ["state", "state_since"], sqlite_where=SILENT, postgresql_where=SILENT
    )
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("decision_id", ID, nullable=True))
        outbox.create_foreign_key(op.f("fk_outbox_decision_id"), "decisions", ["decision_id"], ["id"])
        outbox.create_index("ix_outbox_decision_id", ["decision_id"])


def downgrade() -> None:
    """Take the change back: what waits in one of the new states is read again.

    So is what is accepted and not printed yet: without its treatment covered words and photos would be printed.
    """
    new = "('translating', 'second_reading', 'changes_requested')"
    op.execute(f"UPDATE letters SET state = 'queued' WHERE state IN {new}")  # noqa: S608 - our own words only
    op.execute(
        "UPDATE letters SET state = 'queued', batch_id = NULL WHERE state = 'approved' AND treatment IS NOT NULL AND "
        "(batch_id IS NULL OR batch_id IN (SELECT id FROM batches WHERE state = 'open'))"
    )
    with op.batch_alter_table("outbox") as outbox:
        outbox.drop_index("ix_outbox_decision_id")
        outbox.drop_constraint(op.f("fk_outbox_decision_id"), type_="foreignkey")
        outbox.drop_column("decision_id")
    op.drop_index("ix_letters_silent", "letters")
    op.drop_index("ix_letters_holder", "letters")
    op.create_index("ix_letters_holder", "letters", ["lease_owner"])
    op.drop_index("ix_letters_queue", "letters")
    op.create_index("ix_letters_queue", "letters", ["state", "created_at"])
    for name, _ in LETTERS:
        op.drop_column("letters", name)
    op.drop_column("facilities", "review_days")
    for table in ("rule_counts", "blocks", "acquaintances", "volunteer_addresses", "volunteer_languages", "decisions"):
        op.drop_table(table)

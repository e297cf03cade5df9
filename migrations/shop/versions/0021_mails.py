"""transactional mail

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-30 01:45:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "mails",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('QUEUED', 'SENT', 'FAILED')", name=op.f("ck_mails_state_known")),
        sa.CheckConstraint(
            "(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name=op.f("ck_mails_due_while_queued")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_mails_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("subject", "event", "kind", name=op.f("uq_mails_subject")),
    )
    is_due = sa.text("next_attempt_at IS NOT NULL")
    op.create_index(
        "ix_mails_due", "mails", ["next_attempt_at"], unique=False, postgresql_where=is_due, sqlite_where=is_due
    )
    op.create_index(op.f("ix_mails_order_id"), "mails", ["order_id"], unique=False)
    op.create_index("ix_mails_state", "mails", ["state"], unique=False)


def downgrade():
    op.drop_table("mails")

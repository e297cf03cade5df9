"""messages to the chat webhook, time since which an alert waits, and owners of things to do

Revision ID: 0038
Revises: 0037
Create Date: 2026-11-30 23:05:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
INDEXES = (
    ("ix_chat_messages_due", "chat_messages", ["next_attempt_at"], "next_attempt_at IS NOT NULL"),
    ("ix_chat_messages_failed", "chat_messages", ["id"], "state = 'FAILED'"),
    ("ix_mails_alert", "mails", ["event"], "kind = 'alert'"),
    ("ix_disputes_open", "disputes", ["respond_by"], "state = 'OPEN'"),
)


def upgrade():
    op.add_column("alerts", sa.Column("waits_since", TIME, nullable=True))
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("alert_id", sa.Integer(), sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.UniqueConstraint("alert_id", "kind"),
        sa.CheckConstraint("state IN ('QUEUED', 'SENT', 'FAILED')", name="state_known"),
        sa.CheckConstraint("kind IN ('raised', 'waits', 'more')", name="kind_known"),
        sa.CheckConstraint("(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name="due_while_queued"),
    )
    op.create_table(
        "to_do_claims",
        sa.Column("thing", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("claimed_at", TIME, nullable=False),
    )
    for name, table, columns, which in INDEXES:
        ops = {"event": "text_pattern_ops"} if name == "ix_mails_alert" else {}
        where = {"postgresql_where": sa.text(which), "sqlite_where": sa.text(which)}
        op.create_index(name, table, columns, postgresql_ops=ops, **where)


def downgrade():
    for name, table, _columns, _which in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    op.drop_table("to_do_claims")
    op.drop_table("chat_messages")
    op.drop_column("alerts", "waits_since")

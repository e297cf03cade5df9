"""alerts

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-21 08:45:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("order_no", sa.Text(), nullable=True),
        sa.Column("observed", sa.JSON(), nullable=False),
        sa.Column("expected", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_note", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_note", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('NEW', 'ACKNOWLEDGED', 'RESOLVED')", name=op.f("ck_alerts_state_known")),
        sa.CheckConstraint("severity IN ('P1', 'P2', 'P3')", name=op.f("ck_alerts_severity_known")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_alerts_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("rule", "subject", "cause", name=op.f("uq_alerts_rule")),
    )
    op.create_index(op.f("ix_alerts_order_id"), "alerts", ["order_id"], unique=False)
    op.create_index(
        "ix_alerts_open",
        "alerts",
        ["rule", "subject"],
        unique=False,
        postgresql_where=sa.text("state <> 'RESOLVED'"),
        sqlite_where=sa.text("state <> 'RESOLVED'"),
    )
    op.create_table(
        "watch_list",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_watch_list_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_watch_list")),
    )
    op.create_index(op.f("ix_watch_list_due_at"), "watch_list", ["due_at"], unique=False)
    op.create_table(
        "lookouts",
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("condition", name=op.f("pk_lookouts")),
    )
    # Indexes for the alert queries, whose cost must not grow with the tables.
    op.create_index("ix_captures_heard", "captures", ["provider", "heard_at"], unique=False)
    op.create_index("ix_inbox_received", "inbox", ["provider", "received_at"], unique=False)
    op.create_index("ix_refused_notices_received", "refused_notices", ["provider", "verdict", "received_at"])
    op.create_index(
        "ix_inbox_not_ours",
        "inbox",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("verdict IN ('orphan', 'foreign')"),
        sqlite_where=sa.text("verdict IN ('orphan', 'foreign')"),
    )
    op.create_index(
        "ix_reports_hints",
        "reports",
        ["heard_at"],
        unique=False,
        postgresql_where=sa.text("verdict = 'hint'"),
        sqlite_where=sa.text("verdict = 'hint'"),
    )
    # Rows older than the alerts are checked once.
    op.execute(
        "INSERT INTO watch_list (order_id, due_at) SELECT DISTINCT p.order_id, CURRENT_TIMESTAMP "
        "FROM captures c JOIN payments p ON p.id = c.payment_id WHERE c.standing <> 'paid'"
    )


def downgrade():
    op.drop_index("ix_reports_hints", table_name="reports")
    op.drop_index("ix_inbox_not_ours", table_name="inbox")
    op.drop_index("ix_refused_notices_received", table_name="refused_notices")
    op.drop_index("ix_inbox_received", table_name="inbox")
    op.drop_index("ix_captures_heard", table_name="captures")
    op.drop_table("lookouts")
    op.drop_table("watch_list")
    op.drop_table("alerts")

"""saved views, exports of orders, and indexes on the ids of acquirers

Revision ID: 0035
Revises: 0034
Create Date: 2026-11-30 22:55:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

PAYMENT_IDS = ("id", "intent", "code_id", "payment_id")
ACQUIRER_REFUND = "ix_refunds_acquirer_id"
TIME = sa.DateTime(timezone=True)


def upgrade():
    for name in PAYMENT_IDS:
        op.execute(f"CREATE INDEX ix_payments_their_{name} ON payments ((provider_data ->> '{name}'))")
    op.add_column("refunds", sa.Column("acquirer_id", sa.Text(), nullable=True))
    where = sa.text("acquirer_id IS NOT NULL")
    op.create_index(ACQUIRER_REFUND, "refunds", ["acquirer_id"], postgresql_where=where, sqlite_where=where)
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.CheckConstraint("slot BETWEEN 1 AND 50", name=op.f("ck_saved_views_slot_within_limit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("key", name=op.f("uq_saved_views_key")),
        sa.UniqueConstraint("slot", name=op.f("uq_saved_views_slot")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "order_exports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.CheckConstraint("state IN ('RUNNING', 'DONE', 'FAILED')", name=op.f("ck_order_exports_state_known")),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (due_at IS NOT NULL)", name=op.f("ck_order_exports_due_while_running")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_exports")),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_order_exports_due", "order_exports", ["due_at"], postgresql_where=due, sqlite_where=due)
    op.create_index("ix_order_exports_requested", "order_exports", ["requested_at"])
    op.create_table(
        "order_export_parts",
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["order_exports.id"], name=op.f("fk_order_export_parts_export_id")),
        sa.PrimaryKeyConstraint("export_id", "number", name=op.f("pk_order_export_parts")),
    )


def downgrade():
    op.drop_table("order_export_parts")
    op.drop_table("order_exports")
    op.drop_table("saved_views")
    op.drop_index(ACQUIRER_REFUND, table_name="refunds")
    op.drop_column("refunds", "acquirer_id")
    for name in PAYMENT_IDS:
        op.drop_index(f"ix_payments_their_{name}", table_name="payments")

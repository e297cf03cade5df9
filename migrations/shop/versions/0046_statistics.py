"""roll-ups of statistics, and indexes on the times of their facts

Revision ID: 0046
Revises: 0044
Create Date: 2026-12-01 02:20:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_order_events_at", "order_events", "at"),
    ("ix_payments_created", "payments", "created_at"),
    ("ix_alerts_detected", "alerts", "detected_at"),
)


def upgrade():
    op.create_table(
        "statistics_days",
        sa.Column("day", sa.Date(), primary_key=True),
        *(
            sa.Column(name, sa.Text(), primary_key=True)
            for name in ("subject", "state", "currency", "provider", "method")
        ),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "statistics_progress",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("up_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    )
    for name, table, column in INDEXES:
        op.create_index(name, table, [column])


def downgrade():
    for name, table, _ in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    op.drop_table("statistics_progress")
    op.drop_table("statistics_days")

"""requests to accept less than the price of an order

Revision ID: 0042
Revises: 0041
Create Date: 2026-12-01 00:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UNDECIDED = sa.text("state = 'REQUESTED'")


def upgrade():
    op.create_table(
        "shortfall_requests",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("capture_id", sa.Integer(), sa.ForeignKey("captures.id"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("waiting_amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'DECLINED')", name="state_known"),
        sa.CheckConstraint("decided_by <> requested_by OR state <> 'APPROVED'", name="two_people"),
    )
    op.create_index(
        "ix_shortfall_requests_waiting",
        "shortfall_requests",
        ["capture_id"],
        unique=True,
        postgresql_where=UNDECIDED,
        sqlite_where=UNDECIDED,
    )


def downgrade():
    op.drop_index("ix_shortfall_requests_waiting", table_name="shortfall_requests")
    op.drop_table("shortfall_requests")

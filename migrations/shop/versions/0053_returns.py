"""returns of orders, their lines and refunds

Revision ID: 0053
Revises: 0051
Create Date: 2026-12-01 10:00:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATES = ("REQUESTED", "ACCEPTED", "RECEIVED", "CLOSED", "DECLINED", "WITHDRAWN")
WAITING = sa.text("state IN ('RECEIVED', 'REQUESTED')")


def upgrade():
    op.create_table(
        "order_returns",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("reference", sa.Text(), nullable=False, unique=True),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("form_key", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("state", "reason", "comment", "message", "currency")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("goods_amount", "delivery_amount")),
        sa.Column("granted_amount", sa.BigInteger(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("received_by", sa.Text(), nullable=True),
        sa.Column("received_at", TIME, nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.UniqueConstraint("order_id", "form_key"),
        sa.CheckConstraint("state IN ({})".format(", ".join(f"'{s}'" for s in STATES)), name="state_known"),
        sa.CheckConstraint("goods_amount >= 0 AND delivery_amount >= 0", name="amounts_not_negative"),
        sa.CheckConstraint("granted_amount BETWEEN 0 AND goods_amount + delivery_amount", name="granted_within_amount"),
    )
    op.create_index("ix_order_returns_requested", "order_returns", ["requested_at", "id"])
    op.create_index("ix_order_returns_state", "order_returns", ["state", "requested_at", "id"])
    op.create_index(
        "ix_order_returns_waiting",
        "order_returns",
        ["requested_at"],
        postgresql_where=WAITING,
        sqlite_where=WAITING,
    )
    op.create_table(
        "order_return_lines",
        sa.Column("return_id", sa.Integer(), sa.ForeignKey("order_returns.id"), primary_key=True),
        sa.Column("sku", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("quantity", "restocked", "not_restocked")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
        sa.CheckConstraint("restocked >= 0 AND not_restocked >= 0", name="arrived_not_negative"),
        sa.CheckConstraint("restocked + not_restocked <= quantity", name="arrived_within_quantity"),
        sa.CheckConstraint("amount >= 0", name="amount_not_negative"),
    )
    op.create_table(
        "order_return_refunds",
        sa.Column("refund_id", sa.Text(), sa.ForeignKey("refunds.id"), primary_key=True),
        sa.Column("return_id", sa.Integer(), sa.ForeignKey("order_returns.id"), nullable=False),
    )
    op.create_index("ix_order_return_refunds_return_id", "order_return_refunds", ["return_id"])


def downgrade():
    op.drop_table("order_return_refunds")
    op.drop_table("order_return_lines")
    op.drop_table("order_returns")

"""client addresses of orders, and refusals by the limits on unpaid orders

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-29 09:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "order_origins",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("visitor", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_origins_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_origins")),
    )
    op.create_index(op.f("ix_order_origins_visitor"), "order_origins", ["visitor"], unique=False)
    op.create_index(op.f("ix_order_origins_network"), "order_origins", ["network"], unique=False)
    op.create_table(
        "reservation_refusals",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("counted_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("network", name=op.f("pk_reservation_refusals")),
    )
    op.create_index(op.f("ix_reservation_refusals_last_at"), "reservation_refusals", ["last_at"], unique=False)


def downgrade():
    op.drop_table("reservation_refusals")
    op.drop_table("order_origins")

"""shipments of orders, the state of their fulfilment, and units that are not shipped

Revision ID: 0052
Revises: 0051
Create Date: 2026-12-01 10:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

TO_SHIP = sa.text("state IN ('PAID', 'PARTIALLY_REFUNDED') AND fulfilment NOT IN ('NOTHING_TO_SHIP', 'SHIPPED')")


def upgrade():
    op.add_column("orders", sa.Column("fulfilment", sa.Text(), nullable=False, server_default="TO_PACK"))
    op.add_column("order_lines", sa.Column("withdrawn", sa.Integer(), nullable=False, server_default="0"))
    where = {"postgresql_where": TO_SHIP, "sqlite_where": TO_SHIP}
    op.create_index("ix_orders_to_ship", "orders", ["paid_at", "id"], **where)
    op.create_table(
        "shipments",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("form_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("carrier", "tracking_number", "tracking_url")),
        sa.Column("packed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("packed_by", sa.Text(), nullable=False),
        sa.Column("shipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('PACKED', 'SHIPPED', 'CANCELLED')", name="state_known"),
        sa.CheckConstraint("(state = 'SHIPPED') = (shipped_at IS NOT NULL)", name="shipped_at_a_time"),
        sa.UniqueConstraint("order_id", "number"),
    )
    op.create_index("ix_shipments_form", "shipments", ["order_id", "form_key"], unique=True)
    op.create_table(
        "shipment_lines",
        sa.Column("shipment_id", sa.Integer(), sa.ForeignKey("shipments.id"), primary_key=True),
        sa.Column("sku", sa.Text(), primary_key=True),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
        sa.ForeignKeyConstraint(["order_id", "sku"], ["order_lines.order_id", "order_lines.sku"]),
    )
    op.create_index("ix_shipment_lines_order", "shipment_lines", ["order_id", "sku"])


def downgrade():
    op.drop_index("ix_shipment_lines_order", table_name="shipment_lines")
    op.drop_table("shipment_lines")
    op.drop_index("ix_shipments_form", table_name="shipments")
    op.drop_table("shipments")
    op.drop_index("ix_orders_to_ship", table_name="orders")
    op.drop_column("order_lines", "withdrawn")
    op.drop_column("orders", "fulfilment")

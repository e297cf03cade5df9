"""state and phone number of orders, address book, the cart of an account

Revision ID: 0051
Revises: 0050
Create Date: 2026-12-01 03:20:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

PARTS = ("name", "line1", "line2", "city", "region", "postcode", "country", "phone")
DEFAULT = sa.text("is_default")


def upgrade():
    for name in ("region", "phone"):
        op.add_column("orders", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("users", sa.Column("cart_id", sa.Text(), nullable=True))
    op.create_index("ix_users_cart_id", "users", ["cart_id"], unique=True)
    op.create_table(
        "saved_addresses",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in PARTS),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_saved_addresses_user_id", "saved_addresses", ["user_id"])
    op.create_index(
        "ix_saved_addresses_default",
        "saved_addresses",
        ["user_id"],
        unique=True,
        postgresql_where=DEFAULT,
        sqlite_where=DEFAULT,
    )


def downgrade():
    op.drop_index("ix_saved_addresses_default", table_name="saved_addresses")
    op.drop_index("ix_saved_addresses_user_id", table_name="saved_addresses")
    op.drop_table("saved_addresses")
    op.drop_index("ix_users_cart_id", table_name="users")
    op.drop_column("users", "cart_id")
    for name in ("phone", "region"):
        op.drop_column("orders", name)

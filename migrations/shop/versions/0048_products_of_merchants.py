"""products that staff change: versions, archive, former addresses, price changes, uploaded pictures

Revision ID: 0048
Revises: 0042
Create Date: 2026-12-01 08:00:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
UPLOADED = sa.text("image LIKE 'media/%'")
LIMITED = sa.text("low_at IS NOT NULL")


def upgrade():
    op.add_column("categories", sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")))
    op.add_column("products", sa.Column("images", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("products", sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")))
    op.add_column("products", sa.Column("archived_at", TIME, nullable=True))
    op.create_table(
        "former_slugs",
        sa.Column("slug", sa.Text(), primary_key=True),
        sa.Column("sku", sa.Text(), sa.ForeignKey("products.sku"), nullable=False),
    )
    op.create_table(
        "price_changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sku", sa.Text(), sa.ForeignKey("products.sku"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=True),
        sa.Column("after", sa.BigInteger(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("after > 0", name="after_positive"),
    )
    op.create_index("ix_price_changes_sku", "price_changes", ["sku", "id"])
    op.create_table(
        "media_files",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("unused_since", TIME, nullable=True),
        sa.CheckConstraint("uses >= 0", name="uses_not_negative"),
        sa.CheckConstraint("(uses = 0) = (unused_since IS NOT NULL)", name="since_while_unused"),
    )
    for column in (sa.Column("low_at", sa.Integer(), nullable=True), sa.Column("low_since", TIME, nullable=True)):
        op.add_column("stock", column)
    op.create_index("ix_stock_limit", "stock", ["sku"], postgresql_where=LIMITED, sqlite_where=LIMITED)
    for name in ("form_id", "reason", "by"):
        op.add_column("stock_movements", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("stock_movements", sa.Column("on_hand", sa.Integer(), nullable=True))
    op.create_index("ix_stock_movements_form", "stock_movements", ["form_id"], unique=True)
    op.create_index("ix_order_lines_media", "order_lines", ["image"], postgresql_where=UPLOADED, sqlite_where=UPLOADED)


def downgrade():
    op.drop_index("ix_order_lines_media", table_name="order_lines")
    op.drop_index("ix_stock_movements_form", table_name="stock_movements")
    for name in ("on_hand", "by", "reason", "form_id"):
        op.drop_column("stock_movements", name)
    op.drop_index("ix_stock_limit", table_name="stock")
    op.drop_column("stock", "low_since")
    op.drop_column("stock", "low_at")
    op.drop_table("media_files")
    op.drop_index("ix_price_changes_sku", table_name="price_changes")
    op.drop_table("price_changes")
    op.drop_table("former_slugs")
    op.drop_column("products", "archived_at")
    op.drop_column("products", "version")
    op.drop_column("products", "images")
    op.drop_column("categories", "version")

"""tax, delivery methods, discount codes, and lines of orders that are no products

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-30 05:55:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

LINES = {
    "kind": "TEXT DEFAULT 'item' NOT NULL CONSTRAINT ck_order_lines_kind_known"
    " CHECK (kind IN ('item', 'delivery', 'discount', 'tax'))",
    "rate": "INTEGER",
    "is_included": "BOOLEAN DEFAULT FALSE NOT NULL",
}
ORDERS = ("tax_amount", "delivery_amount", "discount_amount")
UNREADABLE = {
    "orders with delivery, discount or tax": "SELECT 1 FROM order_lines WHERE kind <> 'item'",
    "orders that a discount paid": "SELECT 1 FROM orders WHERE paid_by = 'nothing_due'",
    "uses of discount codes": "SELECT 1 FROM discount_uses",
}
"""Rows that the older version cannot read."""


def upgrade():
    op.create_table(
        "tax_rates",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=False),
        sa.Column("is_included", sa.Boolean(), nullable=False),
        sa.CheckConstraint("rate BETWEEN 0 AND 100000", name=op.f("ck_tax_rates_rate_sane")),
        sa.PrimaryKeyConstraint("country", name=op.f("pk_tax_rates")),
    )
    op.create_table(
        "delivery_methods",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prices", sa.JSON(), nullable=False),
        sa.Column("free_from", sa.JSON(), nullable=False),
        sa.Column("countries", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_delivery_methods")),
    )
    op.create_table(
        "discount_codes",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("use_limit", sa.Integer(), nullable=True),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("once_per_email", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.CheckConstraint("percent BETWEEN 1 AND 100", name=op.f("ck_discount_codes_percent_sane")),
        sa.CheckConstraint("uses >= 0", name=op.f("ck_discount_codes_uses_not_negative")),
        sa.CheckConstraint("uses <= use_limit", name=op.f("ck_discount_codes_never_over_used")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_discount_codes")),
    )
    op.create_table(
        "discount_values",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("budget", sa.BigInteger(), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_discount_values_amount_positive")),
        sa.CheckConstraint("spent >= 0", name=op.f("ck_discount_values_spent_not_negative")),
        sa.CheckConstraint("spent <= budget", name=op.f("ck_discount_values_never_over_spent")),
        sa.ForeignKeyConstraint(["code"], ["discount_codes.code"], name=op.f("fk_discount_values_code")),
        sa.PrimaryKeyConstraint("code", "currency", name=op.f("pk_discount_values")),
    )
    op.create_table(
        "discount_uses",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("once_per_email", sa.Boolean(), nullable=False),
        sa.Column("email_digest", sa.Text(), nullable=True),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_discount_uses_amount_not_negative")),
        sa.CheckConstraint("state IN ('HELD', 'RELEASED')", name=op.f("ck_discount_uses_state_known")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_discount_uses_order_id")),
        sa.ForeignKeyConstraint(["code"], ["discount_codes.code"], name=op.f("fk_discount_uses_code")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_discount_uses")),
    )
    op.create_index("ix_discount_uses_code", "discount_uses", ["code"], unique=False)
    once = sa.text("state = 'HELD' AND once_per_email")
    op.create_index(
        "ix_discount_uses_once",
        "discount_uses",
        ["code", "email_digest"],
        unique=True,
        postgresql_where=once,
        sqlite_where=once,
    )
    for column, kind in LINES.items():  # not by op.add_column: SQLite adds a constraint only together with its column
        op.execute(f"ALTER TABLE order_lines ADD COLUMN {column} {kind}")
    for column in ORDERS:
        op.add_column("orders", sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("sagas", sa.Column("code_used_at", sa.DateTime(timezone=True), nullable=True))


def _refuse_while(rows):
    """Raise RuntimeError while one of these queries finds rows; they are dropped only when empty."""
    connection = op.get_bind()
    there = [name for name, query in rows.items() if connection.scalar(sa.text(f"SELECT EXISTS ({query})"))]
    if there:
        what = ", ".join(there)
        raise RuntimeError(f"The older version cannot read {what}. Run `db upgrade` and keep this version.")


def downgrade():
    _refuse_while(UNREADABLE)
    op.drop_column("sagas", "code_used_at")
    for column in reversed(ORDERS):
        op.drop_column("orders", column)
    with op.batch_alter_table("order_lines") as lines:
        lines.drop_constraint(op.f("ck_order_lines_kind_known"), type_="check")
        for column in reversed(LINES):
            lines.drop_column(column)
    for table in ("discount_uses", "discount_values", "discount_codes", "delivery_methods", "tax_rates"):
        op.drop_table(table)

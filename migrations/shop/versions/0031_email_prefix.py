"""index of orders by the beginning of the e-mail address

PostgreSQL sorts text by the rules of a language, so an index without an operator class for patterns finds no prefix.
SQLite's index does.

Revision ID: 0031
Revises: 0030
Create Date: 2026-11-30 20:25:00

"""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade():
    _index_again({"email": "text_pattern_ops"})


def downgrade():
    _index_again({})


def _index_again(classes):
    """Create the index on PostgreSQL with these operator classes. With text_pattern_ops it finds equal texts too."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_orders_email", table_name="orders")
        op.create_index("ix_orders_email", "orders", ["email"], postgresql_ops=classes)

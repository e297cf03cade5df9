"""texts of products, categories, delivery methods and taxes by language, and the language of an account

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-30 07:20:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = ("products", "categories", "delivery_methods", "tax_rates")


def upgrade():
    for table in TABLES:
        op.add_column(table, sa.Column("texts", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("users", sa.Column("language", sa.Text(), nullable=True))


def downgrade():
    op.drop_column("users", "language")
    for table in reversed(TABLES):
        op.drop_column(table, "texts")

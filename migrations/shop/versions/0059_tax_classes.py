"""tax classes of products, and reduced rates of countries

Revision ID: 0059
Revises: 0057
Create Date: 2026-12-01 13:30:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("products", sa.Column("tax_class", sa.Text(), server_default="standard", nullable=False))
    with op.batch_alter_table("tax_rates") as batch:
        batch.add_column(sa.Column("reduced_rate", sa.Integer(), nullable=True))
        batch.create_check_constraint("reduced_rate_sane", "reduced_rate BETWEEN 0 AND 100000")


def downgrade():
    with op.batch_alter_table("tax_rates") as batch:
        batch.drop_constraint("reduced_rate_sane", type_="check")
        batch.drop_column("reduced_rate")
    op.drop_column("products", "tax_class")

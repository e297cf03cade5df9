"""delivery methods to all countries except some

Revision ID: 0059
Revises: 0058
Create Date: 2026-12-01 17:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("delivery_methods", sa.Column("exceptions", sa.JSON(), server_default="[]", nullable=False))


def downgrade():
    op.drop_column("delivery_methods", "exceptions")  # `countries` has the countries that they leave

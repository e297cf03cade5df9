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
    op.add_column("delivery_methods", sa.Column("all_except", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade():
    # The version before would take exceptions for the only countries: such a method is off until staff look at it.
    op.execute("UPDATE delivery_methods SET is_offered = false WHERE all_except")
    op.drop_column("delivery_methods", "all_except")

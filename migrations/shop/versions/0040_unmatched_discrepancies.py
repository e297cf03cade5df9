"""index of open discrepancies by age

Revision ID: 0040
Revises: 0039
Create Date: 2026-12-01 00:20:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

OPEN = sa.text("closed_at IS NULL")


def upgrade():
    op.create_index(
        "ix_discrepancies_unmatched", "discrepancies", ["opened_at", "id"], postgresql_where=OPEN, sqlite_where=OPEN
    )


def downgrade():
    op.drop_index("ix_discrepancies_unmatched", table_name="discrepancies")

"""deleted accounts, and mails by their recipient

Revision ID: 0057
Revises: 0051
Create Date: 2026-12-01 10:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_mails_recipient", "mails", ["recipient"])


def downgrade():
    op.drop_index("ix_mails_recipient", table_name="mails")
    op.drop_column("users", "deleted_at")

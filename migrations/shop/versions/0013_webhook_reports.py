"""index that finds the reports of a deleted webhook

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-29 09:50:00
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index(op.f("ix_reports_inbox_id"), "reports", ["inbox_id"], unique=False)


def downgrade():
    op.drop_index(op.f("ix_reports_inbox_id"), table_name="reports")

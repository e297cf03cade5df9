"""index of mails by state with their order in the list

Revision ID: 0039
Revises: 0033
Create Date: 2026-11-30 23:35:00

"""

from alembic import op

revision = "0039"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade():
    _index_mails(["state", "id"])


def downgrade():
    _index_mails(["state"])


def _index_mails(columns):
    op.drop_index("ix_mails_state", table_name="mails")
    op.create_index("ix_mails_state", "mails", columns)

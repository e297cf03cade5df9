"""the actor of journals that no other record explains: store credit that staff give

Journals of before have none.

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-30 01:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("journals", sa.Column("actor", sa.Text(), nullable=True))


def downgrade():
    op.drop_column("journals", "actor")

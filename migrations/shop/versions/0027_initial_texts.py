"""languages in which the seed has inserted initial texts

Revision ID: 0027
Revises: 0026
Create Date: 2026-11-30 14:00:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "initial_texts",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "key", "locale", name=op.f("pk_initial_texts")),
    )


def downgrade():
    op.drop_table("initial_texts")

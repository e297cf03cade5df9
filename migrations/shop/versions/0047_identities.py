"""identities of OpenID Connect issuers, used ID tokens, and links that add an identity

Revision ID: 0047
Revises: 0046
Create Date: 2026-12-01 02:30:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "identities",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.UniqueConstraint("issuer", "subject"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "spent_id_tokens",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_index("ix_spent_id_tokens_expires_at", "spent_id_tokens", ["expires_at"])
    op.add_column("account_links", sa.Column("identity", sa.JSON(), nullable=True))


def downgrade():
    op.execute("DELETE FROM account_links WHERE purpose = 'link_identity'")
    op.drop_column("account_links", "identity")
    op.drop_index("ix_spent_id_tokens_expires_at", table_name="spent_id_tokens")
    op.drop_table("spent_id_tokens")
    op.drop_index("ix_identities_user_id", table_name="identities")
    op.drop_table("identities")

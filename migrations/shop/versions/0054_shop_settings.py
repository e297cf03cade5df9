"""settings that staff change: versions of pricing rows, data of the seller, legal texts, announcements

Revision ID: 0054
Revises: 0051
Create Date: 2026-12-01 10:00:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
VERSIONED = ("tax_rates", "delivery_methods", "discount_codes")


def upgrade():
    for name in VERSIONED:
        op.add_column(name, sa.Column("version", sa.Integer(), nullable=False, server_default=sa.text("1")))
    is_offered = sa.Column("is_offered", sa.Boolean(), nullable=False, server_default=sa.true())
    op.add_column("delivery_methods", is_offered)
    op.create_table(
        "seller_data",
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "address", "tax_id", "email")),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.create_table(
        "legal_texts",
        sa.Column("page", sa.Text(), primary_key=True),
        sa.Column("locale", sa.Text(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("saved_at", TIME, nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("starts_at", TIME, nullable=True),
        sa.Column("ends_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name="ends_after_start"),
    )
    op.create_index("ix_announcements_ends_at", "announcements", ["ends_at"])


def downgrade():
    op.drop_index("ix_announcements_ends_at", table_name="announcements")
    op.drop_table("announcements")
    op.drop_table("legal_texts")
    op.drop_table("seller_data")
    op.drop_column("delivery_methods", "is_offered")
    for name in VERSIONED:
        op.drop_column(name, "version")

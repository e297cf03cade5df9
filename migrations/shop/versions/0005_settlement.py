"""settlement files, discrepancies, disputes

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-21 08:50:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "settled_lines",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["fact"], ["journals.key"], name=op.f("fk_settled_lines_fact")),
        sa.PrimaryKeyConstraint("provider", "line_id", name=op.f("pk_settled_lines")),
        sa.UniqueConstraint("fact", name=op.f("uq_settled_lines_fact")),
    )
    op.create_index("ix_settled_lines_day", "settled_lines", ["provider", "day"], unique=False)
    op.create_table(
        "discrepancies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("ours", sa.BigInteger(), nullable=True),
        sa.Column("theirs", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "cause IN ('missing_there', 'missing_here', 'amount', 'fee', 'unknown', 'twice')",
            name=op.f("ck_discrepancies_cause_known"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_discrepancies_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancies")),
        sa.UniqueConstraint("provider", "day", "cause", "about", name=op.f("uq_discrepancies_provider")),
    )
    op.create_index(op.f("ix_discrepancies_order_id"), "discrepancies", ["order_id"], unique=False)
    open_ones = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_discrepancies_open",
        "discrepancies",
        ["provider", "day"],
        unique=False,
        postgresql_where=open_ones,
        sqlite_where=open_ones,
    )
    op.create_table(
        "disputes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column("capture_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("respond_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_from", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('chargeback', 'inquiry')", name=op.f("ck_disputes_kind_known")),
        sa.CheckConstraint("state IN ('OPEN', 'WON', 'LOST')", name=op.f("ck_disputes_state_known")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_disputes_amount_positive")),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"], name=op.f("fk_disputes_capture_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_disputes_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("provider", "dispute_id", name=op.f("uq_disputes_provider")),
    )
    op.create_index(op.f("ix_disputes_capture_id"), "disputes", ["capture_id"], unique=False)
    op.create_index(op.f("ix_disputes_order_id"), "disputes", ["order_id"], unique=False)


def downgrade():
    op.drop_table("disputes")
    op.drop_table("discrepancies")
    op.drop_table("settled_lines")

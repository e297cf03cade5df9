"""settlement files that the clock fetches, accepted discrepancies, kept integrity checks

Revision ID: 0037
Revises: 0036
Create Date: 2026-11-30 22:50:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

FILES, CHECKS = "settlement_files", "integrity_checks"
ACCEPTED = ("accepted_at", "accepted_by", "accepted_reason")


def upgrade():
    time = sa.DateTime(timezone=True)
    op.create_table(
        FILES,
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("expected_at", time, nullable=True),
        sa.Column("due_at", time, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("read_at", time, nullable=True),
        sa.Column("lines", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "day", name="pk_settlement_files"),
    )
    op.create_table(
        CHECKS,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", time, nullable=False),
        sa.Column("due_at", time, nullable=True),
        sa.Column("ended_at", time, nullable=True),
        sa.Column("is_second_pass", sa.Boolean(), nullable=False),
        sa.Column("to_check", sa.JSON(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_integrity_checks"),
    )
    for table, name, column, which in (
        (FILES, "ix_settlement_files_due", "due_at", "due_at IS NOT NULL"),
        (FILES, "ix_settlement_files_missing", "expected_at", "read_at IS NULL"),
        (CHECKS, "ix_integrity_checks_due", "due_at", "due_at IS NOT NULL"),
    ):
        op.create_index(name, table, [column], postgresql_where=sa.text(which), sqlite_where=sa.text(which))
    is_open = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_integrity_checks_one_open", CHECKS, ["scope"], unique=True, postgresql_where=is_open, sqlite_where=is_open
    )
    for name in ACCEPTED:
        op.add_column("discrepancies", sa.Column(name, time if name == "accepted_at" else sa.Text(), nullable=True))


def downgrade():
    for name in ACCEPTED:
        op.drop_column("discrepancies", name)
    op.drop_table(CHECKS)
    op.drop_table(FILES)

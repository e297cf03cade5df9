"""payouts

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-21 09:05:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "funds",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("promised", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("promised >= 0", name=op.f("ck_funds_promised_not_negative")),
        sa.PrimaryKeyConstraint("currency", name=op.f("pk_funds")),
    )
    op.execute(
        "INSERT INTO funds (currency, settled, promised) "
        "SELECT currency, SUM(amount), 0 FROM ledger_entries WHERE account = 'settled' GROUP BY currency"
    )
    op.create_table(
        "payouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payouts_amount_positive")),
        sa.CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'REJECTED')", name=op.f("ck_payouts_state_known")),
        sa.CheckConstraint("decided_by <> asked_by OR state <> 'APPROVED'", name=op.f("ck_payouts_two_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
    )
    op.create_index(op.f("ix_payouts_state"), "payouts", ["state"], unique=False)


def downgrade():
    op.drop_index(op.f("ix_payouts_state"), table_name="payouts")
    op.drop_table("payouts")
    op.drop_table("funds")

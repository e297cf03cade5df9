"""refunds, disputes, and the store code of a payment at a counter"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payments", sa.Column("method", sa.String(), nullable=False, server_default="card"))
    op.add_column("payments", sa.Column("store_code", sa.String(), nullable=True))
    op.add_column("payments", sa.Column("refund_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("captures", sa.Column("refunded", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("captures", sa.Column("disputed", sa.BigInteger(), nullable=False, server_default="0"))
    _refunds()
    _disputes()


def _refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("capture_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("due_state", sa.String(), nullable=True),
        sa.Column("wire", sa.JSON(), nullable=False, server_default="{}"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"]),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("payment_id", "reference"),
        sa.UniqueConstraint("payment_id", "position"),
    )
    op.create_index("ix_refunds_capture_id", "refunds", ["capture_id"])
    op.create_index("ix_refunds_due_at", "refunds", ["due_at"])


def _disputes() -> None:
    op.create_table(
        "disputes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("capture_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("respond_by", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"]),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("capture_id"),
    )
    op.create_index("ix_disputes_payment_id", "disputes", ["payment_id"])
    op.create_index("ix_disputes_due_at", "disputes", ["due_at"])


def downgrade() -> None:
    op.drop_table("disputes")
    op.drop_table("refunds")
    for table, column in (
        ("captures", "disputed"),
        ("captures", "refunded"),
        ("payments", "refund_seq"),
        ("payments", "store_code"),
        ("payments", "method"),
    ):
        op.drop_column(table, column)

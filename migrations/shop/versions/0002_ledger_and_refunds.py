"""ledger and refunds

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21 06:45:03.300093

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "journals",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_journals_order_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_journals")),
    )
    op.create_index(op.f("ix_journals_order_id"), "journals", ["order_id"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("journal_key", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["journal_key"], ["journals.key"], name=op.f("fk_ledger_entries_journal_key")),
        sa.PrimaryKeyConstraint("journal_key", "line", name=op.f("pk_ledger_entries")),
    )
    op.create_index("ix_ledger_entries_account", "ledger_entries", ["account", "currency"], unique=False)
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("capture_id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("needs_two", sa.Boolean(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("rejected_code", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('REQUESTED', 'PENDING', 'UNKNOWN', 'DONE', 'REJECTED')", name=op.f("ck_refunds_state_known")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount_positive")),
        sa.ForeignKeyConstraint(["capture_id"], ["captures.id"], name=op.f("fk_refunds_capture_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_refunds_order_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    )
    op.create_index(op.f("ix_refunds_capture_id"), "refunds", ["capture_id"], unique=False)
    op.create_index(
        "ix_refunds_due",
        "refunds",
        ["next_check_at"],
        unique=False,
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
        sqlite_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_refunds_order_id"), "refunds", ["order_id"], unique=False)
    with op.batch_alter_table("captures") as captures:
        captures.add_column(sa.Column("refunded_amount", sa.BigInteger(), nullable=False, server_default="0"))
        captures.create_check_constraint(
            op.f("ck_captures_never_over_refunded"), "refunded_amount = 0 OR refunded_amount BETWEEN 0 AND amount"
        )
    _book_what_was_taken()


def _book_what_was_taken():
    """Book earlier captures as new ones are booked; unallocated ones are refunded only by staff."""
    taken = "FROM captures c JOIN payments p ON p.id = c.payment_id"
    key = "'capture:' || c.provider || ':' || c.capture_id"
    op.execute(
        f"INSERT INTO journals (key, kind, order_id, at) SELECT {key}, 'capture', p.order_id, c.heard_at {taken}"
    )
    for line, account, amount in (
        (0, "'receivable:' || c.provider", "c.amount"),
        (1, "CASE c.standing WHEN 'paid' THEN 'sales' ELSE 'aside' END", "-c.amount"),
    ):
        op.execute(
            "INSERT INTO ledger_entries (journal_key, line, account, currency, amount) "
            f"SELECT {key}, {line}, {account}, c.currency, {amount} {taken}"
        )
    aside = f"SELECT MIN(c.heard_at) {taken} WHERE p.order_id = orders.id AND c.standing <> 'paid'"
    op.execute(f"UPDATE orders SET review_since = ({aside}) WHERE review_since IS NULL")  # noqa: S608


def downgrade():
    with op.batch_alter_table("captures") as captures:
        captures.drop_constraint(op.f("ck_captures_never_over_refunded"), type_="check")
        captures.drop_column("refunded_amount")
    op.drop_index(op.f("ix_refunds_order_id"), table_name="refunds")
    op.drop_index(
        "ix_refunds_due",
        table_name="refunds",
        postgresql_where=sa.text("next_check_at IS NOT NULL"),
        sqlite_where=sa.text("next_check_at IS NOT NULL"),
    )
    op.drop_index(op.f("ix_refunds_capture_id"), table_name="refunds")
    op.drop_table("refunds")
    op.drop_index("ix_ledger_entries_account", table_name="ledger_entries")
    op.drop_table("ledger_entries")
    op.drop_index(op.f("ix_journals_order_id"), table_name="journals")
    op.drop_table("journals")

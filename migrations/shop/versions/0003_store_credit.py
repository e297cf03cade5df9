"""store credit, accepted amounts

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-21 08:25:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "store_credits",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held >= 0", name=op.f("ck_store_credits_held_not_negative")),
        sa.CheckConstraint("balance >= held", name=op.f("ck_store_credits_nothing_spent_twice")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_store_credits_user_id")),
        sa.PrimaryKeyConstraint("user_id", "currency", name=op.f("pk_store_credits")),
    )
    op.create_table(
        "credit_holds",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_holds_amount_positive")),
        sa.CheckConstraint("refunded_amount BETWEEN 0 AND amount", name=op.f("ck_credit_holds_never_over_refunded")),
        sa.CheckConstraint("state IN ('HELD', 'USED', 'RELEASED')", name=op.f("ck_credit_holds_state_known")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_credit_holds_order_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credit_holds_user_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_credit_holds")),
    )
    op.create_index(op.f("ix_credit_holds_user_id"), "credit_holds", ["user_id"], unique=False)
    # Raw SQL: for a constraint SQLite would have to recreate the table, and cannot while others refer to it.
    op.execute(
        "ALTER TABLE orders ADD COLUMN credit_amount BIGINT NOT NULL DEFAULT 0 "
        "CONSTRAINT ck_orders_credit_within_total CHECK (credit_amount BETWEEN 0 AND total_amount)"
    )
    op.execute("ALTER TABLE orders ADD COLUMN accepted_amount BIGINT")
    with op.batch_alter_table("refunds") as refunds:
        refunds.add_column(sa.Column("destination", sa.Text(), nullable=False, server_default="provider"))
        refunds.alter_column("capture_id", existing_type=sa.Integer(), nullable=True)
        refunds.alter_column("payment_id", existing_type=sa.Text(), nullable=True)
        refunds.create_check_constraint(
            op.f("ck_refunds_destination_known"), "destination IN ('provider', 'store_credit')"
        )
        refunds.create_check_constraint(
            op.f("ck_refunds_provider_has_a_capture"), "capture_id IS NOT NULL OR destination = 'store_credit'"
        )
        refunds.create_index(op.f("ix_refunds_payment_id"), ["payment_id"], unique=False)


def downgrade():
    with op.batch_alter_table("refunds") as refunds:
        refunds.drop_index(op.f("ix_refunds_payment_id"))
        refunds.drop_constraint(op.f("ck_refunds_provider_has_a_capture"), type_="check")
        refunds.drop_constraint(op.f("ck_refunds_destination_known"), type_="check")
        refunds.alter_column("payment_id", existing_type=sa.Text(), nullable=False)
        refunds.alter_column("capture_id", existing_type=sa.Integer(), nullable=False)
        refunds.drop_column("destination")
    op.execute("ALTER TABLE orders DROP COLUMN accepted_amount")
    op.execute("ALTER TABLE orders DROP COLUMN credit_amount")
    op.drop_index(op.f("ix_credit_holds_user_id"), table_name="credit_holds")
    op.drop_table("credit_holds")
    op.drop_table("store_credits")

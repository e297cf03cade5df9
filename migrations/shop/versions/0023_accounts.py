"""accounts: verified addresses, links that are mailed, the epoch of sign-ins, and gifts of store credit for approval

Existing accounts stay unverified: the account page asks their owners to confirm the address.

Revision ID: 0023
Revises: 0022
Create Date: 2026-11-30 05:50:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

UNREADABLE = {
    "gifts of store credit": "SELECT 1 FROM credit_gifts",
    "mails about accounts": "SELECT 1 FROM mails WHERE kind IN ('verification', 'password_reset',"
    " 'password_changed', 'email_change', 'email_changed', 'unlock')",
}
"""Rows that the older version cannot read."""


def upgrade():
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("session_epoch", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "account_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("account_email", sa.Text(), nullable=True),
        sa.Column("bound", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_account_links_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_links")),
        sa.UniqueConstraint("secret", name=op.f("uq_account_links_secret")),
    )
    op.create_index(op.f("ix_account_links_user_id"), "account_links", ["user_id"], unique=False)
    op.create_table(
        "credit_gifts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_gifts_amount_positive")),
        sa.CheckConstraint("state IN ('REQUESTED', 'APPROVED', 'DECLINED')", name=op.f("ck_credit_gifts_state_known")),
        sa.CheckConstraint(
            "decided_by <> requested_by OR state <> 'APPROVED'", name=op.f("ck_credit_gifts_two_people")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credit_gifts_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_gifts")),
        sa.UniqueConstraint("user_id", "key", name=op.f("uq_credit_gifts_user_id")),
    )
    op.create_index(op.f("ix_credit_gifts_state"), "credit_gifts", ["state"], unique=False)


def _refuse_while(rows):
    """Raise RuntimeError while one of these queries finds rows; they are dropped only when empty."""
    connection = op.get_bind()
    there = [name for name, query in rows.items() if connection.scalar(sa.text(f"SELECT EXISTS ({query})"))]
    if there:
        what = ", ".join(there)
        raise RuntimeError(f"The older version cannot read {what}. Run `db upgrade` and keep this version.")


def downgrade():
    _refuse_while(UNREADABLE)
    op.drop_table("credit_gifts")
    op.drop_table("account_links")
    op.drop_column("users", "session_epoch")
    op.drop_column("users", "email_verified_at")

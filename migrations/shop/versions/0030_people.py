"""accounts that are disabled, versions of their access, and requests for roles

Revision ID: 0030
Revises: 0029
Create Date: 2026-11-30 20:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

IS_STAFF = sa.text("json_array_length(roles) > 0")
IS_OPEN = sa.text("state = 'REQUESTED'")
UNREADABLE = {
    "accounts that are disabled": "SELECT 1 FROM users WHERE disabled_at IS NOT NULL",
    "invitations": "SELECT 1 FROM account_links WHERE purpose = 'invitation'",
    "mails with invitations": "SELECT 1 FROM mails WHERE kind = 'invitation'",
}
"""Rows that the older version cannot read, or ignores."""


def upgrade():
    op.add_column("users", sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("access_version", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_users_staff", "users", ["email"], postgresql_where=IS_STAFF, sqlite_where=IS_STAFF)
    op.create_table(
        "role_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('REQUESTED', 'APPROVED', 'DECLINED', 'LAPSED')", name=op.f("ck_role_requests_state_known")
        ),
        sa.CheckConstraint(
            "decided_by <> requested_by OR state <> 'APPROVED'", name=op.f("ck_role_requests_two_people")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_role_requests_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_requests")),
    )
    op.create_index(
        "ix_role_requests_open",
        "role_requests",
        ["user_id"],
        unique=True,
        postgresql_where=IS_OPEN,
        sqlite_where=IS_OPEN,
    )


def downgrade():
    connection = op.get_bind()
    there = [name for name, query in UNREADABLE.items() if connection.scalar(sa.text(f"SELECT EXISTS ({query})"))]
    if there:
        what = ", ".join(there)
        raise RuntimeError(f"The older version does not know {what}. Run `db upgrade` and keep this version.")
    op.drop_table("role_requests")
    op.drop_index("ix_users_staff", table_name="users")
    op.drop_column("users", "access_version")
    op.drop_column("users", "disabled_at")

"""notes on orders, accounts by the beginning of their address, wrong passwords by account, duration of webhooks

Revision ID: 0036
Revises: 0035
Create Date: 2026-11-30 23:05:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

OPEN = sa.text("done_at IS NULL")
JSON_OF = """
CREATE FUNCTION webhook_json(body bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(body, 'UTF8')::jsonb;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$
"""
"""The body of a webhook as JSON; NULL for one that is none. A cast alone would fail the whole query."""


def upgrade():
    op.create_table(
        "order_notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("form_key", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_notes_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_notes")),
        sa.UniqueConstraint("order_id", "form_key", name=op.f("uq_order_notes_order_id")),
    )
    op.create_table(
        "note_mentions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("note_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["note_id"], ["order_notes.id"], name=op.f("fk_note_mentions_note_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_note_mentions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note_mentions")),
        sa.UniqueConstraint("note_id", "user_id", name=op.f("uq_note_mentions_note_id")),
    )
    op.create_index("ix_note_mentions_open", "note_mentions", ["user_id"], postgresql_where=OPEN, sqlite_where=OPEN)
    op.create_index("ix_users_email_prefix", "users", ["email"], postgresql_ops={"email": "text_pattern_ops"})
    op.add_column("sign_in_failures", sa.Column("of_account", sa.Text(), nullable=True))
    op.create_index("ix_sign_in_failures_of_account", "sign_in_failures", ["of_account"])
    op.add_column("webhook_events", sa.Column("took_ms", sa.Integer(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(JSON_OF)


def downgrade():
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION webhook_json(bytea)")
    op.drop_column("webhook_events", "took_ms")
    op.drop_index("ix_sign_in_failures_of_account", table_name="sign_in_failures")
    op.drop_column("sign_in_failures", "of_account")
    op.drop_index("ix_users_email_prefix", table_name="users")
    op.drop_table("note_mentions")
    op.drop_table("order_notes")

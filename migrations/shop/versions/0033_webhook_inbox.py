"""payment that a webhook names, and indexes of the webhook inbox

Revision ID: 0033
Revises: 0032
Create Date: 2026-11-30 20:12:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLE = "webhook_events"
INDEXES = (
    ("ix_webhook_events_at", ["received_at", "id"], None),
    ("ix_webhook_events_reference", ["reference", "received_at"], None),
    ("ix_webhook_events_waiting", ["received_at", "id"], "due_at IS NOT NULL"),
    ("ix_webhook_events_outcome", ["outcome", "received_at", "id"], "outcome <> 'applied'"),
)


def upgrade():
    op.add_column(TABLE, sa.Column("reference", sa.Text(), nullable=True))
    # The bodies are not parsed again: an older event without an update is found by its own id.
    op.execute(
        "UPDATE webhook_events SET reference = (SELECT MIN(payment_id) FROM payment_updates "
        "WHERE payment_updates.webhook_event_id = webhook_events.id)"
    )
    for name, columns, which in INDEXES:
        where = sa.text(which) if which else None
        op.create_index(name, TABLE, columns, postgresql_where=where, sqlite_where=where)


def downgrade():
    for name, _columns, _which in INDEXES:
        op.drop_index(name, table_name=TABLE)
    op.drop_column(TABLE, "reference")

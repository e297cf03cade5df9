"""endpoints of outgoing webhooks, events, deliveries and attempts

Revision ID: 0045
Revises: 0044
Create Date: 2026-12-01 02:20:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
DUE = sa.text("next_attempt_at IS NOT NULL")
PRESENT = sa.text("deleted_at IS NULL")


def upgrade():
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("event_types", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("former_secret", sa.Text(), nullable=True),
        sa.Column("former_until", TIME, nullable=True),
        sa.Column("rotations", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("disabled_because", sa.Text(), nullable=True),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("attempted_at", TIME, nullable=True),
        sa.Column("succeeded_at", TIME, nullable=True),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("unanswered", sa.Integer(), nullable=False),
        sa.Column("lane_until", TIME, nullable=True),
        sa.CheckConstraint("disabled_because IN ('staff', 'gone', 'failing')", name="reason_known"),
        sa.CheckConstraint("(disabled_at IS NULL) = (disabled_because IS NULL)", name="disabled_for_a_reason"),
    )
    op.create_index(
        "ix_webhook_endpoints_url",
        "webhook_endpoints",
        ["url"],
        unique=True,
        postgresql_where=PRESENT,
        sqlite_where=PRESENT,
    )
    op.create_table(
        "outgoing_events",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id"), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=True),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.UniqueConstraint("event_id"),
        sa.UniqueConstraint("order_id", "seq"),
    )
    op.create_index("ix_outgoing_events_at", "outgoing_events", ["occurred_at", "id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("endpoint_id", sa.Text(), sa.ForeignKey("webhook_endpoints.id"), nullable=False),
        sa.Column("event_id", sa.Integer(), sa.ForeignKey("outgoing_events.id"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried_from", TIME, nullable=True),
        sa.Column("next_attempt_at", TIME, nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.UniqueConstraint("endpoint_id", "event_id"),
        sa.CheckConstraint("state IN ('QUEUED', 'DELIVERED', 'FAILED')", name="state_known"),
        sa.CheckConstraint("(state = 'QUEUED') = (next_attempt_at IS NOT NULL)", name="due_while_queued"),
    )
    op.create_index("ix_webhook_deliveries_event_id", "webhook_deliveries", ["event_id"])
    for name, columns in (
        ("ix_webhook_deliveries_due", ["endpoint_id", "next_attempt_at", "id"]),
        ("ix_webhook_deliveries_next", ["next_attempt_at"]),
    ):
        op.create_index(name, "webhook_deliveries", columns, postgresql_where=DUE, sqlite_where=DUE)
    op.create_index("ix_webhook_deliveries_state", "webhook_deliveries", ["endpoint_id", "state", "id"])
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("delivery_id", sa.Integer(), sa.ForeignKey("webhook_deliveries.id"), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
    )
    op.create_index("ix_delivery_attempts_delivery_id", "delivery_attempts", ["delivery_id"])


def downgrade():
    for name in ("delivery_attempts", "webhook_deliveries", "outgoing_events", "webhook_endpoints"):
        op.drop_table(name)

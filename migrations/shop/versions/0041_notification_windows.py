"""limit on the notifications about alerts of one rule

Revision ID: 0041
Revises: 0040
Create Date: 2026-12-01 00:10:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS = ("notified_raised_at", "notified_waits_at")


def upgrade():
    for name in COLUMNS:
        op.add_column("alerts", sa.Column(name, TIME, nullable=True))
    op.create_table(
        "notification_windows",
        sa.Column("rule", sa.Text(), primary_key=True),
        sa.Column("began_at", TIME, nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("due_at", TIME, nullable=True),
    )


def downgrade():
    op.drop_table("notification_windows")
    for name in reversed(COLUMNS):
        op.drop_column("alerts", name)

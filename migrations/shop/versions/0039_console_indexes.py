"""indexes of the console: mails by state, ended payments by state and provider, audit log by subject and request

Revision ID: 0039
Revises: 0038
Create Date: 2026-11-30 23:35:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None
ENDED = sa.text("state IN ('CANCELLED', 'CAPTURED', 'EXPIRED', 'FAILED')")
CHANGED = (
    ("ix_mails_state", "mails", ["state"], ["state", "id"]),
    (
        "ix_audit_log_subject",
        "audit_log",
        ["subject_kind", "subject_id", "at", "id"],
        ["subject_id", "subject_kind", "at", "id"],
    ),
)
"""Name, table, columns before and after."""


def upgrade():
    for name, table, _, columns in CHANGED:
        op.drop_index(name, table_name=table)
        op.create_index(name, table, columns)
    op.create_index("ix_audit_log_kind", "audit_log", ["subject_kind", "at", "id"])
    op.create_index("ix_audit_log_request", "audit_log", ["request_id", "at", "id"])
    columns = ["state", "provider", "order_id"]
    op.create_index("ix_payments_ended", "payments", columns, postgresql_where=ENDED, sqlite_where=ENDED)


def downgrade():
    op.drop_index("ix_payments_ended", table_name="payments")
    op.drop_index("ix_audit_log_request", table_name="audit_log")
    op.drop_index("ix_audit_log_kind", table_name="audit_log")
    for name, table, columns, _ in CHANGED:
        op.drop_index(name, table_name=table)
        op.create_index(name, table, columns)

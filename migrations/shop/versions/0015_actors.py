"""actors with a kind and an account

The actor was free text: `buyer`, `settle`, `watch`, a source, or any name. It becomes the text form of an
actor. A name is kept as the name of a member of staff without an account.

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-29 16:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = (
    ("order_events", "actor"),
    ("refunds", "asked_by"),
    ("refunds", "approved_by"),
    ("payouts", "asked_by"),
    ("payouts", "decided_by"),
    ("alerts", "acknowledged_by"),
    ("alerts", "resolved_by"),
)
SYSTEM = ("webhook", "poll", "return", "view", "closing", "start", "settlement file", "staff")
"""Sources, whose names are kept."""
RENAMED = {"buyer": "customer", "settle": "automatic", "watch": "watcher"}


def upgrade():
    outside = "UPDATE refunds SET asked_by = 'acquirer/' || asked_by WHERE kind = 'outside'"
    op.execute(sa.text(outside))
    for table, column in COLUMNS:
        for old, new in RENAMED.items():
            change = f"UPDATE {table} SET {column} = :new WHERE {column} = :old"  # noqa: S608 - names of ours
            op.execute(sa.text(change).bindparams(old=old, new=new))
        kept = sa.bindparam("kept", (*SYSTEM, *RENAMED.values()), expanding=True)
        names = f"{column} NOT IN :kept AND {column} NOT LIKE 'acquirer/%'"
        change = f"UPDATE {table} SET {column} = 'staff/' || {column} WHERE {names}"  # noqa: S608
        op.execute(sa.text(change).bindparams(kept))


def downgrade():
    for table, column in COLUMNS:
        for old, new in RENAMED.items():
            change = f"UPDATE {table} SET {column} = :old WHERE {column} = :new"  # noqa: S608
            op.execute(sa.text(change).bindparams(old=old, new=new))
        for kind in ("staff", "acquirer"):
            name = f"SUBSTR({column}, {len(kind) + 2})"
            change = f"UPDATE {table} SET {column} = {name} WHERE {column} LIKE '{kind}/%'"  # noqa: S608
            op.execute(sa.text(change))

"""keys of typed events for unpublished outbox rows

Published events keep the keys with which they were published, and so does the stream
`alerts.order_payment_inconsistency.v1`, whose keys are documented.

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-29 16:40:00
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

PUBLISHED = "alerts.order_payment_inconsistency.v1"
CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")
VALUES = ("observed", "expected")
OUTBOX = sa.table("outbox", sa.column("id"), sa.column("stream"), sa.column("payload", sa.JSON), sa.column("due_at"))
ACTORS = {"watch": "watcher"}


def snake_case(values):
    return {CAPITAL.sub("_", name).lower(): value for name, value in values.items()}


def camel_case(values):
    return {re.sub("_([a-z])", lambda found: found[1].upper(), name): value for name, value in values.items()}


def typed(payload):
    new = snake_case(payload)
    if "by" in new and "alert_id" in new:
        by = new.pop("by")
        new["actor"] = ACTORS.get(by, f"staff/{by}")
    new |= {name: snake_case(new[name]) for name in VALUES if name in new}
    return {"schema_version": 1, **new}


def untyped(payload):
    by = payload.get("actor")
    old = {name: value for name, value in payload.items() if name not in ("schema_version", "actor")}
    old |= {"by": by} if by else {}
    old |= {name: camel_case(old[name]) for name in VALUES if name in old}
    ids = ("order_id", "order_no", "alert_id", "rule_id", "detected_at")
    return {key if key not in ids else next(iter(camel_case({key: 0}))): value for key, value in old.items()}


def _rewrite(change):
    connection = op.get_bind()
    waiting = sa.select(OUTBOX.c.id, OUTBOX.c.payload).where(OUTBOX.c.due_at.is_not(None), OUTBOX.c.stream != PUBLISHED)
    for row in connection.execute(waiting).all():
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == row.id).values(payload=change(row.payload)))


def upgrade():
    _rewrite(typed)


def downgrade():
    _rewrite(untyped)

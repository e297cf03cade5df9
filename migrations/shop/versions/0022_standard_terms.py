"""tables, columns and keys of alerts in standard terms

PostgreSQL renames in place. SQLite cannot rename a constraint: there the tables, to which no other refers, are made
anew from their own definitions. Processes of the version before cannot work on these tables; see deploy/README.md.

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-30 05:50:00

"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = (
    # Before and after: the table, its constraints and indexes.
    ("beats", "heartbeats", {"pk_beats": "pk_heartbeats"}, {}),
    ("lookouts", "condition_schedules", {"pk_lookouts": "pk_condition_schedules"}, {}),
    (
        "settled_lines",
        "settlement_lines",
        {f"{kind}_settled_lines{of}": f"{kind}_settlement_lines{of}" for kind, of in (("pk", ""), ("uq", "_fact"))}
        | {"fk_settled_lines_fact": "fk_settlement_lines_fact"},
        {"ix_settled_lines_day": "ix_settlement_lines_day"},
    ),
)
COLUMNS = (
    ("refunds", {"asked_by": "requested_by"}),
    ("payouts", {"asked_by": "requested_by", "asked_at": "requested_at"}),
    ("carts", {"last_press": "last_form_id"}),
)
CAUSES = {"OPS_ORPHAN": "webhook_event ", "OPS_KEY_REUSED": "refused_webhook "}
"""Alert rules whose cause is a row, which was `notice N`, and the first word of the cause now."""
CAUSE = "notice "
KEY, NEW_KEY = "notices", "webhook_events"
DEFINITIONS = sa.text("SELECT sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type DESC")
ALERTS = sa.table(
    "alerts", sa.column("id"), sa.column("rule"), sa.column("observed", sa.JSON), sa.column("expected", sa.JSON)
)
OUTBOX = sa.table("outbox", sa.column("id"), sa.column("kind"), sa.column("payload", sa.JSON), sa.column("due_at"))


def upgrade():
    for table, columns in COLUMNS:
        _rename_columns(table, columns)
    _rename_tables(TABLES)
    for rule, word in CAUSES.items():
        _rewrite_causes(rule, CAUSE, word)
    _rewrite_alerts(KEY, NEW_KEY)
    _rewrite_outbox(KEY, NEW_KEY)


def downgrade():
    _rewrite_outbox(NEW_KEY, KEY)
    _rewrite_alerts(NEW_KEY, KEY)
    for rule, word in CAUSES.items():
        _rewrite_causes(rule, word, CAUSE)
    _rename_tables([(new, old, _inverse(constraints), _inverse(indexes)) for old, new, constraints, indexes in TABLES])
    for table, columns in COLUMNS:
        _rename_columns(table, _inverse(columns))


def _inverse(names):
    return {new: old for old, new in names.items()}


def _rename_columns(table, columns):
    for old, new in columns.items():
        op.alter_column(table, old, new_column_name=new)


def _rename_tables(tables):
    rename = _make_anew if op.get_bind().dialect.name == "sqlite" else _rename_in_place
    for old, new, constraints, indexes in tables:
        rename(old, new, constraints, indexes)


def _rename_in_place(old, new, constraints, indexes):
    for before, after in constraints.items():
        op.execute(f"ALTER TABLE {old} RENAME CONSTRAINT {before} TO {after}")
    for before, after in indexes.items():
        op.execute(f"ALTER INDEX {before} RENAME TO {after}")
    op.rename_table(old, new)


def _make_anew(old, new, constraints, indexes):
    definitions = op.get_bind().scalars(DEFINITIONS, {"name": old}).all()
    op.execute(f"CREATE TABLE kept_{old} AS SELECT * FROM {old}")  # noqa: S608 - names of ours
    op.drop_table(old)
    for definition in definitions:
        for before, after in ({old: new} | constraints | indexes).items():
            definition = re.sub(rf"\b{before}\b", after, definition)
        op.execute(definition)
    op.execute(f"INSERT INTO {new} SELECT * FROM kept_{old}")  # noqa: S608
    op.drop_table(f"kept_{old}")


def _rewrite_causes(rule, old, new):
    change = "UPDATE alerts SET cause = :new || substr(cause, :after) WHERE rule = :rule AND cause LIKE :old"
    op.execute(sa.text(change).bindparams(rule=rule, new=new, old=f"{old}%", after=len(old) + 1))


def _rewrite_alerts(old, new):
    """Rename the key in what alerts about floods of webhooks observed and expected."""
    connection = op.get_bind()
    # Rules with episodes: no other has the key, and there are few of their alerts.
    floods = sa.select(ALERTS).where(
        ALERTS.c.rule.in_(("OPS_BAD_SIGNATURE", "OPS_CLOCK_SKEW", "OPS_MALFORMED", "OPS_FOREIGN"))
    )
    for row in connection.execute(floods).all():
        values = {name: _renamed(getattr(row, name), old, new) for name in ("observed", "expected")}
        connection.execute(sa.update(ALERTS).where(ALERTS.c.id == row.id).values(values))


def _rewrite_outbox(old, new):
    """The same in events that are not published yet. Published ones keep what they had."""
    connection = op.get_bind()
    waiting = sa.select(OUTBOX).where(OUTBOX.c.due_at.is_not(None), OUTBOX.c.kind == "alert.raised")
    for row in connection.execute(waiting).all():
        values = {
            name: _renamed(row.payload[name], old, new) for name in ("observed", "expected") if name in row.payload
        }
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == row.id).values(payload=row.payload | values))


def _renamed(values, old, new):
    return {new if name == old else name: value for name, value in values.items()}

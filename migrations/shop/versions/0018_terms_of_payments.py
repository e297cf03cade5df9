"""tables, columns and values of payments in standard terms

PostgreSQL renames in place. SQLite cannot change a constraint of a table to which others refer: there the tables are
made anew from their own definitions, and references are checked at the commit. Processes of the version before cannot
work on these tables; see deploy/README.md.

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-29 19:45:00

"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

RECEIVED = {"heard_at": "received_at", "heard_from": "source"}
OUTCOME = {"verdict": "outcome"}
TABLES = (
    # Before and after: the table, its columns, its constraints, its indexes. Referring tables come last.
    (
        "captures",
        "captures",
        RECEIVED | {"standing": "allocation"},
        {"ck_captures_standing_known": "ck_captures_allocation_known"},
        {"ix_captures_heard": "ix_captures_received"},
    ),
    (
        "refused_notices",
        "refused_webhooks",
        OUTCOME,
        {"pk_refused_notices": "pk_refused_webhooks"},
        {"ix_refused_notices_received": "ix_refused_webhooks_received"},
    ),
    (
        "inbox",
        "webhook_events",
        OUTCOME,
        {"pk_inbox": "pk_webhook_events", "uq_inbox_provider": "uq_webhook_events_provider"},
        {f"ix_inbox_{name}": f"ix_webhook_events_{name}" for name in ("due", "received", "not_ours")},
    ),
    (
        "reports",
        "payment_updates",
        RECEIVED | OUTCOME | {"inbox_id": "webhook_event_id"},
        {
            "pk_reports": "pk_payment_updates",
            "fk_reports_payment_id": "fk_payment_updates_payment_id",
            "fk_reports_inbox_id": "fk_payment_updates_webhook_event_id",
        },
        {
            "ix_reports_payment_id": "ix_payment_updates_payment_id",
            "ix_reports_inbox_id": "ix_payment_updates_webhook_event_id",
            "ix_reports_hints": "ix_payment_updates_hints",
        },
    ),
)
COLUMNS = (("disputes", RECEIVED), ("payments", {"asked_at": "polled_at"}))
ALLOCATIONS = {"paid": "pays_order", "second": "duplicate"}
KINDS = {"second": "duplicate"}
ACCOUNTS = {
    "aside": "unallocated_funds",
    "settled": "bank",
    "by_hand": "manual_refunds",
    "paid_out": "owner_payouts",
}
DEFINITIONS = sa.text("SELECT sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type DESC")
OUTBOX = sa.table("outbox", sa.column("id"), sa.column("kind"), sa.column("payload", sa.JSON), sa.column("due_at"))


def upgrade():
    _rename(TABLES, ALLOCATIONS)
    for table, columns in COLUMNS:
        _rename_columns(table, columns)
    _replace("refunds", "kind", KINDS)
    _replace("ledger_entries", "account", ACCOUNTS)
    _rewrite_history("standing", "allocation", ALLOCATIONS, KINDS)
    _rewrite_outbox("standing", "allocation", ALLOCATIONS, KINDS, version=2)


def downgrade():
    _rewrite_outbox("allocation", "standing", _inverse(ALLOCATIONS), _inverse(KINDS), version=1)
    _rewrite_history("allocation", "standing", _inverse(ALLOCATIONS), _inverse(KINDS))
    _replace("ledger_entries", "account", _inverse(ACCOUNTS))
    _replace("refunds", "kind", _inverse(KINDS))
    for table, columns in COLUMNS:
        _rename_columns(table, _inverse(columns))
    back = tuple((new, old, *map(_inverse, names)) for old, new, *names in TABLES)
    _rename(back, _inverse(ALLOCATIONS))


def _inverse(names):
    return {new: old for old, new in names.items()}


def _rename(tables, allocations):
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(tables, allocations)
    else:
        _rename_in_place(tables, allocations)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def _rename_in_place(tables, allocations):
    for old, new, columns, constraints, indexes in tables:
        _rename_columns(old, columns)
        for before, after in constraints.items():
            op.execute(f"ALTER TABLE {old} RENAME CONSTRAINT {before} TO {after}")
        for before, after in indexes.items():
            op.execute(f"ALTER INDEX {before} RENAME TO {after}")
        if old != new:
            op.rename_table(old, new)
            op.execute(f"ALTER SEQUENCE {old}_id_seq RENAME TO {new}_id_seq")
        if old == "captures":
            _replace_allocations(columns, constraints, allocations)


def _replace_allocations(columns, constraints, allocations):
    ((name,), column) = constraints.values(), columns.get("standing", "standing")
    op.drop_constraint(op.f(name), "captures", type_="check")
    _replace("captures", column, allocations)
    known = ", ".join(f"'{value}'" for value in (*allocations.values(), "late", "mismatch"))
    op.create_check_constraint(op.f(name), "captures", f"{column} IN ({known})")


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _make_anew(tables, allocations):
    connection = op.get_bind()
    connection.execute(sa.text("PRAGMA defer_foreign_keys = ON"))
    definitions = {}
    for old, *_ in reversed(tables):
        definitions[old] = connection.scalars(DEFINITIONS, {"name": old}).all()
        op.execute(f"CREATE TABLE kept_{old} AS SELECT * FROM {old}")  # noqa: S608
        op.drop_table(old)
    for column in ("standing", "allocation"):
        if column in _columns("kept_captures"):
            _replace("kept_captures", column, allocations)
    names = {old: new for old, new, *_ in tables}
    for old, new, columns, constraints, indexes in tables:
        values = allocations if old == "captures" else {}
        for definition in definitions[old]:
            op.execute(_translated(definition, names | columns | constraints | indexes, values))
        op.execute(f"INSERT INTO {new} SELECT * FROM kept_{old}")  # noqa: S608
        op.drop_table(f"kept_{old}")


def _columns(table):
    return [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]


def _translated(definition, names, values):
    for old, new in names.items():
        definition = re.sub(rf"\b{old}\b", new, definition)
    for old, new in values.items():
        definition = definition.replace(f"'{old}'", f"'{new}'")
    return definition


# --- both ------------------------------------------------------------------------------------------------------------


def _rename_columns(table, columns):
    for old, new in columns.items():
        op.alter_column(table, old, new_column_name=new)


def _replace(table, column, values):
    for old, new in values.items():
        change = f"UPDATE {table} SET {column} = :new WHERE {column} = :old"  # noqa: S608 - names of ours
        op.execute(sa.text(change).bindparams(old=old, new=new))


def _rewrite_history(old, new, allocations, kinds):
    """Rename the key of captures in the history of orders, and the values of captures and refunds."""
    if op.get_bind().dialect.name == "sqlite":
        read, renamed = "json_extract(data, '$.{}')", f"json_set(json_remove(data, '$.{old}'), '$.{new}', {{}})"
        changed = "json_set(data, '$.why', '{}')"
    else:
        read, renamed = "data ->> '{}'", f"((data::jsonb - '{old}') || jsonb_build_object('{new}', {{}}))::json"
        changed = "jsonb_set(data::jsonb, '{{why}}', '\"{}\"')::json"
    value = read.format(old)
    cases = " ".join(f"WHEN '{before}' THEN '{after}'" for before, after in allocations.items())
    allocation = renamed.format(f"CASE {value} {cases} ELSE {value} END")
    op.execute(
        f"UPDATE order_events SET data = {allocation} WHERE kind = 'payment.captured' AND {value} IS NOT NULL"  # noqa: S608
    )
    for before, after in kinds.items():
        op.execute(
            f"UPDATE order_events SET data = {changed.format(after)} "  # noqa: S608
            f"WHERE kind LIKE 'refund.%' AND {read.format('why')} = '{before}'"
        )


def _rewrite_outbox(old, new, allocations, kinds, *, version):
    """The same in events that are not published yet. Published ones keep what they said."""
    connection = op.get_bind()
    of_captures = OUTBOX.c.kind == "payment.captured"
    waiting = sa.select(OUTBOX).where(OUTBOX.c.due_at.is_not(None), of_captures | OUTBOX.c.kind.like("refund.%"))
    for row in connection.execute(waiting).all():
        payload = {**row.payload, "schema_version": version}
        if old in payload:
            allocation = payload.pop(old)
            payload[new] = allocations.get(allocation, allocation)
        if "why" in payload:
            payload["why"] = kinds.get(payload["why"], payload["why"])
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == row.id).values(payload=payload))

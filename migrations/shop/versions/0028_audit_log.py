"""audit log with seals

Revision ID: 0028
Revises: 0027
Create Date: 2026-11-30 13:50:00

"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

REFUSAL = "the audit log is append-only"
COLUMNS = (
    "id",
    "at",
    "actor",
    "act",
    "subject_kind",
    "subject_id",
    "before",
    "after",
    "reason",
    "request_id",
    "personal_hash",
)
TABLES = ("audit_log", "audit_personal", "audit_seals")
KEYS = {"audit_log": "id", "audit_personal": "entry_id", "audit_seals": "number"}


def upgrade():
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_audit_seals_number_positive")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("personal_hash", sa.Text(), nullable=False),
        sa.Column("seal", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["seal"], ["audit_seals.number"], name=op.f("fk_audit_log_seal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at", "id"])
    op.create_index("ix_audit_log_actor", "audit_log", ["actor", "at", "id"])
    op.create_index("ix_audit_log_act", "audit_log", ["act", "at", "id"])
    op.create_index("ix_audit_log_subject", "audit_log", ["subject_kind", "subject_id", "at", "id"])
    op.create_index("ix_audit_log_seal", "audit_log", ["seal", "id"])
    op.create_table(
        "audit_personal",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("personal", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["audit_log.id"], name=op.f("fk_audit_personal_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_personal")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _protect_postgresql()
    else:
        _protect_sqlite()


def _protect_postgresql():
    """An entry may get its seal once; personal values may be deleted; nothing else changes."""
    op.execute(
        f"""
        CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{REFUSAL}';
        END $$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION allow_first_seal_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.seal IS NULL AND NEW.seal IS NOT NULL AND to_jsonb(NEW) - 'seal' = to_jsonb(OLD) - 'seal' THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '{REFUSAL}';
        END $$
        """
    )
    refuse = "EXECUTE FUNCTION refuse_change_of_audit_log()"
    op.execute(
        "CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION allow_first_seal_of_audit_log()"
    )
    op.execute(f"CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log FOR EACH ROW {refuse}")
    op.execute(f"CREATE TRIGGER audit_seals_change BEFORE UPDATE OR DELETE ON audit_seals FOR EACH ROW {refuse}")
    op.execute(f"CREATE TRIGGER audit_personal_update BEFORE UPDATE ON audit_personal FOR EACH ROW {refuse}")
    for table in TABLES:
        op.execute(f"CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")


def _protect_sqlite():
    """As on PostgreSQL. INSERT OR REPLACE deletes the old row without a DELETE trigger, so it is refused on its own."""
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    changes = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in COLUMNS)
    op.execute(
        "CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log "
        f"WHEN OLD.seal IS NOT NULL OR NEW.seal IS NULL OR {changes} {refuse}"
    )
    op.execute(f"CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log {refuse}")
    op.execute(f"CREATE TRIGGER audit_seals_update BEFORE UPDATE ON audit_seals {refuse}")
    op.execute(f"CREATE TRIGGER audit_seals_delete BEFORE DELETE ON audit_seals {refuse}")
    op.execute(f"CREATE TRIGGER audit_personal_update BEFORE UPDATE ON audit_personal {refuse}")
    for table, key in KEYS.items():
        exists = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608
        op.execute(f"CREATE TRIGGER {table}_replace BEFORE INSERT ON {table} WHEN {exists} {refuse}")


def downgrade():
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM audit_log)")):  # evidence is not dropped
        raise RuntimeError("The older version cannot read the audit log. Run `db upgrade` and keep this version.")
    for table in ("audit_personal", "audit_log", "audit_seals"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_audit_log()")
        op.execute("DROP FUNCTION allow_first_seal_of_audit_log()")

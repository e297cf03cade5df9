"""index of product search

Revision ID: 0056
Revises: 0051
Create Date: 2026-12-01 10:00:00

"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0056"
down_revision = "0054"
branch_labels = None
depends_on = None

# of SQLite: an index of the column `words` of search_entries, which the triggers keep as it is
FULL_TEXT = (
    "CREATE VIRTUAL TABLE search_index USING fts5(words, content='search_entries', content_rowid='id', detail='none', "
    "columnsize=0, prefix='2 3', tokenize=\"ascii tokenchars '-_'\")",
    "CREATE TRIGGER search_entries_added AFTER INSERT ON search_entries BEGIN "
    "INSERT INTO search_index (rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER search_entries_removed AFTER DELETE ON search_entries BEGIN "
    "INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', old.id, old.words); END",
    "CREATE TRIGGER search_entries_changed AFTER UPDATE OF words ON search_entries BEGIN "
    "INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', old.id, old.words); "
    "INSERT INTO search_index (rowid, words) VALUES (new.id, new.words); END",
)


def upgrade():
    on_postgres = op.get_bind().dialect.name == "postgresql"
    word = sa.Text(collation="C") if on_postgres else sa.Text()
    op.create_table(
        "search_entries",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sku", sa.Text(), sa.ForeignKey("products.sku", ondelete="CASCADE"), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("shelf", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_version", sa.Integer(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("words", TSVECTOR() if on_postgres else sa.Text(), nullable=False),
        sa.UniqueConstraint("sku", name="uq_search_entries_sku"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_search_entries_place", "search_entries", ["shelf", "position", "sku"])
    op.create_index("ix_search_entries_category", "search_entries", ["category", "position", "sku"])
    op.create_index(
        "ix_search_entries_words",
        "search_entries",
        ["words"],
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
        sqlite_where=sa.text("words IS NULL"),
    )
    op.create_table(
        "search_prices",
        sa.Column("entry_id", sa.Integer(), sa.ForeignKey("search_entries.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("currency", sa.Text(), primary_key=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_search_prices_amount", "search_prices", ["currency", "amount", "entry_id"])
    op.create_table("search_words", sa.Column("word", word, primary_key=True))
    op.create_table(
        "search_spellings",
        sa.Column("rest", sa.Text(), primary_key=True),
        sa.Column("word", sa.Text(), primary_key=True),
    )
    if on_postgres:
        # beside the rows, which stay small: lists read many of them and few of their words
        op.execute("ALTER TABLE search_entries ALTER COLUMN words SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE search_entries SET (toast_tuple_target = 128)")
    else:
        for statement in FULL_TEXT:
            op.execute(statement)


def downgrade():
    if op.get_bind().dialect.name != "postgresql":
        for name in ("added", "removed", "changed"):
            op.execute(f"DROP TRIGGER search_entries_{name}")
        op.execute("DROP TABLE search_index")
    for name in ("search_spellings", "search_words", "search_prices", "search_entries"):
        op.drop_table(name)

"""The migrations create exactly the tables that the models describe."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import upgrade

from shop import create_app
from shop.core.db import UtcDateTime, db


def differences(url: str, metadata: sa.MetaData) -> list[object]:
    """Differences that autogenerate finds between the database at `url` and `metadata`."""
    engine = sa.create_engine(url)
    options = {
        "compare_type": lambda *types: False if isinstance(types[-1], UtcDateTime) else None,
        # the full-text table of SQLite, which no model describes, and the tables in which it keeps its data
        "include_name": lambda name, kind, _: kind != "table" or not str(name).startswith("search_index"),
    }
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


def test_the_migrations_of_the_shop_lead_to_the_tables_of_its_models(url: str) -> None:
    app = create_app({"DATABASE_URL": url, "SETTLED_ENV": "development"})
    with app.app_context():
        upgrade()
        db.engine.dispose()
    assert differences(url, db.metadata) == []


def test_a_column_without_a_migration_is_seen(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'planted.db'}"
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    table = sa.Table("goods", metadata, sa.Column("id", sa.Integer, primary_key=True))
    metadata.create_all(engine)
    engine.dispose()
    table.append_column(sa.Column("colour", sa.Text))
    assert differences(url, metadata)

"""The migrations lead to exactly the tables that the models describe."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_migrate import upgrade

from shop import create_app
from shop.core.db import UtcDateTime, db


def differences(url: str, metadata: sa.MetaData) -> list[object]:
    """What autogenerate would still do to the database at `url` to make it `metadata`'s."""
    engine = sa.create_engine(url)
    options = {"compare_type": lambda *types: False if isinstance(types[-1], UtcDateTime) else None}
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return found


def test_the_migrations_of_the_shop_lead_to_the_tables_of_its_models(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    app = create_app({"DATABASE_URL": url, "SECRET_KEY": "only for tests " * 4})
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

"""The release step runs before each version and keeps a merchant's changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.parts.postgres import PostgresServer
from tests.parts.processes import Processes
from tests.shop_fixtures import environ

PRODUCTS = text("SELECT sku, slug, name, category, summary, description, image, prices, position FROM products")
STOCK = text("SELECT sku, on_hand, reserved FROM stock")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create())


def rows(engine: Engine) -> tuple[list[str], list[str], int]:
    """Products, stock, and the number of stock movements."""
    with engine.connect() as connection:
        products, stock = (sorted(map(str, connection.execute(query))) for query in (PRODUCTS, STOCK))
        return products, stock, connection.execute(text("SELECT count(*) FROM stock_movements")).scalar_one()


def test_a_release_inserts_what_is_missing_and_changes_nothing_that_exists(database: str, process: Processes) -> None:
    def release() -> None:
        run = process(["python", "-m", "deploy.release"], environ(database, ""))
        assert run.wait(within=120) == 0, run.text
        run.log.unlink()

    release()
    engine = create_engine(database)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM products")).scalar_one() == 30
        connection.execute(text("UPDATE categories SET name = 'Our kitchen' WHERE slug = 'table'"))
        connection.execute(
            text("UPDATE products SET name = 'Our mug', slug = 'our-mug', prices = :prices WHERE sku = 'MUG-SPECK'"),
            {"prices": '{"TWD": 100}'},
        )
        connection.execute(text("UPDATE stock SET on_hand = 5 WHERE sku = 'MUG-SPECK'"))
        connection.execute(text("DELETE FROM products WHERE sku = 'BOWL-NEST'"))
    before = rows(engine)
    release()
    after = rows(engine)
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT name FROM categories WHERE slug = 'table'")).scalar_one() == "Our kitchen"
        )
    engine.dispose()
    assert set(before[0]) < set(after[0])
    assert [row for row in after[0] if row not in before[0]][0].startswith("('BOWL-NEST', 'nesting-bowls'")
    assert len(after[0]) == 30
    assert after[1:] == before[1:], "the deleted product keeps its stock, so none is received again"

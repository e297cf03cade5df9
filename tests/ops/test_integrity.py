"""Integrity in the console: the kept result, a check in the background with its progress, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db
from shop.core.errors import Refusal
from shop.integrity import checks, invariants
from shop.integrity.checks import Result
from shop.integrity.invariants import Finding
from shop.integrity.models import IntegrityCheck
from shop.jobs import work
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop

WITHOUT_CALLS = ["2 stock", "3 totals"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two invariants, which call no acquirer."""
    monkeypatch.setattr(invariants, "names", lambda **_: list(WITHOUT_CALLS))


def broken(monkeypatch: pytest.MonkeyPatch, *answers: list[dict[str, Any]]) -> None:
    """The rows that violate an invariant, at the first check and at later ones."""
    left, right = list(answers), invariants.check_one

    def check_one(name: str) -> Finding:
        if name != "2 stock":
            return right(name)
        return Finding(name, "stock adds up", left.pop(0) if len(left) > 1 else left[0])

    monkeypatch.setattr(invariants, "check_one", check_one)


def last() -> IntegrityCheck:
    db.session.rollback()
    found = checks.last_ended()
    assert found
    return found


def test_an_admin_starts_a_check_that_workers_do_and_reads_its_result(shop: Shop, few: None) -> None:
    admin = visitor_as(shop, "admin")
    assert "No check of everything was made yet." in admin.get("/ops/integrity").text
    assert admin.post("/ops/integrity/run").status_code == 303
    page = admin.get("/ops/integrity").text
    assert "0 of 2 invariants are checked" in page and 'hx-trigger="every 2s"' in page
    assert find().rows[0].act == Act.CHECK_REQUESTED
    work.batch("integrity", checks.due())
    page = admin.get("/ops/integrity/state").text
    assert "All 2 invariants hold." in page and "admin@example.com" in page and "hx-trigger" not in page
    shop.sweep()


def test_one_check_runs_at_a_time(shop: Shop, few: None, race: Callable[..., list[Any]]) -> None:
    with_right = Actor.operator()
    results = race(lambda _: checks.request(with_right))
    assert len([one for one in results if isinstance(one, int)]) == 1
    assert {one.code for one in results if isinstance(one, Refusal)} == {"check_running"}
    assert shop.count(IntegrityCheck) == 1
    shop.sweep()


def test_a_violation_is_checked_again_before_it_is_reported_with_its_rows(
    shop: Shop, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order()
    rows = [{"order_id": order.id, "number": order.number, "sku": "X"}] * 25
    broken(monkeypatch, [{"sku": "X"}], rows)
    checks.request(Actor.operator())
    work.batch("integrity", checks.due())
    assert checks.last_ended() is None and checks.due() == [], "work in progress is no violation"
    shop.wait(seconds=4)
    work.batch("integrity", checks.due())
    [stock] = [one for one in checks.results(last()) if not one.holds]
    assert (stock.count, len(stock.rows)) == (25, checks.KEPT_ROWS)
    page = visitor_as(shop, "admin").get("/ops/integrity").text
    assert "1 of 2 invariants do not hold" in page and "25 rows violate it" in page
    assert f'href="/ops/orders/{order.number}"' in page and "The first 20 of 25 are shown." in page
    shop.sweep()


def test_work_in_progress_at_the_first_look_is_no_violation(
    shop: Shop, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, [{"sku": "X"}], [])
    checks.request(Actor.operator())
    work.batch("integrity", checks.due())
    shop.wait(seconds=4)
    work.batch("integrity", checks.due())
    assert all(one.holds for one in checks.results(last()))


def test_a_killed_worker_loses_one_step_and_an_invariant_that_fails_does_not_stop_the_others(
    shop: Shop, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str) -> Finding:
        raise RuntimeError("disk full")

    monkeypatch.setattr(invariants, "check_one", fail)
    monkeypatch.setattr(checks, "SECONDS", -1.0)
    checks.request(Actor.operator())
    checks.continue_due(checks.due()[0])
    assert [one.to_check for one in db.session.scalars(db.select(IntegrityCheck))] == [WITHOUT_CALLS]
    monkeypatch.setattr(checks, "SECONDS", 20.0)
    assert checks._claim(checks.due()[0]), "a worker that is killed now"
    assert checks.due() == []
    shop.wait(minutes=4)
    for _ in range(2):
        work.batch("integrity", checks.due())
        shop.wait(seconds=4)
    assert [one.error for one in checks.results(last())] == ["RuntimeError", "RuntimeError"]
    shop.sweep()


def test_the_result_of_the_command_is_kept(shop: Shop, few: None) -> None:
    done = shop.app.test_cli_runner().invoke(args=["check"])
    assert done.exit_code == 0
    assert [one.name for one in checks.results(last())] == WITHOUT_CALLS
    assert str(last().requested_by) == "operator"


def test_support_does_not_open_the_page_and_finance_starts_no_check(shop: Shop) -> None:
    assert visitor_as(shop, "support").get("/ops/integrity").status_code == 403
    with pytest.raises(Refusal, match="integrity.run"):
        checks.request(shop.sam)


def test_a_new_result_replaces_the_one_of_the_first_pass() -> None:
    before = [Result("a", "A", 1), Result("b", "B")]
    assert checks.merged(before, Result("a", "A")) == [Result("a", "A"), Result("b", "B")]
    assert checks.merged(before, Result("c", "C")) == [*before, Result("c", "C")]

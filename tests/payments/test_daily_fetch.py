"""Daily fetch of settlement files by the clock: once a day for each provider, again while a file is not there."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from shop.alerts import store
from shop.core import clock
from shop.core.db import db
from shop.payments.providers import registry
from shop.payments.providers.interface import PaymentProvider, Unavailable
from shop.payments.records.settlement_models import SettlementFile
from shop.payments.settlement import daily_fetch, files, reconcile
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

DAY = date(2026, 1, 31)
TAIPEI = timezone(timedelta(hours=8))


class Files:
    """The acquirer's files: `answer` is given for every day, `requested` are the days."""

    def __init__(self) -> None:
        self.answer: bytes | Unavailable = b"[]"
        self.requested: list[date] = []

    def __call__(self, _provider: PaymentProvider, day: date) -> bytes | Unavailable:
        self.requested.append(day)
        return self.answer


@pytest.fixture
def there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Files:
    """The files of KPay, the only provider whose files can be fetched, at noon of a day in its zone."""
    found = Files()
    kpay = registry.all_providers()["kpay"]
    monkeypatch.setattr(type(kpay), "settlement_file", lambda provider, day: found(provider, day))
    monkeypatch.setattr(reconcile, "can_fetch", lambda name: name == "kpay")
    shop.app.config["SETTLEMENT_FETCH"] = True
    tomorrow = datetime.combine(clock.now().date() + timedelta(days=1), datetime.min.time(), UTC)
    clock.advance(tomorrow + timedelta(hours=12) - clock.now())
    return found


def yesterday() -> date:
    return clock.now().date() - timedelta(days=1)


def file(day: date | None = None) -> SettlementFile:
    db.session.rollback()
    return db.session.get_one(SettlementFile, ("kpay", day or yesterday()), populate_existing=True)


def minutes_until_next(day: date) -> int:
    due = file(day).due_at
    assert due
    return round((due - clock.now()).total_seconds() / 60)


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        (UTC, datetime(2026, 2, 1, 0, 59, tzinfo=UTC), date(2026, 1, 30)),
        (UTC, datetime(2026, 2, 1, 1, 0, tzinfo=UTC), DAY),
        (TAIPEI, datetime(2026, 1, 31, 16, 59, tzinfo=UTC), date(2026, 1, 30)),
        (TAIPEI, datetime(2026, 1, 31, 17, 0, tzinfo=UTC), DAY),
    ],
)
def test_a_file_is_expected_an_hour_after_the_day_has_ended_in_the_zone_of_its_provider(
    zone: Any, at: datetime, day: date
) -> None:
    assert daily_fetch.last_day(zone, at) == day


def test_days_without_a_clock_are_made_up_for_and_a_new_shop_begins_with_yesterday() -> None:
    assert daily_fetch.days_to_expect(None, DAY) == [DAY]
    assert daily_fetch.days_to_expect(DAY, DAY) == []
    assert daily_fetch.days_to_expect(DAY - timedelta(days=2), DAY) == [DAY - timedelta(days=1), DAY]
    assert len(daily_fetch.days_to_expect(DAY - timedelta(days=40), DAY)) == 40
    assert len(daily_fetch.days_to_expect(date(2025, 1, 1), DAY)) == daily_fetch.CATCH_UP


def test_the_clock_fetches_the_file_of_yesterday_once_a_day(shop: Shop, there: Files) -> None:
    for _ in range(3):
        shop.sweep()
        shop.wait(minutes=20)
    assert there.requested == [yesterday()]
    assert (file().due_at, file().lines, file().attempts) == (None, 0, 1) and file().read_at
    shop.turn(days=1)
    assert there.requested == [yesterday() - timedelta(days=1), yesterday()]


def test_several_clocks_fetch_a_file_once(race: Race, shop: Shop, there: Files) -> None:
    found = daily_fetch.due()
    race(lambda _: (files.expect("kpay", [yesterday()]), daily_fetch.fetch_due(found[0])))
    assert there.requested == [yesterday()]


@pytest.mark.whole_sweep
def test_a_file_that_is_not_there_is_fetched_again_after_growing_pauses_and_alerted_until_it_is_read(
    shop: Shop, there: Files
) -> None:
    there.answer, day = Unavailable("HTTP 404"), yesterday()
    shop.sweep()
    assert "HTTP 404" in (file(day).error or "")
    pauses = []
    for _ in range(6):
        pauses.append(minutes_until_next(day))
        shop.turn_to(file(day).due_at)
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert store.open_alerts(rule="OPS_SETTLEMENT_MISSING") == []
    shop.turn(hours=4)
    [alert] = store.open_alerts(rule="OPS_SETTLEMENT_MISSING")
    assert alert.subject == f"kpay {day}"
    there.answer = b"[]"
    shop.turn(hours=1)
    shop.turn(minutes=2)
    assert file(day).read_at and store.open_alerts(rule="OPS_SETTLEMENT_MISSING") == []


def test_a_file_that_staff_bring_ends_the_fetch(shop: Shop, there: Files) -> None:
    there.answer, day = Unavailable("HTTP 404"), yesterday()
    shop.sweep()
    reconcile.reconcile("kpay", day, b"[]", by=shop.sam)
    shop.turn(hours=2)
    assert (there.requested, file(day).due_at, file(day).error) == ([day], None, None)


def test_the_clock_gives_up_after_a_week(shop: Shop, there: Files) -> None:
    at = clock.now()
    assert daily_fetch.next_attempt(9, at - timedelta(days=6), at) == at + timedelta(hours=1)
    assert daily_fetch.next_attempt(9, at - daily_fetch.GIVE_UP, at) is None


def test_an_attempt_that_breaks_is_recorded_and_repeated_after_the_same_pauses(
    shop: Shop, there: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = daily_fetch.due()
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(reconcile, "reconcile", lambda *_, **__: 1 / 0)
        daily_fetch.fetch_due(found[0])
    assert "ZeroDivisionError" in (file().error or "") and daily_fetch.due() == []
    assert minutes_until_next(yesterday()) == 5


def test_a_killed_worker_leaves_the_next_attempt_and_the_end_of_all_attempts(
    shop: Shop, there: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The end of a process: nothing more is written."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(reconcile, "fetch", killed)
    day, [found] = yesterday(), daily_fetch.due()
    with pytest.raises(Killed):
        daily_fetch.fetch_due(found)
    assert (file(day).attempts, file(day).error) == (1, files.BEGUN)
    assert minutes_until_next(day) == 5
    shop.wait(days=7)
    with pytest.raises(Killed):
        daily_fetch.fetch_due(found)
    assert file(day).due_at is None


def test_rows_that_are_due_stay_unfetched_when_it_is_switched_off(shop: Shop, there: Files) -> None:
    assert daily_fetch.due()
    shop.app.config["SETTLEMENT_FETCH"] = False
    assert daily_fetch.due() == []
    shop.sweep()
    assert there.requested == []


def test_nothing_is_fetched_when_it_is_switched_off(shop: Shop, there: Files) -> None:
    shop.app.config["SETTLEMENT_FETCH"] = False
    shop.sweep()
    assert (there.requested, shop.count(SettlementFile)) == ([], 0)

"""Acknowledging, resolving and searching of alerts by staff: each change once, with its event."""

from __future__ import annotations

from typing import Any

import pytest

from shop.alerts import store
from shop.alerts.models import Alert
from shop.core import outbox
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import Stream
from shop.jobs import effects
from tests.alerts.helpers import published
from tests.parts import staff_accounts
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

SAM, KIM = Actor.staff(1001), Actor.staff(1002)
SAM_AT, KIM_AT = "sam@example.com", "kim@example.com"


@pytest.fixture(autouse=True)
def people(shop: Shop) -> None:
    """Accounts of SAM, KIM and those who decide at once."""
    staff_accounts.hire(range(1001, 1030))


def raise_one(rule: str = "OPS_ORPHAN", subject: str = "fakepay", cause: str = "webhook_event 1", **more: Any) -> int:
    with transaction():
        alert_id = store.raise_alert(store.Cause(rule, subject, cause, "webhook", {"seen": 1}, {"wanted": 0}, **more))
    assert alert_id
    return alert_id


def changes() -> list[tuple[int, str, str, str]]:
    outbox.relay(effects.follow)
    return [(e["alert_id"], e["state"], e["actor"], e["note"]) for e in published(Stream.ALERT_CHANGES)]


def test_an_alert_goes_from_new_over_acknowledged_to_resolved_with_who_when_and_why(shop: Shop) -> None:
    number = raise_one()
    alert = store.acknowledge(number, SAM, "looking into it")
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_note) == ("ACKNOWLEDGED", SAM, "looking into it")
    first = alert.acknowledged_at
    shop.wait(minutes=5)
    alert = store.resolve(number, KIM, "called them")
    assert (alert.state, alert.resolved_by, alert.resolved_note) == ("RESOLVED", KIM, "called them")
    assert (alert.acknowledged_by, alert.acknowledged_at) == (SAM, first)
    assert first and alert.resolved_at and (alert.resolved_at - first).total_seconds() >= 300
    assert changes() == [
        (number, "ACKNOWLEDGED", str(SAM), "looking into it"),
        (number, "RESOLVED", str(KIM), "called them"),
    ]


def test_a_new_alert_may_be_resolved_at_once(shop: Shop) -> None:
    assert store.resolve(raise_one(), SAM).state == "RESOLVED"


def test_an_illegal_transition_is_refused_and_changes_nothing(shop: Shop) -> None:
    number = raise_one()
    store.acknowledge(number, SAM)
    with pytest.raises(Refusal) as refused:
        store.acknowledge(number, KIM)
    assert refused.value.code == "not_new"
    store.resolve(number, SAM)
    for move in (store.acknowledge, store.resolve):
        with pytest.raises(Refusal) as refused:
            move(number, KIM)
        assert (refused.value.code, refused.value.status) == ("resolved", 409)
    assert len(changes()) == 2


@pytest.mark.parametrize(
    ("number", "note", "status"),
    [
        (999, "", 404),
        (0, "", 404),
        (None, "x" * 2001, 422),
    ],
)
def test_bad_input_gets_a_clear_sentence(shop: Shop, number: int | None, note: str, status: int) -> None:
    alert_id = raise_one() if number is None else number
    for move in (store.acknowledge, store.resolve):
        with pytest.raises(BadInput) as refused:
            move(alert_id, SAM, note)
        assert (refused.value.status, refused.value.message.endswith(".")) == (status, True)
    assert changes() == []


def test_of_eight_concurrent_acknowledgements_one_succeeds(shop: Shop, race: Race) -> None:
    number = raise_one()
    results = race(lambda who: store.acknowledge(number, Actor.staff(1010 + who)).id)
    assert results.count(number) == 1
    assert {r.code for r in results if isinstance(r, Refusal)} == {"not_new"}
    assert len(changes()) == 1


def test_an_alert_resolved_by_staff_and_watcher_at_once_is_published_once(shop: Shop, race: Race) -> None:
    number = raise_one()

    def end(who: int) -> Any:
        if who % 2:
            return store.resolve(number, SAM).id
        with transaction():
            return store.resolve_over(number, "It is gone.")

    results = race(end)
    assert len([r for r in results if r in (True, number) and not isinstance(r, Refusal)]) == 1
    assert len(changes()) == 1


def test_eight_concurrent_raises_of_an_alert_make_one_row_and_one_event(shop: Shop, race: Race) -> None:
    def say(_: int) -> int | None:
        with transaction():
            return store.raise_alert(store.Cause("OPS_ORPHAN", "fakepay", "webhook_event 1", "webhook", {}, {}))

    results = race(say)
    assert len([r for r in results if r is not None]) == 1
    outbox.relay(effects.follow)
    assert (shop.count(Alert), len(published(Stream.OPERATIONS))) == (1, 1)


def test_an_alert_that_is_rolled_back_was_never_raised(shop: Shop) -> None:
    with pytest.raises(RuntimeError), transaction():
        store.raise_alert(store.Cause("OPS_ORPHAN", "fakepay", "webhook_event 1", "webhook", {}, {}))
        raise RuntimeError("no after all")
    outbox.relay(effects.follow)
    assert (shop.count(Alert), published(Stream.OPERATIONS)) == (0, [])


def test_what_was_resolved_by_hand_is_not_raised_again_for_the_same_cause(shop: Shop) -> None:
    store.resolve(raise_one(), SAM)
    with transaction():
        assert store.raise_alert(store.Cause("OPS_ORPHAN", "fakepay", "webhook_event 1", "webhook", {}, {})) is None
        assert store.raise_alert(store.Cause("OPS_ORPHAN", "fakepay", "webhook_event 2", "webhook", {}, {}))


def test_open_alerts_are_listed_the_most_severe_first_and_counted(shop: Shop) -> None:
    order = shop.order()
    mild = raise_one("OPS_FOREIGN")
    severe = raise_one("RULE_C", order.number, "capture 1", order_id=order.id, order_no=order.number)
    done = raise_one("RULE_D", order.number, "capture 2", order_id=order.id, order_no=order.number)
    store.resolve(done, SAM)
    db.session.rollback()
    assert [alert.id for alert in store.open_alerts()] == [severe, mild]
    assert [alert.id for alert in store.open_alerts(rule="RULE_C")] == [severe]
    assert [alert.id for alert in store.of_order(order.id)] == [severe, done]
    assert store.counts() == {"P1": 1, "P2": 1}


# --- flask alerts ---


def command(shop: Shop, *words: str) -> tuple[int, str]:
    result = shop.app.test_cli_runner().invoke(args=["alerts", *words])
    return result.exit_code, result.output


def test_the_command_lists_acknowledges_and_resolves_alerts(shop: Shop) -> None:
    shop.staff("sam", "kim")
    assert command(shop) == (0, "No alert is open.\n")
    number = str(raise_one())
    code, output = command(shop)
    assert (code, "Signed webhook for an unknown payment (webhook_event 1)" in output) == (0, True)
    assert output.startswith(f"{number} P1 OPS_ORPHAN fakepay: ")
    code, output = command(shop, "acknowledge", number, "--by", SAM_AT, "--note", "looking")
    assert (code, output.rstrip().endswith(f"ACKNOWLEDGED, {SAM_AT}")) == (0, True)
    assert command(shop, "--rule", "RULE_A") == (0, "No alert is open.\n")
    assert number in command(shop, "--rule", "ops_orphan")[1]
    code, output = command(shop, "resolve", number, "--by", KIM_AT)
    assert (code, "RESOLVED" in output) == (0, True)
    assert command(shop) == (0, "No alert is open.\n")


def test_a_flood_of_one_kind_does_not_hide_the_others(shop: Shop) -> None:
    for number in range(12):
        raise_one(cause=f"webhook_event {number}")
    raise_one(rule="RULE_C", cause="capture 1")
    _, output = command(shop)
    lines = output.splitlines()
    assert "RULE_C" in lines[0]
    assert len(lines) == 12
    assert lines[-1] == "… and 2 more of OPS_ORPHAN: flask alerts --rule OPS_ORPHAN"
    _, output = command(shop, "--rule", "OPS_ORPHAN")
    assert len(output.splitlines()) == 12


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (("acknowledge", "7", "--by", SAM_AT), "Error: There is no such alert.\n"),
        (("resolve", "seven", "--by", SAM_AT), "is not a valid integer"),
        (("resolve", "7"), "Missing option '--by'"),
        (("resolve", "7", "--by", " "), "No account has this e-mail address."),
        (("resolve", "7", "--by", "lee@example.com"), "No account has this e-mail address."),
        (("acknowledge", "9" * 20, "--by", SAM_AT), "is not in the range"),
        (("resolve", "9" * 20, "--by", SAM_AT), "is not in the range"),
        (("--rule", "NONSENSE"), "is not one of"),
        (("--rule", ""), "is not one of"),
    ],
)
def test_the_command_prints_what_is_wrong(shop: Shop, words: tuple[str, ...], output: str) -> None:
    shop.staff("sam")
    code, message = command(shop, *words)
    assert (code != 0, output in message) == (True, True)

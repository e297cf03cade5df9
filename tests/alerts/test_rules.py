"""Alert rules as tables: when each fires, and when its cause is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shop.alerts import rules
from shop.alerts.rules import CaptureSnapshot, Claim, OrderSnapshot, PaymentSnapshot, RefundSnapshot

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONFIRM = timedelta(seconds=30)


def at(seconds: float) -> datetime:
    """Seconds after noon, when the order was placed."""
    return NOON + timedelta(seconds=seconds)


def payment(name: str = "P1", state: str = "CAPTURED", **more: Any) -> PaymentSnapshot:
    return PaymentSnapshot(name, "fakepay", 1000, "TWD", state, **more)


def capture(number: int = 1, allocation: str = "pays_order", received: float = 100, **more: Any) -> CaptureSnapshot:
    values = {"payment": "P1", "amount": 1000, "currency": "TWD", "captured_at": at(received - 1), **more}
    return CaptureSnapshot(
        id=number, capture_id=f"c{number}", allocation=allocation, received_at=at(received), source="webhook", **values
    )


def refund(state: str, **more: Any) -> RefundSnapshot:
    values = {"id": "R1", "capture": 1, "amount": 1000, "kind": "late", "created_at": at(200), **more}
    return RefundSnapshot(currency="TWD", state=state, **values)


PAID = OrderSnapshot(
    id=1,
    number="AAAA",
    state="PAID",
    currency="TWD",
    to_pay=1000,
    payer="P1",
    moves=((at(0), "PENDING"), (at(1), "WAITING_PAYMENT"), (at(100.1), "PAID")),
    payments=(payment(),),
    captures=(capture(),),
)
WAITING = replace(PAID, state="WAITING_PAYMENT", payer=None, moves=PAID.moves[:2], captures=())
EXPIRED = replace(WAITING, state="EXPIRED", moves=(*WAITING.moves, (at(1800), "EXPIRED")))


def fired(order: OrderSnapshot, seconds: float = 10_000) -> list[str]:
    """Findings of the rules: letter of the rule and cause."""
    found = rules.findings(order, at(seconds), CONFIRM)
    return [f"{f.rule.removeprefix('RULE_')} {f.cause}" for f in found]


# --- A ---


@pytest.mark.parametrize(
    ("seconds", "found"),
    [(100, []), (129.999, []), (130, ["A payment P1"]), (10_000, ["A payment P1"])],
)
def test_a_capture_that_pays_nothing_without_a_known_reason_is_rule_a_after_30_s(
    seconds: float, found: list[str]
) -> None:
    assert fired(replace(WAITING, captures=(capture(),)), seconds) == found


@pytest.mark.parametrize("seconds", [129.999, 130])
def test_a_reported_capture_that_was_never_booked_is_rule_a(seconds: float) -> None:
    order = replace(WAITING, claims=(Claim("P1", at(100), "webhook"), Claim("P1", at(105), "poll")))
    assert fired(order, seconds) == (["A payment P1"] if seconds >= 130 else [])


@pytest.mark.parametrize(
    "order",
    [
        PAID,
        replace(PAID, claims=(Claim("P1", at(100), "webhook"),)),
        replace(PAID, state="REFUNDED"),
        replace(PAID, payer="store_credit", payments=(), captures=()),
        WAITING,
    ],
    ids=["paid", "paid and claimed", "refunded", "store credit", "nothing captured"],
)
def test_what_is_paid_or_was_never_captured_is_no_alert_at_all(order: OrderSnapshot) -> None:
    assert fired(order) == []


def test_a_capture_with_an_alert_of_rule_c_d_or_e_is_not_rule_a() -> None:
    late = replace(EXPIRED, captures=(capture(allocation="late", received=1900),))
    wrong = replace(WAITING, captures=(capture(allocation="mismatch", amount=999),))
    assert fired(replace(late, claims=(Claim("P1", at(1900), "webhook"),))) == ["C capture 1"]
    assert fired(wrong) == ["E capture 1"]


def test_a_mismatch_of_one_payment_does_not_explain_a_capture_of_another() -> None:
    order = replace(
        WAITING,
        payments=(payment(), payment("P2", "OPEN")),
        captures=(capture(allocation="mismatch", amount=999),),
        claims=(Claim("P2", at(100), "poll"),),
    )
    assert fired(order) == ["E capture 1", "A payment P2"]


# --- B ---


@pytest.mark.parametrize(
    ("misses", "confirmed", "found"),
    [(0, False, []), (1, False, []), (2, False, ["B payment P1"]), (2, True, []), (1, True, [])],
)
def test_an_unconfirmed_capture_is_rule_b_after_two_queries_and_not_before(
    misses: int, confirmed: bool, found: list[str]
) -> None:
    order = replace(PAID, payments=(payment(confirm_misses=misses, confirmed=confirmed),))
    assert fired(order) == found


def test_a_payment_that_did_not_pay_the_order_needs_no_confirmation() -> None:
    other = payment("P2", "CAPTURED", confirm_misses=2)
    assert fired(replace(PAID, payments=(payment(confirmed=True), other))) == []


# --- C ---

CANCELLED = replace(WAITING, state="CANCELLED", moves=(*WAITING.moves, (at(50), "CANCELLED")))


@pytest.mark.parametrize("order", [EXPIRED, CANCELLED])
def test_a_capture_reported_after_the_end_is_rule_c_whenever_it_was_captured(order: OrderSnapshot) -> None:
    captured_in_time = capture(allocation="late", received=2000, captured_at=at(10))
    assert fired(replace(order, captures=(captured_in_time,))) == ["C capture 1"]


def test_a_revived_order_is_rule_c() -> None:
    order = replace(PAID, moves=(*EXPIRED.moves, (at(2000.1), "PAID")), captures=(capture(received=2000),))
    assert fired(order) == ["C capture 1"]


def test_a_capture_reported_before_the_end_is_not_rule_c() -> None:
    order = replace(PAID, moves=PAID.moves, captures=(capture(received=100),))
    assert fired(order) == []


@pytest.mark.parametrize(("closed", "found"), [(90, ["C capture 1"]), (110, []), (None, [])])
def test_a_capture_of_a_closed_payment_is_rule_c(closed: float | None, found: list[str]) -> None:
    """A decline in a payment that stays open closes nothing."""
    order = replace(PAID, payments=(payment(closed_at=at(closed) if closed else None),))
    assert fired(order) == found


def test_a_late_capture_is_rule_c_even_if_two_clocks_disagree() -> None:
    assert fired(replace(EXPIRED, captures=(capture(allocation="late", received=1799),))) == ["C capture 1"]


# --- D ---


def test_a_second_capture_is_rule_d_and_the_one_that_paid_is_not() -> None:
    order = replace(PAID, captures=(capture(), capture(2, "duplicate", 200)))
    assert fired(order) == ["D capture 2"]


def test_each_capture_beyond_the_first_is_its_own_alert_of_rule_d() -> None:
    order = replace(PAID, captures=(capture(), capture(2, "duplicate", 200), capture(3, "duplicate", 300)))
    assert fired(order) == ["D capture 2", "D capture 3"]


def test_two_late_captures_are_rule_c_twice_and_rule_d_once() -> None:
    order = replace(EXPIRED, captures=(capture(1, "late", 1900), capture(2, "late", 1901)))
    assert fired(order) == ["C capture 1", "C capture 2", "D capture 2"]


def test_a_capture_of_an_order_that_store_credit_paid_is_rule_d() -> None:
    order = replace(PAID, payer="store_credit", captures=(capture(allocation="duplicate"),))
    assert fired(order) == ["D capture 1"]


def test_a_mismatch_before_the_right_capture_is_not_rule_d() -> None:
    order = replace(PAID, captures=(capture(1, "mismatch", 50, amount=999), capture(2)))
    assert fired(order) == ["E capture 1"]


# --- E ---


@pytest.mark.parametrize(
    ("amount", "currency", "found"),
    [
        (1000, "TWD", []),
        (999, "TWD", ["E capture 1"]),
        (1001, "TWD", ["E capture 1"]),
        (0, "TWD", ["E capture 1"]),
        (-1000, "TWD", ["E capture 1"]),
        (2**53, "TWD", ["E capture 1"]),
        (1000, "JPY", ["E capture 1"]),
    ],
)
def test_another_amount_or_currency_is_rule_e(amount: int, currency: str, found: list[str]) -> None:
    allocation = "mismatch" if found else "pays_order"
    order = replace(WAITING, captures=(capture(allocation=allocation, amount=amount, currency=currency),))
    assert [f for f in fired(order, 100) if f[0] == "E"] == found


def test_rule_e_depends_on_the_amounts_and_not_on_the_allocation() -> None:
    assert fired(replace(PAID, captures=(capture(amount=999),))) == ["E capture 1"]
    assert fired(replace(PAID, to_pay=1001)) == ["E capture 1"]


@pytest.mark.parametrize("order", [EXPIRED, PAID])
def test_rule_e_takes_precedence_over_c_and_d(order: OrderSnapshot) -> None:
    first = order.captures
    wrong = capture(9, "mismatch", 2000, amount=999)
    assert fired(replace(order, captures=(*first, wrong), payments=(payment(closed_at=at(500)),))) == ["E capture 9"]


# --- refunds ---


def test_a_refused_refund_and_a_refund_that_failed_later_are_different_alerts() -> None:
    order = replace(EXPIRED, captures=(capture(allocation="late", received=1900),))
    assert fired(replace(order, refunds=(refund("REJECTED"),)))[1:] == ["OPS_REFUND_REJECTED refund R1"]
    failed = refund("REJECTED", was_done=True)
    assert fired(replace(order, refunds=(failed,)))[1:] == ["OPS_REFUND_FAILED_LATER refund R1"]
    for state in ("REQUESTED", "PENDING", "UNKNOWN", "DONE"):
        assert fired(replace(order, refunds=(refund(state),)))[1:] == []


# --- resolved causes ---

BACK = capture(allocation="late", received=1900, returned=1000)
WRONG_AND_REFUNDED = capture(allocation="mismatch", amount=999, returned=999)
ACCEPTED = replace(PAID, accepted=999, captures=(capture(amount=999),))


@pytest.mark.parametrize(
    ("rule", "cause", "order", "over"),
    [
        ("RULE_A", "payment P1", WAITING, False),
        ("RULE_A", "payment P1", PAID, True),
        ("RULE_A", "payment P1", replace(WAITING, claims=(Claim("P1", at(1), "poll"),)), False),
        ("RULE_A", "payment P1", replace(EXPIRED, captures=(capture(allocation="late", received=1900),)), True),
        ("RULE_A", "payment P1", replace(WAITING, captures=(capture(),)), False),
        ("RULE_B", "payment P1", PAID, False),
        ("RULE_B", "payment P1", replace(PAID, payments=(payment(confirmed=True),)), True),
        ("RULE_B", "payment P1", replace(PAID, captures=(capture(returned=1000),)), True),
        ("RULE_B", "payment P1", replace(PAID, captures=(capture(returned=400),)), False),
        ("RULE_C", "capture 1", replace(EXPIRED, captures=(capture(allocation="late", received=1900),)), False),
        ("RULE_C", "capture 1", replace(EXPIRED, captures=(replace(BACK, returned=999),)), False),
        ("RULE_C", "capture 1", replace(EXPIRED, captures=(BACK,)), True),
        ("RULE_C", "capture 1", PAID, True),
        ("RULE_D", "capture 2", replace(PAID, captures=(capture(), capture(2, "duplicate"))), False),
        ("RULE_D", "capture 2", replace(PAID, captures=(capture(), capture(2, "duplicate", returned=1000))), True),
        ("RULE_E", "capture 1", replace(WAITING, captures=(capture(allocation="mismatch", amount=999),)), False),
        ("RULE_E", "capture 1", ACCEPTED, True),
        ("RULE_E", "capture 1", replace(PAID, captures=(capture(amount=999),)), False),
        (
            "RULE_E",
            "capture 1",
            replace(WAITING, captures=(capture(allocation="mismatch", amount=9, returned=9),)),
            True,
        ),
        ("OPS_REFUND_REJECTED", "refund R1", replace(EXPIRED, captures=(BACK,), refunds=(refund("REJECTED"),)), False),
        (
            "OPS_REFUND_REJECTED",
            "refund R1",
            replace(
                EXPIRED,
                captures=(BACK,),
                refunds=(refund("REJECTED"), refund("DONE", id="R2", created_at=at(300))),
            ),
            True,
        ),
        (
            "OPS_REFUND_REJECTED",
            "refund R1",
            replace(
                EXPIRED, captures=(BACK,), refunds=(refund("REJECTED"), refund("DONE", id="R0", created_at=at(100)))
            ),
            False,
        ),
        (
            "OPS_REFUND_REJECTED",
            "refund R1",
            replace(
                PAID, accepted=999, captures=(capture(amount=999),), refunds=(refund("REJECTED", kind="mismatch"),)
            ),
            True,
        ),
        ("OPS_PROVIDER_UNAVAILABLE", "since ever", PAID, False),
    ],
)
def test_an_alert_is_resolved_when_its_cause_is_over_and_not_before(
    rule: str, cause: str, order: OrderSnapshot, over: bool
) -> None:
    why = rules.resolution(rule, cause, order)
    assert (why is not None) is over
    assert why is None or why.endswith(".")


# --- next check ---


def test_a_capture_that_pays_is_checked_again_after_its_confirming_query() -> None:
    requested = replace(PAID, payments=(payment(next_check_at=at(130)),))
    assert rules.next_check(requested, at(101), CONFIRM) == at(130) + rules.SOON
    assert rules.next_check(requested, at(140), CONFIRM) == at(140) + rules.SOON, "the poller is late"
    for done in (payment(confirmed=True), payment(confirm_misses=2), payment(next_check_at=None)):
        assert rules.next_check(replace(PAID, payments=(done,)), at(140), CONFIRM) is None


def test_a_possible_rule_a_is_checked_when_it_would_be_due() -> None:
    claimed = replace(WAITING, claims=(Claim("P1", at(100), "webhook"),))
    assert rules.next_check(claimed, at(101), CONFIRM) == at(130)
    assert rules.next_check(claimed, at(130), CONFIRM) is None, "the alert has been raised"
    assert rules.next_check(WAITING, at(130), CONFIRM) is None

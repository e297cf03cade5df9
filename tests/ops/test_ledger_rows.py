"""Rows of both ledgers side by side."""

from __future__ import annotations

from typing import Any

from shop.ops.ledger_rows import LedgerRow, difference, payments


def capture(name: str, amount: int) -> dict[str, Any]:
    return {"id": name, "amount": amount, "currency": "TWD"}


def comparison(theirs: dict[str, Any] | None) -> dict[str, Any]:
    ours = {
        "state": "CAPTURED",
        "captures": [capture("c1", 9000) | {"allocation": "pays_order"}],
        "refunds": [
            {"id": "R1", "amount": 100, "currency": "TWD", "state": "DONE", "to": "provider", "why": "customer"},
            {"id": "R2", "amount": 200, "currency": "TWD", "state": "DONE", "to": "store_credit", "why": "customer"},
        ],
        "disputes": [],
    }
    return {"payments": [{"payment": "P1", "provider": "kpay", "ours": ours} | ({"theirs": theirs} if theirs else {})]}


FOUND: dict[str, Any] = {
    "answer": "found",
    "state": "CAPTURED",
    "captures": [capture("c1", 9000), capture("c2", 9000)],
    "refunds": [{"id": "R1", "amount": 100, "currency": "TWD", "state": "PENDING"}],
}


def test_our_side_alone_compares_nothing() -> None:
    [payment] = payments(comparison(None))
    assert payment.answer == "" and {row.differs for row in payment.rows} == {None}
    assert [row.theirs for row in payment.rows] == [""] * 4


def test_each_field_is_compared_and_what_one_side_lacks_differs() -> None:
    [payment] = payments(comparison(FOUND))
    assert payment.rows == [
        LedgerRow("State", "captured", "captured", False),
        LedgerRow("Capture c1", "NT$90 pays order", "NT$90", False),
        LedgerRow("Capture c2", "none", "NT$90", True),
        LedgerRow("Refund R1", "NT$1 done", "NT$1 pending", True),
        LedgerRow("Refund R2", "NT$2 done to store credit", "", None),
    ]


def test_an_acquirer_that_cannot_be_reached_leaves_our_side() -> None:
    [payment] = payments(comparison({"answer": "unavailable", "reason": "timeout"}))
    assert (payment.answer, payment.reason) == ("not reachable", "timeout")
    assert {row.differs for row in payment.rows} == {None}


def test_the_difference_is_a_sentence() -> None:
    assert difference({"difference": {}}) == "Both ledgers agree."
    assert "by -NT$90 " in difference({"difference": {"TWD": -9000}})
    assert "not known" in difference({"difference": None})

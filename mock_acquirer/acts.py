"""Actions of customer and bank, requested over HTTP or by a scenario; each adds a timeline entry.

`schemas` has validated their input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mock_acquirer import cards, dialect_interface, disputes, engine, timeline
from mock_acquirer.errors import conflict, invalid
from mock_acquirer.models import Payment

Act = Callable[[Payment, dict[str, Any]], None]


def _card(sent: dict[str, Any]) -> cards.Card:
    card, why = cards.read_number(sent.get("card", cards.CARDS[0].number))
    if card is None:
        raise invalid("card", why)
    return card


def _pay(payment: Payment, sent: dict[str, Any]) -> None:
    """Submit the card; stops at a 3-D Secure challenge."""
    scans = dialect_interface.named(payment.dialect).wallet and "card" not in sent
    card = cards.WALLET if scans else _card(sent)
    ending = f" ending in {card.last4}" if card.last4 else ""
    timeline.note(payment, "control", f"The customer pays with {card.brand}{ending}")
    _unless_closed(payment, engine.pay(payment, card))


def _challenge(payment: Payment, sent: dict[str, Any]) -> None:
    """Answer the 3-D Secure challenge."""
    answer = sent.get("answer", "approve")
    if not engine.is_challenged(payment):
        raise conflict("not_challenged", f"There is no 3-D Secure challenge: the payment is {payment.state}.")
    timeline.note(payment, "control", f"The customer answers the 3-D Secure challenge: {answer}")
    _unless_closed(payment, engine.finish_challenge(payment, answer))


def _approve(payment: Payment, sent: dict[str, Any]) -> None:
    """Pay, and pass the 3-D Secure challenge if there is one."""
    if not engine.is_challenged(payment):
        _pay(payment, sent)
    if engine.is_challenged(payment):
        _challenge(payment, {})


def _decline(payment: Payment, sent: dict[str, Any]) -> None:
    code = sent.get("code") or (_card(sent).decline if "card" in sent else "") or cards.GENERIC_CODE
    timeline.note(payment, "control", f"The bank declines: {code}")
    _unless_closed(payment, engine.decline(payment, code))


def _unless_closed(payment: Payment, outcome: str) -> None:
    if outcome == "closed":
        raise conflict(f"already_{payment.state}", f"The payment can no longer be paid: it is {payment.state}.")


def _fail(payment: Payment, _: dict[str, Any]) -> None:
    timeline.note(payment, "control", "The payment fails")
    engine.fail(payment)


def _cancel(payment: Payment, _: dict[str, Any]) -> None:
    timeline.note(payment, "control", "The customer cancels")
    if payment.state not in ("requires_payment", "requires_action"):
        raise conflict(f"already_{payment.state}", f"The customer cannot cancel: the payment is {payment.state}.")
    engine.cancel(payment, "customer")


def _choose_store(payment: Payment, _: dict[str, Any]) -> None:
    dialect = dialect_interface.named(payment.dialect)
    if "store" not in dialect.methods(payment):
        raise conflict("no_store", f"{dialect.title} does not offer convenience stores for this payment.")
    timeline.note(payment, "control", "The customer chooses a convenience store")
    _unless_closed(payment, engine.show_code(payment))


def _pay_at_counter(payment: Payment, _: dict[str, Any]) -> None:
    timeline.note(payment, "control", "The customer pays at the counter")
    _unless_closed(payment, engine.pay_at_counter(payment))


def _dispute(payment: Payment, sent: dict[str, Any]) -> None:
    """Open a dispute with `{"kind":"inquiry","reason":"duplicate"}`, or close it with `{"outcome":"won"}` or `lost`."""
    if "outcome" in sent:
        timeline.note(payment, "control", f"The dispute is {sent['outcome']}")
        disputes.close(payment, won=sent["outcome"] == "won")
    else:
        timeline.note(payment, "control", "The customer disputes the payment")
        engine.dispute(payment, sent.get("kind", "chargeback"), sent.get("reason", "fraudulent"))


def _refund(payment: Payment, sent: dict[str, Any]) -> None:
    """Refund in the merchant dashboard: `{"amount": 500}` in minor units; by default the remaining amount."""
    timeline.note(payment, "control", "The merchant refunds in the dashboard")
    engine.refund(payment, sent.get("amount"))


ACTS: dict[str, Act] = {
    "approve": _approve,
    "pay": _pay,
    "challenge": _challenge,
    "decline": _decline,
    "fail": _fail,
    "cancel": _cancel,
    "choose_store": _choose_store,
    "pay_at_counter": _pay_at_counter,
    "simulate_paid": lambda payment, _: engine.rehearse(payment),
    "dispute": _dispute,
    "refund": _refund,
}

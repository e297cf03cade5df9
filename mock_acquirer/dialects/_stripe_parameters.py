"""Parameters that each call of Stripe's API accepts here.

Others are refused as Stripe refuses unknown ones, even if the real API has them: a parameter that is ignored with 200
would let a wrong integration pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mock_acquirer.dialects._stripe_form import wrong
from mock_acquirer.validation import nearest

ONE = "one value"
MANY = "a list of values"
FREE = "any keys"
CREATED = dict.fromkeys(("gt", "gte", "lt", "lte"), ONE)
PAGE = {"limit": ONE, "starting_after": ONE}
ITEM = {
    "price": ONE,
    "quantity": ONE,
    "price_data": {
        "currency": ONE,
        "unit_amount": ONE,
        "product_data": {"name": ONE, "description": ONE, "images": MANY, "metadata": FREE},
    },
}
PARAMETERS: dict[str, dict[str, Any]] = {
    # by endpoint: its parameters; for a list, the tree of its objects' parameters
    "stripe.create_session": {
        "mode": ONE,
        "line_items": [ITEM],
        "client_reference_id": ONE,
        "success_url": ONE,
        "cancel_url": ONE,
        "customer_email": ONE,
        "expires_at": ONE,
        "locale": ONE,
        "payment_method_types": MANY,
        "metadata": FREE,
        "payment_intent_data": {"description": ONE, "metadata": FREE, "capture_method": ONE},
    },
    "stripe.capture_intent": {"amount_to_capture": ONE},
    "stripe.refunds.create_refund": {
        "charge": ONE,
        "payment_intent": ONE,
        "amount": ONE,
        "reason": ONE,
        "metadata": FREE,
    },
    "stripe.refunds.list_refunds": {"charge": ONE, "payment_intent": ONE} | PAGE,
    "stripe.reads.list_sessions": {"created": CREATED, "status": ONE, "payment_intent": ONE} | PAGE,
    "stripe.reads.list_charges": {"payment_intent": ONE, "limit": ONE},
    "stripe.reads.list_movements": {"created": {"gte": ONE, "lt": ONE}} | PAGE,
    "stripe.reads.list_events": {"created": CREATED, "type": ONE, "types": MANY} | PAGE,
}
SESSION = ("payment_intent", "payment_intent.latest_charge", "line_items")
EXPANDABLE: dict[str, tuple[str, ...]] = {
    # by endpoint: values that `expand[]` may name
    "stripe.create_session": SESSION,
    "stripe.show_session": SESSION,
    "stripe.expire_session": SESSION,
    "stripe.reads.list_sessions": tuple(f"data.{name}" for name in SESSION),
    "stripe.show_intent": ("latest_charge",),
    "stripe.capture_intent": ("latest_charge",),
    "stripe.cancel_intent": ("latest_charge",),
    "stripe.reads.list_movements": ("data.source",),
}


def require_known(endpoint: str, sent: Mapping[str, Any]) -> None:
    """Refuse (400, `parameter_unknown`) unknown parameters and values that cannot be expanded."""
    known = PARAMETERS.get(endpoint, {}) | {"expand": MANY}
    found = list(_unknown(sent, known, ""))
    if found:
        names = ", ".join(name for name, _ in found)
        said = f"Received unknown parameter{'s' if len(found) > 1 else ''}: {names}."
        raise wrong("parameter_unknown", found[0][0], said + nearest(*found[0][1]))
    paths = sent.get("expand")
    for path in paths if isinstance(paths, list) else []:
        if isinstance(path, str) and path not in EXPANDABLE.get(endpoint, ()):
            near = nearest(path, EXPANDABLE.get(endpoint, ()))
            raise wrong("", "expand", f"This property cannot be expanded ({path[:80]}).{near}")


Unknown = tuple[str, tuple[str, list[str]]]


def _unknown(sent: Mapping[str, Any], known: Mapping[str, Any], place: str) -> Iterator[Unknown]:
    """(full name, (its last part, the parameters known there)) of every unknown parameter."""
    for name, value in sent.items():
        full = f"{place}[{name}]" if place else name
        tree = known.get(name)
        if tree is None:
            yield full[:200], (name, list(known))
        elif isinstance(tree, dict) and isinstance(value, dict):
            yield from _unknown(value, tree, full)
        elif isinstance(tree, list) and isinstance(value, list):
            for at, one in enumerate(value):
                if isinstance(one, dict):
                    yield from _unknown(one, tree[0], f"{full}[{at}]")

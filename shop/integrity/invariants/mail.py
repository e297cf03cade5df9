"""5. Every event that demands a mail has it. That it exists once, a unique key guarantees."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope
from shop.mail import missing


def every_mail_exists(scope: Scope) -> Rows:
    found = missing.find(scope.orders)
    return [{"what": "mail", "number": event["order_no"], "seq": event["seq"], "kind": kind} for kind, event in found]

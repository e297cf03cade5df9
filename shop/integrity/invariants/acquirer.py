"""1. Captures and refunds at the acquirers equal those that are booked.

Each recently changed payment is queried at its acquirer; older ones are covered by settlement files, whose open
discrepancies are violations. Where a provider is the mock acquirer (`<NAME>_MOCKED`), its control API gives the totals
of all payments in one call instead; only then is CONTROL_TOKEN sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
from flask import current_app

from shop.core import clock, http_client
from shop.core.db import db
from shop.integrity.compare import of_payment
from shop.integrity.invariants.scope import Rows, Scope
from shop.payments.providers import registry
from shop.payments.records.models import Payment

SLACK = timedelta(seconds=90)
"""Changes younger than this may be in progress."""
RECENT = timedelta(days=2)
"""Payments changed within this time are queried one by one; older ones are in a settlement file."""
AT_MOST = 50
"""Payments of one provider that are queried, newest first: PayPay allows two queries a second."""
TRIES = 3
"""Attempts for one payment while a rate limit is exhausted."""


def captured_as_there(scope: Scope) -> Rows:
    """Differences between the acquirers and our records. Payments that changed less than 90 seconds ago, and those with
    a refund in progress, are left out. Calls the acquirers outside of any transaction.
    """
    before = clock.now() - SLACK
    moving = {
        row["payment_id"]
        for row in scope.rows(
            """
            SELECT payment_id FROM refunds
            WHERE state IN ('REQUESTED', 'PENDING', 'UNKNOWN') AND destination = 'provider'
            """
        )
    }
    names = list(registry.all_providers())
    mocked = [name for name in names if registry.is_mocked(name)]
    found = _by_totals(scope, mocked, moving, before) if mocked else []
    for name in names:
        if name not in mocked:
            found += _by_query(scope, name, moving, before) + _by_files(scope, name)
    return found


# --- one by one ------------------------------------------------------------------------------------------------------


def _by_query(scope: Scope, provider: str, moving: set[str], before: datetime) -> Rows:
    """Differences in recently changed payments of `provider`. Stops at the first payment that cannot be queried."""
    broken: Rows = []
    for payment_id in _moved_lately(scope, provider, before):
        if payment_id in moving:
            continue
        sides = _compared(payment_id)
        if sides["difference"] is None:
            return [*broken, {"provider": provider, "payment": payment_id, "acquirer": "could not be queried"}]
        young = any(datetime.fromisoformat(one["at"]) > before for one in sides["theirs"]["captures"])
        if sides["difference"] and not young:
            broken.append({"payment": payment_id, "provider": provider, "here_and_not_there": sides["difference"]})
    return broken


def _moved_lately(scope: Scope, provider: str, before: datetime) -> list[str]:
    """Payments that were opened, captured or refunded in the last RECENT days, except after `before`."""
    rows = scope.rows(
        """
        SELECT p.id, MAX(m.at) AS moved FROM payments p JOIN (
            SELECT id AS payment_id, opened_at AS at FROM payments WHERE opened_at >= :since
            UNION ALL SELECT payment_id, received_at FROM captures WHERE received_at >= :since
            UNION ALL SELECT payment_id, ended_at FROM refunds WHERE ended_at >= :since AND payment_id IS NOT NULL
        ) m ON m.payment_id = p.id
        WHERE p.provider = :provider GROUP BY p.id HAVING MAX(m.at) <= :before ORDER BY moved DESC LIMIT :most
        """,
        since=before - RECENT,
        before=before,
        provider=provider,
        most=AT_MOST,
    )
    return [row["id"] for row in rows]


def _compared(payment_id: str) -> dict[str, Any]:
    """Both sides of a payment; retried while a rate limit prevents the query."""
    for _ in range(TRIES):
        sides = of_payment(db.session.get_one(Payment, payment_id))
        db.session.rollback()
        if sides["difference"] is not None:
            break
    return sides


def _by_files(scope: Scope, provider: str) -> Rows:
    """Open discrepancies of a provider's settlement files."""
    return scope.rows(
        """
        SELECT provider, day, cause, about FROM discrepancies
        WHERE provider = :provider AND closed_at IS NULL AND cause IN ('missing_there', 'missing_here', 'amount')
        """,
        provider=provider,
    )


# --- all at once -----------------------------------------------------------------------------------------------------


def _by_totals(scope: Scope, providers: list[str], moving: set[str], before: datetime) -> Rows:
    """Differences in all payments of `providers`, which are all mocked by the mock acquirer."""
    ours = {
        row["id"]: (row["captured"], row["refunded"])
        for row in scope.rows(
            """
            SELECT p.id, p.provider, COALESCE(c.amount, 0) AS captured, COALESCE(r.amount, 0) AS refunded
            FROM payments p
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM captures GROUP BY payment_id) c
                   ON c.payment_id = p.id
            LEFT JOIN (SELECT payment_id, SUM(amount) AS amount FROM refunds
                       WHERE state = 'DONE' AND destination = 'provider' GROUP BY payment_id) r ON r.payment_id = p.id
            """
        )
        if row["provider"] in providers
    }
    http_client.leave_database()
    url = current_app.config["ACQUIRER_URL"].rstrip("/") + "/_sim/totals"
    try:
        token = {"Authorization": f"Bearer {current_app.config['CONTROL_TOKEN']}"}
        answer = http_client.client().get(url, headers=token, extensions=http_client.FILE)
        answer.raise_for_status()
        reported = answer.json()["payments"]
        theirs = {p["reference"]: p for p in reported if not p.get("last_captured_at", "") > before.isoformat()}
        young = {p["reference"] for p in reported} - set(theirs)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [{"acquirer": f"could not be queried: {type(error).__name__}"}]
    broken = []
    for payment_id in sorted(set(ours) - moving - young):
        there = theirs.get(payment_id, {})
        seen = (int(there.get("captured", 0)), int(there.get("refunded", 0)))
        if seen != ours[payment_id]:
            broken.append({"payment": payment_id, "there": seen, "here": ours[payment_id]})
    return broken

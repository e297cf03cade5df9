"""Purity of decisions: neither they nor their imports reach the database, Flask, Redis or the clock."""

from __future__ import annotations

import pytest

from tools.docs.code import imports, sources

FILES = {file.module: file for file in sources("shop")}
DECISIONS = [
    "shop.accounts.decide",
    "shop.accounts.permissions",
    "shop.checkout.ending.decide",
    "shop.checkout.placing.decide",
    "shop.accounts.api_decide",
    "shop.accounts.oidc.decide",
    "shop.documents.decide",
    "shop.core.public_address",
    "shop.fulfilment.carriers",
    "shop.fulfilment.decide",
    "shop.idempotency.decide",
    "shop.mail.decide",
    "shop.outgoing_webhooks.decide",
    "shop.payments.disputes.decide",
    "shop.payments.order_money.decision",
    "shop.payments.order_money.review",
    "shop.payments.order_money.snapshot",
    "shop.payments.records.poll_schedule",
    "shop.payments.refunds.decide",
    "shop.payments.refunds.decide_outside",
    "shop.payments.refunds.own_or_outside",
    "shop.payments.refunds.journals",
    "shop.payments.refunds.refundable",
    "shop.payments.updates.decide",
    "shop.payments.updates.decision",
    "shop.payments.updates.listed_refunds",
    "shop.payments.updates.snapshot",
    "shop.payments.updates.store_codes",
    "shop.privacy.decide",
    "shop.pricing.decide",
    "shop.pricing.split",
    "shop.returns.amounts",
    "shop.returns.decide",
    "shop.returns.decide_arrival",
    "shop.returns.snapshot",
    "shop.statistics.charts",
    "shop.statistics.decide",
    "shop.statistics.periods",
    "shop.statistics.sums",
    "shop.statistics.tables",
    "shop.statistics.times",
]
IMPURE = ("sqlalchemy", "flask", "flask_sqlalchemy", "psycopg", "redis", "time")
IMPURE_MODULES = {"shop.core.db", "shop.core.clock", "shop.core.ids", "shop.core.outbox", "shop.settings"}
REPORTS = {"shop.payments.providers.interface", "shop.payments.providers.storable"}
"""The types that providers report are beside the settings and ids that these modules know: they are not followed."""


def reached(module: str) -> dict[str, str]:
    """All direct and indirect imports of a module, each with its importer."""
    found: dict[str, str] = {}
    ways = [(used, module) for used in imports(FILES[module], FILES)]
    while ways:
        used, by = ways.pop()
        if used not in found:
            found[used] = by
            is_followed = used in FILES and used not in REPORTS
            ways += [(further, used) for further in imports(FILES[used], FILES)] if is_followed else []
    return found


def impurities(module: str) -> list[str]:
    return [
        f"{by} imports {used}"
        for used, by in sorted(reached(module).items())
        if used.split(".")[0] in IMPURE or used in IMPURE_MODULES
    ]


def test_every_module_named_decide_is_looked_at() -> None:
    decide = {name for name in FILES if name.rpartition(".")[2].startswith("decide")}
    assert decide <= set(DECISIONS) <= set(FILES)


@pytest.mark.parametrize("module", DECISIONS)
def test_a_decision_is_pure(module: str) -> None:
    assert impurities(module) == []


def test_what_a_decision_reaches_through_others_is_seen() -> None:
    assert "shop.core.db imports flask_sqlalchemy" in impurities("shop.checkout.place_order")
    through_providers = impurities("shop.payments.providers.registry")
    assert any(one.endswith(" imports flask") for one in through_providers)

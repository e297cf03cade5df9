"""Refunds, disputes and balance transactions of Stripe."""

from __future__ import annotations

import pytest
import stripe

from tests.acquirer.conftest import Receiver
from tests.acquirer.stripe.client import Merchant, read


def test_a_charge_is_refunded_in_parts_and_never_beyond(merchant: Merchant, receiver: Receiver) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    part = merchant.api.refunds.create({"charge": intent.latest_charge.id, "amount": 20000, "metadata": {"ours": "R1"}})
    assert (part.status, part.amount, part.metadata["ours"]) == ("succeeded", 20000, "R1")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.api.refunds.create({"charge": intent.latest_charge.id, "amount": 100001})
    assert refused.value.param == "amount"
    rest = merchant.api.refunds.create({"payment_intent": intent.id, "reason": "requested_by_customer"})
    assert rest.amount == 100000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.api.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert [one.id for one in merchant.api.refunds.list({"payment_intent": intent.id}).data] == [rest.id, part.id]
    paged = merchant.api.refunds.list({"charge": intent.latest_charge.id, "limit": 1}).auto_paging_iter()
    assert [one.id for one in paged] == [rest.id, part.id]
    assert merchant.api.refunds.retrieve(part.id).amount == 20000
    charge = merchant.api.charges.retrieve(intent.latest_charge.id)
    assert (charge.refunded, charge.amount_refunded) == (True, 120000)
    merchant.world.settle()
    assert [read(hook).type for hook in receiver.hooks][2:] == ["refund.created", "charge.refunded"] * 2


def test_the_same_key_refunds_once(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    made = [
        merchant.api.refunds.create({"payment_intent": intent.id, "amount": 100}, {"idempotency_key": "r"})
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert merchant.api.charges.retrieve(intent.latest_charge.id).amount_refunded == 100


def test_a_refund_is_pending_first_or_fails_later_by_card(merchant: Merchant, receiver: Receiver) -> None:
    stages = {"4000000000007726": ["pending", "succeeded"], "4000000000005126": ["succeeded", "failed"]}
    for card, (first, then) in stages.items():
        intent = merchant.approve(merchant.open(), card=card).payment_intent
        refund = merchant.api.refunds.create({"payment_intent": intent.id})
        assert refund.status == first
        merchant.world.advance("PT2M")
        assert merchant.api.refunds.retrieve(refund.id).status == then
    types = [read(hook).type for hook in receiver.hooks]
    assert types.count("refund.updated") == types.count("refund.failed") == 1


def test_a_dispute_is_sent(merchant: Merchant, receiver: Receiver) -> None:
    session = merchant.open()
    merchant.approve(session)
    merchant.world.sim("POST", f"/payments/{session.id}/dispute", {})
    merchant.world.settle()
    received = read(receiver.hooks[-1])
    assert (received.type, received.data.object.status, received.data.object.amount) == (
        "charge.dispute.created",
        "needs_response",
        120000,
    )


def test_balance_transactions_are_listed_newest_first_page_by_page(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    merchant.world.advance("PT1M")
    merchant.api.refunds.create({"payment_intent": intent.id, "amount": 20000, "metadata": {"refund": "R-1"}})
    merchant.world.advance("PT1M")
    merchant.world.sim("POST", f"/payments/{intent.id.replace('pi_', 'pay_')}/dispute", {})
    listing = merchant.api.balance_transactions.list
    first = listing({"limit": 2})
    assert [one.reporting_category for one in first.data] == ["dispute", "refund"] and first.has_more
    (charge,) = listing({"starting_after": first.data[-1].id, "expand": ["data.source"]}).data
    assert (charge.amount, charge.source.id, charge.source.metadata["reference"]) == (
        120000,
        intent.latest_charge.id,
        "P-1",
    )
    dispute, refund, _ = listing({"expand": ["data.source"]}).data
    assert (refund.source.metadata["refund"], refund.amount, dispute.source.charge) == ("R-1", -20000, charge.source.id)
    assert listing({"created": {"gte": charge.created, "lt": charge.created + 30}}).data[0].id == charge.id
    assert listing({"created": {"lt": charge.created}}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such balance_transaction"):
        listing({"starting_after": "txn_none"})

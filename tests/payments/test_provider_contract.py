"""The contract of `shop.payments.providers.interface`, tested on every provider with the acquirer behind it.

A new provider adds a row to `WORLDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shop import settings
from shop.core import ids
from shop.core.money import Money
from shop.payments.providers.interface import (
    BadSignature,
    Done,
    Facts,
    Found,
    Malformed,
    NextAction,
    NotFound,
    PaymentProvider,
    PaymentRequest,
    Pending,
    RefundRequest,
    Rejected,
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.kpay import KPay
from shop.payments.providers.paypay import PayPay
from shop.payments.providers.stripe import Stripe
from shop.payments.providers.tpay import Tpay
from shop.payments.providers.types import PaymentState
from shop.payments.records import states
from tests.fakes import Acquirer, FakePay
from tests.parts.waiting import until
from tests.real_acquirer_fixtures import RealAcquirer, WebhookReceiver

Webhook = tuple[dict[str, str], bytes]


class FakeWorld:
    """The tests' fake acquirer, which must keep the same contract, or the tests that use it prove nothing."""

    money = Money(120000, "TWD")
    reports_little = False
    calls_to_start = True
    webhooks_sent = 2
    shortest = timedelta(0)

    def __init__(self) -> None:
        self.acquirer = Acquirer(lambda: datetime.now(UTC))
        self.provider: PaymentProvider = FakePay(self.acquirer)
        self._sent: dict[str, list[Webhook]] = {}

    def _send_webhook(self, reference: str) -> None:
        sent = self._sent.setdefault(reference, [])
        sent.append(self.acquirer.webhook(reference, f"evt-{reference}-{len(sent)}"))

    def approve(self, reference: str) -> None:
        self.acquirer.capture(reference)
        self._send_webhook(reference)

    def decline(self, reference: str) -> None:
        self.acquirer.decline(reference)
        self._send_webhook(reference)

    def give_up(self, reference: str) -> None:
        self.acquirer.end(reference, PaymentState.CANCELLED, "customer")
        self._send_webhook(reference)

    def fault(self, op: str, do: str) -> None:
        words = {"timeout_after_commit": "lose_answer", "timeout_before_commit": "lose_request"}
        self.acquirer.misbehave(op, words[do])

    def leave(self) -> None:
        self.acquirer.away = True

    def webhooks(self, reference: str, number: int) -> list[Webhook]:
        return self._sent[reference][:number]

    def known(self, reference: str) -> int:
        return int(reference in self.acquirer.payments)


class KPayWorld:
    """KPay's adapter, and the real acquirer behind a real socket. A payment lives for `shortest` at least.

    One that `says_little` does not report decline codes or who cancelled, and sends webhooks only for captures and
    expiry.
    One that does not `asks_to_start` is reached by the browser first, without a call before.
    `tells` is the number of webhooks for a decline and then a payment.
    """

    calls_to_start = True
    webhooks_sent = 2
    adapter: type[PaymentProvider] = KPay
    shortest = timedelta(0)
    money = Money(120000, "TWD")
    reports_little = False

    def __init__(self, make: Callable[..., RealAcquirer], receiver: WebhookReceiver) -> None:
        self.receiver = receiver
        self.acquirer = make(
            ACQUIRER_WEBHOOK_TARGETS=receiver.url, ACQUIRER_STRIPE_WEBHOOK_URL=f"{receiver.url}/webhooks"
        )
        self.http = self.acquirer.shop_client
        where = {"ACQUIRER_URL": self.acquirer.url, "ACQUIRER_PUBLIC_URL": self.acquirer.url}
        config = settings.read(self.adapter.SETTINGS, {"SETTLED_ENV": "development"}) | where
        self.provider: PaymentProvider = self.adapter(config, lambda: self.http)

    def browse(self, action: NextAction) -> None:
        """Follow the action as the customer's browser does, where the acquirer learns of the payment only so."""

    def approve(self, reference: str) -> None:
        self.acquirer.approve(reference)

    def decline(self, reference: str) -> None:
        self.acquirer.act(reference, "decline", code="insufficient_funds")

    def give_up(self, reference: str) -> None:
        self.acquirer.act(reference, "cancel")

    def fault(self, op: str, do: str) -> None:
        self.acquirer.faults(api=[{"op": op, "do": do, "times": 1}])

    def leave(self) -> None:
        self.acquirer.stop()
        self.http = httpx.Client(timeout=1, trust_env=False, verify=False)

    def webhooks(self, reference: str, number: int) -> list[Webhook]:
        return until(lambda: self._received(reference, number), what=f"{number} webhooks")

    def _received(self, reference: str, number: int) -> list[Webhook]:
        received = self.receiver.about(reference)
        return received if len(received) >= number else []

    def known(self, reference: str) -> int:
        return self.acquirer.known(reference)


class StripeWorld(KPayWorld):
    """Stripe's adapter with the vendor's library; a Checkout Session lasts longer than the time to pay."""

    adapter = Stripe
    shortest = timedelta(minutes=40)


class PayPayWorld(KPayWorld):
    """PayPay's adapter: yen, a code that is returned once, unsigned webhooks, an asynchronous cancel."""

    adapter = PayPay
    money = Money(5600, "JPY")
    reports_little = True
    webhooks_sent = 1

    def __init__(self, make: Callable[..., RealAcquirer], receiver: WebhookReceiver) -> None:
        settled = {"ACQUIRER_PAYPAY_WEBHOOK_URL": f"{receiver.url}/webhooks", "ACQUIRER_PAYPAY_QUERIES_PER_SECOND": "0"}
        super().__init__(lambda **more: make(**settled, **more), receiver)

    def known(self, reference: str) -> int:
        return int(self.acquirer.payment(reference)["dialect"] == "paypay")


class TpayWorld(KPayWorld):
    """Tpay's adapter: the browser posts the payment, and webhooks report captures alone. (The lag of its queries is
    tested
    elsewhere.)
    """

    adapter = Tpay
    calls_to_start = False
    webhooks_sent = 1

    def __init__(self, make: Callable[..., RealAcquirer], receiver: WebhookReceiver) -> None:
        super().__init__(lambda **more: make(ACQUIRER_TPAY_QUERY_LAG="0", **more), receiver)

    def browse(self, action: NextAction) -> None:
        if not self.http.is_closed:
            httpx.post(action.url, data=dict(action.fields), trust_env=False, verify=False)


World = FakeWorld | KPayWorld
WORLDS = {"fake": FakeWorld, "kpay": KPayWorld, "paypay": PayPayWorld, "tpay": TpayWorld, "stripe": StripeWorld}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A provider and the acquirer behind it. Every test has its own payments there."""
    kind = WORLDS[request.param]
    if issubclass(kind, KPayWorld):
        yield kind(request.getfixturevalue("keep_acquirer"), request.getfixturevalue("kept_receiver"))
    else:
        yield kind()


@pytest.fixture
def provider(world: World) -> PaymentProvider:
    return world.provider


def a_request(money: Money = FakeWorld.money) -> PaymentRequest:
    now = datetime.now(UTC)
    return PaymentRequest(ids.payment_id(), money, "Settled order 1", "en", now + timedelta(minutes=30), {}, now)


class TestContract:
    """Contract of every provider."""

    def start(self, world: World, request: PaymentRequest) -> Any:
        hook = world.receiver.url + "/webhooks" if isinstance(world, KPayWorld) else "http://shop.example/webhooks"
        started = world.provider.start(request, "http://shop.example/return", hook)
        if isinstance(started, Started) and isinstance(world, KPayWorld):
            world.browse(started.action)
        return started

    def opened(self, world: World, money: Money | None = None) -> PaymentRequest:
        """An open payment, and the action returned by start."""
        request = a_request(money or world.money)
        started = self.start(world, request)
        assert isinstance(started, Started), started
        return replace(request, provider_data=started.provider_data)

    def facts(self, world: World, request: PaymentRequest) -> Facts:
        found = world.provider.query(request)
        assert isinstance(found, Found), found
        return found.facts

    # --- start ---

    def test_start_returns_the_next_action_and_the_provider_data(self, world: World) -> None:
        request = a_request(world.money)
        started = self.start(world, request)
        assert isinstance(started, Started)
        assert isinstance(started.action, NextAction)
        assert started.action.kind in ("redirect", "form_post", "qr", "store_code")
        assert started.action.url.startswith("http")
        assert json.loads(json.dumps(dict(started.provider_data))) == started.provider_data
        assert started.expires_at is None or started.expires_at.tzinfo
        latest = max(request.pay_by, datetime.now(UTC) + world.shortest)
        assert started.expires_at is None or started.expires_at <= latest + timedelta(seconds=1)

    def test_the_same_start_again_never_opens_a_second_payment(self, world: World) -> None:
        request = a_request(world.money)
        first, second = self.start(world, request), self.start(world, request)
        assert isinstance(first, Started)
        if world.provider.capabilities.start_again:
            assert (second.action, second.provider_data) == (first.action, first.provider_data)
        assert world.known(request.id) == 1

    def test_every_declared_currency_is_accepted(self, world: World) -> None:
        for currency in sorted(world.provider.capabilities.currencies):
            request = self.opened(world, Money(5600, currency))
            world.approve(request.id)
            assert [c.money for c in self.facts(world, request).captures] == [Money(5600, currency)]

    def test_the_smallest_and_the_largest_charge_that_it_states_are_taken_and_no_others(self, world: World) -> None:
        able = world.provider.capabilities
        for currency in sorted(able.currencies):
            step, least, most = (money.get(currency) for money in (able.steps, able.least, able.most))
            for amount in (least or step or 1, *([most] if most else [])):
                assert able.takes(Money(amount, currency))
                self.opened(world, Money(amount, currency))
            for amount in (*([least - 1] if least else []), *([most + (step or 1)] if most else [])):
                assert not able.takes(Money(amount, currency))
                assert isinstance(self.start(world, a_request(Money(amount, currency))), Rejected), (amount, currency)

    def test_a_start_whose_answer_is_lost_is_unknown_and_found_by_our_id(self, world: World) -> None:
        """Case 19."""
        request = a_request(world.money)
        world.fault("start", "timeout_after_commit")
        assert isinstance(self.start(world, request), Unknown if world.calls_to_start else Started)
        found = self.facts(world, request)
        assert found.state == PaymentState.OPEN
        if world.provider.capabilities.start_again:
            assert found.action or not world.calls_to_start
            again = self.start(world, request)
            assert isinstance(again, Started)
            assert again.provider_data == found.provider_data
        assert world.known(request.id) == 1

    def test_a_start_that_never_arrived_is_unknown_and_not_found(self, world: World) -> None:
        request = a_request(world.money)
        world.fault("start", "timeout_before_commit")
        assert isinstance(self.start(world, request), Unknown if world.calls_to_start else Started)
        assert isinstance(world.provider.query(request), NotFound)

    # --- query ---

    def test_a_payment_that_was_never_started_is_not_found(self, provider: PaymentProvider) -> None:
        assert isinstance(provider.query(a_request()), NotFound)

    def test_an_open_payment_is_found_open_with_no_money(self, world: World) -> None:
        facts = self.facts(world, self.opened(world))
        assert (facts.state, facts.captures) == (PaymentState.OPEN, ())

    def test_a_query_changes_nothing(self, world: World) -> None:
        request = self.opened(world)
        assert self.facts(world, request) == self.facts(world, request)
        world.approve(request.id)
        assert self.facts(world, request) == self.facts(world, request)

    def test_money_that_was_taken_is_shown_with_its_own_id_amount_and_time(self, world: World) -> None:
        request = self.opened(world)
        world.approve(request.id)
        facts = self.facts(world, request)
        assert facts.state == PaymentState.CAPTURED
        (capture,) = facts.captures
        assert capture.money == request.money
        assert abs(capture.at - datetime.now(UTC)) < timedelta(minutes=1)
        assert capture.id

    def test_a_decline_leaves_the_payment_open_and_has_a_code(self, world: World) -> None:
        request = self.opened(world)
        world.decline(request.id)
        facts = self.facts(world, request)
        assert facts.state == PaymentState.OPEN
        assert world.reports_little or (facts.decline and facts.decline.code == "insufficient_funds")
        world.approve(request.id)
        assert self.facts(world, request).state == PaymentState.CAPTURED

    def test_an_abandoned_payment_has_ended_without_a_capture_and_names_who_ended_it(self, world: World) -> None:
        request = self.opened(world)
        world.give_up(request.id)
        facts = self.facts(world, request)
        assert facts.state in states.ENDED_WITHOUT_MONEY
        assert (facts.captures, facts.end_reason) == ((), None if world.reports_little else "customer")

    # --- cancel ---

    def test_a_closed_payment_stays_closed_however_often_it_is_closed(self, world: World) -> None:
        request = self.opened(world)
        assert [world.provider.cancel(request) for _ in range(3)] == [Done()] * 3
        assert self.facts(world, request).state == PaymentState.CANCELLED

    def test_closing_an_abandoned_or_unknown_payment_is_done(self, world: World) -> None:
        given_up = self.opened(world)
        world.give_up(given_up.id)
        assert world.provider.cancel(given_up) == Done()
        assert world.provider.cancel(a_request()) == Done()

    def test_closing_by_our_id_alone_works_as_well(self, world: World) -> None:
        """Case 19: the answer to opening was lost, and the order is cancelled."""
        request = self.opened(world)
        forgotten = replace(request, provider_data={})
        assert isinstance(world.provider.cancel(forgotten), Done | Pending)
        if isinstance(world, KPayWorld):
            world.acquirer.advance("PT5S")
        assert self.facts(world, request).state == PaymentState.CANCELLED

    def test_a_captured_payment_cannot_be_closed(self, world: World) -> None:
        request = self.opened(world)
        world.approve(request.id)
        assert isinstance(world.provider.cancel(request), Rejected)
        assert self.facts(world, request).state == PaymentState.CAPTURED

    # --- acquirer unreachable ---

    def refund_of(self, world: World) -> tuple[PaymentRequest, RefundRequest]:
        """A captured payment, and the request to refund all of it."""
        request = self.opened(world)
        world.approve(request.id)
        facts = self.facts(world, request)
        request = replace(request, provider_data={**request.provider_data, **facts.provider_data})
        return request, RefundRequest(ids.refund_id(), facts.captures[0].money, facts.captures[0].id, "broken")

    def test_a_refund_is_made_once_however_often_it_is_sent(self, world: World) -> None:
        request, refund = self.refund_of(world)
        first = world.provider.refund(request, refund)
        assert isinstance(first, Done | Pending)
        assert isinstance(world.provider.refund(request, refund), Done | Pending)
        assert isinstance(world.provider.query_refund(request, refund), Done | Pending)
        more = RefundRequest(ids.refund_id(), Money(100, refund.money.currency), refund.capture_id)
        assert isinstance(world.provider.refund(request, more), Rejected), "nothing is left"

    def test_a_refund_whose_answer_is_lost_is_unknown_and_found_by_our_id(self, world: World) -> None:
        request, refund = self.refund_of(world)
        world.fault("refund", "timeout_after_commit")
        assert isinstance(world.provider.refund(request, refund), Unknown)
        assert isinstance(world.provider.query_refund(request, refund), Done | Pending)

    def test_a_refund_that_never_was_is_not_found(self, world: World) -> None:
        request, refund = self.refund_of(world)
        assert isinstance(world.provider.query_refund(request, refund), NotFound)

    def test_without_an_acquirer_every_call_returns_unavailable_or_unknown(self, world: World) -> None:
        request = self.opened(world)
        world.leave()
        if world.calls_to_start:
            assert isinstance(self.start(world, a_request(world.money)), Unavailable | Unknown)
        assert isinstance(world.provider.query(request), Unavailable)
        assert isinstance(world.provider.cancel(request), Unknown)
        assert isinstance(world.provider.cancel(a_request()), Unknown)

    # --- webhooks ---

    def test_a_webhook_has_the_same_facts_as_a_query(self, world: World) -> None:
        request = self.opened(world)
        world.approve(request.id)
        (headers, raw), *_ = world.webhooks(request.id, 1)
        (event,) = world.provider.read_webhook(headers, raw)
        queried = self.facts(world, request)
        assert event.reference == request.id
        if event.trust == "signed":
            assert (event.facts.state, event.facts.captures) == (queried.state, queried.captures)
        else:
            assert not event.facts.captures, "what proves nothing brings no money"
        assert event.merchant == world.provider.MERCHANT
        assert event.trust in ("signed", "replayable", "unsigned", "hint")

    def test_each_event_has_its_own_deduplication_key_each_time_it_is_read(self, world: World) -> None:
        request = self.opened(world)
        events = world.webhooks_sent
        world.decline(request.id)
        world.approve(request.id)
        read = [world.provider.read_webhook(*webhook)[0] for webhook in world.webhooks(request.id, events)]
        again = [world.provider.read_webhook(*webhook)[0] for webhook in world.webhooks(request.id, events)]
        assert len({event.dedupe_key for event in read}) == len(read) >= events
        assert [n.dedupe_key for n in read] == [n.dedupe_key for n in again]

    def test_a_webhook_that_was_stored_is_read_the_same_way(self, world: World) -> None:
        request = self.opened(world)
        world.approve(request.id)
        (headers, raw), *_ = world.webhooks(request.id, 1)
        assert world.provider.read_stored(headers, raw) == world.provider.read_webhook(headers, raw)

    def test_without_its_headers_a_signed_webhook_is_refused(self, world: World) -> None:
        request = self.opened(world)
        world.approve(request.id)
        (headers, raw), *_ = world.webhooks(request.id, 1)
        if world.provider.read_webhook(headers, raw)[0].trust == "signed":
            with pytest.raises(BadSignature):
                world.provider.read_webhook({}, raw)

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff\x00", b"a=b&c=d", b"<xml/>", b"[" * 3000])
    def test_any_bytes_are_refused_and_nothing_else_is_raised(self, provider: PaymentProvider, raw: bytes) -> None:
        for headers in ({}, {"x-signature": "good"}, {"webhook-id": "a", "webhook-signature": "v1,"}):
            with pytest.raises((BadSignature, Malformed)):
                provider.read_webhook(headers, raw)

    @pytest.mark.parametrize(
        "outcome", ["applied", "duplicate", "stale", "illegal", "hint", "orphan", "foreign", "mismatch"]
    )
    def test_what_is_ours_is_acknowledged(self, provider: PaymentProvider, outcome: str) -> None:
        status, body = provider.ack(outcome)
        assert 200 <= status < 300
        assert isinstance(body, str)

    @pytest.mark.parametrize(
        ("outcome", "statuses"),
        [("bad_signature", {401}), ("malformed", {400}), ("key_reused", {409}), ("unavailable", {503})],
    )
    def test_a_rejected_webhook_is_answered_as_such_and_never_with_410(
        self, provider: PaymentProvider, outcome: str, statuses: set[int]
    ) -> None:
        assert provider.ack(outcome)[0] in statuses

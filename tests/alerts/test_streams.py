"""docs/streams.md documents every stream: each kind of event and its fields."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from shop.accounts import credentials, links, signin, verification
from shop.accounts.credentials import Origin
from shop.accounts.models import AccountLink
from shop.accounts.oidc import identities
from shop.accounts.permissions import Role
from shop.alerts import store, waiting
from shop.alerts.episodes import CheckRun
from shop.alerts.rules import RULES
from shop.checkout import claim_orders
from shop.core import clock, redis
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import Event, PaymentVisited, Stream
from shop.core.money import Money
from shop.fulfilment import write
from shop.fulfilment.carriers import Tracking
from shop.orders import address as addresses
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.initiation import initiate
from shop.payments.providers.interface import DisputeFact, Facts
from shop.payments.providers.types import DisputeKind, DisputeState, PaymentState
from shop.payments.records.models import Capture, Payment
from shop.payments.refunds import apply as refund_updates
from shop.payments.refunds import requests
from shop.payments.settlement import discrepancies
from shop.payments.updates.apply import accept, apply
from shop.payments.updates.snapshot import PaymentUpdate
from shop.returns import handling
from shop.returns import requests as returns
from tests.parts.event_classes import keys, of_base
from tests.returns.conftest import refund_in_full, requested
from tests.shop_fixtures import KETTLE, PEN, Shop
from tools.docs.code import ROOT

PAGE = ROOT / "docs" / "streams.md"
_ROW = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.M)
_HEADING = re.compile(r"^## `([a-z_.0-9]+)`$", re.M)
_WORD = re.compile(r"`([A-Za-z_]+)`")


def documented() -> dict[tuple[str, str], tuple[set[str], set[str]]]:
    """(stream, kind) → fields of every such event besides the common ones, and optional ones."""
    parts = _HEADING.split(PAGE.read_text())
    found = {}
    for stream, text in zip(parts[1::2], parts[2::2], strict=True):
        for kind, _, always, sometimes in _ROW.findall(text):
            found[stream, kind] = (_fields(always), _fields(sometimes))
    return found


def _fields(cell: str) -> set[str]:
    """The names in a cell; brackets hold their values."""
    return set(_WORD.findall(re.sub(r"\([^)]*\)", "", cell)))


COMMON = {"schema_version", "order_id", "order_no", "seq", "at"}
STREAMS = tuple(Stream)


def published_events() -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """All events of all streams."""
    for stream in STREAMS:
        for _, fields in redis.client().xrange(stream):
            assert set(fields) == {b"id", b"kind", b"subject", b"payload"}
            yield (stream, fields[b"kind"].decode()), json.loads(fields[b"payload"])


def pay(shop: Shop, order: Order, **wrong: Any) -> Payment:
    payment = shop.payment(order)
    with transaction():
        db.session.execute(update(Payment).where(Payment.id == payment.id).values(instrument={"method": "card"}))
    shop.acquirer.capture(payment.id, **wrong)
    shop.deliver_webhook(payment)
    return payment


def capture_of(order: Order) -> int:
    db.session.rollback()
    return db.session.scalars(db.select(Capture.id).join(Payment).where(Payment.order_id == order.id)).first() or 0


def live_through_everything(shop: Shop) -> None:
    """Orders that together cause every kind of event."""
    _payments(shop)
    _refunds(shop)
    _returns(shop)
    _staff(shop)
    _shipments(shop)
    _alerts(shop)
    _accounts()
    shop.sweep()


def _payments(shop: Shop) -> None:
    for state, reason in (
        (PaymentState.FAILED, "declines"),
        (PaymentState.CANCELLED, "customer"),
        (PaymentState.EXPIRED, "time"),
    ):
        order = shop.order((PEN, 1))
        addresses.change(order.id, addresses.Address("Ada", reason, "", "Taipei", "106", "TW"), by=Actor.customer(None))
        payment = shop.payment(order)
        initiate.visited(payment.id)
        shop.acquirer.decline(payment.id)
        shop.deliver_webhook(payment)
        shop.acquirer.end(payment.id, state, reason)
        shop.deliver_webhook(payment)
        _give_up_code(shop, state, reason)
    order = shop.order((PEN, 1))
    shop.acquirer.show_code(shop.payment(order).id, timedelta(days=2))
    shop.deliver_webhook(shop.payment(order))
    apply(PaymentUpdate(shop.payment(order).id, Facts(PaymentState.AUTHORIZED), "webhook"))
    shop.acquirer.misbehave("start", "lose_answer")
    shop.cancel(shop.order((PEN, 1)))


def _give_up_code(shop: Shop, state: PaymentState, reason: str) -> None:
    """The customer gives up a store code, and its payment ends."""
    payment = shop.payment(shop.order((PEN, 1)))
    shop.acquirer.show_code(payment.id, timedelta(days=2))
    shop.deliver_webhook(payment)
    with transaction():
        db.session.get_one(Payment, payment.id).cancel_requested_at = clock.now()
    shop.acquirer.end(payment.id, state, reason)
    shop.deliver_webhook(payment)


def _refunds(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    pay(shop, order)
    for fault in ("refuse", "wait", "lose_answer"):
        shop.acquirer.misbehave("refund", fault)
        requests.request(capture_of(order), Money(100, "TWD"), reason="", by=shop.sam)
        shop.sweep()
        for refund in list(shop.acquirer.refunds):
            shop.acquirer.refund_becomes(refund, "DONE")
        shop.turn(minutes=1)
    done = requests.request(capture_of(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    refund_updates.result(done.id, "REJECTED", Actor.of_source("webhook"))
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0].id
    other = shop.acquirer.refund_outside(theirs, Money(1, "JPY"))
    shop.receive(*shop.acquirer.refund_webhook(other, "evt-other"))


def _returns(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 3))
    withdrawn, declined, received = (requested(shop, order, {KETTLE: 1}) for _ in range(3))
    returns.withdraw(order.id, withdrawn.reference, by=Actor.customer())
    handling.decline(declined.id, by=shop.sam, message="It was used.")
    handling.accept(received.id, by=shop.sam)
    handling.receive(received.id, {KETTLE: (1, 0)}, by=shop.colleague("mia", Role.MERCHANDISER))
    refund_in_full(shop, received)


def _staff(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    pay(shop, order, money=Money(order.total_amount - 1, "TWD"))
    accept(capture_of(order), by=shop.sam, note="a coin")
    order = shop.order((PEN, 1))
    payment = pay(shop, order, money=Money(1, "JPY"))
    requests.request(capture_of(order), Money(1, "JPY"), reason="", by=shop.sam)
    shop.sweep()
    pay(shop, order)
    at = clock.now()
    for number, state in ((1, DisputeState.WON), (2, DisputeState.LOST)):
        for word in (DisputeState.OPEN, state):
            fact = DisputeFact(
                f"d{number}", f"cap-{payment.id}-2", DisputeKind.CHARGEBACK, word, Money(100, "TWD"), at, "fraudulent"
            )
            assert disputes.apply("fakepay", fact, "webhook") == "applied"
    missing = discrepancies.Found("missing_there", "capture:fakepay:c1", order.id, 100, None, "TWD")
    assert discrepancies.note("fakepay", at.date(), [missing], set()) == (1, 0)


def _shipments(shop: Shop) -> None:
    order, by = shop.order((KETTLE, 2)), shop.colleague("mia", Role.MERCHANDISER)
    pay(shop, order)
    write.pack(order.id, {KETTLE: 1}, by=by, form_key="form-1")
    write.cancel(order.id, 1, by=by)
    write.withdraw(order.id, {KETTLE: 1}, seen={KETTLE: 0}, by=by, reason="refunded")
    write.pack_and_ship(order.id, Tracking("DHL", "1", ""), by=by, form_key="form-2")
    write.change_tracking(order.id, 2, Tracking("DHL", "2", ""), by=by, reason="a typing error")


def _alerts(shop: Shop) -> None:
    with transaction():
        store.raise_alert(store.Cause("OPS_APPROVAL_WAITS", "payout PO1", "payout PO1", store.WATCH, {}, {}))
    waiting.over_limit(CheckRun(clock.now()))
    shop.receive({}, b"forged")
    shop.turn(seconds=11)
    first, second = store.open_alerts()[:2]
    store.acknowledge(first.id, shop.sam, "looking")
    store.resolve(second.id, shop.sam, "done")


def _accounts() -> None:
    password, new = "correct horse battery", "paper lantern of the 7th"
    mei = signin.register("ada@example.com", "Mei", password).id
    signin.sign_in("ada@example.com", password, "192.0.2.1")
    verification.confirm(_newest_link(), by=mei)
    claim_orders.claim_batch(mei)
    credentials.change_password(mei, password, new, Origin("192.0.2.1", None, "en"))
    credentials.request_email_change(mei, new, "mei@example.com", Origin("192.0.2.1", None, "en"))
    credentials.change_email(_newest_link(), by=mei)
    with transaction():
        identities._mail_owner(mei, "https://issuer.example", "en")


def _newest_link() -> str:
    db.session.rollback()
    found = links.token(db.session.scalars(db.select(db.func.max(AccountLink.id))).one())
    assert found
    return found[1]


def test_every_event_is_documented_with_what_it_carries(shop: Shop) -> None:
    live_through_everything(shop)
    output, seen = documented(), defaultdict(set)
    wrong = []
    for name, payload in published_events():
        always, sometimes = output.get(name, (set(), set()))
        keys = set(payload) - (COMMON if name[0] in STREAMS[:2] else set())
        seen[name].add(frozenset(keys))
        if name not in output or not always <= keys <= always | sometimes:
            wrong.append((name, sorted(keys)))
    assert wrong == []
    assert sorted(set(output) - set(seen)) == [], "documented, but never published"
    never = {name: sorted(output[name][1] - set().union(*shapes)) for name, shapes in seen.items()}
    assert {name: keys for name, keys in never.items() if keys} == {}, "documented fields that no event has"


def test_every_stream_is_documented() -> None:
    assert {stream for stream, _ in documented()} == set(STREAMS)


def undocumented(classes: Iterable[type[Event]]) -> list[str]:
    """Classes whose kind the page does not have in their stream, or has with other fields."""
    output = documented()
    return sorted(one.__name__ for one in classes if output.get((one.STREAM, one.KIND)) != documented_keys(one))


def documented_keys(event: type[Event]) -> tuple[set[str], set[str]]:
    always, sometimes = keys(event)
    return always - (COMMON if event.STREAM in STREAMS[:2] else set()), sometimes


def test_every_event_class_has_the_fields_that_are_documented_and_no_others() -> None:
    classes = of_base(Event)
    assert undocumented(classes) == []
    assert {(one.STREAM, one.KIND) for one in classes} == set(documented())
    assert len(classes) == len(documented()), "two classes for one kind in one stream"


def test_keys_are_in_snake_case_except_in_the_one_stream_that_was_published_before() -> None:
    capitals = {
        one.STREAM for one in of_base(Event) for name in set().union(*documented_keys(one)) if not name.islower()
    }
    assert capitals == {Stream.ALERTS}


def test_a_class_with_another_field_than_documented_is_seen() -> None:
    @dataclass(frozen=True)
    class Coloured(PaymentVisited):
        colour: str

    @dataclass(frozen=True)
    class Noted(PaymentVisited):
        note: str | None = None

    @dataclass(frozen=True)
    class Elsewhere(PaymentVisited):
        STREAM = Stream.PAYMENTS

    assert undocumented([PaymentVisited, Coloured, Noted, Elsewhere]) == ["Coloured", "Elsewhere", "Noted"]


def test_every_rule_is_documented_with_its_severity() -> None:
    page = PAGE.read_text()
    for rule, (severity, _) in RULES.items():
        if rule.startswith("RULE_"):
            assert re.search(rf"^\| {rule[-1]} \| .+ \| {severity} \|$", page, re.M), rule
        else:
            assert f"| `{rule}` |" in page

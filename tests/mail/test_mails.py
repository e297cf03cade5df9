"""Events and the mails that they cause: contents, links, alerts, new devices, and what is missing."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import delete

from shop.accounts import known_devices, signin
from shop.alerts import store
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import EventKind
from shop.core.money import Money
from shop.integrity import invariants
from shop.jobs import retention, retention_rules
from shop.mail import compose, missing, outgoing
from shop.mail.decide import mails_for
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.orders.models import OrderEvent
from shop.orders.states import OrderState, Reason
from shop.payments.records.types import RefundKind
from shop.pricing import change
from shop.production import check
from shop.setting_kinds import Mailboxes, MailServer
from shop.settings import SETTINGS, BadSetting, read
from tests.mail.conftest import mails, stored
from tests.shop_fixtures import PEN, Shop

EVENT = {"order_no": "7K3M-9QXT-2F", "order_id": 1, "seq": 4}
SHIPMENT = {"shipment": 1, "units": 2, "fulfilment": "SHIPPED"}
RETURN = {"return_no": "7K3M-9QXT-2F-R1"}
REFUND = {"refund": "R1", "amount": 5, "currency": "TWD"}


@pytest.mark.parametrize(
    ("kind", "fields", "mail"),
    [
        ("order.placed", {"target": "PENDING"}, MailKind.ORDER_PLACED),
        ("order.moved", {"target": "WAITING_PAYMENT", "because": "payment_opened"}, None),
        ("order.moved", {"target": "PAID", "because": "captured"}, MailKind.PAYMENT_RECEIVED),
        ("order.moved", {"target": "PAID", "because": "refund_failed_later"}, None),
        ("order.moved", {"target": "EXPIRED", "because": "time_over"}, MailKind.ORDER_EXPIRED),
        ("order.moved", {"target": "CANCELLED", "because": "cancelled"}, MailKind.ORDER_CANCELLED),
        ("order.moved", {"target": "REFUNDED", "because": "refund_done"}, None),
        ("payment.failed", {"payment": "P1", "before": "OPEN"}, MailKind.PAYMENT_FAILED),
        ("payment.declined", {"payment": "P1", "code": "x"}, None),
        ("payment.code_shown", {"payment": "P1", "deadline": "2026-12-01T00:00:00+00:00"}, MailKind.STORE_CODE),
        ("refund.requested", {**REFUND, "why": "customer"}, None),
        ("refund.requested", {**REFUND, "why": "late"}, MailKind.LATE_PAYMENT),
        ("refund.requested", {**REFUND, "why": "duplicate"}, MailKind.DUPLICATE_PAYMENT),
        ("refund.done", {**REFUND, "why": "late"}, MailKind.REFUND_SENT),
        ("refund.rejected", {**REFUND, "why": "customer"}, MailKind.REFUND_FAILED),
        ("shipment.packed", SHIPMENT, None),
        ("shipment.shipped", SHIPMENT, MailKind.ORDER_SHIPPED),
        ("return.requested", {**RETURN, "why": "faulty"}, MailKind.RETURN_REQUESTED),
        ("return.accepted", RETURN, MailKind.RETURN_ACCEPTED),
        ("return.declined", RETURN, MailKind.RETURN_DECLINED),
        ("return.received", {**RETURN, "amount": 5, "currency": "TWD"}, MailKind.RETURN_RECEIVED),
        ("return.closed", {**RETURN, "amount": 5, "currency": "TWD"}, None),
    ],
)
def test_an_event_of_an_order_causes_the_mail_of_its_kind(
    kind: str, fields: dict[str, object], mail: MailKind | None
) -> None:
    found = mails_for(kind, EVENT | fields)
    assert [(one.kind, one.subject, one.event) for one in found] == ([(mail, "7K3M-9QXT-2F", "4")] if mail else [])


def test_no_other_kind_of_event_causes_a_mail() -> None:
    causing = {
        "order.placed", "order.moved", "payment.failed", "payment.code_shown", "refund.requested", "refund.done",
        "refund.rejected", "shipment.shipped", "return.requested", "return.accepted", "return.declined",
        "return.received", "account.new_device", "account.link_made",
        "account.password_changed", "account.email_changed", "account.identity_added",
        "alert.raised",
    }  # fmt: skip
    for kind in set(EventKind) - causing:
        assert mails_for(kind, EVENT) == ()


def test_every_kind_of_mail_has_a_template_with_a_subject_and_a_complete_text(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    data = {
        "amount": 1200, "currency": "TWD", "payment": "P1", "refund": "R1", "deadline": "2026-12-01T10:00:00+00:00",
        "code": "LLL123", "destination": "provider", "user_id": 1, "user_agent": "", "at": "2026-12-01T10:00:00+00:00",
        "issuer": "https://login.example", "alert": 7, "rule": "RULE_A", "shipment": 1, "order": order.number,
        "return_no": f"{order.number}-R1", "units": [["Pen", 1]], "message": "Unused only.",
    }  # fmt: skip
    for kind in MailKind:
        outgoing.queue(
            kind, to="a@example.com", language="en", data=data, key="1", subject=order.number, order_id=order.id
        )
    assert {one.kind for one in stored()} == set(MailKind)
    for mail in stored():
        content = compose.content(mail)
        assert content.subject and "\n" not in content.subject and "&" not in content.subject
        assert not re.search(r"<|&amp;|\n\n\n|None", content.text), content.text
        words = re.sub(r"<title>.*?</title>|<[^>]+>", " ", content.html, flags=re.S)
        for paragraph in words.split("\n"):
            assert paragraph.strip() in content.text, f"{mail.kind}: {paragraph}"
        for address in re.findall(r'href="([^"]+)"', content.html):
            assert address in content.text


def test_the_mail_of_an_order_lists_discount_delivery_and_tax(shop: Shop) -> None:
    change.set_tax("TW", "VAT", 5000, is_included=True)
    change.set_delivery("express", "Express", {"TWD": Money(12000, "TWD")}, free_from={}, countries=(), position=0)
    change.set_code(change.NewCode("TEN", percent=10))
    shop.paid_order((PEN, 2), code="TEN")
    shop.sweep()
    lines = [
        "2 × Pen: NT$180",
        "Discount (TEN): −NT$18",
        "Delivery (Express): NT$120",
        "Includes VAT (5%): NT$13",
        "",
        "Total: NT$282",
    ]
    for mail in stored():
        assert "\n".join(lines) in compose.content(mail).text, mail.kind
    for mail, (language, translated) in product(stored(), TRANSLATED_LINES.items()):
        mail.language = language
        content = compose.content(mail)
        assert "\n".join(translated) in content.text, (mail.kind, language)
        assert "\n".join(f"<li>{line}</li>" for line in translated) in content.html, (mail.kind, language)


TRANSLATED_LINES = {
    "zh_Hant": ["Pen × 2：NT$180", "折扣（TEN）：−NT$18", "運費（Express）：NT$120", "內含VAT（5%）：NT$13"],
    "zh_Hans": ["Pen × 2：NT$180", "优惠（TEN）：−NT$18", "运费（Express）：NT$120", "含VAT（5%）：NT$13"],
    "ja": ["Pen × 2：NT$180", "割引（TEN）：−NT$18", "配送料（Express）：NT$120", "うちVAT（5%）：NT$13"],
}
"""Lines of a mail about an order, by language."""


def test_a_mail_names_no_text_that_the_customer_typed(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    with transaction():
        db.session.execute(db.text("UPDATE orders SET name = 'Buy pills at evil.example'"))
    shop.sweep()
    assert order.number in compose.content(stored()[0]).text
    assert "evil" not in compose.content(stored()[0]).text


@pytest.mark.parametrize("written", ["2026-12-01T18:00:00+08:00", "2026-12-01T10:00:00+00:00"])
def test_a_mail_states_times_in_utc(shop: Shop, written: str) -> None:
    order = shop.order((PEN, 1))
    data = {"deadline": written, "code": "LLL123"}
    outgoing.queue(MailKind.STORE_CODE, to="a@example.com", language="en", data=data, key="1", order_id=order.id)
    text = compose.content(stored()[-1]).text.replace("\u202f", " ")
    assert "The code is valid until Dec 1, 2026, 10:00:00 AM UTC." in text


def test_an_order_that_expires_and_is_paid_late_causes_the_mails_of_its_history(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.turn(minutes=2)
    assert shop.state(order) == "EXPIRED"
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.turn(minutes=1)
    kinds = [kind for kind, _ in mails(shop)]
    assert kinds[:2] == ["order_placed", "order_expired"]
    assert set(kinds[2:]) <= {"payment_received", "late_payment", "refund_sent"}
    assert len(kinds) > 2


def test_a_cancelled_order_is_mailed_about(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.cancel(order)
    shop.sweep()
    assert [kind for kind, _ in mails(shop)] == ["order_placed", "order_cancelled"]


def test_a_p1_alert_is_mailed_to_each_address_once(shop: Shop) -> None:
    shop.app.config["ALERT_MAIL_TO"] = Mailboxes("a@example.com, b@example.com")
    with transaction():
        store.raise_alert(store.Cause("RULE_C", "7K3M-9QXT-2F", "c", "webhook", {}, {}, order_no="7K3M-9QXT-2F"))
    shop.sweep()
    alerts = [one for one in stored() if one.kind == MailKind.ALERT]
    assert sorted(one.recipient for one in alerts) == ["a@example.com", "b@example.com"]
    assert "RULE_C" in compose.content(alerts[0]).subject


def test_a_sign_in_from_an_unknown_device_is_mailed_and_one_from_a_known_device_is_not(shop: Shop) -> None:
    user = signin.create("mei@example.com", "Mei", "correct horse battery", by=Actor.operator())
    signin.sign_in("mei@example.com", "correct horse battery", "192.0.2.1", user_agent="Mozilla/5.0 Firefox/140 Linux")
    device = known_devices.load(known_devices.remember(None, user.email))
    signin.sign_in("mei@example.com", "correct horse battery", "192.0.2.1", device)
    shop.sweep()
    [mail] = stored()
    assert (mail.kind, mail.recipient) == (MailKind.NEW_DEVICE, "mei@example.com")
    assert "Firefox" in compose.content(mail).text


def test_a_missing_mail_breaks_an_invariant_and_retry_queues_it(shop: Shop) -> None:
    shop.order((PEN, 1))
    shop.sweep()
    shop.paid_order((PEN, 1))
    shop.turn(minutes=3)
    assert not [one for one in invariants.check() if one.name == "5 mail" and one.rows]
    with transaction():
        db.session.execute(delete(Mail).where(Mail.kind == MailKind.PAYMENT_RECEIVED))
    [broken] = [one for one in invariants.check() if one.name == "5 mail"]
    assert len(broken.rows) == 1
    done = shop.app.test_cli_runner().invoke(args=["mail", "retry"])
    assert "Missing mails that are queued: 1." in done.output
    assert missing.find() == []


def test_the_search_for_missing_mails_finds_exactly_the_events_that_demand_one(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.sweep()
    of_orders = [kind for kind in EventKind if not kind.startswith(("account.", "alert."))]
    events: list[dict[str, Any]] = [
        {"kind": kind, "target": target, "because": because, "data": {"why": why, "fulfilment": "SHIPPED"}}
        for kind in of_orders
        for target in (OrderState if kind == EventKind.ORDER_MOVED else [None])
        for because in (Reason if kind == EventKind.ORDER_MOVED else [None])
        for why in (RefundKind if kind == EventKind.REFUND_REQUESTED else ["customer"])
    ]
    which = {"order_id": order.id, "actor": shop.sam, "at": clock.now()}
    rows = [which | {"seq": 100 + number} | event for number, event in enumerate(events)]
    shop.turn(minutes=3)
    with transaction():
        db.session.execute(db.insert(OrderEvent), rows)
    published = [(row["kind"], row | row["data"] | {"order_no": order.number}) for row in rows]
    demanding = [fields["seq"] for kind, fields in published if mails_for(kind, fields)]
    assert [fields["seq"] for _, fields in missing.find()] == demanding
    with transaction():
        db.session.execute(delete(OrderEvent).where(OrderEvent.seq >= 100))


def test_missing_mails_are_found_and_queued_in_portions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "MOST", 2)
    shop.order((PEN, 1))
    shop.sweep()
    for _ in range(5):
        shop.order((PEN, 1))
    shop.turn(minutes=3)
    with transaction():
        db.session.execute(delete(Mail).where(Mail.id != stored()[0].id))
    assert len(missing.find()) == 2
    assert missing.queue() == 5
    assert missing.find() == [] and len(stored()) == 6


def test_the_list_shows_kinds_and_states_without_addresses(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    shop.sweep()
    listed = shop.app.test_cli_runner().invoke(args=["mail", "list"])
    assert f"order_placed order {order.number}: SENT" in listed.output
    assert "@" not in listed.output


def test_mails_are_deleted_a_month_after_they_were_created_unless_they_are_queued(shop: Shop) -> None:
    shop.order((PEN, 1))
    shop.turn(hours=1)
    shop.turn(hours=1)
    assert len(stored()) == 2
    shop.wait(days=31)
    retention.sweep()
    assert stored() == []
    shop.sweep()
    assert timedelta(days=30) == retention_rules.MAIL_KEPT


def test_an_address_that_was_erased_gets_a_failed_mail(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    with transaction():
        db.session.execute(db.text("UPDATE orders SET email = '(erased)'"))
    shop.sweep()
    assert [(one.state, one.subject) for one in stored()] == [(MailState.FAILED, order.number)]


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("smtp://u:p@mail.example.com:587/?starttls=1", True),
        ("smtps://mail.example.com", True),
        ("smtp://localhost:25", True),
        ("smtp://mail.example.com/?plain=1", True),
        ("smtp://mail.example.com", False),
    ],
)
def test_production_needs_tls_to_a_mail_server_that_is_not_local(url: str, taken: bool) -> None:
    row = [one for one in SETTINGS if one.name == "MAIL_URL"]
    values = read(row, {"MAIL_URL": url}) | {"SETTLED_ENV": "production"}
    if taken:
        check(values, row, {}, [])
    else:
        with pytest.raises(BadSetting, match="MAIL_URL has no TLS"):
            check(values, row, {}, [])


@pytest.mark.parametrize(
    "url", ["http://x", "smtp://", "smtp://x/?tls=1", "smtp://x:y", "smtp://x/?starttls=yes", "smtp://x/?timeout=0"]
)
def test_a_mail_server_that_cannot_be_one_ends_the_start(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        MailServer(url)


@pytest.mark.parametrize(("name", "text"), [("MAIL_FROM", "Shop"), ("ALERT_MAIL_TO", "a@b.example, nobody")])
def test_addresses_in_settings_are_checked(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read([one for one in SETTINGS if one.name == name], {name: text})


def test_the_secret_of_the_mail_server_is_read_decoded() -> None:
    server = MailServer("smtps://u%40x:p%2Fw@mail.example.com")
    assert (server.user, server.password, server.port, server.is_encrypted) == ("u@x", "p/w", 465, True)

"""Subjects of commands: orders, refunds, exports, accounts, in the state in which a command changes them."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import select, update

from shop.accounts import api_keys, people, signin, staff, throttle, verification
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.alerts import claims, store
from shop.alerts.models import ChatMessage
from shop.alerts.states import MessageKind
from shop.announcements import announcements
from shop.announcements.announcements import Content
from shop.catalogue.models import Product
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db, table, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.fulfilment import carriers
from shop.fulfilment import write as fulfilment
from shop.ledger import book, chart, funds
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.order_notes import notes
from shop.order_search import exports, views
from shop.order_search import filters as filters_of
from shop.order_search.models import ExportState, OrderExport
from shop.outgoing_webhooks import endpoints, resend
from shop.outgoing_webhooks.kinds import EventType
from shop.payments.records.models import Capture, WebhookEventRow
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import requests
from shop.payments.settlement import discrepancies
from shop.payments.settlement.discrepancies import Found
from shop.payments.updates.apply import accept
from shop.payouts import payouts
from shop.payouts.models import Payout
from shop.returns import handling
from shop.returns import pages as return_pages
from shop.returns import requests as returns
from shop.returns.decide import Wanted
from shop.setting_kinds import ChatWebhook
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
PASSWORD = "correct horse battery"  # noqa: S105 - of the test
SAM, KIM, MIA = (["--by", f"{name}@example.com"] for name in ("sam", "kim", "mia"))
"""Sam and Kim are of finance, Mia is a merchandiser."""
HOOK = "https://example.com/hooks"
Arguments = list[str]


def packed_order(shop: Shop) -> Arguments:
    """The number of an order, and its package that has not left."""
    order = shop.paid_order()
    package = fulfilment.pack(order.id, {KETTLE: 1}, by=shop.colleague("mia", Role.MERCHANDISER), form_key="form-1")
    return [order.number, str(package)]


def shipped_order(shop: Shop) -> Arguments:
    """The number of an order, and its package that has left."""
    order, tracking = shop.paid_order(), carriers.tracking("dhl", "1")
    by = shop.colleague("mia", Role.MERCHANDISER)
    return [order.number, str(fulfilment.pack_and_ship(order.id, tracking, by=by, form_key="form-1"))]


def requested_return(shop: Shop) -> str:
    """Reference of a return of one kettle that waits for staff."""
    order = shop.paid_order()
    wanted = Wanted.of({KETTLE: 1}, "damaged", "")
    return returns.request(order.id, wanted, by=Actor.customer(), form_key="form-1")


def accepted_return(shop: Shop) -> str:
    """Reference of a return of one kettle that waits for the parcel."""
    reference = requested_return(shop)
    handling.accept(return_pages.id_of(reference), by=shop.colleague("mia", Role.MERCHANDISER))
    return reference


def announcement(shop: Shop) -> str:
    """Number of an announcement."""
    return str(announcements.create(Content({"en": "Closed today"}), by=shop.colleague("mo", Role.MERCHANDISER)))


def waiting_refund(shop: Shop) -> str:
    """A refund that waits for a second person."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order = shop.paid_order()
    [refund] = requests.request_all(order.id, reason="broken", by=shop.sam)
    return refund.id


def sent_refund(shop: Shop) -> str:
    [refund] = requests.request_all(shop.paid_order().id, reason="broken", by=shop.sam, to="bank")
    requests.approve(refund.id, shop.kim)
    shop.sweep()
    return refund.id


def wrong_amount(shop: Shop) -> str:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(PRICE - 100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    return order.number


def requested_shortfall(shop: Shop) -> str:
    """A request to accept less than the price, which waits for a second person."""
    wrong_amount(shop)
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    return accept(db.session.scalars(select(Capture.id)).one(), by=shop.sam) or ""


def customer_email(shop: Shop) -> str:
    """The address of a verified customer."""
    person = shop.customer()
    with transaction():
        verification.mark(person)
    return db.session.get_one(User, person).email


def requested_gift(shop: Shop) -> str:
    customer = db.session.scalars(select(User.id).where(User.email == customer_email(shop))).one()
    gifts.request(customer, Money(500, "TWD"), by=shop.sam)
    return db.session.scalars(select(CreditGift.id)).one()


def requested_payout(shop: Shop) -> str:
    settled_amount(shop)
    payouts.request(Money(500, "TWD"), by=shop.sam)
    return db.session.scalars(select(Payout.id)).one()


def settled_amount(shop: Shop) -> str:
    """An amount that can be paid out."""
    with transaction():
        book.transfer("settled:x", "settled", Money(1000, "TWD"), debit=chart.BANK, credit=chart.receivable("x"))
        funds.received(Money(1000, "TWD"))
    return "5"


def rested_order(shop: Shop) -> str:
    """The number of an order whose payment was not queried just now and is not due."""
    order = shop.order()
    shop.turn(seconds=11)
    shop.wait(seconds=3)
    return order.number


def saved_view(shop: Shop) -> str:
    return str(views.save("Mine", filters_of.parse({"state": ["PAID"]}, ()), by=shop.sam).id)


def done_export(shop: Shop) -> str:
    shop.order()
    export = exports.request(filters_of.Filters(), ZoneInfo("UTC"), by=shop.sam)
    exports.do(export)
    return export


def failed_export(shop: Shop) -> str:
    export = done_export(shop)
    with transaction():
        db.session.get_one(OrderExport, export).state = ExportState.FAILED
    return export


def product_file(shop: Shop) -> str:
    """The path of a CSV file with another price of a product."""
    path = Path(shop.app.config["AUDIT_TEST_FILE"]).with_name("products.csv")
    path.write_text(f"sku,price.TWD\n{KETTLE},1300\n")
    return str(path)


def archived_product() -> str:
    """The SKU of a product that is archived."""
    with transaction():
        db.session.get_one(Product, KETTLE).archived_at = clock.now()
    return KETTLE


def raised_alert(shop: Shop) -> str:
    with transaction():
        number = store.raise_alert(store.Cause("OPS_FOREIGN", "kpay", "episode 1", store.WATCH, {}, {}))
    return str(number)


def claimed_alert(shop: Shop) -> str:
    """The id of an alert that another person owns."""
    number = raised_alert(shop)
    claims.claim(claims.thing("alert", number), shop.kim)
    return number


def with_chat(shop: Shop) -> list[str]:
    """Kim, who is an admin; the shop has a chat that accepts every message."""
    shop.app.config["ALERT_WEBHOOK_URL"] = ChatWebhook("https://chat.example/hook")
    accepting = httpx.MockTransport(lambda _request: httpx.Response(200))
    shop.app.extensions["settled_http"] = {os.getpid(): httpx.Client(transport=accepting)}
    with transaction():
        db.session.get_one(User, shop.kim.user_id).roles = ["admin"]
    return [*KIM]


def failed_message(shop: Shop) -> str:
    """The id of a message to the chat that failed."""
    with_chat(shop)
    number = raised_alert(shop)
    failed = {"state": MailState.FAILED, "attempts": 1, "created_at": clock.now(), "next_attempt_at": None}
    with transaction():
        message = ChatMessage(alert_id=int(number), kind=MessageKind.WAITS, text="text", **failed)
        db.session.add(message)
        db.session.flush()
        return str(message.id)


def failed_mail(_: Shop) -> str:
    """The id of a mail that failed."""
    with transaction():
        outgoing.queue(MailKind.ORDER_PLACED, to="ada@example.com", language="en", data={}, key="1", subject="x")
        db.session.execute(update(table(Mail)).values(state=MailState.FAILED, next_attempt_at=None))
    return db.session.scalars(select(Mail.id)).one()


def orphan_webhook(shop: Shop) -> str:
    """The key of a webhook about a payment that does not exist, which is retried in an hour."""
    shop.deliver_webhook("P000000000000N0B0DYS", "evt-orphan")
    with transaction():
        db.session.execute(update(WebhookEventRow).values(due_at=clock.now() + timedelta(hours=1)))
    return str(db.session.scalars(select(WebhookEventRow.id)).one())


def altered_webhook(shop: Shop) -> Arguments:
    """The key of a webhook about an open payment, and a file with its body, which now reports a capture."""
    payment = shop.payment(shop.order())
    shop.deliver_webhook(payment)
    shop.acquirer.capture(payment.id)
    path = Path(shop.app.config["AUDIT_TEST_FILE"])
    path.write_bytes(shop.acquirer.webhook(payment.id, "edited")[1])
    db.session.rollback()
    return [str(db.session.scalars(select(WebhookEventRow.id)).one()), str(path)]


def settlement_file(shop: Shop) -> Arguments:
    """The options of an empty settlement file."""
    return ["--provider", "fakepay", "--file", shop.app.config["AUDIT_TEST_FILE"]]


def open_discrepancy() -> int:
    """The id of an open discrepancy about nothing of ours."""
    found = Found("unknown", "line-1", None, None, 500, "TWD")
    discrepancies.note("fakepay", clock.now().date(), [found], set())
    return db.session.scalars(select(Discrepancy.id)).one()


def after_command(shop: Shop, *before: str) -> str:
    """The key of what the command `before` of `flask pricing` has made."""
    run(shop, ["pricing", *before, *(SAM if "tax" in before[0] else MIA)])
    return before[1]


def new_account(*roles: str) -> str:
    """The address of a new account with these roles."""
    return signin.create("bo@example.com", "Bo", PASSWORD, roles, by=Actor.operator()).email


def written_note(shop: Shop) -> str:
    """A note of Sam that mentions Kim."""
    return str(notes.write(shop.order().id, "@kim please call", by=shop.sam, form_key="key"))


def customer_with_wrong_password(shop: Shop) -> str:
    email = customer_email(shop)
    throttle.count(email, "192.0.2.7")
    return email


def disabled_account() -> str:
    email = new_account("support")
    people.disable(staff.account_of(email).id, by=Actor.operator(), reason="left")
    return email


def account_with_second_factor() -> str:
    email = new_account("support")
    with transaction():
        staff.account_of(email).second_factor_at = clock.now()
    return email


def role_request(shop: Shop) -> str:
    """A request for a role that waits for Kim, who is an admin."""
    with transaction():
        db.session.get_one(User, shop.kim.user_id).roles = ["admin"]
    [ann] = shop.staff("ann", role=Role.ADMIN)
    requested = people.set_roles(staff.account_of(new_account()).id, ["finance"], by=ann, reason="promoted")
    return str(requested.request)


def api_key(shop: Shop) -> str:
    """The id of Sam's API key."""
    return str(api_keys.make("Export", ["order.read"], by=shop.sam).id)


def endpoint() -> str:
    """The id of an endpoint of outgoing webhooks."""
    return endpoints.create(HOOK, "", [EventType.ORDER_PAID], by=Actor.operator())[0]


def disabled_endpoint() -> str:
    endpoint_id = endpoint()
    endpoints.disable(endpoint_id, by=Actor.operator())
    return endpoint_id


def failed_delivery() -> Arguments:
    """The id of an endpoint, and the option that names its failed delivery."""
    endpoint_id = endpoint()
    number = resend.test(endpoint_id, by=Actor.operator())
    with transaction():
        endpoints.end_queued(endpoint_id)
    return [endpoint_id, "--delivery", str(number)]


def run(shop: Shop, arguments: Arguments) -> str:
    done = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
    db.session.rollback()
    assert done.exit_code == 0, done.output
    return done.stdout

"""Every command that changes something, and every use case of staff, writes exactly one entry into the audit log."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import httpx
import pytest
from flask import Flask
from sqlalchemy import select, update

import shop as the_shop
from shop.accounts import people, signin, staff, throttle, verification
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.alerts import claims, store
from shop.core import audit_seals, clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_models import AuditEntry
from shop.core.audit_search import Filters, find
from shop.core.db import db, table, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.ledger import book, chart, funds
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.order_notes import notes
from shop.order_search import exports, views
from shop.order_search import filters as filters_of
from shop.order_search.models import ExportState, OrderExport
from shop.payments.records.models import Capture, WebhookEventRow
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import refunds
from shop.payments.settlement import discrepancies
from shop.payments.settlement.discrepancies import Found
from shop.payments.updates.apply import accept
from shop.payouts import payouts
from shop.payouts.models import Payout
from shop.setting_kinds import ChatWebhook
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
PASSWORD = "correct horse battery"  # noqa: S105 - of the test
SAM, KIM, MIA = (["--by", f"{name}@example.com"] for name in ("sam", "kim", "mia"))
"""Sam and Kim are of finance, Mia is a merchandiser."""
Arguments = list[str]


# --- what each command is tried on ---


def _refund(shop: Shop) -> str:
    """A refund that waits for a second person."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order = shop.paid_order()
    [refund] = refunds.request_all(order.id, reason="broken", by=shop.sam)
    return refund.id


def _sent_refund(shop: Shop) -> str:
    [refund] = refunds.request_all(shop.paid_order().id, reason="broken", by=shop.sam, to="bank")
    refunds.approve(refund.id, shop.kim)
    shop.sweep()
    return refund.id


def _wrong_amount(shop: Shop) -> str:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(PRICE - 100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    return order.number


def _shortfall(shop: Shop) -> str:
    """A request to accept less than the price, which waits for a second person."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    _wrong_amount(shop)
    capture_id = db.session.scalars(select(Capture.id)).one()
    return accept(capture_id, by=shop.sam) or ""


def _customer(shop: Shop) -> str:
    """The address of a verified customer."""
    person = shop.customer()
    with transaction():
        verification.mark(person)
    return db.session.get_one(User, person).email


def _gift(shop: Shop) -> str:
    customer = db.session.scalars(select(User.id).where(User.email == _customer(shop))).one()
    gifts.request(customer, Money(500, "TWD"), by=shop.sam)
    return db.session.scalars(select(CreditGift.id)).one()


def _payout(shop: Shop) -> str:
    _settled(shop)
    payouts.request(Money(500, "TWD"), by=shop.sam)
    return db.session.scalars(select(Payout.id)).one()


def _settled(shop: Shop) -> str:
    """An amount that can be paid out."""
    with transaction():
        book.transfer("settled:x", "settled", Money(1000, "TWD"), debit=chart.BANK, credit=chart.receivable("x"))
        funds.received(Money(1000, "TWD"))
    return "5"


def _rested(shop: Shop) -> str:
    """The number of an order whose payment was not queried just now and is not due."""
    order = shop.order()
    shop.turn(seconds=11)
    shop.wait(seconds=3)
    return order.number


def _view(shop: Shop) -> str:
    return str(views.save("Mine", filters_of.parse({"state": ["PAID"]}, ()), by=shop.sam).id)


def _done_export(shop: Shop) -> str:
    shop.order()
    export = exports.request(filters_of.Filters(), ZoneInfo("UTC"), by=shop.sam)
    exports.do(export)
    return export


def _failed_export(shop: Shop) -> str:
    export = _done_export(shop)
    with transaction():
        db.session.get_one(OrderExport, export).state = ExportState.FAILED
    return export


def _alert(shop: Shop) -> str:
    with transaction():
        number = store.raise_alert(store.Cause("OPS_FOREIGN", "kpay", "episode 1", store.WATCH, {}, {}))
    return str(number)


def _claimed(shop: Shop) -> str:
    """The id of an alert that another person owns."""
    number = _alert(shop)
    claims.claim(claims.thing("alert", number), shop.kim)
    return number


def _chat(shop: Shop) -> list[str]:
    """No argument; the shop has a chat that accepts every message."""
    shop.app.config["ALERT_WEBHOOK_URL"] = ChatWebhook("https://chat.example/hook")
    accepting = httpx.MockTransport(lambda _request: httpx.Response(200))
    shop.app.extensions["settled_http"] = {os.getpid(): httpx.Client(transport=accepting)}
    return []


def _failed_mail(_: Shop) -> str:
    """The id of a mail that failed."""
    with transaction():
        outgoing.queue(MailKind.ORDER_PLACED, to="ada@example.com", language="en", data={}, key="1", subject="x")
        db.session.execute(update(table(Mail)).values(state=MailState.FAILED, next_attempt_at=None))
    return db.session.scalars(select(Mail.id)).one()


def _orphan(shop: Shop) -> str:
    """The key of a webhook about a payment that does not exist, which is retried in an hour."""
    shop.deliver_webhook("P000000000000N0B0DYS", "evt-orphan")
    with transaction():
        db.session.execute(update(WebhookEventRow).values(due_at=clock.now() + timedelta(hours=1)))
    return str(db.session.scalars(select(WebhookEventRow.id)).one())


def _altered(shop: Shop) -> Arguments:
    """The key of a webhook about an open payment, and a file with its body, which now reports a capture."""
    payment = shop.payment(shop.order())
    shop.deliver_webhook(payment)
    shop.acquirer.capture(payment.id)
    path = Path(shop.app.config["AUDIT_TEST_FILE"])
    path.write_bytes(shop.acquirer.webhook(payment.id, "edited")[1])
    db.session.rollback()
    return [str(db.session.scalars(select(WebhookEventRow.id)).one()), str(path)]


def _file(shop: Shop) -> Arguments:
    """The options of an empty settlement file."""
    return ["--provider", "fakepay", "--file", shop.app.config["AUDIT_TEST_FILE"]]


def _discrepancy() -> int:
    """The id of an open discrepancy about nothing of ours."""
    found = Found("unknown", "line-1", None, None, 500, "TWD")
    discrepancies.note("fakepay", clock.now().date(), [found], set())
    return db.session.scalars(select(Discrepancy.id)).one()


def _after(shop: Shop, *before: str) -> str:
    """The key of what the command `before` of `flask pricing` has made."""
    run(shop, ["pricing", *before, *(SAM if "tax" in before[0] else MIA)])
    return before[1]


def _person(*roles: str) -> str:
    """The address of a new account with these roles."""
    return signin.create("bo@example.com", "Bo", PASSWORD, roles, by=Actor.operator()).email


def _note(shop: Shop) -> str:
    """A note of Sam that mentions Kim."""
    return str(notes.write(shop.order().id, "@kim please call", by=shop.sam, form_key="key"))


def _with_wrong_password(shop: Shop) -> str:
    email = _customer(shop)
    throttle.count(email, "192.0.2.7")
    return email


def _disabled() -> str:
    email = _person("support")
    people.disable(staff.account_of(email).id, by=Actor.operator(), reason="left")
    return email


def _with_second_factor() -> str:
    email = _person("support")
    with transaction():
        staff.account_of(email).second_factor_at = clock.now()
    return email


def _role_request(shop: Shop) -> str:
    """A request for a role that waits for Kim, who is an admin."""
    with transaction():
        db.session.get_one(User, shop.kim.user_id).roles = ["admin"]
    [ann] = shop.staff("ann", role=Role.ADMIN)
    requested = people.set_roles(staff.account_of(_person()).id, ["finance"], by=ann, reason="promoted")
    return str(requested.request)


COMMANDS: dict[str, tuple[Act, Callable[[Shop], Arguments]]] = {
    "money refund": (Act.REFUND_REQUESTED, lambda shop: [shop.paid_order().number, "--reason", "broken", *SAM]),
    "money approve": (Act.REFUND_APPROVED, lambda shop: [_refund(shop), *KIM]),
    "money decline": (Act.REFUND_DECLINED, lambda shop: [_refund(shop), *KIM]),
    "money bounced": (Act.REFUND_RETURNED, lambda shop: [_sent_refund(shop), *KIM]),
    "money accept": (Act.AMOUNT_ACCEPTED, lambda shop: [_wrong_amount(shop), "--note", "near enough", *SAM]),
    "money approve-shortfall": (Act.AMOUNT_ACCEPTED, lambda shop: [_shortfall(shop), *KIM]),
    "money decline-shortfall": (Act.SHORTFALL_DECLINED, lambda shop: [_shortfall(shop), *KIM]),
    "money cancel": (Act.CANCELLATION_REQUESTED, lambda shop: [shop.order().number, "--reason", "by phone", *SAM]),
    "money payout": (Act.PAYOUT_REQUESTED, lambda shop: [_settled(shop), "TWD", "--note", "rent", *SAM]),
    "money approve-payout": (Act.PAYOUT_APPROVED, lambda shop: [_payout(shop), *KIM]),
    "money reject-payout": (Act.PAYOUT_REJECTED, lambda shop: [_payout(shop), *KIM]),
    "money give-credit": (Act.GIFT_REQUESTED, lambda shop: [_customer(shop), "5", "TWD", "--reason", "sorry", *SAM]),
    "money approve-credit": (Act.GIFT_APPROVED, lambda shop: [_gift(shop), *KIM]),
    "money decline-credit": (Act.GIFT_DECLINED, lambda shop: [_gift(shop), *KIM]),
    "orders query": (Act.PAYMENT_QUERIED, lambda shop: [shop.order().number, *SAM]),
    "orders query-soon": (Act.PAYMENT_QUERIED, lambda shop: [_rested(shop), *SAM]),
    "views save": (Act.VIEW_SAVED, lambda _: ["Paid", "state=PAID", *SAM]),
    "views rename": (Act.VIEW_RENAMED, lambda shop: [_view(shop), "Paid", *SAM]),
    "views delete": (Act.VIEW_DELETED, lambda shop: [_view(shop), *SAM]),
    "exports request": (Act.EXPORT_REQUESTED, lambda shop: [shop.order() and "currency=TWD", *SAM]),
    "exports restart": (Act.EXPORT_RESTARTED, lambda shop: [_failed_export(shop), *SAM]),
    "exports fetch": (Act.EXPORT_DOWNLOADED, lambda shop: [_done_export(shop), "-", *SAM]),
    "orders note": (Act.NOTE_WRITTEN, lambda shop: [shop.order().number, "She called.", *SAM]),
    "orders withdraw-note": (Act.NOTE_WITHDRAWN, lambda shop: [_note(shop), *SAM]),
    "orders note-done": (Act.NOTE_DONE, lambda shop: [_note(shop), *KIM]),
    "alerts acknowledge": (Act.ALERT_ACKNOWLEDGED, lambda shop: [_alert(shop), "--note", "seen", *SAM]),
    "alerts resolve": (Act.ALERT_RESOLVED, lambda shop: [_alert(shop), "--note", "over", *SAM]),
    "alerts claim": (Act.TO_DO_CLAIMED, lambda shop: ["alert", _alert(shop), *SAM]),
    "alerts release": (Act.TO_DO_RELEASED, lambda shop: ["alert", _claimed(shop), *SAM]),
    "alerts test-webhook": (Act.CHAT_TESTED, lambda shop: [*_chat(shop), *SAM]),
    "mail retry": (Act.MAILS_RETRIED, lambda shop: [_failed_mail(shop)]),
    "webhooks retry": (Act.WEBHOOK_RETRIED, lambda shop: [_orphan(shop), "--reason", "the order exists", *SAM]),
    "webhooks retry-matching": (
        Act.WEBHOOK_RETRIED,
        lambda shop: ["--event", _orphan(shop) and "evt-orphan", "--count", "1", "--reason", "a fix", *SAM],
    ),
    "webhooks apply-altered": (
        Act.EDITED_WEBHOOK_APPLIED,
        lambda shop: [*_altered(shop), "--reason", "a demo"],
    ),
    "reconcile": (Act.FILE_RECONCILED, lambda shop: [f"{clock.now():%Y-%m-%d}", *_file(shop), *SAM]),
    "settlement accept": (
        Act.DISCREPANCY_ACCEPTED,
        lambda _: [str(_discrepancy()), "--reason", "closed by phone", *SAM],
    ),
    "queues run": (Act.QUEUE_RUN, lambda shop: [_orphan(shop) and "inbox", "--reason", "a fix"]),
    "products price": (Act.PRICE_SET, lambda _: [KETTLE, "TWD", "1300"]),
    "products restock": (Act.STOCK_RECEIVED, lambda _: [KETTLE, "3", *MIA]),
    "pricing set-tax": (Act.TAX_SET, lambda _: ["TW", "VAT", "5", *SAM]),
    "pricing remove-tax": (Act.TAX_REMOVED, lambda shop: [_after(shop, "set-tax", "TW", "VAT", "5"), *SAM]),
    "pricing set-delivery": (Act.DELIVERY_SET, lambda _: ["post", "Post", "--price", "TWD=100", *MIA]),
    "pricing remove-delivery": (
        Act.DELIVERY_REMOVED,
        lambda shop: [_after(shop, "set-delivery", "post", "Post", "--price", "TWD=100"), *MIA],
    ),
    "pricing set-code": (Act.CODE_SET, lambda _: ["TEN", "--percent", "10", "--until", "2999-01-01T00:00Z", *MIA]),
    "pricing disable-code": (
        Act.CODE_DISABLED,
        lambda shop: [_after(shop, "set-code", "TEN", "--percent", "10"), *MIA],
    ),
    "users create": (Act.ACCOUNT_CREATED, lambda _: ["bo@example.com", "--role", "finance", "--password", PASSWORD]),
    "users invite": (
        Act.ACCOUNT_INVITED,
        lambda _: ["new@example.com", "--role", "support", "--reason", "hired"],
    ),
    "users disable": (Act.ACCOUNT_DISABLED, lambda _: [_person("support"), "--reason", "left"]),
    "users enable": (Act.ACCOUNT_ENABLED, lambda _: [_disabled(), "--reason", "back"]),
    "users sign-out": (Act.SIGNED_OUT, lambda shop: [_customer(shop), "--reason", "a stranger"]),
    "users unlock": (Act.SIGN_IN_UNLOCKED, lambda shop: [_with_wrong_password(shop), "--reason", "a typing error"]),
    "users set-roles": (Act.ROLES_CHANGED, lambda _: [_person(), "--role", "support", "--reason", "new"]),
    "users remove-second-factor": (Act.SECOND_FACTOR_REMOVED, lambda _: [_with_second_factor(), "--reason", "lost"]),
    "users approve": (Act.ROLES_APPROVED, lambda shop: [_role_request(shop), *KIM]),
    "users decline": (Act.ROLES_DECLINED, lambda shop: [_role_request(shop), *KIM]),
}
"""Commands that change something, what they record, and arguments with which they do."""
NO_ENTRY = {
    "alerts": "reads",
    "audit list": "reads",
    "audit verify": "reads",
    "check": "keeps its result and changes nothing else",
    "mail list": "reads",
    "money waiting": "reads",
    "exports list": "reads",
    "views list": "reads",
    "orders show": "queries acquirers; what it finds is an update, as of the poller",
    "pricing list": "reads",
    "products list": "reads",
    "queues list": "reads",
    "settlement list": "reads",
    "clock": "process",
    "clock advance": "development only",
    "webhooks list": "reads",
    "webhooks try-altered": "a dry run",
    "worker": "process",
    "seed": "part of each release; inserts what is missing of the initial catalogue",
    "sweep": "does due work, as the clock does",
    "users list": "reads",
}
NOT_OURS = {"db", "routes", "run", "shell"}
"""Commands of Flask and of its extensions."""
USE_CASES = {
    "accounts.invitations.invite",
    "accounts.invitations.send_again",
    "accounts.people.disable",
    "accounts.people.enable",
    "accounts.people.remove_second_factor",
    "accounts.people.set_roles",
    "accounts.role_requests.approve",
    "accounts.role_requests.decline",
    "accounts.sign_in_help.sign_out",
    "accounts.sign_in_help.unlock",
    "accounts.signin.create",
    "alerts.chat.test",
    "alerts.claims.claim",
    "alerts.claims.release",
    "alerts.store.acknowledge",
    "alerts.store.resolve",
    "catalogue.prices.change",
    "checkout.end_order.cancel_or_refund",
    "credit_gifts.gifts.approve",
    "credit_gifts.gifts.decline",
    "credit_gifts.gifts.request",
    "integrity.checks.request",
    "inventory.stock.restock",
    "mail.missing.retry",
    "order_search.exports.download",
    "order_search.exports.request",
    "order_search.exports.start_again",
    "order_search.views.remove",
    "order_search.views.rename",
    "order_search.views.save",
    "order_notes.notes.mark_done",
    "order_notes.notes.withdraw",
    "order_notes.notes.write",
    "payments.polling.requested.query_now",
    "payments.polling.requested.query_soon",
    "payments.refunds.refunds.approve",
    "payments.refunds.refunds.bounced",
    "payments.refunds.refunds.decline",
    "payments.refunds.refunds.request",
    "payments.refunds.refunds.request_all",
    "payments.refunds.refunds.request_credit",
    "payments.settlement.acceptance.accept",
    "payments.settlement.reconcile.reconcile",
    "payments.updates.apply.accept",
    "payments.updates.apply.approve_shortfall",
    "payments.updates.apply.decline_shortfall",
    "payments.webhooks.altered.apply_altered",
    "payments.webhooks.retry.retry",
    "payments.webhooks.retry.retry_matching",
    "payouts.payouts.approve",
    "payouts.payouts.reject",
    "payouts.payouts.request",
    "pricing.change.disable_code",
    "pricing.change.remove_delivery",
    "pricing.change.remove_tax",
    "pricing.change.set_code",
    "pricing.change.set_delivery",
    "pricing.change.set_tax",
    "queues.queues.run_now",
}
"""Acts of people: public functions with an argument `by`. Each is behind a command above, or shares its transaction
with one that is.
"""
PARTS = {
    "accounts.people.demand_for": "part of the use cases of `people`",
    "accounts.people.locked": "part of the use cases of `people`",
    "accounts.people.request_roles": "part of `set_roles`",
    "alerts.store.change_state": "part of `resolve`, and of the watcher",
    "integrity.checks.keep": "keeps the result of `flask check`",
    "ledger.book.post": "writes a journal, which names the actor",
    "ledger.book.transfer": "writes a journal, which names the actor",
    "ledger.store_credit.give": "part of `gifts.approve`",
    "order_search.views.is_changeable": "reads",
    "payments.refunds.apply.failed_later": "an update of the acquirer",
    "payments.refunds.apply.result": "an update of the acquirer",
    "payments.updates.decide.decide_accept": "pure",
    "payments.updates.shortfalls.add": "part of `accept`",
    "payments.updates.shortfalls.decide": "part of `approve_shortfall` and `decline_shortfall`",
}
"""Functions with an argument `by` that are part of a use case."""
IN_NO_COMMAND = {Act.SIGN_IN_SUCCEEDED, Act.SIGN_IN_FAILED, Act.INVITATION_SENT, Act.INVITATION_ACCEPTED}
IN_NO_COMMAND |= {Act.SECOND_FACTOR_SET, Act.RECOVERY_CODES_MADE, Act.APP_REMOVED, Act.CHECK_REQUESTED}
IN_NO_COMMAND |= {Act.PASSKEY_ADDED, Act.PASSKEY_REMOVED, Act.PASSKEY_USED, Act.PASSKEY_REFUSED}
IN_A_COMMAND_ABOVE = {Act.ROLES_REQUESTED, Act.SHORTFALL_REQUESTED}
"""Acts of a command that has another act above: `users set-roles` for a role that decides about money, and
`money accept` for a large shortfall.
"""
REASONS_OF_REQUESTS = dict.fromkeys(("users approve", "users decline"), "promoted")
"""Entries of decisions that have the reason of the request."""


def run(shop: Shop, arguments: Arguments) -> str:
    done = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
    db.session.rollback()
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def staffed(shop: Shop, tmp_path: Path) -> Shop:
    """A shop with the people of the commands, and an empty settlement file."""
    path = tmp_path / "settlement.json"
    path.write_text("[]")
    shop.app.config["AUDIT_TEST_FILE"] = str(path)
    assert shop.sam and shop.kim and shop.colleague("mia", Role.MERCHANDISER)
    return shop


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_changes_something_writes_one_entry(staffed: Shop, command: str) -> None:
    act, prepared = COMMANDS[command]
    arguments = prepared(staffed)
    before = staffed.count(AuditEntry)
    run(staffed, [*command.split(), *arguments])
    assert staffed.count(AuditEntry) == before + 1
    entry = find().rows[0]
    named = next((person for person in ("sam", "kim", "mia") if f"{person}@example.com" in arguments), None)
    assert (entry.act, entry.actor) == (act, str(staffed.colleague(named) if named else Actor.operator()))
    assert entry.personal and "login" in entry.personal
    stated = [arguments[n + 1] for n, option in enumerate(arguments) if option in ("--reason", "--note")]
    assert entry.reason == ("".join(stated) or REASONS_OF_REQUESTS.get(command, ""))
    staffed.sweep()


def test_every_command_writes_an_entry_or_has_a_reason_not_to(app: Flask) -> None:
    assert set(_commands(app.cli)) == COMMANDS.keys() | NO_ENTRY.keys()
    assert {act for act, _ in COMMANDS.values()} == set(Act) - IN_NO_COMMAND - IN_A_COMMAND_ABOVE


def _commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if before or name not in NOT_OURS:
            if not isinstance(command, click.Group) or command.invoke_without_command:
                yield f"{before}{name}"
            if isinstance(command, click.Group):
                yield from _commands(command, f"{before}{name} ")


def test_every_function_with_an_actor_of_staff_is_a_use_case_that_writes_an_entry() -> None:
    found = set(_with_an_actor())
    assert found == USE_CASES | PARTS.keys()
    modules = {importlib.import_module(f"shop.{name.rpartition('.')[0]}") for name in USE_CASES}
    assert [module.__name__ for module in modules if "audit.record(" not in inspect.getsource(module)] == []


def _with_an_actor() -> Iterator[str]:
    """Public functions of the packages that take an Actor as `by`."""
    for info in pkgutil.walk_packages(the_shop.__path__, "shop."):
        if info.name.startswith("shop.commands."):
            continue
        module = importlib.import_module(info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            parameter = inspect.signature(function).parameters.get("by")
            has_actor = parameter is not None and "Actor" in str(parameter.annotation)
            if has_actor and function.__module__ == info.name and not name.startswith("_"):
                yield f"{info.name.removeprefix('shop.')}.{name}"


# --- sign-ins ---


def test_sign_ins_of_accounts_with_a_role_have_entries_and_those_of_customers_none(shop: Shop) -> None:
    boss = signin.create("boss@example.com", "Boss", PASSWORD, ["finance"], by=Actor.operator()).id
    signin.create("ada@example.com", "Ada", PASSWORD, by=Actor.operator())
    for email in ("boss@example.com", "ada@example.com", "no@example.com"):
        with pytest.raises(signin.WrongCredentials):
            signin.sign_in(email, "wrong", "203.0.113.7", user_agent="Firefox")
    signin.sign_in("boss@example.com", PASSWORD, "203.0.113.7", user_agent="Firefox")
    signin.sign_in("ada@example.com", PASSWORD, "203.0.113.7")
    succeeded, failed, *_ = found = find().rows
    assert len(found) == 4, "two accounts were created"
    assert (succeeded.act, succeeded.actor, succeeded.subject_id) == ("sign_in.succeeded", f"staff:{boss}", str(boss))
    assert (failed.act, failed.actor, failed.subject_id) == ("sign_in.failed", "unproven", str(boss))
    assert failed.personal and failed.personal["user_agent"] == "Firefox"
    shop.sweep()


def test_a_page_records_the_client_address_and_the_request(shop: Shop) -> None:
    boss = signin.create("boss@example.com", "Boss", PASSWORD, ["finance"], by=Actor.operator()).id
    shop.app.config["WTF_CSRF_ENABLED"] = False
    form = {"email": "boss@example.com", "password": PASSWORD}
    shop.app.test_client().post("/sign-in", data=form, headers={"X-Request-ID": "request-17"})
    [entry] = find(Filters(request_id="request-17")).rows
    assert (entry.act, entry.actor) == ("sign_in.succeeded", f"staff:{boss}")
    assert entry.personal and entry.personal["address"] == "127.0.0.1"
    shop.sweep()


# --- flask audit ---


def test_the_audit_log_is_listed_and_filtered(staffed: Shop) -> None:
    run(staffed, ["products", "restock", KETTLE, "3", *MIA])
    run(staffed, ["products", "price", KETTLE, "TWD", "1300"])
    lines = run(staffed, ["audit", "list"]).splitlines()
    assert [" product.price_set: product TEST-KETTLE, " in lines[0], " product.stock_received: " in lines[1]] == [
        True
    ] * 2
    assert '"price": {"amount": 120000, "currency": "TWD"} → "price": {"amount": 130000' in lines[0]
    [line] = run(staffed, ["audit", "list", *MIA]).splitlines()
    assert f" {staffed.colleague('mia')} product.stock_received: " in line
    assert run(staffed, ["audit", "list", "--act", "pricing.tax_set"]) == ""
    assert run(staffed, ["audit", "list", "--limit", "1"]).splitlines()[1].startswith("… and earlier ones: --until ")
    [entry] = json.loads(run(staffed, ["audit", "list", "--kind", "product", "--limit", "1", "--json"]))
    assert entry["after"] == {"price": {"amount": 130000, "currency": "TWD"}}
    staffed.sweep()


def test_the_verification_names_the_newest_seal_and_exits_with_1_when_it_is_not_there(staffed: Shop) -> None:
    run(staffed, ["products", "restock", KETTLE, "3", *MIA])
    staffed.sweep()
    newest = audit_seals.newest() or ""
    result = run(staffed, ["audit", "verify", "--newest", newest])
    assert result.startswith("1 entries under 1 seals are verified;") and newest in result
    invoke = staffed.app.test_cli_runner().invoke
    cut_off = invoke(args=["audit", "verify", "--newest", f"7{newest}"])
    assert (cut_off.exit_code, "FAIL Seal 71 was logged, but the audit log ends at seal 1" in cut_off.stdout) == (
        1,
        True,
    )
    report = json.loads(invoke(args=["audit", "verify", "--newest", f"7{newest}", "--json"]).stdout)
    assert (report["holds"], report["problems"][0]["kind"], report["newest"]) == (False, "cut_off", newest)
    assert invoke(args=["audit", "verify", "--newest", "x"]).exit_code == 2

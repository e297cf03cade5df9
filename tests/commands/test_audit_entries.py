"""Every command that changes something, and every use case of staff, writes exactly one entry into the audit log."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

import shop as the_shop
from shop.accounts import signin
from shop.accounts.permissions import Role
from shop.core import audit_seals, clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_models import AuditEntry
from shop.core.audit_search import Filters, find
from tests.commands.subjects import (
    HOOK,
    KIM,
    MIA,
    PASSWORD,
    SAM,
    Arguments,
    accepted_return,
    account_with_second_factor,
    after_command,
    altered_webhook,
    announcement,
    api_key,
    archived_product,
    claimed_alert,
    customer_email,
    customer_with_wrong_password,
    disabled_account,
    disabled_endpoint,
    done_export,
    endpoint,
    failed_delivery,
    failed_export,
    failed_mail,
    failed_message,
    new_account,
    open_discrepancy,
    orphan_webhook,
    packed_order,
    product_file,
    raised_alert,
    requested_gift,
    requested_payout,
    requested_return,
    requested_shortfall,
    rested_order,
    role_request,
    run,
    saved_view,
    sent_refund,
    settled_amount,
    settlement_file,
    shipped_order,
    waiting_refund,
    with_chat,
    written_note,
    wrong_amount,
)
from tests.commands.use_cases import PARTS, USE_CASES
from tests.shop_fixtures import KETTLE, UNITS, Shop

COMMANDS: dict[str, tuple[Act, Callable[[Shop], Arguments]]] = {
    "money refund": (Act.REFUND_REQUESTED, lambda shop: [shop.paid_order().number, "--reason", "broken", *SAM]),
    "money approve": (Act.REFUND_APPROVED, lambda shop: [waiting_refund(shop), *KIM]),
    "money decline": (Act.REFUND_DECLINED, lambda shop: [waiting_refund(shop), *KIM]),
    "money bounced": (Act.REFUND_RETURNED, lambda shop: [sent_refund(shop), *KIM]),
    "money accept": (Act.AMOUNT_ACCEPTED, lambda shop: [wrong_amount(shop), "--note", "near enough", *SAM]),
    "money approve-shortfall": (Act.AMOUNT_ACCEPTED, lambda shop: [requested_shortfall(shop), *KIM]),
    "money decline-shortfall": (Act.SHORTFALL_DECLINED, lambda shop: [requested_shortfall(shop), *KIM]),
    "money cancel": (Act.CANCELLATION_REQUESTED, lambda shop: [shop.order().number, "--reason", "by phone", *SAM]),
    "money payout": (Act.PAYOUT_REQUESTED, lambda shop: [settled_amount(shop), "TWD", "--note", "rent", *SAM]),
    "money approve-payout": (Act.PAYOUT_APPROVED, lambda shop: [requested_payout(shop), *KIM]),
    "money reject-payout": (Act.PAYOUT_REJECTED, lambda shop: [requested_payout(shop), *KIM]),
    "money give-credit": (
        Act.GIFT_REQUESTED,
        lambda shop: [customer_email(shop), "5", "TWD", "--reason", "sorry", *SAM],
    ),
    "money approve-credit": (Act.GIFT_APPROVED, lambda shop: [requested_gift(shop), *KIM]),
    "money decline-credit": (Act.GIFT_DECLINED, lambda shop: [requested_gift(shop), *KIM]),
    "orders query": (Act.PAYMENT_QUERIED, lambda shop: [shop.order().number, *SAM]),
    "orders query-soon": (Act.PAYMENT_QUERIED, lambda shop: [rested_order(shop), *SAM]),
    "views save": (Act.VIEW_SAVED, lambda _: ["Paid", "state=PAID", *SAM]),
    "views rename": (Act.VIEW_RENAMED, lambda shop: [saved_view(shop), "Paid", *SAM]),
    "views delete": (Act.VIEW_DELETED, lambda shop: [saved_view(shop), *SAM]),
    "exports request": (Act.EXPORT_REQUESTED, lambda shop: [shop.order() and "currency=TWD", *SAM]),
    "exports restart": (Act.EXPORT_RESTARTED, lambda shop: [failed_export(shop), *SAM]),
    "exports fetch": (Act.EXPORT_DOWNLOADED, lambda shop: [done_export(shop), "-", *SAM]),
    "orders note": (Act.NOTE_WRITTEN, lambda shop: [shop.order().number, "She called.", *SAM]),
    "orders withdraw-note": (Act.NOTE_WITHDRAWN, lambda shop: [written_note(shop), *SAM]),
    "orders note-done": (Act.NOTE_DONE, lambda shop: [written_note(shop), *KIM]),
    "alerts acknowledge": (Act.ALERT_ACKNOWLEDGED, lambda shop: [raised_alert(shop), "--note", "seen", *SAM]),
    "alerts resolve": (Act.ALERT_RESOLVED, lambda shop: [raised_alert(shop), "--note", "over", *SAM]),
    "alerts claim": (Act.TO_DO_CLAIMED, lambda shop: ["alert", raised_alert(shop), *SAM]),
    "alerts release": (Act.TO_DO_RELEASED, lambda shop: ["alert", claimed_alert(shop), *SAM]),
    "alerts send-again": (Act.CHAT_SENT_AGAIN, lambda shop: [failed_message(shop), *SAM]),
    "alerts test-webhook": (Act.CHAT_TESTED, with_chat),
    "mail retry": (Act.MAILS_RETRIED, lambda shop: [failed_mail(shop)]),
    "mail resend": (Act.MAIL_RESENT, lambda shop: [failed_mail(shop), "--reason", "by phone"]),
    "webhooks retry": (Act.WEBHOOK_RETRIED, lambda shop: [orphan_webhook(shop), "--reason", "the order exists", *SAM]),
    "webhooks retry-matching": (
        Act.WEBHOOK_RETRIED,
        lambda shop: ["--event", orphan_webhook(shop) and "evt-orphan", "--count", "1", "--reason", "a fix", *SAM],
    ),
    "webhooks apply-altered": (
        Act.EDITED_WEBHOOK_APPLIED,
        lambda shop: [*altered_webhook(shop), "--reason", "a demo"],
    ),
    "reconcile": (Act.FILE_RECONCILED, lambda shop: [f"{clock.now():%Y-%m-%d}", *settlement_file(shop), *SAM]),
    "settlement accept": (
        Act.DISCREPANCY_ACCEPTED,
        lambda _: [str(open_discrepancy()), "--reason", "closed by phone", *SAM],
    ),
    "queues run": (Act.QUEUE_RUN, lambda shop: [orphan_webhook(shop) and "inbox", "--reason", "a fix"]),
    "products import": (Act.IMPORT_REQUESTED, lambda shop: [product_file(shop), "--dry-run", *MIA]),
    "fulfilment pack": (Act.SHIPMENT_PACKED, lambda shop: [shop.paid_order().number, *MIA]),
    "fulfilment ship": (Act.SHIPMENT_SHIPPED, lambda shop: [shop.paid_order().number, "--carrier", "dhl", *MIA]),
    "fulfilment cancel": (Act.SHIPMENT_CANCELLED, lambda shop: [*packed_order(shop), *MIA]),
    "fulfilment correct": (
        Act.TRACKING_CHANGED,
        lambda shop: [*shipped_order(shop), "--carrier", "ups", "--number", "1Z", "--reason", "a typing error", *MIA],
    ),
    "fulfilment withdraw": (
        Act.LINES_WITHDRAWN,
        lambda shop: [shop.paid_order().number, f"{KETTLE}=1", "--reason", "refunded", *MIA],
    ),
    "returns accept": (Act.RETURN_ACCEPTED, lambda shop: [requested_return(shop), "--reason", "Wrap it well", *MIA]),
    "returns decline": (Act.RETURN_DECLINED, lambda shop: [requested_return(shop), "--reason", "It was worn", *MIA]),
    "returns receive": (Act.RETURN_RECEIVED, lambda shop: [accepted_return(shop), "--restock", f"{KETTLE}=1", *MIA]),
    "products archive": (Act.PRODUCT_ARCHIVED, lambda _: [KETTLE, *MIA]),
    "products restore": (Act.PRODUCT_RESTORED, lambda _: [archived_product(), *MIA]),
    "search rebuild": (Act.SEARCH_REBUILT, lambda _: [*MIA]),
    "products price": (Act.PRICE_SET, lambda _: [KETTLE, "TWD", "1300"]),
    "products correct": (
        Act.STOCK_CORRECTED,
        lambda _: [KETTLE, "7", "--seen", str(UNITS), "--reason", "counted", *MIA],
    ),
    "products alert-at": (Act.STOCK_LIMIT_SET, lambda _: [KETTLE, "2", *MIA]),
    "products restock": (Act.STOCK_RECEIVED, lambda _: [KETTLE, "3", *MIA]),
    "pricing set-tax": (Act.TAX_SET, lambda _: ["TW", "VAT", "5", *SAM]),
    "pricing remove-tax": (Act.TAX_REMOVED, lambda shop: [after_command(shop, "set-tax", "TW", "VAT", "5"), *SAM]),
    "pricing set-delivery": (Act.DELIVERY_SET, lambda _: ["post", "Post", "--price", "TWD=100", *MIA]),
    "pricing remove-delivery": (
        Act.DELIVERY_REMOVED,
        lambda shop: [after_command(shop, "set-delivery", "post", "Post", "--price", "TWD=100"), *MIA],
    ),
    "pricing set-code": (Act.CODE_SET, lambda _: ["TEN", "--percent", "10", "--until", "2999-01-01T00:00Z", *MIA]),
    "pricing disable-code": (
        Act.CODE_DISABLED,
        lambda shop: [after_command(shop, "set-code", "TEN", "--percent", "10"), *MIA],
    ),
    "seller set": (
        Act.SELLER_CHANGED,
        lambda _: ["--name", "Tea & Co.", "--address", "Road 1", "--reason", "moved", *SAM],
    ),
    "legal-texts save": (Act.LEGAL_TEXT_SAVED, lambda shop: ["terms", "en", product_file(shop), *MIA]),
    "announcements add": (Act.ANNOUNCEMENT_CREATED, lambda _: ["Closed today", "--link", "/returns", *MIA]),
    "announcements remove": (Act.ANNOUNCEMENT_REMOVED, lambda shop: [announcement(shop), *MIA]),
    "users create": (Act.ACCOUNT_CREATED, lambda _: ["bo@example.com", "--role", "finance", "--password", PASSWORD]),
    "users invite": (
        Act.ACCOUNT_INVITED,
        lambda _: ["new@example.com", "--role", "support", "--reason", "hired"],
    ),
    "users disable": (Act.ACCOUNT_DISABLED, lambda _: [new_account("support"), "--reason", "left"]),
    "users enable": (Act.ACCOUNT_ENABLED, lambda _: [disabled_account(), "--reason", "back"]),
    "users sign-out": (Act.SIGNED_OUT, lambda shop: [customer_email(shop), "--reason", "a stranger"]),
    "users unlock": (
        Act.SIGN_IN_UNLOCKED,
        lambda shop: [customer_with_wrong_password(shop), "--reason", "a typing error"],
    ),
    "users set-roles": (Act.ROLES_CHANGED, lambda _: [new_account(), "--role", "support", "--reason", "new"]),
    "users remove-second-factor": (
        Act.SECOND_FACTOR_REMOVED,
        lambda _: [account_with_second_factor(), "--reason", "lost"],
    ),
    "users approve": (Act.ROLES_APPROVED, lambda shop: [role_request(shop), *KIM]),
    "users decline": (Act.ROLES_DECLINED, lambda shop: [role_request(shop), *KIM]),
    "api-keys revoke": (Act.API_KEY_REVOKED, lambda shop: [api_key(shop)]),
    "webhook-endpoints add": (Act.ENDPOINT_CREATED, lambda _: [HOOK, "--event", "order.paid"]),
    "webhook-endpoints rotate": (Act.ENDPOINT_SECRET_ROTATED, lambda _: [endpoint()]),
    "webhook-endpoints disable": (Act.ENDPOINT_DISABLED, lambda _: [endpoint()]),
    "webhook-endpoints enable": (Act.ENDPOINT_ENABLED, lambda _: [disabled_endpoint()]),
    "webhook-endpoints resend": (Act.DELIVERIES_RESENT, lambda _: failed_delivery()),
}
"""Commands that change something, what they record, and arguments with which they do."""
NO_ENTRY = {
    "alerts": "reads",
    "api-keys list": "reads",
    "audit list": "reads",
    "audit verify": "reads",
    "check": "keeps its result and changes nothing else",
    "mail list": "reads",
    "money waiting": "reads",
    "exports list": "reads",
    "fulfilment list": "reads",
    "returns list": "reads",
    "views list": "reads",
    "orders show": "queries acquirers; what it finds is an update, as of the poller",
    "pricing list": "reads",
    "seller show": "reads",
    "legal-texts list": "reads",
    "legal-texts show": "reads",
    "announcements list": "reads",
    "products list": "reads",
    "products export": "reads",
    "products stock": "reads",
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
    "webhook-endpoints list": "reads",
}
NOT_OURS = {"db", "routes", "run", "shell"}
"""Commands of Flask and of its extensions."""
IN_NO_COMMAND = {Act.SIGN_IN_SUCCEEDED, Act.SIGN_IN_FAILED, Act.INVITATION_SENT, Act.INVITATION_ACCEPTED}


IN_NO_COMMAND |= {Act.SECOND_FACTOR_SET, Act.RECOVERY_CODES_MADE, Act.APP_REMOVED, Act.CHECK_REQUESTED}


IN_NO_COMMAND |= {Act.PASSKEY_ADDED, Act.PASSKEY_REMOVED, Act.PASSKEY_USED, Act.PASSKEY_REFUSED}

IN_NO_COMMAND |= {Act.ADDRESS_CHANGED, Act.API_KEY_MADE, Act.IDENTITY_ADDED, Act.IDENTITY_REMOVED}


IN_NO_COMMAND |= {Act.ENDPOINT_CHANGED, Act.ENDPOINT_DELETED, Act.ENDPOINT_TESTED, Act.EVENTS_BACKFILLED}


IN_NO_COMMAND |= {Act.PICTURE_ADDED, Act.PICTURE_CHANGED, Act.PICTURE_REMOVED}


IN_NO_COMMAND |= {Act.ANNOUNCEMENT_CHANGED, Act.ACCOUNT_DELETED}


IN_NO_COMMAND |= {Act.CATEGORY_CREATED, Act.CATEGORY_RENAMED, Act.CATEGORY_MOVED, Act.CATEGORY_REMOVED}


IN_NO_COMMAND |= {Act.RETURN_REQUESTED, Act.RETURN_REFUNDED, Act.RETURN_CLOSED}


IN_A_COMMAND_ABOVE = {Act.FILE_GIVEN, Act.ROLES_REQUESTED, Act.SHORTFALL_REQUESTED}
IN_A_COMMAND_ABOVE |= {Act.PRODUCT_CREATED, Act.PRODUCT_CHANGED}
"""Acts of a command that has another act above: `users set-roles` for a role that decides about money, `reconcile`, and
`money accept` for a large shortfall.
"""
REASONS_OF_REQUESTS = dict.fromkeys(("users approve", "users decline"), "promoted")
"""Entries of decisions that have the reason of the request."""


@pytest.fixture
def staffed(shop: Shop, tmp_path: Path) -> Shop:
    """A shop with the people of the commands, and an empty settlement file."""
    path = tmp_path / "settlement.json"
    path.write_text("[]")
    shop.app.config["AUDIT_TEST_FILE"] = str(path)
    assert shop.sam and shop.kim and shop.colleague("mia", Role.MERCHANDISER)
    return shop


ENTRIES = {"reconcile": 2}
"""Entries of a command that has more than one act: that the file was given, and what it changed."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_changes_something_writes_its_entry(staffed: Shop, command: str) -> None:
    act, prepared = COMMANDS[command]
    arguments = prepared(staffed)
    before = staffed.count(AuditEntry)
    run(staffed, [*command.split(), *arguments])
    assert staffed.count(AuditEntry) == before + ENTRIES.get(command, 1)
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


WRITES = re.compile(r"\baudit\.record(_all)?\(|\bChanges\(")
"""Calls that write entries; `product_changes.Changes` writes those of products."""


def test_every_function_with_an_actor_of_staff_is_a_use_case_that_writes_an_entry() -> None:
    found = set(_with_an_actor())
    assert found == USE_CASES | PARTS.keys()
    modules = {importlib.import_module(f"shop.{name.rpartition('.')[0]}") for name in USE_CASES}
    assert [module.__name__ for module in modules if not WRITES.search(inspect.getsource(module))] == []


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
    assert '"price.TWD": "1200" → "price.TWD": "1300"' in lines[0]
    [line] = run(staffed, ["audit", "list", *MIA]).splitlines()
    assert f" {staffed.colleague('mia')} product.stock_received: " in line
    assert run(staffed, ["audit", "list", "--act", "pricing.tax_set"]) == ""
    assert run(staffed, ["audit", "list", "--limit", "1"]).splitlines()[1].startswith("… and earlier ones: --until ")
    [entry] = json.loads(run(staffed, ["audit", "list", "--kind", "product", "--limit", "1", "--json"]))
    assert entry["after"] == {"price.TWD": "1300", "version": 2}
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

"""Every command that takes `--by` demands the permission of its act from that account."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from flask import Flask

from shop.accounts.permissions import MONEY, PERMISSIONS, Permission, Role
from shop.commands import Amount
from shop.commands.fulfilment import Units
from shop.core.audit_models import AuditEntry
from shop.core.db import db
from tests.commands.test_audit_entries import COMMANDS, _commands, staffed
from tests.shop_fixtures import KETTLE, Shop

__all__ = ["staffed"]
P = Permission
NEEDS: dict[str, Permission] = {
    "money refund": P.REFUND_REQUEST,
    "money approve": P.REFUND_APPROVE,
    "money decline": P.REFUND_REQUEST,
    "money bounced": P.REFUND_APPROVE,
    "money accept": P.PAYMENT_ACCEPT_AMOUNT,
    "money approve-shortfall": P.PAYMENT_ACCEPT_AMOUNT,
    "money decline-shortfall": P.PAYMENT_ACCEPT_AMOUNT,
    "money cancel": P.ORDER_CANCEL,
    "money payout": P.PAYOUT_REQUEST,
    "money approve-payout": P.PAYOUT_APPROVE,
    "money reject-payout": P.PAYOUT_REQUEST,
    "money give-credit": P.STORE_CREDIT_REQUEST,
    "money approve-credit": P.STORE_CREDIT_APPROVE,
    "money decline-credit": P.STORE_CREDIT_REQUEST,
    "orders query": P.PAYMENT_SYNC,
    "orders query-soon": P.PAYMENT_SYNC,
    "orders note": P.ORDER_NOTE,
    "orders withdraw-note": P.ORDER_NOTE,
    "orders note-done": P.ORDER_READ,
    "views save": P.ORDER_READ,
    "views rename": P.ORDER_READ,
    "views delete": P.ORDER_READ,
    "exports request": P.ORDER_EXPORT,
    "exports restart": P.ORDER_EXPORT,
    "exports fetch": P.ORDER_EXPORT,
    "queues run": P.QUEUE_RUN,
    "alerts acknowledge": P.ALERT_ACKNOWLEDGE,
    "alerts resolve": P.ALERT_RESOLVE,
    "alerts claim": P.ALERT_ACKNOWLEDGE,
    "alerts release": P.ALERT_ACKNOWLEDGE,
    "alerts send-again": P.ALERT_ACKNOWLEDGE,
    "alerts test-webhook": P.CHAT_TEST,
    "mail retry": P.MAIL_RESEND,
    "mail resend": P.MAIL_RESEND,
    "webhooks retry": P.WEBHOOK_RETRY,
    "webhooks retry-matching": P.WEBHOOK_RETRY,
    "webhooks apply-altered": P.WEBHOOK_APPLY_EDITED,
    "reconcile": P.RECONCILIATION_DECIDE,
    "settlement accept": P.RECONCILIATION_DECIDE,
    "fulfilment pack": P.FULFILMENT_WRITE,
    "fulfilment ship": P.FULFILMENT_WRITE,
    "fulfilment cancel": P.FULFILMENT_WRITE,
    "fulfilment correct": P.FULFILMENT_WRITE,
    "fulfilment withdraw": P.FULFILMENT_WRITE,
    "returns accept": P.RETURN_DECIDE,
    "returns decline": P.RETURN_DECIDE,
    "returns receive": P.RETURN_RECEIVE,
    "products import": P.PRODUCT_WRITE,
    "products archive": P.PRODUCT_WRITE,
    "products restore": P.PRODUCT_WRITE,
    "products price": P.PRODUCT_WRITE,
    "search rebuild": P.PRODUCT_WRITE,
    "products correct": P.STOCK_WRITE,
    "products alert-at": P.STOCK_WRITE,
    "products restock": P.STOCK_WRITE,
    "pricing set-tax": P.TAX_WRITE,
    "pricing remove-tax": P.TAX_WRITE,
    "pricing set-delivery": P.DELIVERY_WRITE,
    "pricing remove-delivery": P.DELIVERY_WRITE,
    "pricing set-code": P.DISCOUNT_CODE_WRITE,
    "pricing disable-code": P.DISCOUNT_CODE_WRITE,
    "seller set": P.SELLER_WRITE,
    "legal-texts save": P.LEGAL_TEXT_WRITE,
    "announcements add": P.ANNOUNCEMENT_WRITE,
    "announcements remove": P.ANNOUNCEMENT_WRITE,
    "users create": P.USER_WRITE,
    "users invite": P.USER_WRITE,
    "users disable": P.USER_WRITE,
    "users enable": P.USER_WRITE,
    "users set-roles": P.USER_WRITE,
    "users remove-second-factor": P.USER_WRITE,
    "users sign-out": P.CUSTOMER_SIGN_OUT,
    "users unlock": P.CUSTOMER_UNLOCK,
    "users approve": P.USER_WRITE,
    "users decline": P.USER_WRITE,
    "api-keys revoke": P.API_KEY_REVOKE,
    "webhook-endpoints add": P.WEBHOOK_ENDPOINT_WRITE,
    "webhook-endpoints rotate": P.WEBHOOK_ENDPOINT_WRITE,
    "webhook-endpoints disable": P.WEBHOOK_ENDPOINT_WRITE,
    "webhook-endpoints enable": P.WEBHOOK_ENDPOINT_WRITE,
    "webhook-endpoints resend": P.WEBHOOK_ENDPOINT_WRITE,
}
DECIDE = {name for name, permission in NEEDS.items() if permission in MONEY}
DECIDE |= {"money refund", "money decline", "money cancel"}
"""Commands that decide about money: a small refund needs no second person."""
OTHERS = {"audit list": "a filter", "clock advance": "a duration"}
"""Commands whose `--by` names no account that acts."""


def test_the_table_lists_every_command_that_names_an_account(app: Flask) -> None:
    found = {name for name in _commands(app.cli) if "by" in _options(app.cli, name)}
    assert found == NEEDS.keys() | OTHERS.keys()


def _options(group: click.Group, name: str) -> set[str | None]:
    return {parameter.name for parameter in _command(group, name).params}


def _command(group: click.Group, name: str) -> click.Command:
    command: click.Command = group
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_production_refuses_commands_that_decide_about_money_and_no_others(shop: Shop) -> None:
    shop.app.config["SETTLED_ENV"] = "production"
    refused, not_tried = set(), {}
    for name in NEEDS:
        arguments = [*name.split(), *_any_arguments(_command(shop.app.cli, name)), "--by", "not-known@example.com"]
        done = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
        if "off in production. Decide in the console at http" in done.output:
            refused.add(name)
        elif "No account has this e-mail address." not in done.output:
            not_tried[name] = done.output
    assert (refused, not_tried) == (DECIDE, {})


def _any_arguments(command: click.Command) -> Iterator[str]:
    """Acceptable values of everything that a command needs, but for `--by`."""
    for parameter in command.params:
        if parameter.name != "by" and (parameter.required or getattr(parameter, "prompt", None)):
            if isinstance(parameter, click.Option):
                yield parameter.opts[0]
            kinds = {click.DateTime: "2026-01-31", click.Path: __file__, click.File: __file__, Amount: "TWD=1"}
            kinds[Units] = f"{KETTLE}=1"
            kinds |= {click.Choice: str(next(iter(getattr(parameter.type, "choices", ["1"]))))}
            yield {"sku": KETTLE, "currency": "TWD", "country": "TW"}.get(
                parameter.name or "", kinds.get(type(parameter.type), "1")
            )


def test_production_decides_at_the_command_line_where_a_setting_allows_it_and_an_account_is_named(shop: Shop) -> None:
    shop.app.config.update(SETTLED_ENV="production", CLI_DECISIONS=True)
    order, invoke = shop.paid_order(), shop.app.test_cli_runner().invoke
    shop.staff("ada")
    done = invoke(args=["money", "refund", order.number, "10", "--by", "ada@example.com"])
    assert done.exit_code == 0 and "is being refunded" in done.output, done.output
    done = invoke(args=["reconcile", "2026-01-01", "--provider", "kpay"])
    assert done.exit_code == 2 and "Missing option '--by'" in done.output


@pytest.mark.parametrize("command", NEEDS)
def test_a_command_is_refused_for_an_account_without_its_permission(staffed: Shop, command: str) -> None:
    shop, arguments = staffed, COMMANDS[command][1](staffed)
    role = next(role for role in Role if NEEDS[command] not in PERMISSIONS[role])
    shop.staff("eve", role=role)
    before = shop.count(AuditEntry)
    arguments = [*command.split(), *arguments, "--by", "eve@example.com"]
    refused = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
    db.session.rollback()
    assert refused.exit_code == 1, refused.output
    assert f"does not have the permission {NEEDS[command]}." in refused.output
    assert shop.count(AuditEntry) == before
    shop.sweep()


def test_an_admin_alone_creates_no_account_that_decides_about_money(shop: Shop) -> None:
    shop.staff("ann", role=Role.ADMIN)
    create = ["users", "create", "bo@example.com", "--password", "correct horse battery", "--by", "ann@example.com"]
    invoke = shop.app.test_cli_runner().invoke
    refused = invoke(args=[*create, "--role", "finance", "--role", "support"])
    assert refused.exit_code == 1 and "A second admin has to approve finance" in refused.output
    assert invoke(args=[*create, "--role", "support"]).exit_code == 0

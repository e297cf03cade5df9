"""Every command that takes `--by` demands the permission of its act from that account."""

from __future__ import annotations

import click
import pytest
from flask import Flask

from shop.accounts.permissions import PERMISSIONS, Permission, Role
from shop.core.audit_models import AuditEntry
from shop.core.db import db
from tests.commands.test_audit_entries import COMMANDS, _commands, staffed
from tests.shop_fixtures import Shop

__all__ = ["staffed"]
P = Permission
NEEDS: dict[str, Permission] = {
    "money refund": P.REFUND_REQUEST,
    "money approve": P.REFUND_APPROVE,
    "money decline": P.REFUND_REQUEST,
    "money bounced": P.REFUND_APPROVE,
    "money accept": P.PAYMENT_ACCEPT_AMOUNT,
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
    "alerts test-webhook": P.CHAT_TEST,
    "mail retry": P.MAIL_RESEND,
    "webhooks retry": P.WEBHOOK_RETRY,
    "webhooks retry-matching": P.WEBHOOK_RETRY,
    "webhooks apply-altered": P.WEBHOOK_APPLY_EDITED,
    "reconcile": P.RECONCILIATION_DECIDE,
    "settlement accept": P.RECONCILIATION_DECIDE,
    "products price": P.PRODUCT_WRITE,
    "products restock": P.STOCK_WRITE,
    "pricing set-tax": P.TAX_WRITE,
    "pricing remove-tax": P.TAX_WRITE,
    "pricing set-delivery": P.DELIVERY_WRITE,
    "pricing remove-delivery": P.DELIVERY_WRITE,
    "pricing set-code": P.DISCOUNT_CODE_WRITE,
    "pricing disable-code": P.DISCOUNT_CODE_WRITE,
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
}
OTHERS = {"audit list": "a filter", "clock advance": "a duration"}
"""Commands whose `--by` names no account that acts."""


def test_the_table_lists_every_command_that_names_an_account(app: Flask) -> None:
    found = {name for name in _commands(app.cli) if "by" in _options(app.cli, name)}
    assert found == NEEDS.keys() | OTHERS.keys()


def _options(group: click.Group, name: str) -> set[str | None]:
    command: click.Command = group
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return {parameter.name for parameter in command.params}


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

"""A shop with rows of every kind and callers of every kind, for tests that are made from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from sqlalchemy import event, func, select

from shop.accounts import api_keys
from shop.accounts.models import User
from shop.accounts.permissions import Role, permissions_of
from shop.alerts import store
from shop.alerts.store import Cause
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.integrity import checks
from shop.orders.models import Order
from shop.outgoing_webhooks import endpoints, lanes, resend
from shop.outgoing_webhooks.kinds import EventType
from shop.payments.refunds import requests
from shop.payouts import payouts
from shop.returns import handling, pages
from shop.returns import requests as returns
from shop.returns.decide import Wanted
from tests.api.conftest import PASSWORD, Program, account, log_in
from tests.payouts.settlement import settled
from tests.shop_fixtures import PEN, Shop

NOWHERE = "http://127.0.0.1:9/hooks"
"""A port without a listener."""
ELSEWHERE = "https://warehouse.example/hooks"


class Populated:
    """A shop with orders, payments, refunds and webhooks, and one caller of each kind.

    `tokens` are the Bearer tokens by the kind of caller: guest, customer, staff with every role, API key with every
    scope, and the holder of an order.
    """

    def __init__(self, shop: Shop, url: str = NOWHERE) -> None:
        self.shop = shop
        shop.app.config["RATE_LIMITS"] = False
        self.customer, self.member = account(shop), account(shop, *Role)
        self.tokens: dict[str, str] = {"guest": ""}
        self.sign_in()
        staff = self._user(self.member)
        actor = Actor.staff(staff.id)
        scopes = sorted(permissions_of(staff.roles))
        self.tokens["key"] = api_keys.make("everything", scopes, by=actor).text
        self.endpoint_id, _ = endpoints.create(url, "Warehouse", list(EventType), by=actor)
        self._trade()
        resend.test(self.endpoint_id, by=actor)
        checks.request(by=actor)
        with transaction():
            store.raise_alert(Cause("RULE_D", "7K3M-9QXT-2F", "c", "webhook", {"captured": 2}, {}))
        settled(100000)
        for _ in range(2):
            payouts.request(Money(100, "TWD"), by=shop.sam)
        for _ in range(3):
            shop.sweep()
            lanes.of_process().wait(30)
        self._known: dict[str, list[Any]] = {}

    def sign_in(self) -> None:
        """Sign both people in, again after their sessions have ended."""
        for name, email in (("customer", self.customer), ("staff", self.member)):
            self.tokens[name] = log_in(self.shop, email).json["access_token"]

    def _user(self, email: str) -> User:
        return db.session.scalars(select(User).where(User.email == email)).one()

    def _trade(self) -> None:
        """Orders of a customer and of guests: open, paid, refunded, cancelled, expired."""
        shop, customer = self.shop, self._user(self.customer).id
        expired = shop.order((PEN, 1))
        shop.turn(minutes=31)
        assert shop.state(expired) == "EXPIRED"
        own = shop.paid_order((PEN, 2), customer=customer)
        shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
        for amount in (1000, 1500, 1500):
            requests.request(shop.capture(own), Money(amount, "TWD"), reason="broken", by=shop.sam)
        wanted = Wanted.of({PEN: 1}, "damaged", "cracked")
        returns.request(own.id, wanted, by=Actor.customer(customer), form_key="form-1")
        self._returned(customer)
        shop.cancel(shop.order((PEN, 1), customer=customer))
        for _ in range(3):
            shop.order((PEN, 1), customer=customer)
        self.tokens["order"] = shop.paid_order((PEN, 1)).token

    def _returned(self, customer: int) -> None:
        """A return that waits, one that was received, and one that was received and refunded otherwise."""
        shop, by = self.shop, self.shop.colleague("mia", Role.MERCHANDISER)
        for state in ("requested", "received", "refunded"):
            order = shop.paid_order((PEN, 1), customer=customer)
            wanted = Wanted.of({PEN: 1}, "damaged", "")
            one = pages.id_of(returns.request(order.id, wanted, by=Actor.customer(customer), form_key="form-1"))
            if state != "requested":
                handling.accept(one, by=by)
                handling.receive(one, {PEN: (1, 0)}, by=by)
            if state == "refunded":
                requests.request(shop.capture(order), Money(order.total_amount, "TWD"), reason="all", by=shop.sam)

    def caller(self, kind: str) -> Program:
        return Program(self.shop, self.tokens[kind])

    def known(self, name: str) -> list[Any]:
        """Values that exist for a parameter or field of this name: ids by the table that it names, `sku`, `email`."""
        name = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
        if name not in self._known:
            self._known[name] = list(self._find(name))
        return self._known[name]

    def follow(self) -> None:
        """Do what calls have left to the clock, sign in again, and forget the values that were known."""
        self.shop.sweep()
        lanes.of_process().wait(30)
        self.sign_in()
        self.forget()

    def forget(self) -> None:
        """Read the values again, because calls have added and deleted rows."""
        self._known = {}

    def _find(self, name: str) -> Iterator[Any]:
        fixed = {
            "email": [self.customer],
            "password": [PASSWORD],
            "provider": ["fakepay", "otherpay"],
            "url": [ELSEWHERE],
        }
        if name in fixed:
            yield from fixed[name]
        stem = name.removesuffix("_id")
        plural = f"{stem[:-1]}ies" if stem.endswith("y") else f"{stem}s"
        for table in db.metadata.sorted_tables:
            [key, *others] = table.primary_key.columns
            is_named = stem != name and (table.name == plural or table.name.endswith(f"_{plural}"))
            if not others and (is_named or (key.name == name and name not in ("id", "key"))):
                yield from db.session.scalars(select(key).order_by(key.desc()).limit(20))
        if name == "token":
            yield from db.session.scalars(select(Order.token).limit(20))
        db.session.rollback()

    def filled(self, schema_name: str, value: Any, chance: Random) -> Any:
        """The value with values that exist, half of the time, in fields whose names are known."""
        if isinstance(value, dict):
            return {name: self.filled(name, inner, chance) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(schema_name, inner, chance) for inner in value]
        found = self.known(schema_name)
        return chance.choice(found) if found and chance.random() < 0.5 else value


UNCOUNTED = frozenset({"api_calls", "sign_in_failures", "spent_id_tokens"})
"""Tables that refused calls may write: the log of the API, and what protects the sign-in against repetition."""
_NOTES_USE = re.compile(r"UPDATE api_(keys|sessions) SET last_used_at")
_WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", re.I)


def rows() -> dict[str, int]:
    """The number of rows of every table that counts."""
    tables = [table for table in db.metadata.sorted_tables if table.name not in UNCOUNTED]
    counts = [select(func.count()).select_from(table).scalar_subquery() for table in tables]
    found = db.session.execute(select(*counts)).one()
    db.session.rollback()
    return dict(zip((table.name for table in tables), found, strict=True))


@contextmanager
def writes() -> Iterator[list[str]]:
    """Statements that changed tables that count, and were committed."""
    committed: list[str] = []
    pending: dict[int, list[str]] = {}

    def executed(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found = _WRITES.match(statement)
        if found and found[1] not in UNCOUNTED and not _NOTES_USE.match(statement):
            pending.setdefault(id(connection), []).append(" ".join(statement.split())[:200])

    def commit(connection: Any) -> None:
        committed.extend(pending.pop(id(connection), []))

    def rollback(connection: Any) -> None:
        pending.pop(id(connection), None)

    listeners = {"after_cursor_execute": executed, "commit": commit, "rollback": rollback}
    for name, do in listeners.items():
        event.listen(db.engine, name, do)
    try:
        yield committed
    finally:
        for name, do in listeners.items():
            event.remove(db.engine, name, do)

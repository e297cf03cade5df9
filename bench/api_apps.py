"""Apps that `bench/api.py` measures beside the shop: bare Flask views and FastAPI, with the same work.

Each verifies the same access token with the same library, reads the account of its session, and then does what the call
needs with Core statements in a session of SQLAlchemy (that of Flask-SQLAlchemy in Flask), which ends with the request:
read a payment, list a page of orders, or insert an order with a line and commit. They have no limits, log, metrics,
security headers, request ids, idempotency keys, stock or prices.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import fastapi
import flask
from flask_sqlalchemy import SQLAlchemy
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, bindparam, create_engine, insert, select
from sqlalchemy.orm import Session

from shop.accounts.api_models import ApiSession
from shop.accounts.models import User
from shop.api import payments
from shop.api.schemas import payments as schemas
from shop.core.db import table
from shop.orders.models import Order, OrderLine

ORDERS = Table(
    "bench_orders",
    MetaData(),
    *(Column("id", Integer, primary_key=True), Column("number", String), Column("currency", String)),
    *(Column("total", Integer), Column("email", String), Column("address", String)),
)
LINES = Table(
    "bench_lines",
    ORDERS.metadata,
    *(Column("id", Integer, primary_key=True), Column("order_id", Integer), Column("sku", String)),
    *(Column("quantity", Integer), Column("amount", Integer)),
)
_S, _U, _O = table(ApiSession).c, table(User).c, table(Order).c
_ACCOUNT = (
    select(_U.id, _U.roles)
    .join(table(ApiSession), _S.user_id == _U.id)
    .where(_S.id == bindparam("session"), _S.revoked_at.is_(None), _S.expires_at > bindparam("at"))
    .where(_S.epoch == _U.session_epoch, _U.id == bindparam("user"), _U.disabled_at.is_(None))
)
_PAGE = select(Order.__table__).where(_O.user_id == bindparam("user")).order_by(_O.id.desc()).limit(20)
_TOTAL = select(_O.id).where(_O.user_id == bindparam("user")).limit(10_001)
_LINES = select(OrderLine.__table__).where(table(OrderLine).c.order_id.in_(bindparam("orders", expanding=True)))
PRICE = 9000


class Work:
    """The work of the calls. `key` is that of access tokens, `audience` that of the shop's API."""

    def __init__(self, session: Callable[[], Any], key: OctKey, audience: str) -> None:
        self.session, self.key, self.audience = session, key, audience

    def _account(self, session: Any, authorization: str) -> int:
        """The account of a token. Raises JoseError, ValueError and NoResultFound."""
        claims = jwt.decode(authorization.removeprefix("Bearer "), self.key, algorithms=["HS256"]).claims
        if claims["aud"] != self.audience or claims["exp"] < datetime.now(UTC).timestamp():
            raise ValueError("not valid")
        values = {"session": claims["sid"], "user": int(claims["sub"]), "at": datetime.now(UTC)}
        return int(session.execute(_ACCOUNT, values).one().id)

    def payment(self, authorization: str, payment_id: str) -> dict[str, Any]:
        """The body of an own payment. Raises LookupError for another one."""
        with self.session() as session:
            user_id = self._account(session, authorization)
            row = session.execute(payments.FIND, {"payment": payment_id}).one()
        if row.user_id != user_id:
            raise LookupError(payment_id)
        return schemas.payment(row)

    def page(self, authorization: str) -> dict[str, Any]:
        """A page of own orders with their lines, and the total."""
        with self.session() as session:
            user_id = self._account(session, authorization)
            rows = session.execute(_PAGE, {"user": user_id}).all()
            total = len(session.execute(_TOTAL, {"user": user_id}).all())
            lines = session.execute(_LINES, {"orders": [row.id for row in rows]}).all()
        items = [_order(row, [line for line in lines if line.order_id == row.id]) for row in rows]
        return {"items": items, "total": total, "limit": 20, "page": 1}

    def create(self, authorization: str, body: dict[str, Any]) -> dict[str, Any]:
        """Insert an order with its lines."""
        with self.session() as session:
            self._account(session, authorization)
            items = body["items"]
            total = sum(PRICE * int(item["quantity"]) for item in items)
            values = {"number": "7K3M-9QXT-2F", "currency": body["currency"], "total": total}
            values |= {"email": body["email"], "address": body["address"]["line1"]}
            order_id = session.execute(insert(ORDERS), values).inserted_primary_key[0]
            lines = [{"order_id": order_id, "amount": PRICE, **item} for item in items]
            session.execute(insert(LINES), lines)
            session.commit()
        return {"id": order_id, **values, "lines": lines}


def _order(row: Any, lines: list[Any]) -> dict[str, Any]:
    money = {"amount": row.total_amount, "currency": row.currency}
    times = {name: getattr(row, name) and getattr(row, name).isoformat() for name in ("placed_at", "pay_by", "paid_at")}
    names = ("name", "line1", "line2", "city", "postcode", "country")
    values = {"id": row.id, "number": row.number, "token": row.token, "state": row.state, "email": row.email}
    shown = [
        {"sku": line.sku, "name": line.name, "quantity": line.quantity, "total": line.quantity * line.unit_amount}
        for line in lines
    ]
    return {**values, "total": money, **times, "address": {n: getattr(row, n) for n in names}, "lines": shown}


def bare_flask(url: str, key: OctKey, audience: str) -> tuple[flask.Flask, Engine]:
    """The views as Flask with Flask-SQLAlchemy, and its engine."""
    app, db = flask.Flask("bare"), SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    work = Work(lambda: nullcontext(db.session), key, audience)
    token: Callable[[], str] = lambda: flask.request.headers["Authorization"]  # noqa: E731
    app.get("/api/v1/payments/<payment_id>", endpoint="payment")(
        lambda payment_id: flask.jsonify(work.payment(token(), payment_id))
    )
    app.get("/api/v1/orders", endpoint="page")(lambda: flask.jsonify(work.page(token())))
    app.post("/api/v1/orders", endpoint="create")(
        lambda: (flask.jsonify(work.create(token(), flask.request.get_json())), 201)
    )
    with app.app_context():
        return app, db.engine


def fast_api(url: str, key: OctKey, audience: str) -> tuple[fastapi.FastAPI, Engine]:
    """The views as FastAPI, in its thread pool, because the statements block; and its engine."""
    app, engine = fastapi.FastAPI(), create_engine(url)
    work = Work(lambda: Session(engine), key, audience)

    @app.get("/api/v1/payments/{payment_id}")
    def payment(payment_id: str, authorization: str = fastapi.Header()) -> dict[str, Any]:
        return work.payment(authorization, payment_id)

    @app.get("/api/v1/orders")
    def page(authorization: str = fastapi.Header()) -> dict[str, Any]:
        return work.page(authorization)

    @app.post("/api/v1/orders", status_code=201)
    def create(body: dict[str, Any], authorization: str = fastapi.Header()) -> dict[str, Any]:
        return work.create(authorization, body)

    return app, engine

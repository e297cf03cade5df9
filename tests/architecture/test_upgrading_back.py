"""Migration of a filled database back: refused while the older version could not read what was written."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from shop import create_app
from shop.core.db import db
from tests.architecture.old_shops import GOODS, NOW, WITH_LEDGER_AND_REFUNDS, Row, Rows, an_order, live
from tests.shop_fixtures import environ


def test_no_older_version_takes_over_money_that_was_sent_by_hand(url: str) -> None:
    """It would ask the acquirer to pay the refund again."""
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade(revision="0007")
        downgrade(revision="0006")
        upgrade(revision="0007")
        live(db.engine, WITH_LEDGER_AND_REFUNDS)
        send = sa.text("UPDATE refunds SET destination = 'bank'")
        with db.engine.begin() as connection:
            connection.execute(send)
        with pytest.raises(sa.exc.IntegrityError):
            downgrade(revision="0006")
        with db.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT destination FROM refunds")) == "bank"
        upgrade(revision="0007")
        db.engine.dispose()


ORDER_2: Rows = [*GOODS, *an_order(2, "PENDING", "WAITING_PAYMENT", payment="OPEN", reservation="HELD")]
CODE: Row = {"code": "TEN", "percent": 10, "uses": 1, "once_per_email": True, "is_active": True}
USE: Row = {"order_id": 2, "code": "TEN", "currency": "TWD", "amount": 0, "state": "HELD", "once_per_email": True}
CHARGE: Row = {"order_id": 2, "sku": "tax:TW", "position": 1, "quantity": 1, "name": "VAT", "slug": "", "image": ""}
PERSON: Row = {"id": 1, "email": "ada@example.com", "name": "Ada", "password_hash": "x", "roles": [], "created_at": NOW}
GIFT: Row = {"id": "G1", "user_id": 1, "key": "k", "currency": "TWD", "amount": 1, "reason": "", "state": "REQUESTED"}
MAIL: Row = {"id": "M1", "kind": "unlock", "subject": "user 1", "event": "1", "recipient": "ada@example.com"} | {
    "language": "en", "data": {}, "message_id": "m1", "state": "SENT", "attempts": 1, "created_at": NOW, "sent_at": NOW,
}  # fmt: skip
DOCUMENT: Row = {"number": "2026-000001", "year": 2026, "sequence": 1, "kind": "receipt", "order_id": 2} | {
    "cause": "paid", "issued_at": NOW, "issued_on": NOW.date(), "language": "en", "currency": "TWD", "seller": {},
    "customer": {}, "total_amount": 1, "tax_amount": 0, "delivery_amount": 0, "discount_amount": 0,
}  # fmt: skip
UNREADABLE: dict[str, tuple[str, Rows]] = {
    "documents": ("0024", [("documents", DOCUMENT)]),
    "orders with delivery, discount or tax": (
        "0023",
        [("order_lines", CHARGE | {"unit_amount": 1, "currency": "TWD", "kind": "tax", "is_included": True})],
    ),
    "uses of discount codes": ("0023", [("discount_codes", CODE), ("discount_uses", USE)]),
    "gifts of store credit": (
        "0022",
        [("users", PERSON), ("credit_gifts", GIFT | {"requested_by": "staff:1", "requested_at": NOW})],
    ),
    "mails about accounts": ("0022", [("mails", MAIL)]),
}


@pytest.mark.full
@pytest.mark.sample(4)
@pytest.mark.parametrize(("what", "revision", "rows"), [(what, *each) for what, each in UNREADABLE.items()])
def test_the_way_back_refuses_while_the_older_version_could_not_read_what_was_written(
    url: str, what: str, revision: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade()
        live(db.engine, [*ORDER_2, *rows])
        with pytest.raises(SystemExit):
            downgrade(revision=revision)
        assert f"The older version cannot read {what}. Run `db upgrade` and keep this version." in caplog.text
        upgrade()
        table, _ = rows[-1]
        with db.engine.begin() as connection:
            kept = connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - of the test
            assert kept == (2 if table == "order_lines" else 1), "nothing was deleted"
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - of the test
        downgrade(revision=revision)
        upgrade()
        db.engine.dispose()


@pytest.mark.full
def test_the_way_back_refuses_to_drop_the_audit_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    entry = {"at": NOW, "actor": "staff:1", "act": "product.price_set", "subject_kind": "product", "subject_id": "X"}
    with app.app_context():
        upgrade()
        downgrade(revision="0027")
        upgrade()
        live(db.engine, [("audit_log", entry | {"reason": "", "request_id": "", "personal_hash": ""})])
        with pytest.raises(SystemExit):
            downgrade(revision="0027")
        assert "The older version cannot read the audit log. Run `db upgrade` and keep this version." in caplog.text
        upgrade()
        with db.engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM audit_log")).scalar_one() == 1
        db.engine.dispose()


@pytest.mark.full
def test_an_order_that_a_discount_paid_cannot_be_taken_back(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    with app.app_context():
        upgrade()
        live(db.engine, ORDER_2)
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE orders SET paid_by = 'nothing_due'"))
        with pytest.raises(SystemExit):
            downgrade(revision="0023")
        assert "orders that a discount paid" in caplog.text
        db.engine.dispose()


REFUND_TO_CREDIT: Row = {"id": "R1", "capture_id": None, "payment_id": None, "order_id": 2, "amount": 1} | {
    "currency": "TWD", "kind": "customer", "reason": "", "state": "DONE", "requested_by": "staff:1", "needs_two": False,
    "destination": "store_credit", "created_at": NOW, "ended_at": NOW, "checks": 0,
}  # fmt: skip
RETURN: Row = {"id": 1, "reference": "RT1", "order_id": 2, "form_key": "f", "state": "CLOSED", "reason": "other"} | {
    "comment": "", "message": "", "currency": "TWD", "goods_amount": 1, "delivery_amount": 0, "granted_amount": 1,
    "requested_by": "customer:1", "requested_at": NOW, "closed_by": "staff:1", "closed_at": NOW,
}  # fmt: skip


def test_refunds_of_returns_are_kept_when_the_table_of_refunds_is_rebuilt(url: str) -> None:
    app = create_app(environ(url, ""), TESTING=True)
    of_return = ("order_return_refunds", {"refund_id": "R1", "return_id": 1})
    with app.app_context():
        upgrade(revision="0057")
        live(db.engine, [*ORDER_2, ("refunds", REFUND_TO_CREDIT), ("order_returns", RETURN), of_return])
        for migrate, revision in ((upgrade, "0058"), (downgrade, "0057"), (upgrade, "head")):
            migrate(revision=revision)
            with db.engine.connect() as connection:
                assert connection.execute(sa.text("SELECT id, amount FROM refunds")).all() == [("R1", 1)]
                kept = connection.execute(sa.text("SELECT refund_id, return_id FROM order_return_refunds")).all()
                assert kept == [("R1", 1)]
        db.engine.dispose()

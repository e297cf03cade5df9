"""Console pages of API keys and of the log of API calls."""

from __future__ import annotations

import re
from datetime import timedelta

from shop.accounts import api_keys
from shop.accounts.api_models import ApiKey
from shop.accounts.permissions import Permission
from shop.api_log import write
from shop.core import clock
from shop.core.audit_models import AuditEntry
from shop.core.db import db
from tests.api.conftest import Program
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import Shop


def made(shop: Shop) -> list[ApiKey]:
    db.session.rollback()
    return list(db.session.scalars(db.select(ApiKey).order_by(ApiKey.id)))


def test_finance_makes_a_key_that_is_shown_once_works_and_is_revoked(shop: Shop) -> None:
    finance = visitor_as(shop, "finance")
    finance.get("/ops/api-keys")
    page = finance.post("/ops/api-keys", {"name": "Till", "scopes": ["order.read"]}).text
    found = re.search(r"settled_key_[\w-]+", page)
    assert found and found[0] not in finance.get("/ops/api-keys").text
    program = Program(shop, found[0])
    assert program.get("/orders").status_code == 200
    [key] = made(shop)
    assert finance.post(f"/ops/api-keys/{key.id}/revoke").status_code == 303
    assert program.get("/orders").status_code == 401
    acts = db.session.scalars(db.select(AuditEntry.act).where(AuditEntry.subject_id == key.public_id)).all()
    assert list(acts) == ["api_key.made", "api_key.revoked"]


def test_a_key_is_made_after_the_password_was_confirmed(shop: Shop) -> None:
    finance = visitor_as(shop, "finance")
    finance.get("/ops/api-keys")
    form = {"name": "Refunds", "scopes": ["refund.request"]}
    shop.app.config["STAFF_CONFIRM_MINUTES"] = 0
    assert finance.post("/ops/api-keys", form).status_code == 401 and made(shop) == []
    answer = finance.post("/ops/api-keys", form | {"confirm_password": PASSWORD})
    assert (answer.status_code, [key.scopes for key in made(shop)]) == (200, [["refund.request"]])


def test_a_key_with_a_scope_that_its_maker_does_not_have_is_refused_with_the_form_kept(shop: Shop) -> None:
    finance = visitor_as(shop, "finance")
    finance.get("/ops/api-keys")
    answer = finance.post("/ops/api-keys", {"name": "Till", "scopes": ["product.write", "order.read"]})
    assert answer.status_code == 422 and made(shop) == []
    assert 'value="Till"' in answer.text and 'value="order.read" checked' in answer.text


def test_an_admin_sees_and_revokes_keys_and_makes_none(shop: Shop) -> None:
    api_keys.make("till", [Permission.ORDER_READ], by=shop.colleague("kay"))
    admin = visitor_as(shop, "admin")
    page = admin.get("/ops/api-keys").text
    assert "kay@example.com" in page and "Make a key" not in page
    assert admin.post("/ops/api-keys", {"name": "x", "scopes": ["order.read"]}).status_code == 403
    assert admin.post(f"/ops/api-keys/{made(shop)[0].id}/revoke").status_code == 303
    assert made(shop)[0].revoked_at is not None
    assert visitor_as(shop, "support").get("/ops/api-keys").status_code == 403


def test_the_log_is_filtered_by_caller_status_and_request(shop: Shop) -> None:
    key = api_keys.make("till", [Permission.ORDER_READ], by=shop.colleague("kay"))
    seen = Program(shop, key.text).get("/orders/77")
    Program(shop).get("/products")
    write.flush()
    admin = visitor_as(shop, "admin")
    shown = {
        "": {"/api/v1/orders/77", "/api/v1/products"},
        "status=4xx": {"/api/v1/orders/77"},
        "status=200": {"/api/v1/products"},
        "account=kay@example.com": {"/api/v1/orders/77"},
        f"key={made(shop)[0].public_id}": {"/api/v1/orders/77"},
        f"request={seen.headers['X-Request-ID']}": {"/api/v1/orders/77"},
        "method=POST": set(),
        f"to={clock.now() - timedelta(days=2):%Y-%m-%d}": set(),
    }
    for query, paths in shown.items():
        page = admin.get(f"/ops/api-log?{query}")
        assert page.status_code == 200 and 'aria-label="Pages"' not in page.text
        assert set(re.findall(r'scope="row">GET (/[^<]+)<', page.text)) == paths, query
    for query in ("status=9xx", "status=abc", "account=none@example.com", "key=none", "colour=red"):
        assert admin.get(f"/ops/api-log?{query}").status_code == 422, query

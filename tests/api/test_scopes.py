"""Scopes of API keys: a key acts by the rights of its owner within its scopes, at every call and in every use case."""

from __future__ import annotations

import pytest

from shop.accounts import rights
from shop.accounts.models import User
from shop.accounts.permissions import MONEY, Permission, Role, effective, permissions_of
from shop.accounts.rights import Forbidden
from shop.api import document as openapi
from shop.core.actor import Actor
from shop.core.db import db, transaction
from tests.api.calls import calls
from tests.api.conftest import Program, account, paid, signed_in, with_key
from tests.api.test_access import PROVES_ITSELF, statuses
from tests.api.test_access import calls as declared
from tests.api.test_fields import Table
from tests.shop_fixtures import PEN, Shop
from tools.docs.routes import shop_app

OF_CALLS = sorted(
    {one for _, _, access in declared(shop_app()) for one in access.who if isinstance(one, Permission)}, key=str
)
"""Permissions that a call names."""
OTHERS = [one for one in Permission if one not in OF_CALLS]
"""They open pages of the console: of these, one stands for all."""


def owner_of_all(shop: Shop) -> Actor:
    """A member of staff with every role."""
    email = account(shop, *Role)
    return Actor.staff(db.session.scalars(db.select(User.id).where(User.email == email)).one())


def test_rights_are_those_of_the_roles_within_the_scopes() -> None:
    support = permissions_of(["support"])
    assert effective(["support"], None) == support
    assert effective(["support"], [*Permission, "everything"]) == support
    assert effective(["support"], ["order.cancel", "refund.approve"]) == {Permission.ORDER_CANCEL}
    assert effective(["support"], []) == effective([], list(Permission)) == frozenset()


def test_a_use_case_that_a_key_calls_demands_its_scope(shop: Shop) -> None:
    kay = shop.colleague("kay")
    by_key = Actor.staff(kay.user_id or 0, scopes=["order.cancel"])
    assert (by_key, str(by_key)) == (kay, str(kay)), "the person and the key are one actor"
    with transaction():
        rights.demand(by_key, Permission.ORDER_CANCEL)
        rights.demand(kay, Permission.REFUND_APPROVE)
        for permission in {*MONEY, Permission.ORDER_READ}:
            with pytest.raises(Forbidden, match=f"This API key needs the scope {permission}"):
                rights.demand(by_key, permission)
        assert not rights.has(Actor.staff(kay.user_id or 0, scopes=["product.write"]), Permission.PRODUCT_WRITE)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("scope", [*OF_CALLS, OTHERS[0]])
def test_a_key_with_one_scope_passes_the_calls_that_name_it_and_no_other_one(shop: Shop, scope: Permission) -> None:
    found = statuses(with_key(shop, scope, owner=owner_of_all(shop)))
    for method, path, access in declared(shop.app):
        if (method, path) == PROVES_ITSELF:
            continue
        allowed = {"public", scope} & set(access.who)
        assert (found[method, path] not in (401, 403)) if allowed else (found[method, path] == 403), (method, path)


def test_one_of_the_scopes_that_a_call_names_is_enough_for_the_whole_call(shop: Shop) -> None:
    table, wrong, sent = Table(shop), [], 0
    owner, keys = owner_of_all(shop), dict[str, Program]()
    for call in calls(openapi.of(shop.app)):
        for name in call.operation["x-access"]:
            scope = name.removeprefix("api ")
            if scope not in tuple(Permission) or call.path.startswith("/api/v1/aliases"):
                continue
            sent += 1
            keys[scope] = keys.get(scope) or with_key(shop, Permission(scope), owner=owner)
            answer = table.send(call, program=keys[scope])
            if answer.status_code in (401, 403) or answer.status_code >= 500:
                wrong.append(f"{call} with {scope}: {answer.status_code} {answer.text[:200]}")
            table.populated.forget()
    assert not wrong, "\n".join(wrong)
    assert sent > 20


def test_a_key_that_may_cancel_alone_sees_of_the_order_only_that(shop: Shop) -> None:
    owner = owner_of_all(shop)
    program, order = with_key(shop, Permission.ORDER_CANCEL, owner=owner), Program(shop).placed((PEN, 1))
    path = f"/orders/{order['id']}"
    moved = program.call("PATCH", path, {"address": order["address"] | {"line1": "1 New Road"}})
    cancelled = program.post(f"{path}/cancel", {"reason": "ordered twice"})
    seen = {"id": order["id"], "number": order["number"], "is_being_cancelled": False}
    assert moved.json == seen | {"state": "PENDING"} and cancelled.json == seen | {"state": "CANCELLED"}
    for look in (path, f"{path}/timeline", "/orders"):
        assert program.get(look).status_code == 403, look
    reader = with_key(shop, Permission.ORDER_CANCEL, Permission.ORDER_READ, owner=owner)
    assert reader.post(f"{path}/cancel", {"reason": "again"}).json["address"]["line1"] == "1 New Road"


def test_a_key_that_may_query_a_provider_sees_the_state_alone(shop: Shop) -> None:
    _, payment = paid(shop)
    path, owner = f"/payments/{payment['id']}/sync", owner_of_all(shop)
    answer = with_key(shop, Permission.PAYMENT_SYNC, owner=owner).post(path)
    assert answer.json == {"id": payment["id"], "order_id": payment["order_id"], "state": "CAPTURED"}
    assert with_key(shop, Permission.PAYMENT_SYNC, Permission.ORDER_READ, owner=owner).post(path).json == payment


def test_staff_without_a_key_see_what_they_have_changed(shop: Shop) -> None:
    order = Program(shop).placed((PEN, 1))
    answer = signed_in(shop, Role.SUPPORT).post(f"/orders/{order['id']}/cancel", {"reason": "ordered twice"})
    assert answer.json["email"] == order["email"] and answer.json["token"] is None

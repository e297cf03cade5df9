"""A crawl of every call of the API with every kind of caller, and API keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from shop.accounts import api_keys
from shop.accounts.api_models import ApiKey
from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role, permissions_of
from shop.accounts.rights import Forbidden
from shop.api import rate_limits
from shop.api.access import ApiAccess
from shop.core.db import db, transaction
from shop.core.errors import BadInput
from tests.api.conftest import Program, signed_in, with_key
from tests.shop_fixtures import Shop

PROVES_ITSELF = ("POST", "/aliases/payments/notify")
"""The body is signed: without a signature it is 401 for everyone."""


def calls(app: Flask) -> Iterator[tuple[str, str, ApiAccess]]:
    """(method, path with ids that do not exist, declaration) of every call."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/"):
            path = re.sub("<int:[^>]+>", "999", re.sub("<(?!int)[^>]+>", "none", rule.rule)).removeprefix("/api/v1")
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, path, app.view_functions[rule.endpoint].access  # type: ignore[attr-defined]


def statuses(program: Program) -> dict[tuple[str, str], int]:
    program.shop.app.config["RATE_LIMITS"] = False
    in_order = sorted(calls(program.shop.app), key=lambda one: one[1] == "/auth/logout")  # it ends the token
    return {
        (method, path): program.call(method, path, None if method == "GET" else {}).status_code
        for method, path, _ in in_order
    }


def test_no_call_that_names_its_callers_answers_a_guest_or_an_invalid_token(shop: Shop) -> None:
    named = {(method, path) for method, path, access in calls(shop.app) if "public" not in access.who}
    assert len(named) > 8
    guest = statuses(Program(shop))
    assert {guest[call] for call in named} == {401}
    for token in ("unknown", "a.b.c", f"{api_keys.PREFIX}{'a' * 16}_{'b' * 43}"):
        assert set(statuses(Program(shop, token)).values()) == {401}, token


def test_an_unknown_order_token_is_404_where_an_order_token_is_taken_and_401_elsewhere(shop: Shop) -> None:
    found = statuses(Program(shop, "T" * 32))
    of_tokens = {(method, path) for method, path, access in calls(shop.app) if "order_token" in access.who}
    assert of_tokens and {call: status for call, status in found.items() if status != 401} == dict.fromkeys(
        of_tokens, 404
    )


@pytest.mark.parametrize("role", [None, *Role])
def test_no_account_passes_a_call_for_which_it_has_no_permission(shop: Shop, role: Role | None) -> None:
    found = statuses(signed_in(shop, *([role] if role else [])))
    granted = permissions_of([role] if role else [])
    for method, path, access in calls(shop.app):
        allowed = {"public", "customer"} & set(access.who) or granted & set(access.who)
        assert (found[method, path] != 403) if allowed else (found[method, path] == 403), (method, path)


def test_an_api_key_passes_only_calls_of_its_scopes(shop: Shop) -> None:
    found = statuses(with_key(shop, Permission.ORDER_READ))
    for method, path, access in calls(shop.app):
        allowed = {"public", Permission.ORDER_READ} & set(access.who)
        if (method, path) == PROVES_ITSELF:
            continue
        assert (found[method, path] not in (401, 403)) if allowed else (found[method, path] == 403), (method, path)


def test_a_key_ends_with_its_revocation_its_owners_permission_and_its_owners_account(shop: Shop) -> None:
    kay = shop.colleague("kay")
    program = with_key(shop, Permission.ORDER_READ, owner=kay)
    assert program.get("/orders").status_code == 200
    assert program.get("/orders?cursor=bad").status_code == 422
    with transaction():
        db.session.execute(update(User).where(User.id == kay.user_id).values(roles=["merchandiser"]))
    assert program.get("/orders").status_code == 403
    with transaction():
        db.session.execute(update(User).where(User.id == kay.user_id).values(roles=["finance"]))
    api_keys.revoke(db.session.scalars(db.select(ApiKey.id)).one(), by=kay)
    assert program.get("/orders").status_code == 401


def test_a_key_is_stored_as_a_hash_and_its_use_is_noted_once_a_minute(shop: Shop) -> None:
    made = api_keys.make("till", [Permission.ORDER_READ], by=shop.colleague("kay"))
    key = db.session.get_one(ApiKey, made.id)
    assert made.text.rpartition("_")[2] not in f"{key.secret_hash} {key.public_id}" and key.last_used_at is None
    for _ in range(2):
        Program(shop, made.text).get("/orders")
    first = db.session.scalars(db.select(ApiKey.last_used_at)).one()
    shop.wait(minutes=2)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=1)):
        Program(shop, made.text).get("/orders")
    assert first and db.session.scalars(db.select(ApiKey.last_used_at)).one() - first >= timedelta(minutes=2)
    wrong = made.text[:-1] + ("A" if made.text[-1] != "A" else "B")
    assert Program(shop, wrong).get("/orders").status_code == 401


def test_scopes_are_permissions_of_the_owner_and_others_keys_need_the_right_to_revoke(shop: Shop) -> None:
    kay, sue, root = shop.colleague("kay"), *shop.staff("sue"), *shop.staff("root", role=Role.ADMIN)
    for scopes in ([], [Permission.PRODUCT_WRITE], ["everything"]):
        with pytest.raises(BadInput, match="Choose at least one scope"):
            api_keys.make("till", scopes, by=kay)
    with pytest.raises(Forbidden):
        api_keys.make("till", [Permission.ORDER_READ], by=root)
    made = api_keys.make("till", [Permission.ORDER_READ], by=kay)
    with pytest.raises(Forbidden):
        api_keys.revoke(made.id, by=sue)
    api_keys.revoke(made.id, by=root)
    assert db.session.scalars(db.select(ApiKey.revoked_by)).one() == root


def test_calls_above_the_limit_are_429_with_the_time_to_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    program = with_key(shop, Permission.ORDER_READ)
    monkeypatch.setattr(rate_limits.Policy, "most", lambda self, is_known: 2)
    first, _, third = [program.get("/orders") for _ in range(3)]
    assert first.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert re.fullmatch('"default";r=1;t=[0-9]+', first.headers["RateLimit"])
    assert (third.status_code, third.json["code"]) == (429, "too_many_requests")
    assert 0 < int(third.headers["Retry-After"]) <= 60 and third.headers["RateLimit"].startswith('"default";r=0')


def test_pages_of_other_origins_may_call_only_if_the_setting_lists_them(shop: Shop) -> None:
    origin = {"Origin": "https://app.example.com"}
    assert "Access-Control-Allow-Origin" not in Program(shop).get("/products", headers=origin).headers
    shop.app.config["API_CORS_ORIGINS"] = ("https://app.example.com",)
    answer = Program(shop).call("OPTIONS", "/orders", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    other = Program(shop).get("/products", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers and "Origin" in other.headers["Vary"]

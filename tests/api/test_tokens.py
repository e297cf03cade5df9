"""Tokens that prove nothing, sent to every call of the OpenAPI document: expired, revoked, malformed, …"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import time_machine
from sqlalchemy import delete, update

from shop.accounts import api_keys, api_tokens
from shop.accounts.api_models import ApiSession
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.api import document as openapi
from shop.core import clock
from shop.core.db import db, transaction
from tests.api.calls import calls
from tests.api.conftest import Program, account, log_in, signed_in
from tests.api.populated import rows
from tests.shop_fixtures import Shop


def spoiled(shop: Shop) -> Iterator[tuple[str, str]]:
    """Headers that prove nothing, by what is wrong with them; the rows are written before they are sent."""
    disabled, deleted = account(shop, *Role), account(shop, *Role)
    tokens = {email: log_in(shop, email).json["access_token"] for email in (disabled, deleted)}
    key = api_keys.make("till", ["order.read"], by=shop.colleague("kay"))
    api_keys.revoke(key.id, by=shop.colleague("kay"))
    with transaction():
        db.session.execute(update(User).where(User.email == disabled).values(disabled_at=clock.now()))
        gone = db.session.scalars(db.select(User).where(User.email == deleted)).one()
        db.session.execute(delete(ApiSession).where(ApiSession.user_id == gone.id))
        db.session.delete(gone)
    good = tokens[disabled]
    head, payload, signature = good.split(".")
    access = api_tokens.read_access(signed_in(shop).token)
    assert access is not None
    with time_machine.travel(datetime.now(UTC) - timedelta(minutes=16)):
        old = api_tokens.make_access(access.user_id, access.session_id)
    yield from (
        ("disabled account", f"Bearer {good}"),
        ("deleted account", f"Bearer {tokens[deleted]}"),
        ("expired", f"Bearer {old}"),
        ("revoked key", f"Bearer {key.text}"),
        ("other signature", f"Bearer {head}.{payload}.{signature[::-1]}"),
        ("no signature", f"Bearer {head}.{payload}."),
        ("other scheme", f"Basic {good}"),
        ("no token", "Bearer "),
        ("no scheme", good),
        ("nonsense", "Bearer \u00ff\u00fe \u00e9"),
        ("huge", f"Bearer {'x' * 8000}"),
    )


def test_no_call_takes_a_token_that_proves_nothing(shop: Shop) -> None:
    shop.app.config["RATE_LIMITS"] = False
    headers = dict(spoiled(shop))
    before, wrong = rows(), []
    for call in calls(openapi.of(shop.app)):
        for name, header in headers.items():
            if call.is_page and not header.startswith("Bearer"):
                continue  # the page answers
            path = re.sub("{[^}]+}", "1", call.path)
            answer = Program(shop).open(call.method, path, headers={"Authorization": header})
            if answer.status_code != 401 or "WWW-Authenticate" not in answer.headers:
                wrong.append(f"{call} {name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong[:50])
    assert rows() == before

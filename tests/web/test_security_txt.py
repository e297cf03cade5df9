"""/.well-known/security.txt by RFC 9116."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shop import create_app
from shop.settings import BadSetting
from shop.web.security_txt import contacts

HERE = {"SETTLED_ENV": "development", "DATABASE_URL": "sqlite:///:memory:", "SHOP_URL": "https://shop.example/"}
PATH = "/.well-known/security.txt"


def test_it_names_the_contacts_in_their_order_until_when_it_holds_and_where_it_belongs() -> None:
    app = create_app(HERE | {"SECURITY_CONTACT": "security@shop.example, https://shop.example/report"})
    answer = app.test_client().get(PATH, headers={"Host": "shop.example"})
    assert (answer.status_code, answer.content_type) == (200, "text/plain; charset=utf-8")
    fields = [line.split(": ", 1) for line in answer.text.splitlines()]
    assert [value for name, value in fields if name == "Contact"] == [
        "mailto:security@shop.example",
        "https://shop.example/report",
    ]
    (expires,) = [value for name, value in fields if name == "Expires"]
    left = datetime.fromisoformat(expires) - datetime.now(UTC)
    assert timedelta(days=30) < left < timedelta(days=365)
    assert ["Canonical", f"https://shop.example{PATH}"] in fields


def test_without_a_contact_there_is_no_such_file() -> None:
    assert create_app(HERE).test_client().get(PATH, headers={"Host": "shop.example"}).status_code == 404


@pytest.mark.parametrize(
    "written",
    ["security", "http://shop.example", "mailto:", "javascript:alert(1)", "a@b.example\nExpires: never", "https://a b"],
)
def test_a_contact_that_cannot_be_one_ends_the_start(written: str) -> None:
    with pytest.raises(BadSetting, match="SECURITY_CONTACT"):
        create_app(HERE | {"SECURITY_CONTACT": written})
    with pytest.raises(BadSetting):
        contacts(written)

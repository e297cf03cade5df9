"""Production is secure by default: no start with a secret that is published, empty or short, nor without TLS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

import httpx
import pytest

import mock_acquirer
from shop import create_app, production, seller, settings
from shop.api_settings import DEVELOPMENT_TOKEN_KEY
from shop.payments.providers import registry
from shop.payments.providers.interface import BadSignature
from shop.payments.providers.kpay import KPay
from shop.payments.providers.stripe import Stripe
from shop.payments.providers.tpay import Tpay, check_mac
from shop.settings import BadSetting

SECRET = secrets.token_urlsafe(48)
KEYS = {
    "KPAY_API_KEY": "kp_live_" + secrets.token_hex(8),
    "KPAY_WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    "STRIPE_API_KEY": "sk_live_" + secrets.token_hex(8),
    "STRIPE_WEBHOOK_SECRET": "whsec_" + secrets.token_hex(16),
}
GOOD = {
    "SETTLED_ENV": "production",
    "DATABASE_URL": "sqlite:///:memory:",
    "SECRET_KEY": SECRET,
    "API_TOKEN_KEY": SECRET,
    "SHOP_URL": "https://shop.example",
    "PROVIDERS": "kpay,stripe",
    **KEYS,
}
PUBLISHED = {row.name: row.default for cls in registry.classes().values() for row in cls.SETTINGS if row.published}
REFUSED = {
    "nothing signs the cookie": {"SECRET_KEY": ""},
    "nothing signs the tokens of the API": {"API_TOKEN_KEY": ""},
    "a short former key of the API": {"API_TOKEN_KEY": f"{SECRET},a"},
    "the API key of development": {"API_TOKEN_KEY": DEVELOPMENT_TOKEN_KEY},
    "a short key": {"SECRET_KEY": "a"},
    "a key of 31 characters": {"SECRET_KEY": "k" * 31},
    "a mail server without TLS": {"MAIL_URL": f"smtp://u:{SECRET}@mail.example"},
    "a chat webhook without TLS": {"ALERT_WEBHOOK_URL": f"http://127.0.0.1/{SECRET}"},
    "a malformed chat webhook": {"ALERT_WEBHOOK_URL": f"hooks.slack.com/{SECRET}"},
    "a chat webhook with a user": {"ALERT_WEBHOOK_URL": f"https://u:{SECRET}@hooks.slack.com/x"},
    "a mail server of another scheme": {"MAIL_URL": f"https://u:{SECRET}@mail.example"},
    "plain http": {"SHOP_URL": "http://shop.example"},
    "an address that only looks local": {"SHOP_URL": "http://localhost.example"},
    "a control token of the demo": {"CONTROL_TOKEN": "sim_demo"},
    "no provider": {"PROVIDERS": ""},
    "a provider that does not exist": {"PROVIDERS": "kpay,strip"},
    "a published API key": {"KPAY_API_KEY": PUBLISHED["KPAY_API_KEY"]},
    "a published secret": {"KPAY_WEBHOOK_SECRET": PUBLISHED["KPAY_WEBHOOK_SECRET"]},
    "a published secret without its prefix": {
        "KPAY_WEBHOOK_SECRET": PUBLISHED["KPAY_WEBHOOK_SECRET"].removeprefix("whsec_")
    },
    "the address of the demo's seller": {"SELLER_EMAIL": seller.DEMO.email},
    "the key of development": {"SECRET_KEY": settings.DEVELOPMENT_KEY},
    "the key of development as a former one": {"SECRET_KEY_FALLBACKS": settings.DEVELOPMENT_KEY},
    "a Redis without a scheme": {"REDIS_URL": f"{SECRET}@redis.example:6379"},
    "a Redis whose port is no number": {"REDIS_URL": f"redis://:{SECRET}/1@redis.example:6379/0"},
    "a database without a scheme": {"DATABASE_URL": f"u:{SECRET}@db.example/shop"},
    "a database whose port is no number": {"DATABASE_URL": f"postgres://u:{SECRET}@db.example:port/shop"},
    "a kind of database that is not known": {"DATABASE_URL": f"mysql://u:{SECRET}@db.example/shop"},
    "a published secret beside a good one": {
        "STRIPE_WEBHOOK_SECRET": f"{KEYS['STRIPE_WEBHOOK_SECRET']},{PUBLISHED['STRIPE_WEBHOOK_SECRET']}"
    },
    "a published secret of another provider": {"STRIPE_WEBHOOK_SECRET": PUBLISHED["TPAY_WEBHOOK_SECRET"]},
    "an empty secret": {"STRIPE_API_KEY": ""},
    "a secret of commas": {"STRIPE_WEBHOOK_SECRET": " , "},
    "a prefix with nothing after it": {"KPAY_WEBHOOK_SECRET": "whsec_"},
    "an unknown kind of environment": {"SETTLED_ENV": "prod"},
    "fewer than no proxies": {"PROXY_HOPS": "-1"},
    "an address without a scheme": {"SHOP_URL": "shop.example"},
    "an address without a host": {"SHOP_URL": "https:///shop"},
    "an acquirer without a scheme": {"ACQUIRER_URL": "localhost:9000"},
    "a provider's address without a scheme": {"KPAY_URL": "api.kpay.example"},
    "no time to pay": {"PAY_WITHIN": "0"},
    "an endless patience": {"READ_TIMEOUT": "inf"},
    "a patience that is no number": {"READ_TIMEOUT": "nan"},
}


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


def test_a_shop_whose_settings_are_its_own_starts_in_production() -> None:
    app = create_app(GOOD)
    assert sorted(app.extensions["settled_providers"]) == ["kpay", "stripe"]
    assert app.config["SESSION_COOKIE_SECURE"]


def test_production_has_no_page_of_development() -> None:
    assert [rule.rule for rule in create_app(GOOD).url_map.iter_rules() if rule.rule.startswith("/dev")] == []


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_leaves_production_open_ends_the_start_with_its_name_and_without_its_value(case: str) -> None:
    ((name, value),) = REFUSED[case].items()
    with pytest.raises(BadSetting, match=name) as refused:
        create_app(GOOD | {name: value})
    sentence = str(refused.value)
    assert sentence.endswith((".", ")")) and "\n" not in sentence
    assert [lie for lie in (SECRET, *KEYS.values(), *PUBLISHED.values()) if lie in sentence] == []


@pytest.mark.parametrize("name", [name for name in GOOD if name not in ("DATABASE_URL", "SHOP_URL")])
def test_in_production_missing_settings_have_no_development_defaults(name: str) -> None:
    """Without SETTLED_ENV the environment is production, so that one starts; every other missing setting is named."""
    if name == "SETTLED_ENV":
        assert create_app(without(GOOD, name)).config["SETTLED_ENV"] == "production"
        return
    with pytest.raises(BadSetting, match=name):
        create_app(without(GOOD, name))


def test_all_invalid_settings_are_reported_at_once() -> None:
    with pytest.raises(BadSetting) as refused:
        create_app({"DATABASE_URL": "sqlite:///:memory:", "PROVIDERS": "tpay", "SHOP_URL": "http://shop.example"})
    for name in (
        "SECRET_KEY",
        "API_TOKEN_KEY",
        "SHOP_URL",
        "TPAY_HASH_KEY",
        "TPAY_HASH_IV",
        "TPAY_WEBHOOK_SECRET",
        "SETTLED_ENV",
    ):
        assert name in str(refused.value)


def test_a_provider_that_is_not_enabled_needs_no_secret_and_takes_no_webhook() -> None:
    app = create_app(without(GOOD, "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET") | {"PROVIDERS": " kpay, "})
    assert list(app.extensions["settled_providers"]) == ["kpay"]
    hosts = {"Host": "shop.example"}
    assert app.test_client().post("/webhooks/stripe", data=b"{}", headers=hosts).status_code == 404


def test_in_development_all_providers_work_with_the_secrets_of_the_demo() -> None:
    app = create_app({"SETTLED_ENV": "development", "DATABASE_URL": "sqlite:///:memory:"})
    assert list(app.extensions["settled_providers"]) == list(registry.classes())
    assert {name: app.config[name] for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_empty_secret_never_means_the_published_one(name: str) -> None:
    """Not in development either: an empty `KPAY_API_KEY=` is a mistake."""
    with pytest.raises(BadSetting, match=name):
        create_app({"SETTLED_ENV": "development", "DATABASE_URL": "sqlite:///:memory:", name: ""})


@pytest.mark.parametrize("value", ["", "   "])
def test_with_an_empty_control_token_the_clock_cannot_be_advanced(value: str) -> None:
    app = create_app({"SETTLED_ENV": "development", "DATABASE_URL": "sqlite:///:memory:", "CONTROL_TOKEN": value})
    for bearer in ("", "Bearer ", "Bearer sim_demo"):
        answer = app.test_client().post("/dev/clock", json={"by": "PT1M"}, headers={"Authorization": bearer})
        assert answer.status_code == 401


def test_production_has_no_address_for_developers_whatever_the_method() -> None:
    app = create_app(GOOD | {"CONTROL_TOKEN": SECRET})
    assert [rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/dev")] == []
    for method in ("GET", "POST", "PUT"):
        headers = {"Host": "shop.example", "Authorization": f"Bearer {SECRET}"}
        assert app.test_client().open("/dev/clock", method=method, headers=headers).status_code == 404


def _kpay(body: bytes, key: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    mac = hmac.new(key, b"evt_1." + stamp.encode() + b"." + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": "evt_1", "webhook-timestamp": stamp, "webhook-signature": signature}


def _stripe(body: bytes, key: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    return {
        "stripe-signature": f"t={stamp},v1={hmac.new(key, f'{stamp}.'.encode() + body, hashlib.sha256).hexdigest()}"
    }


def _tpay(body: bytes, key: bytes) -> dict[str, str]:
    return {"x-signature": hmac.new(key, body, hashlib.sha256).hexdigest()}


def _form(fields: dict[str, str]) -> bytes:
    defaults = {row.name: row.default for row in Tpay.SETTINGS}
    mac = check_mac(fields, defaults["TPAY_HASH_KEY"], defaults["TPAY_HASH_IV"])
    return str(httpx.QueryParams(fields | {"CheckMacValue": mac})).encode()


SIGNERS: dict[str, Any] = {
    "kpay": (KPay, "KPAY_WEBHOOK_SECRET", _kpay, json.dumps({"id": "evt_1"}).encode()),
    "stripe": (Stripe, "STRIPE_WEBHOOK_SECRET", _stripe, b"{}"),
    "tpay": (Tpay, "TPAY_WEBHOOK_SECRET", _tpay, _form({"MerchantID": "3002607"})),
}


@pytest.mark.parametrize("provider", SIGNERS)
@pytest.mark.parametrize("written", ["{},", ",{}", "{}, ,", " {} "])
def test_an_empty_item_in_a_list_of_secrets_accepts_no_empty_secret(provider: str, written: str) -> None:
    cls, name, signed, body = SIGNERS[provider]
    key = secrets.token_bytes(24)
    text = base64.b64encode(key).decode() if provider == "kpay" else key.hex()
    config = settings.read(cls.SETTINGS, {"SETTLED_ENV": "development", name: written.format(text)})
    there = {"ACQUIRER_URL": "http://acquirer.example", "ACQUIRER_PUBLIC_URL": "http://acquirer.example"}
    adapter = cls(config | there, httpx.Client)
    adapter.verify(signed(body, key if provider == "kpay" else text.encode()), body)
    with pytest.raises(BadSignature):
        adapter.verify(signed(body, b""), body)


def test_the_production_rules_check_the_settings_that_they_name() -> None:
    """A rule whose setting was renamed would check nothing."""
    assert set(production._RULES) <= {row.name for row in settings.SETTINGS}


# --- the acquirer ----------------------------------------------------------------------------------------------------

THERE = {
    "SETTLED_ENV": "production",
    "ACQUIRER_DATABASE_URL": "sqlite://",
    "ACQUIRER_LOOP": "off",
    "ACQUIRER_PUBLIC_URL": "https://acquirer.example",
    "SECRET_KEY": SECRET,
    "PROVIDERS": "kpay,stripe",
    **KEYS,
}


def test_an_acquirer_mounted_in_the_shop_has_the_secrets_of_the_shop() -> None:
    config = mock_acquirer.create_app(THERE | {"KPAY_WEBHOOK_SECRET": f"{KEYS['KPAY_WEBHOOK_SECRET']},old"}).config
    assert {name: config[f"ACQUIRER_{name}"] for name in KEYS} == KEYS
    assert not config["ACQUIRER_CONTROL"]
    own = mock_acquirer.create_app(THERE | {"ACQUIRER_KPAY_API_KEY": "kp_its_own_key"}).config
    assert own["ACQUIRER_KPAY_API_KEY"] == "kp_its_own_key"


def test_only_the_dialects_that_are_named_are_served() -> None:
    app = mock_acquirer.create_app(THERE)
    prefixes = {rule.rule.split("/")[1] for rule in app.url_map.iter_rules()}
    assert {"kpay", "stripe"} <= prefixes and not {"paypay", "tpay"} & prefixes


@pytest.mark.parametrize(
    "changed",
    [
        {"SECRET_KEY": "s3cret"},
        {"SECRET_KEY": ""},
        {"KPAY_API_KEY": "kp_test_demo"},
        {"KPAY_API_KEY": ""},
        {"ACQUIRER_KPAY_WEBHOOK_SECRET": PUBLISHED["KPAY_WEBHOOK_SECRET"]},
        {"ACQUIRER_CONTROL": "on"},
        {"ACQUIRER_CONTROL_TOKEN": "sim_demo", "ACQUIRER_CONTROL": "on"},
        {"ACQUIRER_CONTROL_TOKEN": "t" * 31, "ACQUIRER_CONTROL": "on"},
        {"ACQUIRER_PUBLIC_URL": "http://acquirer.example"},
        {"SETTLED_ENV": "staging"},
        {"PROVIDERS": ""},  # then all dialects are served, and two of them have no secrets
    ],
)
def test_an_acquirer_that_would_be_open_does_not_start_in_production(changed: dict[str, str]) -> None:
    name = next(iter(changed)) if "PROVIDERS" not in changed else "ACQUIRER_PAYPAY_SECRET"
    with pytest.raises(mock_acquirer.BadSetting, match=name) as refused:
        mock_acquirer.create_app(THERE | changed)
    assert [
        value for value in (SECRET, *KEYS.values(), "sim_demo", "kp_test_demo") if value in str(refused.value)
    ] == []


def test_an_acquirer_whose_control_has_a_long_token_starts_in_production() -> None:
    assert mock_acquirer.create_app(THERE | {"ACQUIRER_CONTROL": "on", "ACQUIRER_CONTROL_TOKEN": SECRET})

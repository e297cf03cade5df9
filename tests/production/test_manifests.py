"""Manifests demand or generate secrets, and the environment of app.json takes paid orders."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from types import SimpleNamespace

import httpx
import psycopg
import pytest

import mock_acquirer
from e2e.customers import HttpCustomer
from e2e.demo import commands
from shop import create_app
from shop.payments.providers import registry
from tests.parts.postgres import PostgresServer
from tests.parts.processes import ROOT, Processes, free_port
from tests.parts.waiting import until

COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()
APP = json.loads((ROOT / "app.json").read_text())
EXAMPLE = (ROOT / "deploy" / "k8s" / "secret.example.yaml").read_text()
KEYS = {row.name for cls in registry.classes().values() for row in cls.SETTINGS if row.published}
PUBLISHED = {row.default for cls in registry.classes().values() for row in cls.SETTINGS if row.published} | {"sim_demo"}
OURS = {"SECRET_KEY", "API_TOKEN_KEY", "METRICS_TOKEN", "ACQUIRER_CONTROL_TOKEN"}


def test_with_the_output_of_make_secrets_shop_and_acquirer_start_in_production() -> None:
    script = [sys.executable, str(ROOT / "deploy" / "make_secrets.py")]
    text = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    made = dict(line.split("=", 1) for line in text.splitlines())
    assert made.keys() == KEYS | OURS
    there = {"SETTLED_ENV": "production", "PROVIDERS": ",".join(registry.classes()), **made}
    assert create_app(there | {"DATABASE_URL": "sqlite:///:memory:"})
    assert mock_acquirer.create_app(there | {"ACQUIRER_DATABASE_URL": "sqlite://", "ACQUIRER_CONTROL": "on"})
    assert subprocess.run(script, check=True, capture_output=True, text=True).stdout != text


def test_compose_demands_every_secret_and_has_none_of_its_own() -> None:
    given = dict(re.findall(r"^  ([A-Z_]+): (.*)$", COMPOSE, re.MULTILINE))
    assert [name for name in KEYS | OURS if not re.fullmatch(r"\$\{[A-Z_]+:\?.+}", given.get(name, ""))] == []
    assert given["SETTLED_ENV"] == "${SETTLED_ENV:-production}"
    assert [secret for secret in PUBLISHED if secret in COMPOSE] == []


def test_the_manifests_for_kubernetes_hold_no_secret_and_the_filled_in_one_is_never_committed() -> None:
    assert [secret for secret in PUBLISHED if secret in EXAMPLE] == []
    assert {"SECRET_KEY", "API_TOKEN_KEY", "KPAY_API_KEY", "KPAY_WEBHOOK_SECRET"} <= set(
        re.findall(r"^  ([A-Z_]+): \"\"", EXAMPLE, re.M)
    )
    for path in ("deploy/k8s/secret.yaml", "deploy/.env", ".env"):
        ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
        assert ignored.returncode in (0, 128), path  # 128: not a clone


def test_app_json_has_every_secret_made() -> None:
    given = APP["env"]
    assert [name for name in KEYS | OURS if given.get(name) != given.get(name, {}) | {"generator": "secret"}] == []
    assert given["SETTLED_ENV"]["value"] == "production"


# --- the environment of app.json, as a platform creates it -----------------------------------------------------------


def environment(postgres: PostgresServer, redis_url: str) -> dict[str, str]:
    """The environment of app.json: fixed values, generated secrets, and addresses filled in by a person."""
    port = free_port()
    site = f"http://localhost:{port}"
    requested = {"SHOP_URL": site, "ACQUIRER_URL": f"{site}/acquirer", "ACQUIRER_PUBLIC_URL": f"{site}/acquirer"}
    given = {
        name: secrets.token_hex(32) if one.get("generator") == "secret" else one.get("value") or requested.pop(name)
        for name, one in APP["env"].items()
    }
    assert not requested, "a person is asked for nothing that is not in app.json"
    addons = {one["as"]: f"{one['as']}_URL" for one in APP["addons"]}
    assert addons.keys() == {"DATABASE", "ACQUIRER_DATABASE", "REDIS"}
    return given | {
        "PORT": str(port),
        addons["DATABASE"]: postgres.url(postgres.create()).replace("postgresql+psycopg", "postgres"),
        addons["ACQUIRER_DATABASE"]: postgres.url(postgres.create()).replace("postgresql+psycopg", "postgres"),
        addons["REDIS"]: redis_url,
        "BIND_ADDRESS": "127.0.0.1",
    }


def pay_by_card(customer: HttpCustomer, order: str) -> None:
    """Press Pay, follow an auto-submitted form, and enter the test card on the acquirer's page."""
    answer = customer.post(f"{order}/pay")
    if answer.status_code == 200:
        action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
        assert action
        fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer.text))
        answer = customer.client.post(action[1], data=fields)
    where = httpx.URL(answer.headers["Location"])
    page = customer.client.get(where, follow_redirects=True)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf, page.text
    card = {"number": "4242424242424242", "expiry": "12/34", "cvc": "123", "name": "Ada", "csrf": csrf[1]}
    assert customer.client.post(f"{page.url.copy_with(query=None)}/card", data=card).status_code == 303


@pytest.mark.full
@pytest.mark.slow
def test_the_environment_of_app_json_with_made_secrets_ends_in_paid_orders(
    postgres: PostgresServer, redis_url: str, process: Processes
) -> None:
    """As on Heroku: the release step, then web, worker and clock of the Procfile, the acquirer mounted."""
    environ = environment(postgres, redis_url)
    procfile = commands(ROOT / "Procfile")
    assert procfile.keys() == {"release", *APP["formation"]}
    release = process(procfile.pop("release"), environ, log="release")
    assert release.wait(within=60) == 0, release.text
    running = {name: process(command, environ, log=name) for name, command in procfile.items()}
    running["web"].wait_for_url(f"{environ['SHOP_URL']}/readyz", within=30)
    customer = HttpCustomer(SimpleNamespace(shop=environ["SHOP_URL"]))  # type: ignore[arg-type]
    with psycopg.connect(environ["DATABASE_URL"].replace("postgres://", "postgresql://"), autocommit=True) as database:
        for provider in ("kpay", "stripe", "tpay"):
            order = customer.order(method=provider)
            pay_by_card(customer, f"/orders/{order.token}")
            until(
                lambda number=order.number: (
                    database.execute(  # type: ignore[misc]
                        "SELECT state FROM orders WHERE number = %s", [number]
                    ).fetchone()
                    == ("PAID",)
                ),
                within=30,
                what=f"the order with {provider} to be PAID: {running['web'].text[-3000:]}",
            )
        until(
            lambda: (
                {provider for (provider,) in database.execute("SELECT provider FROM webhook_events")}
                == {"kpay", "stripe", "tpay"}
            ),
            within=30,
            what="a webhook of each provider",
        )
        refused = database.execute("SELECT count(*) FROM refused_webhooks").fetchone()
        assert refused == (0,), "shop and acquirer have the same secrets"
    check = process(["flask", "--app", "wsgi", "check"], environ, log="check")
    assert check.wait(within=60) == 0, check.text

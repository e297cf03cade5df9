from __future__ import annotations

import re

import pytest
from flask import Flask, request, session
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as Disconnected
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shop import create_app
from shop.core import redis
from shop.core.errors import Refusal
from shop.http_kit import request_guard
from tests.shop_fixtures import Shop, environ

pytestmark = [
    pytest.mark.usefixtures("database_url"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
JSON = {"Accept": "application/json"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser, with CSRF protection on."""
    return app.test_client()


def made(redis_url: str, **more: str) -> Flask:
    """A shop with other settings, on an empty database that no test reads."""
    return create_app(environ("sqlite:///:memory:", redis_url, **more), TESTING=True)


@pytest.mark.parametrize(
    "path", ["/", "/cart", "/nothing", "/healthz", "/sign-in", "/orders/nothing/events", "/static/app.js"]
)
def test_every_answer_carries_the_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'self'", "script-src 'self'", "style-src 'self'", "object-src 'none'", "base-uri 'none'"):
        assert part in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.endswith("form-action 'self' http://localhost:9000")
    assert "unsafe" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "payment=()" in headers["Permissions-Policy"]
    assert "Strict-Transport-Security" not in headers


def test_over_https_the_cookie_is_secure_and_hsts_is_sent(redis_url: str) -> None:
    app = made(redis_url, SHOP_URL="https://shop.example")
    app.add_url_rule("/mark", view_func=lambda: session.update(cart="one") or "")
    answer = app.test_client().get("/mark", base_url="https://shop.example")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-settled=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Expires="):
        assert part in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_a_cookie_is_not_renewed_by_reading(app: Flask, client: FlaskClient) -> None:
    with client.session_transaction() as cookie:
        cookie["cart"] = "one"
    assert "Set-Cookie" not in client.get("/").headers


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "a b", "localhost:99999"]
)
def test_a_foreign_host_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1234", "LOCALHOST"])
def test_our_own_host_is_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_named_hosts_are_the_only_ones(redis_url: str) -> None:
    client = made(redis_url, TRUSTED_HOSTS="shop.example, www.shop.example").test_client()
    assert client.get("/healthz.txt", headers={"Host": "www.shop.example"}).status_code == 404
    assert client.get("/healthz.txt", headers={"Host": "localhost"}).status_code == 400


def test_forwarded_addresses_count_only_for_as_many_proxies_as_there_are(redis_url: str) -> None:
    seen = []
    for hops in ("0", "1"):
        app = made(redis_url, PROXY_HOPS=hops)
        app.add_url_rule("/who", view_func=lambda: request.remote_addr or "")
        seen.append(app.test_client().get("/who", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.9"}).text)
    assert seen == ["127.0.0.1", "192.0.2.9"]


def test_a_sane_request_id_is_kept_and_another_is_replaced(client: FlaskClient) -> None:
    assert (
        client.get("/healthz", headers={"X-Request-ID": "from-the-router.1"}).headers["X-Request-ID"]
        == "from-the-router.1"
    )
    for odd in ("short", "x" * 65, "<script>alert(1)</script>", "a b c d e f g"):
        given = client.get("/healthz", headers={"X-Request-ID": odd}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{16}", given)


def test_a_large_body_is_refused_whole_and_chunked(client: FlaskClient) -> None:
    body = b"x" * (request_guard.LARGEST_BODY + 1)
    assert client.post("/webhooks/kpay", data=body).status_code == 413
    assert client.post("/sign-in", data={"email": "x" * request_guard.LARGEST_BODY}).status_code == 413


def test_a_form_without_its_token_is_refused_with_a_friendly_page(client: FlaskClient) -> None:
    answer = client.post("/sign-in", data={"email": "mei@example.com", "password": "x"})
    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 422), ("same-site", 400), ("cross-site", 400), ("none", 400)]
)
def test_of_two_first_pages_opened_at_once_both_can_be_used_because_the_browser_vouches(
    client: FlaskClient, site: str, status: int
) -> None:
    first = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    client.delete_cookie("settled")
    client.get("/sign-in")  # the cookie of the second page replaces the first
    assert first
    answer = client.post("/cart/lines", data={"csrf_token": first[1], "sku": "X"}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == status


def test_every_page_that_changes_something_requires_the_token(app: Flask, client: FlaskClient) -> None:
    requested = 0
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.rule.startswith(request_guard.MACHINE_PATHS):
            continue
        path = re.sub(r"<[^>]+>", "nothing", re.sub(r"<int:[^>]+>", "7", rule.rule))
        assert client.post(path).status_code == 400, path
        requested += 1
    assert requested > 5


@pytest.mark.parametrize(
    ("raised", "status", "shown"),
    [
        (Refusal("sold_out", "There is none left."), 409, "There is none left."),
        (Disconnected("secret-host:6379"), 503, "try again"),
        (redis.RedisAway("resting"), 503, "try again"),
        (OperationalError("SELECT secret", {}, Exception("locked")), 503, "try again"),
        (PoolTimeout("pool secret"), 503, "try again"),
        (IntegrityError("INSERT secret", {}, Exception("secret")), 500, "problem on our side"),
        (ValueError("secret"), 500, "problem on our side"),
    ],
)
def test_an_error_is_a_page_for_browsers_and_problem_json_for_programs_without_secrets(
    redis_url: str, database_url: str, raised: Exception, status: int, shown: str
) -> None:
    app = create_app(environ(database_url, redis_url), PROPAGATE_EXCEPTIONS=False)

    def broken() -> str:
        raise raised

    app.add_url_rule("/broken", view_func=broken)
    client = app.test_client()
    page = client.get("/broken")
    assert page.status_code == status
    assert page.mimetype == "text/html"
    assert shown in page.text
    problem = client.get("/broken", headers=JSON)
    assert problem.status_code == status
    assert problem.mimetype == "application/problem+json"
    assert problem.json is not None
    assert shown in problem.json["detail"]
    assert problem.json["request_id"] == problem.headers["X-Request-ID"]
    assert problem.json["code"]
    for answer in (page, problem):
        assert "secret" not in answer.text
        assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_wrong_method_lists_the_allowed_methods(client: FlaskClient) -> None:
    answer = client.put("/cart")
    assert answer.status_code in (400, 405)
    answer = client.open("/cart", method="TRACE")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_api_paths_answer_with_problem_json_whatever_they_accept(client: FlaskClient) -> None:
    answer = client.get("/webhooks/nobody", headers={"Accept": "text/html"})
    assert answer.status_code in (404, 405)
    assert answer.mimetype == "application/problem+json"


def test_the_log_line_has_no_token_in_it(shop: Shop, client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    order = shop.order()
    capsys.readouterr()
    for path in ("", "/status", "/pay", "/nothing", "/events"):
        client.get(f"/orders/{order.token}{path}")
        client.post(f"/orders/{order.token}{path}")
    message = capsys.readouterr()
    assert order.token not in message.out + message.err
    assert message.err.count("/orders/…") == 10


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/products/six-cedar-pencils-of-the-forest", "/products/six-cedar-pencils-of-the-forest"),
        ("/orders/abc", "/orders/…"),
        ("/orders/abc/events", "/orders/…/events"),
        ("/history/ImVtYWlsQGV4YW1wbGUuY29tIg.aBcD.xYz", "/history/…"),
        ("/x/AbCdEfGhIjKlMnOpQrStUvWx", "/x/…"),
        ("/", "/"),
    ],
)
def test_tokens_are_removed_from_logged_paths(path: str, logged: str) -> None:
    assert request_guard.loggable(path) == logged


def test_an_exception_is_logged_without_the_values_of_its_statement(
    redis_url: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(environ(database_url, redis_url), PROPAGATE_EXCEPTIONS=False)

    token = "".join(["the", "-order", "-token"])  # in one piece it would appear in the traceback

    def broken() -> str:
        raise IntegrityError("INSERT INTO orders", {"token": token}, Exception("no"))

    app.add_url_rule("/broken", view_func=broken)
    app.test_client().get("/broken")
    message = capsys.readouterr()
    assert "INSERT INTO orders" in message.err
    assert token not in message.out + message.err


def test_each_action_of_a_client_has_a_limit_per_minute_and_reading_has_none(app: Flask, redis_url: str) -> None:
    fresh = made(redis_url)
    fresh.config["WTF_CSRF_ENABLED"] = False
    fresh.add_url_rule("/do", view_func=request_guard.limited("do", 3)(lambda: "done"), methods=["GET", "POST"])
    client = fresh.test_client()
    assert [client.get("/do").status_code for _ in range(6)] == [200] * 6
    assert [client.post("/do").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert int(client.post("/do").headers["Retry-After"]) > 0
    other = client.post("/do", environ_base={"REMOTE_ADDR": "192.0.2.8"})
    assert other.status_code == 200


def test_a_refused_form_does_not_count_toward_the_limit_up_to_four_times_as_many(app: Flask, redis_url: str) -> None:
    fresh = made(redis_url)
    fresh.config["WTF_CSRF_ENABLED"] = False
    statuses = iter([422] * 5 + [200] * 3)
    fresh.add_url_rule(
        "/do", view_func=request_guard.limited("do", 3)(lambda: ("done", next(statuses))), methods=["POST"]
    )
    fresh.add_url_rule("/be", "be", request_guard.limited("be", 3)(lambda: ("no", 422)), methods=["POST"])
    client = fresh.test_client()
    assert [client.post("/do").status_code for _ in range(9)] == [422] * 5 + [200] * 3 + [429]
    assert [client.post("/be").status_code for _ in range(13)] == [422] * 12 + [429]


def test_addresses_of_one_ipv6_network_are_one_client(app: Flask, redis_url: str) -> None:
    fresh = made(redis_url)
    fresh.config["WTF_CSRF_ENABLED"] = False
    fresh.add_url_rule("/do", view_func=request_guard.limited("do", 3)(lambda: "done"), methods=["POST"])
    client = fresh.test_client()

    def post(address: str) -> int:
        return client.post("/do", environ_base={"REMOTE_ADDR": address}).status_code

    assert [post(f"2001:db8::{n}") for n in range(1, 5)] == [200, 200, 200, 429]
    assert post("2001:db8:0:1::1") == 200
    assert [post(f"192.0.2.9:{port}") for port in (1, 2, 3, 4)] == [200, 200, 200, 429]

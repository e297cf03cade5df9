"""Every example of the OpenAPI document is sent, and answered as the document says; and the document is complete."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from shop.accounts import signin
from shop.api import document as openapi
from shop.core.actor import Actor
from tests.api.calls import Call, calls
from tests.api.conftest import log_in
from tests.api.populated import Populated
from tests.outgoing_webhooks.conftest import Receiver, receiver
from tests.shop_fixtures import Shop
from tools.docs.routes import shop_app

__all__ = ["receiver"]

REFUSED = {"POST /api/v1/auth/token": 401, "POST /payments/notify": 401}
"""Calls whose examples need the secret of another site: they are refused, as documented."""
USUAL_HEADERS = {
    *("content-type", "content-length", "cache-control", "vary", "content-language", "date", "allow"),
    *("x-content-type-options", "referrer-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"),
    *("permissions-policy", "content-security-policy", "strict-transport-security", "x-frame-options"),
}
"""Headers that every site has."""
MOST_TRIES = 600


def document() -> dict[str, Any]:
    found: dict[str, Any] = openapi.of(shop_app())
    return found


CALLS = calls(document())


class Sender:
    """Sends an example with each combination of callers and rows that exist, until it is carried out."""

    def __init__(self, shop: Shop, url: str) -> None:
        self.populated = Populated(shop, url)
        signin.create("may@settled.example", "May", "settled-demo", [], by=Actor.operator())
        self.refresh_token = log_in(shop, self.populated.customer).json["refresh_token"]

    def send(self, call: Call) -> TestResponse:
        """The answer that carries the call out, or the last refusal."""
        answer: TestResponse | None = None
        for number, (kind, values) in enumerate(itertools.islice(self._combinations(call), MOST_TRIES)):
            answer = self._sent(call, kind, values, f"{number:040d}")
            if answer.status_code == REFUSED.get(str(call), call.success):
                return answer
        assert answer is not None
        return answer

    def _combinations(self, call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
        """Callers and values by the names of parameters and fields."""
        named = {*call.named("path"), *(str(path[-1]) for path, _ in call.fields() if path[-1] != 0)}
        known = {name: found for name in sorted(named) if (found := self._values(name))}
        kinds = [kind for kind, token in self.populated.tokens.items() if token or not call.is_page]
        for chosen in itertools.product(*known.values()):
            for kind in kinds:
                yield kind, dict(zip(known, chosen, strict=True))

    def _values(self, name: str) -> list[Any]:
        if name == "expected_refundable":
            found = self._refundable()
            return [*found, *(amount / 100 for amount in found)]
        special = {"amount": [100, 90, 180], "refresh_token": [self.refresh_token], "email": ["may@settled.example"]}
        special["password"] = ["settled-demo"]
        return special[name] if name in special else self.populated.known(name)[:10]

    def _refundable(self) -> list[int]:
        staff = self.populated.caller("staff")
        found = [staff.get(f"/payments/{payment}/refunds").json for payment in self.populated.known("payment_id")]
        return sorted({one["refundable"]["amount"] for one in found} - {0}, reverse=True)

    def _sent(self, call: Call, kind: str, values: dict[str, Any], key: str) -> TestResponse:
        path = call.path
        for name in call.named("path"):
            path = path.replace(f"{{{name}}}", quote(str(values[name]), safe=""))
        query = {
            name: one.get("example") or "2026-11-01T00:00:00Z"
            for name, one in call.named("query").items()
            if one.get("required")
        }
        body = _filled(call.body["example"], values) if call.body else None
        address = f"{path}?{urlencode(query)}" if query else path
        needs_key = "Idempotency-Key" in call.named("header")
        program, needed = self.populated.caller(kind), {"key": key if needs_key else "", "headers": call.headers}
        return program.open(call.method, address, body, **needed)


def _filled(body: Any, values: dict[str, Any]) -> Any:
    """The example with rows that exist, in the fields that it has."""
    if isinstance(body, dict):
        return {name: values[name] if name in values else _filled(inner, values) for name, inner in body.items()}
    return [_filled(inner, values) for inner in body] if isinstance(body, list) else body


def faults(call: Call, answer: TestResponse) -> Iterator[str]:
    """What the document does not say about an answer."""
    documented = call.operation["responses"].get(str(answer.status_code))
    if documented is None:
        yield f"{answer.status_code} is not documented"
        return
    unknown = {name.lower() for name in dict(answer.headers)} - {name.lower() for name in documented["headers"]}
    yield from (f"the header {name} is not documented" for name in sorted(unknown - USUAL_HEADERS))
    content = documented.get("content", {}).get(answer.mimetype)
    if (content is None) != (not answer.data):
        yield f"{answer.mimetype} is not documented"
    elif content and answer.mimetype.endswith("json"):
        schema = {**content["schema"], "components": call.document["components"]}
        yield from (one.message for one in Draft202012Validator(schema).iter_errors(answer.json))


def test_every_example_is_carried_out_and_answered_as_documented(shop: Shop, receiver: Receiver) -> None:
    sender, wrong = Sender(shop, receiver.url), []
    in_order = sorted(CALLS, key=lambda call: call.method == "DELETE" or call.path.endswith("/logout"))
    for call in in_order:
        answer = sender.send(call)
        if answer.status_code != REFUSED.get(str(call), call.success):
            wrong.append(f"{call}: {answer.status_code} {answer.text[:300]}")
        wrong += [f"{call}: {fault}" for fault in faults(call, answer)]
        sender.populated.forget()
    assert not wrong, "\n".join(wrong[:50])
    shop.turn(seconds=5)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_call_is_described_with_everything_that_a_reader_needs(call: Call) -> None:
    operation = call.operation
    for name in ("summary", "description", "operationId", "tags", "x-access"):
        assert operation.get(name), name
    assert "security" in operation
    if call.body:
        assert "example" in call.body
    for parameter in call.parameters:
        assert parameter["description"] and parameter["schema"], parameter["name"]
    for status, response in operation["responses"].items():
        assert response["description"]
        for name, header in response["headers"].items():
            assert call.resolved(header)["description"] and call.resolved(header)["schema"], (status, name)
        for kind, content in response.get("content", {}).items():
            assert "example" in content or content.get("examples"), (status, kind)


def test_the_document_names_its_tags_its_security_and_its_webhooks() -> None:
    found = document()
    tags = {tag["name"]: tag["description"] for tag in found["tags"]}
    assert {name for call in CALLS for name in call.operation["tags"]} <= tags.keys() and all(tags.values())
    assert found["components"]["securitySchemes"]["bearer"]["description"]
    assert {"title", "version", "description"} <= found["info"].keys() and found["servers"]
    for name, webhook in found["webhooks"].items():
        operation = webhook["post"]
        assert {"summary", "description", "operationId", "requestBody", "responses"} <= operation.keys(), name
        content = operation["requestBody"]["content"]["application/json"]
        errors = [one.message for one in Draft202012Validator(content["schema"]).iter_errors(content["example"])]
        assert errors == [], name

"""Requests that schemathesis generates from the OpenAPI document (`bench.api_fuzz`), by every kind of caller."""

from __future__ import annotations

from typing import Any

import pytest

from bench.api_fuzz import Fuzzer, Result
from shop.api import document as openapi
from tests.api.calls import calls
from tests.api.populated import Populated
from tests.shop_fixtures import Shop

CASES, MANY = 200, 20_000


def sent(shop: Shop, cases: int, seed: int) -> tuple[Populated, Result]:
    populated = Populated(shop)
    return populated, Fuzzer(populated, seed).run(cases)


def test_generated_requests_get_documented_answers(shop: Shop) -> None:
    populated, result = sent(shop, CASES, seed=20261201)
    assert list(result.failures.values()) == []
    assert result.cases >= CASES
    everything = {str(call) for call in calls(openapi.of(shop.app))}
    assert {call for call, _ in result.statuses} == everything
    succeeded = {call for call, status in result.statuses if status < 300}
    assert len(succeeded) > len(everything) / 3, "generated requests must reach past the checks of bodies"
    assert set(populated.tokens) >= {"guest", "customer", "staff", "key", "order"}


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_twenty_thousand_generated_requests_get_documented_answers(shop: Shop) -> None:
    _, result = sent(shop, MANY, seed=7)
    assert list(result.failures.values()) == []


def test_the_fuzzer_finds_an_answer_that_is_not_documented(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug: a list answers its total as text."""
    from shop.api import paging

    answer = paging.answer

    def as_text(*args: Any, **named: Any) -> tuple[dict[str, Any], dict[str, str]]:
        body, headers = answer(*args, **named)
        return body | {"total": str(body["total"])}, headers

    monkeypatch.setattr(paging, "answer", as_text)
    fuzzer = Fuzzer(Populated(shop), 3, only="GET /api/v1/products")
    assert list(fuzzer.run(30).failures) == ["JsonSchemaError GET /api/v1/products"]

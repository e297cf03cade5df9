"""The OpenAPI document: valid, complete, with examples that its own schemas accept; and its pages."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from shop.api import document as openapi
from shop.api import root
from shop.api.problems import ALL
from tests.api.conftest import Program
from tests.shop_fixtures import KETTLE, Shop
from tools.docs.routes import shop_app

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = openapi.of(shop_app())
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", of_path[method])
        for path, of_path in document["paths"].items()
        for method in METHODS
        if method in of_path
    ]


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"


def test_every_call_is_documented_with_its_callers_and_headers(document: dict[str, Any]) -> None:
    routes = {rule.rule for rule in shop_app().url_map.iter_rules() if rule.rule.startswith("/api/v1/")}
    assert len(document["paths"]) == len({one for one in routes if not one.startswith(root.OWN)}) + len(root.ALIASES)
    for name, operation in operations(document):
        assert operation["summary"] and operation["x-access"] and operation["operationId"], name
        assert {"429", "500", "503", "401"} <= operation["responses"].keys(), name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if status.startswith("2"):
                assert "RateLimit" in response["headers"], (name, status)
            elif status != "304":
                assert list(response["content"]) == ["application/problem+json"], (name, status)
    assert len({operation["operationId"] for _, operation in operations(document)}) == len(operations(document))


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (content for body in bodies for content in body.get("content", {}).values()):
            examples = [one["value"] for one in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            schema = {**content.get("schema", {}), "components": document["components"]}
            for example in examples:
                errors = [error.message for error in Draft202012Validator(schema).iter_errors(example)]
                assert errors == [], name
                checked += 1
    assert checked > 50


def test_answers_fit_their_schemas(shop: Shop, guest: Program, document: dict[str, Any]) -> None:
    order = guest.placed()
    answers = {"OrderSchema": order, "ProductPageSchema": guest.get("/products").json}
    answers["ProductSchema"] = guest.get(f"/products/{KETTLE}").json
    answers["ProblemSchema"] = guest.get("/orders/1").json
    for name, answer in answers.items():
        schema = document["components"]["schemas"][name.removesuffix("Schema")] | {"components": document["components"]}
        assert [error.message for error in Draft202012Validator(schema).iter_errors(answer)] == [], name


def test_every_code_is_explained_and_a_problem_leads_to_its_explanation(shop: Shop, guest: Program) -> None:
    page = guest._client.get("/api/docs/errors").text
    assert [code for code in ALL if f'id="{code}"' not in page] == []
    problem = guest.get("/orders/1").json
    assert problem["type"] == f"{shop.app.config['SHOP_URL']}/api/docs/errors#invalid_token"


def test_the_page_lists_every_call_without_a_script_of_its_own(shop: Shop, guest: Program) -> None:
    page = guest._client.get("/api/docs")
    assert page.status_code == 200
    for _, operation in operations(openapi.of(shop.app)):
        assert f'id="{operation["operationId"]}"' in page.text
    assert 'href="/api/docs"' in guest._client.get("/").text, "the footer leads to it"


def test_a_product_that_has_not_changed_is_304(guest: Program) -> None:
    first = guest.get(f"/products/{KETTLE}")
    assert first.json["prices"]["TWD"] == 120000 and first.json["available"] == 10
    again = guest.get(f"/products/{KETTLE}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert guest.get("/products/NONE").json["code"] == "unknown_product"


def test_an_address_that_does_not_exist_answers_a_problem(guest: Program) -> None:
    for path in ("/nothing", "/orders/0", "/orders/99999999999999"):
        answer = guest.get(path)
        assert (answer.status_code, answer.mimetype, answer.json["code"]) == (
            404,
            "application/problem+json",
            "not_found",
        )
    assert guest.call("DELETE", "/orders").json["code"] == "method_not_allowed"

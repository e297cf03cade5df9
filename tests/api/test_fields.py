"""Table of every call and every field: each wrong value is a problem that names the field, and nothing changes.

Calls, fields and parameters are those of the OpenAPI document.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from werkzeug.test import TestResponse

from shop.api import document as openapi
from tests.api.calls import Call, calls
from tests.api.conftest import Program, signed_in
from tests.api.populated import Populated, rows, writes
from tests.shop_fixtures import Shop

HUGE = 10**30
TEXTS = {"NUL": "a\0b", "lone surrogate": "\ud800", "too long": "x" * 60_000}
NO_NUMBERS: list[Any] = [1.0, "1", True, HUGE, -HUGE, None, [], {}]
_RAW = {"1e3": "1e3", "huge exponent": "1e400"}
"""Numbers that Python does not write this way."""
NO_ROW = "no such row"
SHARE = 8
"""A push sends one in so many cases; `--full` all of them."""


class Case:
    """A wrong value in one place of an otherwise right call. `where` is body, path or query."""

    def __init__(self, call: Call, where: str, path: tuple[str | int, ...], name: str, value: Any) -> None:
        self.call, self.where, self.path, self.name, self.value = call, where, path, name, value

    def __str__(self) -> str:
        return f"{self.call} {self.where} {'/'.join(map(str, self.path))} {self.name}"


def wrong_values(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of what a field with this schema must refuse."""
    kind, enum = schema.get("type"), schema.get("enum")
    kinds = kind if isinstance(kind, list) else [kind]
    if "null" not in kinds:
        yield "null", None
    if "integer" in kinds:
        yield from ((f"{value!r:.12}", value) for value in NO_NUMBERS if value is not None)
        yield from ((name, f"\1{raw}") for name, raw in _RAW.items())
        if "minimum" in schema:
            yield "below", schema["minimum"] - 1
        if "maximum" in schema:
            yield "above", schema["maximum"] + 1
    elif "string" in kinds:
        yield from (("number", 5), ("boolean", True), ("list", ["x"]), ("object", {"x": 1}))
        yield from ((name, text) for name, text in TEXTS.items() if name != "lone surrogate")
        if enum:
            yield from (("unknown choice", "XTS"), ("other case", str(enum[0]).swapcase()), ("surrogate", "\ud800"))
        if schema.get("minLength") or enum:
            yield "empty", ""
    elif "boolean" in kinds:
        yield from (("number", 1), ("text", "true"), ("list", []))
    elif "array" in kinds:
        yield from (("object", {}), ("text", "x"), ("empty", []), ("many", ["x"] * 2000))
    elif "object" in kinds or "properties" in schema:
        yield from (("list", []), ("text", "x"), ("number", 1))


def cases(call: Call) -> Iterator[Case]:
    """All wrong values of a call."""
    if call.body:
        schema = call.resolved(call.body["schema"])
        for value in ([], "x", 1, True):
            yield Case(call, "body", (), f"{value!r} in place of the body", value)
        places = [((), schema), *(one for one in call.fields() if one[1].get("properties"))]
        yield from (Case(call, "body", (*path, "unknown_field"), "unknown", 1) for path, _ in places)
        for path, field in call.fields():
            yield from (Case(call, "body", path, name, value) for name, value in wrong_values(field))
            if str(path[-1]).endswith("_id") or path[-1] in ("sku", "provider"):
                yield Case(call, "body", path, NO_ROW, 2**31 - 1 if field.get("type") == "integer" else "none")
            if field["x-required"] and path[-1] != 0:
                yield Case(call, "body", path, "missing", KeyError)
    for name, parameter in call.named("query").items():
        yield from (Case(call, "query", (name,), *one) for one in wrong_texts(parameter["schema"]))
        if parameter.get("required"):
            yield Case(call, "query", (name,), "missing", KeyError)
    yield Case(call, "query", ("unknown_field",), "unknown", "1")
    for name, parameter in call.named("path").items():
        is_number = parameter["schema"].get("type") == "integer"
        found = ["0", "-1", "1.0", "1e3", "true", "٣", str(HUGE)] if is_number else []
        found += ["\0", "a\r\nb", "x" * 3000, "\u202e", "none"]
        yield from (Case(call, "path", (name,), f"{one!r:.20}", one) for one in found)


def wrong_texts(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and value of what a parameter of the query with this schema must refuse."""
    yield from (("NUL", "a\0b"), ("control", "\x07"))
    if schema.get("type") == "integer":
        yield from ((text, text) for text in ("", "1.0", "1e3", "true", " 1", "+1", "-1", "٣", "null", str(HUGE), "x"))
    elif schema.get("enum"):
        yield from (("unknown choice", "XTS"), ("empty", ""), ("other case", str(schema["enum"][0]).swapcase()))
    elif schema.get("format") in ("date", "date-time"):
        yield from (
            (text, text) for text in ("", "yesterday", "2026-13-01", "0", "99999-01-01", "2026-02-30T00:00:00Z")
        )
    elif "maxLength" in schema:
        yield "too long", "x" * (schema["maxLength"] + 1)


class Table:
    """Sends the cases to a populated shop, as a caller who may do everything else that the call needs."""

    def __init__(self, shop: Shop) -> None:
        self.populated = Populated(shop)
        self.number = 0

    def program(self, call: Call) -> Program:
        """The caller with the most rights that the call takes."""
        access = " ".join(call.operation["x-access"])
        is_own = "customer" in access and "." not in access
        return self.populated.caller(
            "customer" if is_own else "guest" if access == "public" and not call.is_page else "staff"
        )

    def send(self, call: Call, case: Case | None = None, program: Program | None = None) -> TestResponse:
        """Send the documented example with the case's wrong value."""
        body = copy.deepcopy(call.body.get("example", {})) if call.body else None
        body = self.populated.filled("", body, _Always()) if body is not None else None
        query = {name: self._parameter(call, one) for name, one in call.named("query").items() if one.get("required")}
        values = {name: self._parameter(call, one) for name, one in call.named("path").items()}
        if case and case.where == "body":
            body = changed(body, case.path, case.value)
        elif case and case.where == "query":
            query |= {str(case.path[0]): case.value}
            query = {name: value for name, value in query.items() if value is not KeyError}
        elif case:
            values[str(case.path[0])] = case.value
        path = call.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        self.number += 1
        headers = call.headers | ({"Content-Type": "application/json"} if body is not None else {})
        raw = text_of(body).encode() if body is not None else None
        key = f"{self.number:040d}" if "Idempotency-Key" in call.named("header") else ""
        address = f"{path}?{urlencode(query)}" if query else path
        return (program or self.program(call)).open(call.method, address, raw, key=key, headers=headers)

    def _parameter(self, call: Call, parameter: dict[str, Any]) -> Any:
        known = self.populated.known(parameter["name"])
        example = parameter.get("example", parameter["schema"].get("example", "2026-11-01T00:00:00Z"))
        return known[0] if known else example

    def problem(self, case: Case) -> str:
        """Description of a fault in the answer to a case; empty for a right answer."""
        with writes() as written:
            answer = self.send(case.call, case)
        status = answer.status_code
        if not 400 <= status < 500:
            return f"{case}: {status} {answer.text[:200]}"
        if written:
            return f"{case}: {status}, and wrote {written}"
        if answer.mimetype != "application/problem+json" or str(status) not in case.call.operation["responses"]:
            return f"{case}: {status} {answer.mimetype} is not documented"
        if case.name == NO_ROW:
            return "" if status in (404, 409, 422) else f"{case}: {status} {answer.text[:200]}"
        if status in (400, 404, 413):
            expected = {400: "\1" in str(case.value) or abs(_number(case.value)) >= HUGE, 404: case.where == "path"}
            return "" if expected.get(status, "long" in case.name) else f"{case}: {status} {answer.text[:200]}"
        where = "parameter" if case.where == "query" else "pointer"
        named = [str(one.get(where)) for one in answer.json.get("errors", ())]
        wanted = str(case.path[0]) if case.where == "query" else "".join(f"/{part}" for part in case.path)
        return "" if any(is_at(one, wanted) for one in named) else f"{case}: {status} names {named}, not {wanted}"


class _Always(Random):
    """Chance that always takes what exists, the first of it."""

    def random(self) -> float:
        return 0.0

    def choice(self, values: Any) -> Any:
        return values[0]


def _number(value: Any) -> float:
    return value if type(value) in (int, float) else 0


def is_at(named: str, wanted: str) -> bool:
    """True if a pointer names the field, something in it, or the object that the field makes wrong."""
    return named == wanted or named.startswith(f"{wanted}/")


def changed(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The body with another value at a path; KeyError takes the field away."""
    if not path:
        return value
    at = body
    for part, following in zip(path, path[1:], strict=False):
        if isinstance(at, dict) and part not in at:
            at[part] = [] if isinstance(following, int) else {}
        if isinstance(at, list) and not at:
            at.append({})
        at = at[part]
    if value is KeyError:
        at.pop(path[-1], None)
    elif isinstance(at, list) and not at:
        at.append(value)
    else:
        at[path[-1]] = value
    return body


def text_of(body: Any) -> str:
    """JSON of a body. A text that begins with character 1 is written as it is."""
    text = json.dumps(body)
    for raw in _RAW.values():
        text = text.replace(f'"\\u0001{raw}"', raw)
    return text


def test_a_wrong_value_in_any_field_is_a_problem_that_names_it_and_changes_nothing(
    shop: Shop, request: pytest.FixtureRequest
) -> None:
    share = 1 if request.config.getoption("--full") else SHARE
    table, sent, wrong = Table(shop), 0, []
    before = rows()
    for call in calls(openapi.of(shop.app)):
        for case in list(cases(call))[sent % share :: share]:
            sent += 1
            if found := table.problem(case):
                wrong.append(found)
    assert not wrong, "\n".join(wrong[:50])
    assert sent > 600 / share
    assert rows() == before


def test_ids_of_other_customers_are_like_ids_that_do_not_exist(shop: Shop) -> None:
    table = Table(shop)
    stranger, wrong = signed_in(shop), []
    before = rows()
    for call in calls(openapi.of(shop.app)):
        names_rows = call.named("path") or any(str(path[-1]).endswith("_id") for path, _ in call.fields())
        if "public" in call.operation["x-access"] or not names_rows:
            continue
        answer = table.send(call, program=stranger)
        if answer.status_code not in (403, 404):
            wrong.append(f"{call}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong[:50])
    assert rows() == before

"""Calls of the OpenAPI document, for tests that are made from it: a new call is tested without a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Call:
    """An operation of the document."""

    document: dict[str, Any]
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def operation(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["paths"][self.path][self.method.lower()]
        return found

    @property
    def is_page(self) -> bool:
        """True for an alias whose address is that of a page when the request has no Bearer token."""
        return self.path.startswith("/orders")

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Parameters of the address, the query and the headers."""
        of_path = self.document["paths"][self.path].get("parameters", [])
        return [self.resolved(one) for one in [*of_path, *self.operation.get("parameters", [])]]

    def named(self, where: str) -> dict[str, dict[str, Any]]:
        """Parameters of one place, `path`, `query` or `header`, by name."""
        return {one["name"]: one for one in self.parameters if one["in"] == where}

    @property
    def headers(self) -> dict[str, str]:
        """Examples of the headers that the call needs, but for Idempotency-Key, of which each request has its own."""
        needed = {name: one for name, one in self.named("header").items() if one.get("required")}
        return {name: one["schema"]["example"] for name, one in needed.items() if name != "Idempotency-Key"}

    @property
    def body(self) -> dict[str, Any] | None:
        """Content of the JSON body: schema and example; None for a call without one."""
        found: dict[str, Any] | None = self.operation.get("requestBody", {}).get("content", {}).get("application/json")
        return found

    @property
    def success(self) -> int:
        """Status of the answer that is not a problem."""
        return min(int(status) for status in self.operation["responses"] if status.startswith("2"))

    @property
    def needs_body(self) -> bool:
        return bool(self.operation.get("requestBody", {}).get("required"))

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema or parameter of the document, without `$ref` and `allOf` of one."""
        while "$ref" in schema or len(schema.get("allOf", ())) == 1:
            if "$ref" in schema:
                found: Any = self.document
                for part in schema["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
                schema = {**found, **{name: value for name, value in schema.items() if name != "$ref"}}
            else:
                schema = {**schema["allOf"][0], **{name: value for name, value in schema.items() if name != "allOf"}}
        return schema

    def fields(self) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
        """Path and schema of every field of the body; of lists the first entry."""
        if self.body:
            yield from self._fields(self.resolved(self.body["schema"]), ())

    def _fields(
        self, schema: dict[str, Any], path: tuple[str | int, ...]
    ) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
        for name, inner in schema.get("properties", {}).items():
            yield from self._field(self.resolved(inner), (*path, name), name in schema.get("required", ()))

    def _field(
        self, schema: dict[str, Any], path: tuple[str | int, ...], required: bool
    ) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
        yield path, {**schema, "x-required": required}
        if "items" in schema:
            yield from self._field(self.resolved(schema["items"]), (*path, 0), True)
        yield from self._fields(schema, path)


def calls(document: dict[str, Any]) -> list[Call]:
    """All calls, in the order of the document; those that end a session are the last."""
    found = [
        Call(document, method.upper(), path)
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    ]
    return sorted(found, key=lambda call: call.path.endswith("/logout"))

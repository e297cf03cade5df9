"""Integrity: the answer with the results of the last check."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from shop.api.schemas.fields import Strict, Time
from shop.api.schemas.times import stamp
from shop.integrity import checks
from shop.integrity.models import IntegrityCheck


class ResultSchema(Strict):
    """An invariant, and the number of rows that violate it; `error` if it could not be checked."""

    name = fields.String(required=True)
    statement = fields.String(required=True)
    holds = fields.Boolean(required=True)
    violations = fields.Integer(required=True)
    error = fields.String(required=True)


class CheckSchema(Strict):
    """A check of all invariants that has ended."""

    requested_at = Time(required=True)
    ended_at = Time(required=True)
    holds = fields.Boolean(required=True)
    results = fields.List(fields.Nested(ResultSchema), required=True)


class IntegritySchema(Strict):
    """The newest check, none before the first one, and whether another one is running."""

    is_running = fields.Boolean(required=True)
    last_check = fields.Nested(CheckSchema, required=True, allow_none=True)


EXAMPLE: dict[str, Any] = {
    "is_running": False,
    "last_check": {
        "requested_at": "2026-12-01T09:30:00Z",
        "ended_at": "2026-12-01T09:30:04Z",
        "holds": True,
        "results": [
            {
                "name": "1 double entry",
                "statement": "every journal balances in each currency",
                "holds": True,
                "violations": 0,
                "error": "",
            }
        ],
    },
}


def check(found: IntegrityCheck) -> dict[str, Any]:
    """The body of a check."""
    results = checks.results(found)
    return {
        "requested_at": stamp(found.requested_at),
        "ended_at": stamp(found.ended_at),
        "holds": all(one.holds for one in results),
        "results": [
            {
                "name": one.name,
                "statement": one.statement,
                "holds": one.holds,
                "violations": one.count,
                "error": one.error,
            }
            for one in results
        ],
    }
